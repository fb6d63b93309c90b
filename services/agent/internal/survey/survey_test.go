package survey_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/survey"
)

// fake is a cluster that the test plays.
type fake struct {
	away      bool
	version   string
	nodes     cluster.Nodes
	nodesErr  error
	requested status.Resources
	counts    int
	facts     map[string]status.Fact
	factsErr  error
}

func (f *fake) KubernetesVersion(context.Context) (string, error) {
	if f.away {
		return "", errors.New("connection refused")
	}
	return f.version, nil
}
func (f *fake) Nodes(context.Context) (cluster.Nodes, error) { return f.nodes, f.nodesErr }
func (f *fake) Requested(context.Context, map[string]bool) (status.Resources, error) {
	f.counts++
	return f.requested, nil
}
func (f *fake) GroupVersions(context.Context) ([]string, error) {
	return []string{"v1", "apps/v1"}, nil
}
func (f *fake) Facts(context.Context) (map[string]status.Fact, []string, error) {
	return f.facts, nil, f.factsErr
}

func newFake() *fake {
	return &fake{version: "v1.36.3", requested: status.Resources{CPU: 1000, Memory: 1 << 30, Pods: 10}, nodes: cluster.Nodes{
		Total: 2, Ready: 2, Allocatable: status.Resources{CPU: 8000, Memory: 16 << 30, Pods: 220}, Architectures: []string{"amd64"}, Taking: map[string]bool{"a": true, "b": true},
	}}
}

func surveyOf(f *fake, rings *int) *survey.Survey {
	configured := status.ParseFact("north")
	return survey.New(survey.Config{Cluster: f, Facts: map[string]status.Fact{"zone": configured}, Every: time.Minute, Ring: func() { *rings++ }, Log: slog.New(slog.DiscardHandler)})
}

func pending(t *testing.T, s *survey.Survey) (*status.Status, int64) {
	t.Helper()
	text, n := s.Pending()
	if text == nil {
		return nil, n
	}
	var out status.Status
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return &out, n
}

func TestOnlyWhatDiffersIsTold(t *testing.T) {
	t.Parallel()
	f, rings := newFake(), 0
	s := surveyOf(f, &rings)
	s.Look(t.Context())
	first, n := pending(t, s)
	if first == nil || rings != 1 || first.KubernetesVersion != "v1.36.3" || first.Nodes != 2 || first.Facts["zone"].Text != "north" || len(first.Unknown) != 0 {
		t.Fatalf("first look: got %+v, %d rings", first, rings)
	}
	s.Look(t.Context())
	if again, m := pending(t, s); again == nil || m != n {
		t.Fatalf("before it was told: got %+v, %d, want it to wait", again, m)
	}
	if f.counts != 2 {
		t.Errorf("pods were counted %d times in 2 looks before the status was told, want 2", f.counts)
	}
	s.Told(n)
	f.requested.CPU += 30 // noise
	for range 10 {
		s.Look(t.Context())
	}
	if got, _ := pending(t, s); got != nil || rings != 1 {
		t.Fatalf("after noise: got %+v, %d rings, want nothing", got, rings)
	}
	if f.counts != 4 {
		t.Errorf("pods were counted %d times in 12 looks, the first two before the status was told, want 4", f.counts)
	}
	f.requested.CPU = 4000
	for range 5 {
		s.Look(t.Context())
	}
	got, n := pending(t, s)
	if got == nil || got.Requested.CPU != 4000 || rings != 2 {
		t.Fatalf("after a change: got %+v, %d rings, want it told", got, rings)
	}
	s.Told(n)
	s.Repeat()
	if again, _ := pending(t, s); again == nil {
		t.Fatal("a broker that forgot is not told again")
	}
}

