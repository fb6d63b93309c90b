package syncer_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestReportsAreToldAgainWithATurn(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.set(func(g *gateway) { g.turn = 4 })
		w.settle(10 * time.Second)
		w.gateway.requests()
		w.box.Applied(applied("a", "done"), true)
		w.settle(20 * time.Millisecond)
		seen := w.gateway.requests()
		if len(seen) != 3 || *seen[0].Turn != 0 || *seen[1].Turn != 4 || seen[1].Seq <= seen[0].Seq || seen[2].WaitSeconds == 0 {
			t.Fatalf("got %+v, want the report again at once with the turn, and then a parked request", seen)
		}
		w.status.change(`{"nodes":3}`)
		w.box.Ring()
		w.box.Applied(applied("b", "done"), true)
		w.settle(time.Second)
		if diff := cmp.Diff([]string{"a done", "b done"}, w.gateway.reports()); diff != "" {
			t.Errorf("reports that were taken (-want +got):\n%s", diff)
		}
		for _, r := range w.gateway.requests() {
			if *r.Turn != 4 {
				t.Errorf("got %+v, want the turn in all further requests", r)
			}
		}
		if text, _ := w.status.Pending(); text != nil {
			t.Error("the status is not told")
		}
		w.gateway.set(func(g *gateway) { g.turn = 6 }) // the broker has gone back to a backup
		w.status.change(`{"nodes":4}`)
		w.box.Ring()
		w.settle(time.Second)
		if text, _ := w.status.Pending(); text != nil {
			t.Error("the status is not told with another turn")
		}
	})
}

func TestATurnThatGotLostIsAskedForAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.set(func(g *gateway) { g.turn, g.lose = 2, true })
		w.box.Applied(applied("a", "done"), true)
		w.settle(time.Minute)
		if got := w.gateway.reports(); len(got) != 0 {
			t.Fatalf("got %v, want nothing taken before the turn arrives", got)
		}
		w.gateway.set(func(g *gateway) { g.lose = false })
		w.settle(5 * time.Minute)
		if diff := cmp.Diff([]string{"a done"}, w.gateway.reports()); diff != "" || w.syncer.Err() != nil {
			t.Errorf("reports that were taken (-want +got):\n%s (%v)", diff, w.syncer.Err())
		}
	})
}

// A broker that gives turn after turn and takes nothing is in trouble: it is asked less and less often.
func TestTurnAfterTurnIsTrouble(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.set(func(g *gateway) {
			g.turn = 1
			g.fail = func(wire.SyncRequest) error { g.set(func(g *gateway) { g.turn++ }); return nil }
		})
		w.gateway.requests()
		w.box.Applied(applied("a", "done"), true)
		w.settle(5 * time.Minute)
		if n := len(w.gateway.requests()); n > 150 || w.syncer.Err() == nil {
			t.Errorf("%d requests in five minutes (%v), want few, and the trouble told", n, w.syncer.Err())
		}
	})
}
