package syncer_test

import (
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestTheStatusIsToldOnItsOwn(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(10 * time.Second)
		w.gateway.requests()
		w.status.change(`{"nodes":3}`)
		w.box.Ring()
		w.settle(time.Minute)
		seen := w.gateway.requests()
		if len(seen) != 3 || string(seen[0].Status) != `{"nodes":3}` || seen[0].WaitSeconds != 0 || seen[1].Status != nil || seen[1].WaitSeconds != 55 {
			t.Errorf("got %+v, want the status once, and then parked requests", seen)
		}
	})
}

// A broker that fails over the status still parks the agent and gives it the target state at once; the status is told less and
// less often, until it is taken.
func TestAFailingStatusDoesNotKeepTheAgentFromParking(t *testing.T) {
	for name, failure := range map[string]error{
		"500": fault.New(fault.Internal, "internal", "no"), "503": fault.New(fault.Unavailable, "unavailable", "no"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.settle(10 * time.Second)
				w.gateway.set(func(g *gateway) {
					g.fail = func(r wire.SyncRequest) error {
						if r.Status != nil {
							return failure
						}
						return nil
					}
				})
				w.status.change(`{"nodes":3}`)
				w.box.Ring()
				w.settle(10 * time.Minute)
				var told, parked int
				var last, gap time.Duration
				for _, r := range w.gateway.requests() {
					switch {
					case r.Status == nil:
						parked++
					default:
						told, gap, last = told+1, r.at-last, r.at
					}
				}
				if told < 15 || told > 60 || parked < told/2 || parked > 2*told+20 || gap > 45*time.Second {
					t.Errorf("in ten minutes: told %d times, lately each %s, and parked %d times; want about one of each in 30 s", told, gap, parked)
				}
				if err := w.syncer.Err(); err != nil {
					t.Errorf("got %v, want the conversation to be well", err)
				}
				w.wantLines("status could not be told", 1)
				w.gateway.publish(5, wire.Stack{StackID: "a"})
				w.settle(0)
				if w.target.times() != 1 {
					t.Errorf("the target state came %d times, want it at once", w.target.times())
				}
				w.gateway.set(func(g *gateway) { g.fail = nil })
				w.settle(time.Minute)
				if text, _ := w.status.Pending(); text != nil {
					t.Error("the status is still not told")
				}
				w.wantLines("takes the cluster's status again", 1)
				w.gateway.requests()
				w.settle(3 * time.Minute)
				if seen := w.gateway.requests(); len(seen) > 4 {
					t.Errorf("got %d requests in three minutes after it was told, want one each 55 s", len(seen))
				}
			})
		})
	}
}

// A broker that is gone is asked as seldom with a status to tell as without one.
func TestAStatusDoesNotHurryAgainstABrokerThatIsGone(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(10 * time.Second)
		w.gateway.set(func(g *gateway) { g.fail = func(wire.SyncRequest) error { return lost } })
		w.status.change(`{"nodes":3}`)
		w.box.Ring()
		w.settle(10 * time.Minute)
		w.gateway.requests()
		w.settle(20 * time.Minute)
		if seen := w.gateway.requests(); len(seen) > 100 {
			t.Errorf("got %d requests in twenty minutes, want about one in 30 s for each of both", len(seen))
		}
	})
}

// What is not about the status is waited for as ever.
func TestAStatusThatMeetsARevokedKeyWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(10 * time.Second)
		w.gateway.set(func(g *gateway) {
			g.fail = func(wire.SyncRequest) error { return fault.New(fault.Unauthenticated, "unauthorized", "no") }
		})
		w.status.change(`{"nodes":3}`)
		w.box.Ring()
		w.gateway.requests()
		w.settle(10 * time.Minute)
		if seen := w.gateway.requests(); len(seen) > 22 {
			t.Errorf("got %d requests in ten minutes, want about one a minute", len(seen))
		}
	})
}

// A status that could not be told, and then is true no longer, leaves nothing behind.
func TestAStatusThatPassesIsForgotten(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(10 * time.Second)
		w.gateway.set(func(g *gateway) {
			g.fail = func(r wire.SyncRequest) error {
				if r.Status != nil {
					return fault.New(fault.Internal, "internal", "no")
				}
				return nil
			}
		})
		w.status.change(`{"nodes":3}`)
		w.box.Ring()
		w.settle(time.Second)
		w.status.Told(1)
		w.settle(time.Minute)
		w.gateway.requests()
		w.settle(5 * time.Minute)
		if seen := w.gateway.requests(); len(seen) > 6 {
			t.Errorf("got %d requests in five minutes, want one each 55 s", len(seen))
		}
	})
}
