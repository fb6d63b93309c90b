package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Lesson 7: an agent that was away when a stack was taken from it is told of that by the first answer that it gets, whatever it knows
// and whichever replica it asks, and again for as long as it does not say that it has heard it; another process of it is told until
// it has removed the stack. Until then what the agent says of the stack changes nothing.
func TestLesson7WhoWasAwayIsToldWhatItHasLost(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct {
		anew  bool // another process, which knows nothing
		other bool // another replica, which was never asked
	}{"the same process": {}, "another process": {anew: true}, "another replica": {other: true}, "another process and replica": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				a, b := w.agent("away", agent.Active), w.agent("here", agent.Active)
				web, kept := w.publish(w.stack("web").ID, "kind: Web"), w.publish(w.stack("kept").ID, "kind: Kept")
				w.assign(web, a, b)
				w.assign(kept, a)
				r := w.gateway(options{})
				p := a.start()
				if res := r.catchUp(p); res.Stacks == nil || len(*res.Stacks) != 2 {
					t.Fatalf("before: %+v, want two stacks", res)
				}

				w.silent = true // nobody is told by a signal
				w.remove(web, a)
				w.silent = false
				time.Sleep(2 * time.Hour)
				if way.other {
					r = w.gateway(options{})
				}
				if way.anew {
					p = a.start()
				}
				applied := wire.Applied{StackID: string(web.Stack), DeploymentObjectID: string(web.ID), SequenceID: int64(web.Sequence), Phase: "applied", Health: "healthy", ObservedAt: time.Now()}
				var order wire.Removed
				for i := range 3 { // answers that get lost
					req := p.request(0)
					req.Applied = []wire.Applied{applied}
					res := r.sync(p, req).answer()
					if len(res.Removed) != 1 || res.Removed[0].StackID != string(web.Stack) {
						t.Fatalf("answer %d: %+v, want the order to remove the stack", i, res)
					}
					if res.Stacks == nil || len(*res.Stacks) != 1 || (*res.Stacks)[0].StackID != string(kept.Stack) {
						t.Fatalf("answer %d: %+v, want the other stack alone", i, res.Stacks)
					}
					order = res.Removed[0]
				}
				p = a.start()
				if res := r.catchUp(p); len(res.Removed) != 1 || res.Removed[0].StackID != order.StackID || res.Removed[0].Revision != order.Revision {
					t.Errorf("a process that begins then: %+v, want the same order %+v", res, order)
				}
				if rec := r.do(w.Context(), a.key, http.MethodGet, "/api/v1/manifests/"+string(web.Checksum), nil); rec.Code != http.StatusNotFound {
					t.Errorf("content of what it has lost: %d, want 404", rec.Code)
				}
				req := p.request(0)
				req.Removed = []wire.Removed{{StackID: order.StackID, Revision: order.Revision}}
				r.sync(p, req).answer()
				if res := r.sync(p, p.request(0)).answer(); len(res.Removed) != 0 {
					t.Errorf("after the removal: %+v, want no order any more", res.Removed)
				}
				if _, held := w.held(a); len(held) != 1 || held[0].Stack != kept.Stack || held[0].State != delivery.Assigned {
					t.Errorf("it holds %+v, want the other stack", held)
				}
				if _, held := w.held(b); len(held) != 1 || held[0].State != delivery.Assigned {
					t.Errorf("another agent holds %+v, want the stack as before", held)
				}
			})
		})
	}
}
