package witness_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/witness"
)

// scene is a cluster that the test makes speak, and a broker that can be away.
type scene struct {
	see func(cluster.KubeEvent)

	mu   sync.Mutex
	fail error
	got  []wire.TelemetryRequest
	n    map[string]int
}

func (s *scene) Watch(ctx context.Context, fn func(cluster.KubeEvent), _ func(error)) {
	s.see = fn
	<-ctx.Done()
}

func (s *scene) Telemetry(_ context.Context, _ agent.ID, req wire.TelemetryRequest) (wire.TelemetryResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, req)
	return wire.TelemetryResponse{}, s.fail
}

func (s *scene) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.got = err, nil
}

func (s *scene) count(outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n[outcome]++
}

func (s *scene) events(n int) {
	for i := range n {
		s.see(cluster.KubeEvent{Stack: "s", Reason: fmt.Sprint(i), ObservedAt: time.Now()})
	}
}

// stage runs a witness in virtual time.
func stage(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{n: map[string]int{}}
		w := witness.New(witness.Config{Events: s, Broker: s, Agent: "a", Boot: "boot", Count: func(o string) {
			go s.count(o) // it may be called with a lock held
		}, CountLine: func(string) {}, Log: slog.New(slog.DiscardHandler)})
		go func() {
			if err := w.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		test(t, s)
	})
}

func TestEventsAreSentTogetherAndNumbered(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, s *scene) {
		s.events(700)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(s.got) != 2 || len(s.got[0].Events) != 500 || len(s.got[1].Events) != 200 || s.got[0].Seq != 1 || s.got[1].Seq != 2 || s.got[0].BootID != "boot" {
			t.Fatalf("got %d requests, want two with 500 and 200 events, numbered", len(s.got))
		}
		if e := s.got[1].Events[199]; e.Reason != "699" || e.StackID != "s" || e.Source != nil {
			t.Errorf("last: got %+v", e)
		}
		s.set(nil)
		time.Sleep(time.Hour)
		if synctest.Wait(); len(s.got) != 0 {
			t.Errorf("nothing happens: got %d requests", len(s.got))
		}
	})
}

func TestWhileTheBrokerIsAwayTheSameIsSentAgainAndTheRestIsBounded(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, s *scene) {
		s.set(fault.New(fault.Unavailable, "unavailable", "away"))
		s.events(1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(s.got); n < 5 || n > 20 {
			t.Errorf("tries in ten minutes: got %d, want some, ever less often", n)
		}
		for _, r := range s.got {
			if r.Seq != 1 || len(r.Events) != 1 {
				t.Fatalf("got %+v, want the same request", r)
			}
		}
		s.events(5000)
		s.set(nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		sent, dropped := 0, int64(0)
		for i, r := range s.got {
			if r.Seq != int64(i+1) {
				t.Errorf("request %d has the number %d", i, r.Seq)
			}
			sent += len(r.Events)
			for _, g := range r.Gaps {
				if g.Reason != "buffer_full" || g.StackID != "s" {
					t.Errorf("gap: got %+v", g)
				}
				dropped += g.DroppedCount
			}
		}
		if sent != 2001 || dropped != 3000 {
			t.Errorf("got %d events and %d told as missing, want 2001 and 3000", sent, dropped)
		}
		if s.n["sent"] != 2001 || s.n["dropped"] != 3000 {
			t.Errorf("counted: %v", s.n)
		}
	})
}

func TestABrokerThatRefusesIsNotAskedForTheSameAgain(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, s *scene) {
		s.set(fault.New(fault.NotFound, "not_found", "no such route"))
		s.events(1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(s.got) != 1 || s.n["refused"] != 1 {
			t.Errorf("got %d requests and %v, want one", len(s.got), s.n)
		}
	})
}
