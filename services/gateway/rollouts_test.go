package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// rolls stores a rollout of the object in this phase.
func (w *world) rolls(o stack.Object, p rollout.Phase) {
	w.Helper()
	_, err := w.store.Rollouts().Save(w.Context(), ports.RolloutWrite{Governs: true, Rollout: rollout.Rollout{
		ID: rollout.ID(uuid.NewString()), Stack: o.Stack, Object: o.ID, Phase: p, CreatedAt: time.Now(),
	}})
	w.must(err)
}

func TestReportsAreEventsOnlyWhileARolloutWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		watched, quiet := w.publish(w.stack("web").ID, "v: 1"), w.publish(w.stack("db").ID, "v: 1")
		w.assign(watched, a)
		w.assign(quiet, a)
		w.rolls(watched, rollout.PhaseProgressing)
		w.rolls(quiet, rollout.PhaseCompleted)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		for i, health := range []string{"progressing", "progressing", "healthy"} {
			req := p.request(0)
			for _, o := range []stack.Object{watched, quiet} {
				req.Applied = append(req.Applied, wire.Applied{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), SequenceID: int64(o.Sequence), Phase: "applied", Health: health, ObservedAt: time.Now()})
			}
			r.sync(p, req).answer()
			want := []int{1, 1, 2}[i] // what is repeated makes none
			got := w.outbox(event.AssignmentReported)
			if len(got) != want {
				t.Fatalf("after report %d (%s): %d events, want %d", i+1, health, len(got), want)
			}
			for _, e := range got {
				if e.Stack != watched.Stack || e.Agent != a.id {
					t.Fatalf("event about %s of %s, want only those of the stack whose rollout is open", e.Stack, e.Agent)
				}
			}
		}
	})
}

// Lesson 26: what a published agent told of health before it had applied the object counts for nothing.
func TestLesson26HealthFromBeforeTheObjectWasAppliedIsUnknown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "v: 1")
		w.assign(o, a)
		w.rolls(o, rollout.PhaseProgressing)
		r := w.gateway(options{})
		tell := func() {
			body := map[string]any{"deployment_objects": []map[string]any{{"id": o.ID, "status": "healthy", "checked_at": time.Now()}}}
			if rec := r.do(w.Context(), a.key, http.MethodPatch, "/api/v1/agents/"+string(a.id)+"/health-status", body); rec.Code != http.StatusOK {
				t.Fatalf("health: %d %s", rec.Code, rec.Body)
			}
		}
		want := func(why string, p delivery.Phase, h delivery.Health) {
			t.Helper()
			if _, held := w.held(a); held[0].Status.Phase != p || held[0].Status.Health != h {
				t.Errorf("%s: %s and %s, want %s and %s", why, held[0].Status.Phase, held[0].Status.Health, p, h)
			}
		}
		tell()
		want("told before it was applied", delivery.PhasePending, delivery.HealthHealthy)
		r.event(a, o.ID, "SUCCESS")
		want("applied", delivery.PhaseApplied, delivery.HealthUnknown)
		tell()
		want("told after it was applied", delivery.PhaseApplied, delivery.HealthHealthy)
		r.event(a, o.ID, "SUCCESS")
		want("applied again", delivery.PhaseApplied, delivery.HealthHealthy)
		if got := len(w.outbox(event.AssignmentReported)); got != 3 {
			t.Errorf("%d events for the scheduler, want one for each of three changes", got)
		}
	})
}