// The broker goes by when it was told: a status never has sums of before with what is news now.
func TestNewsComesWithWhatPodsRequestNow(t *testing.T) {
	t.Parallel()
	for name, news := range map[string]func(*fake){
		"a fact":             func(f *fake) { f.facts = map[string]status.Fact{"price": status.ParseFact("3")} },
		"the version":        func(f *fake) { f.version = "v1.36.4" },
		"a node that is not": func(f *fake) { f.nodes.Ready-- },
		"facts are unknown":  func(f *fake) { f.factsErr = errors.New("forbidden") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, rings := newFake(), 0
			s := surveyOf(f, &rings)
			s.Look(t.Context())
			_, n := pending(t, s)
			s.Told(n)
			f.requested.CPU = 4000 // pods have come
			s.Look(t.Context())
			if got, _ := pending(t, s); got != nil || f.counts != 1 {
				t.Fatalf("nothing else is news: got %+v, counted %d times, want nothing, once", got, f.counts)
			}
			news(f)
			s.Look(t.Context())
			got, n := pending(t, s)
			if got == nil || got.Requested.CPU != 4000 || rings != 2 {
				t.Fatalf("got %+v, %d rings, want it told with what pods request now", got, rings)
			}
			s.Told(n)
			if s.Look(t.Context()); f.counts != 2 {
				t.Errorf("counted %d times, want twice: what was news once is none any more", f.counts)
			}
		})
	}
}

// What is told again as it was, and what waits to be told, is counted anew, so that it is not wrong for long.
func TestWhatIsToldAgainIsCountedAnew(t *testing.T) {
	t.Parallel()
	f, rings := newFake(), 0
	s := surveyOf(f, &rings)
	s.Look(t.Context())
	f.requested.CPU = 4000
	s.Look(t.Context())
	got, n := pending(t, s)
	if got == nil || got.Requested.CPU != 4000 {
		t.Fatalf("while it waits to be told: got %+v, want what pods request now", got)
	}
	s.Told(n)
	s.Repeat()
	_, n = pending(t, s)
	s.Told(n)
	f.requested.CPU = 2000
	s.Look(t.Context())
	if got, _ = pending(t, s); got == nil || got.Requested.CPU != 2000 {
		t.Fatalf("after it was told again: got %+v, want what pods request now", got)
	}
}

func TestWhatCannotBeReadIsUnknownAndNotZero(t *testing.T) {
	t.Parallel()
	f, rings := newFake(), 0
	f.nodesErr = fault.New(fault.Forbidden, "outside_namespace", "the nodes of the cluster as a whole: the agent is confined")
	s := surveyOf(f, &rings)
	s.Look(t.Context())
	got, _ := pending(t, s)
	if got == nil || got.Knows(status.PartNodes) || got.Knows(status.PartRequested) || !got.Knows(status.PartAPIs) || f.counts != 0 {
		t.Fatalf("got %+v, want nodes and what is requested unknown", got)
	}
}

func TestAnAPIServerThatIsAwayChangesNothing(t *testing.T) {
	t.Parallel()
	f, rings := newFake(), 0
	s := surveyOf(f, &rings)
	f.away = true
	s.Look(t.Context())
	if got, _ := pending(t, s); got != nil {
		t.Fatalf("got %+v, want nothing", got)
	}
	f.away = false
	s.Look(t.Context())
	_, n := pending(t, s)
	s.Told(n)
	f.away = true
	s.Look(t.Context())
	if got, _ := pending(t, s); got != nil {
		t.Fatalf("when it went away: got %+v, want nothing", got)
	}
}

func TestFactsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, rings := newFake(), 0
		until := time.Now().Add(90 * time.Second)
		price, other := status.ParseFact("2.5"), status.ParseFact("south")
		price.Until = &until
		f.facts = map[string]status.Fact{"price": price, "zone": other}
		s := surveyOf(f, &rings)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		got, n := pending(t, s)
		if got == nil || got.Facts["price"].Number == nil || got.Facts["zone"].Text != "north" {
			t.Fatalf("got %+v, want the price, and the zone of the configuration", got)
		}
		s.Told(n)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		got, _ = pending(t, s)
		if _, has := got.Facts["price"]; got == nil || has {
			t.Fatalf("got %+v, want it without the price", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
