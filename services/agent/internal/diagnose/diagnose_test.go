package diagnose_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/diagnose"
)

// desk is a broker with questions.
type desk struct {
	mu       sync.Mutex
	open     []string
	claim    error
	away     int  // so often the broker does not answer
	atOnce   int  // so many questions are shown; 0: all
	keeps    bool // a question that was claimed is shown until it is answered
	claims   int
	answer   []error // of the next answers
	asked    int
	answered []string
}

func (d *desk) PendingDiagnostics(context.Context, agent.ID) ([]wire.DiagnosticRequest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.away > 0 {
		d.away--
		return nil, fault.New(fault.Unavailable, "unreachable", "away")
	}
	var out []wire.DiagnosticRequest
	for _, id := range d.open {
		if d.atOnce > 0 && len(out) == d.atOnce {
			break
		}
		out = append(out, wire.DiagnosticRequest{ID: id})
	}
	return out, nil
}

func (d *desk) ClaimDiagnostic(_ context.Context, id string) (wire.DiagnosticRequest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims++
	if !d.keeps {
		d.open = slices.DeleteFunc(d.open, func(s string) bool { return s == id })
	}
	return wire.DiagnosticRequest{ID: id, StackID: "stack of " + id}, d.claim
}

func (d *desk) AnswerDiagnostic(_ context.Context, id string, a wire.DiagnosticAnswer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.answer) > 0 {
		err := d.answer[0]
		d.answer = d.answer[1:]
		if err != nil {
			return err
		}
	}
	d.open = slices.DeleteFunc(d.open, func(s string) bool { return s == id })
	d.answered = append(d.answered, id+": "+a.Events)
	return nil
}

func (d *desk) ask(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, id)
}

// lookerFunc makes answers.
type lookerFunc func(ctx context.Context, stack string) (wire.DiagnosticAnswer, error)

func (f lookerFunc) Collect(ctx context.Context, stack string) (wire.DiagnosticAnswer, error) {
	return f(ctx, stack)
}

func echo(_ context.Context, stack string) (wire.DiagnosticAnswer, error) {
	return wire.DiagnosticAnswer{Events: stack}, nil
}

func running(t *testing.T, d *desk, look lookerFunc, test func(r *diagnose.Runner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		r := diagnose.NewRunner(d, "a", look, slog.New(slog.DiscardHandler))
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		test(r)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestQuestionsAreAnsweredWhenTheBrokerRings(t *testing.T) {
	t.Parallel()
	d := &desk{}
	running(t, d, echo, func(r *diagnose.Runner) {
		d.ask("one")
		d.ask("two")
		r.Ring()
		r.Ring()
		synctest.Wait()
		if want := []string{"one: stack of one", "two: stack of two"}; !slices.Equal(d.answered, want) {
			t.Errorf("answered: got %v, want %v at once", d.answered, want)
		}
	})
}

func TestMoreQuestionsThanAreShownAtOnceAreAllAnswered(t *testing.T) {
	t.Parallel()
	d := &desk{atOnce: 50}
	running(t, d, echo, func(r *diagnose.Runner) {
		for i := range 120 {
			d.ask(fmt.Sprint(i))
		}
		r.Ring()
		synctest.Wait()
		if len(d.answered) != 120 || d.asked != 4 {
			t.Errorf("answered %d of 120, after asking %d times, want all after 4", len(d.answered), d.asked)
		}
	})
}

func TestAQuestionThatCannotBeAnsweredKeepsNoOtherFromItsAnswer(t *testing.T) {
	t.Parallel()
	var broken atomic.Int32
	look := func(ctx context.Context, stack string) (wire.DiagnosticAnswer, error) {
		if stack == "stack of one" {
			broken.Add(1)
			return wire.DiagnosticAnswer{}, errors.New("the API server is away")
		}
		return echo(ctx, stack)
	}
	d := &desk{keeps: true}
	running(t, d, look, func(r *diagnose.Runner) {
		d.ask("one")
		d.ask("two")
		r.Ring()
		synctest.Wait()
		if !slices.Equal(d.answered, []string{"two: stack of two"}) || broken.Load() != 1 {
			t.Errorf("answered %v, tried the broken one %d times, want the other one answered", d.answered, broken.Load())
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if broken.Load() != 2 {
			t.Errorf("the broken one was tried %d times, want again later", broken.Load())
		}
	})
}

func TestABrokerThatIsAwayIsNotAskedForEachQuestion(t *testing.T) {
	t.Parallel()
	d := &desk{keeps: true, claim: fault.New(fault.Unavailable, "unreachable", "away")}
	running(t, d, echo, func(r *diagnose.Runner) {
		d.ask("one")
		d.ask("two")
		r.Ring()
		synctest.Wait()
		if d.claims != 1 {
			t.Errorf("claimed %d times, want one try", d.claims)
		}
	})
}

func TestAnIdleAgentAsksNothing(t *testing.T) {
	t.Parallel()
	d := &desk{}
	running(t, d, echo, func(*diagnose.Runner) {
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if d.asked != 0 {
			t.Errorf("the broker was asked %d times without having rung", d.asked)
		}
	})
}

func TestQuestionsThatCannotBeFetchedAreAskedForAgain(t *testing.T) {
	t.Parallel()
	d := &desk{away: 2}
	running(t, d, echo, func(r *diagnose.Runner) {
		d.ask("one")
		r.Ring()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(d.answered) != 1 {
			t.Errorf("answered: got %v, want it although the broker was away twice", d.answered)
		}
	})
}

func TestTroubleWithAnswers(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, "unreachable", "away")
	for reason, c := range map[string]struct {
		claim  error
		answer []error
		want   int
	}{
		"somebody else has claimed it":        {claim: fault.New(fault.Conflict, "diagnostic_already_claimed", "x")},
		"the broker is away for a moment":     {answer: []error{away, away}, want: 1},
		"the broker is away for long":         {answer: []error{away, away, away}},
		"the broker refuses the answer":       {answer: []error{fault.New(fault.Invalid, "invalid_diagnostic_result", "x")}},
		"the question has expired meanwhile":  {answer: []error{fault.New(fault.Conflict, "diagnostic_not_claimed", "x")}},
		"the question was deleted in between": {claim: fault.New(fault.NotFound, "diagnostic_not_found", "x")},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			d := &desk{claim: c.claim, answer: c.answer}
			running(t, d, echo, func(r *diagnose.Runner) {
				d.ask("one")
				r.Ring()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if len(d.answered) != c.want {
					t.Errorf("answered: got %v, want %d", d.answered, c.want)
				}
				d.mu.Lock()
				d.claim, d.answer, d.answered = nil, nil, nil
				d.mu.Unlock()
				d.ask("next")
				r.Ring()
				synctest.Wait()
				if len(d.answered) != 1 {
					t.Errorf("the next question: got %v, want it answered", d.answered)
				}
			})
		})
	}
}

func TestACollectionIsBounded(t *testing.T) {
	t.Parallel()
	d := &desk{}
	slow := func(ctx context.Context, _ string) (wire.DiagnosticAnswer, error) {
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return wire.DiagnosticAnswer{}, ctx.Err()
		}
		return wire.DiagnosticAnswer{Events: "what was seen so far"}, nil
	}
	running(t, d, slow, func(r *diagnose.Runner) {
		d.ask("one")
		r.Ring()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"one: what was seen so far"}; !slices.Equal(d.answered, want) {
			t.Errorf("answered: got %v, want %v within a minute", d.answered, want)
		}
	})
}
