package diagnose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	// againAfter is how soon questions that could not be fetched are asked for again.
	againAfter = 10 * time.Second
	// collectWithin bounds one collection; the broker gives a claim two minutes.
	collectWithin = 45 * time.Second
	retryAfter    = 2 * time.Second
	answerTries   = 3
)

// Broker is what is asked of the gateway. Errors are of package fault, or the context's.
type Broker interface {
	PendingDiagnostics(ctx context.Context, id agent.ID) ([]wire.DiagnosticRequest, error)
	ClaimDiagnostic(ctx context.Context, request string) (wire.DiagnosticRequest, error)
	AnswerDiagnostic(ctx context.Context, request string, a wire.DiagnosticAnswer) error
}

// Looker makes the answer to a question about a stack.
type Looker interface {
	Collect(ctx context.Context, stack string) (wire.DiagnosticAnswer, error)
}

// Runner answers the broker's questions, one after the other.
type Runner struct {
	broker Broker
	agent  agent.ID
	look   Looker
	log    *slog.Logger
	rang   chan struct{}
}

// NewRunner returns a runner for the agent.
func NewRunner(b Broker, id agent.ID, look Looker, log *slog.Logger) *Runner {
	return &Runner{broker: b, agent: id, look: look, log: log, rang: make(chan struct{}, 1)}
}

// Ring says that there are questions. It never blocks.
func (r *Runner) Ring() {
	select {
	case r.rang <- struct{}{}:
	default:
	}
}

// Run answers whenever the broker rings, until ctx ends. Trouble is logged and tried again; it ends nothing else.
func (r *Runner) Run(ctx context.Context) error {
	for {
		select {
		case <-r.rang:
		case <-ctx.Done():
			return nil
		}
		err := r.once(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		r.log.DebugContext(ctx, "not all diagnostics could be answered; they are asked for again", "error", err.Error())
		time.AfterFunc(againAfter+rand.N(againAfter/2), r.Ring) //nolint:gosec // jitter
	}
}

// once answers what is open now: the broker shows some questions at a time, and is asked until it shows none that was not
// tried. One that cannot be answered keeps no other from its answer, unless it is the broker that is away.
func (r *Runner) once(ctx context.Context) error {
	tried := map[string]bool{}
	var errs []error
	for {
		open, err := r.broker.PendingDiagnostics(ctx, r.agent)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		fresh := false
		for _, q := range open {
			if tried[q.ID] {
				continue
			}
			tried[q.ID], fresh = true, true
			err := r.serve(ctx, q)
			if err != nil {
				errs = append(errs, fmt.Errorf("diagnostic %s: %w", q.ID, err))
			}
			var away *brokerAway
			if ctx.Err() != nil || errors.As(err, &away) {
				return errors.Join(errs...)
			}
		}
		if !fresh {
			return errors.Join(errs...)
		}
	}
}

// brokerAway is that the broker cannot be asked at all now.
type brokerAway struct{ error }

func (e *brokerAway) Unwrap() error { return e.error }

// serve claims, collects and answers. A question that somebody else has claimed meanwhile is left alone.
func (r *Runner) serve(ctx context.Context, q wire.DiagnosticRequest) error {
	q, err := r.broker.ClaimDiagnostic(ctx, q.ID)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return nil
	}
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unauthenticated) {
		return &brokerAway{err}
	}
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, collectWithin)
	defer cancel()
	answer, err := r.look.Collect(bounded, q.StackID)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err = r.broker.AnswerDiagnostic(ctx, q.ID, answer)
		switch {
		case err == nil:
			r.log.InfoContext(ctx, "a diagnostic is answered", "request", q.ID, "stack", q.StackID)
			return nil
		case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound):
			return nil // its time is over
		case fault.Is(err, fault.Invalid), fault.Is(err, fault.Refused), try == answerTries:
			r.log.WarnContext(ctx, "the broker does not take the answer to a diagnostic", "request", q.ID, "error", err.Error())
			return nil
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
