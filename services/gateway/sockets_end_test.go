package gateway_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// shut is a store that writes nothing while it is shut.
type shut struct {
	ports.Store
	now *atomic.Bool
}

func (s shut) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	if s.now.Load() {
		return away()
	}
	return s.Store.Write(ctx, fn)
}

// says tells on a socket that an object was applied.
func (a subject) says(s *socket, o stack.Object, message string) {
	s.say("agent_event", map[string]any{"agent_id": a.id, "deployment_object_id": o.ID, "event_type": "DEPLOY", "status": "SUCCESS", "message": message})
}

func TestWhatWasToldBeforeTheConnectionEndedIsStored(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		back time.Duration // until the store is back
		want int
	}{"soon": {3 * time.Second, 3}, "too late": {8 * time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				a := w.agent("a", agent.Active)
				var objects []stack.Object
				for i := range 3 {
					o := w.publish(w.stack(fmt.Sprint("s", i)).ID, "v: 1")
					w.assign(o, a)
					objects = append(objects, o)
				}
				var closed atomic.Bool
				r := w.gateway(options{store: shut{w.store, &closed}, fails: true})
				said, _ := w.dial(r.listen(), agentPath, a.key)
				closed.Store(true)
				for _, o := range objects {
					a.says(said, o, "done")
				}
				time.Sleep(700 * time.Millisecond) // the first of them is being tried
				_ = said.conn.CloseNow()
				time.Sleep(tt.back)
				closed.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := w.outbox(event.DeploymentApplied); len(got) != tt.want {
					t.Errorf("%d of 3 reports were stored, want %d", len(got), tt.want)
				}
				if r.metric("brokkr_gateway_agent_sockets", "") != 0 {
					t.Error("the connection is still counted")
				}
			})
		})
	}
}

func TestAnAgentWhoseReportsFindNoRoomIsSentAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("s").ID, "v: 1")
		w.assign(o, a)
		var closed atomic.Bool
		r := w.gateway(options{store: shut{w.store, &closed}, fails: true})
		said, _ := w.dial(r.listen(), agentPath, a.key)
		closed.Store(true)
		began := time.Now()
		for i := range 65 { // one is in hand, 64 wait
			a.says(said, o, fmt.Sprint(i))
		}
		if time.Since(began) > time.Second || len(said.end) != 0 {
			t.Fatalf("what finds room waited %s", time.Since(began))
		}
		a.says(said, o, "too much")
		if code := said.closed(); code != websocket.StatusTryAgainLater || time.Since(began) > 6*time.Second {
			t.Errorf("closed with %d after %s, want 1013 after 5s", code, time.Since(began))
		}
		if n := r.metric("brokkr_gateway_frames_total", "lost"); n != 1 {
			t.Errorf("lost frames: %v, want 1", n)
		}
		closed.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := w.outbox(event.DeploymentApplied); len(got) == 0 {
			t.Error("what had found room is not stored")
		}
	})
}
