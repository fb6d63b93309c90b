package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Lesson 5: when the events are gone that tell of an old object, it is no new one: no agent is told to deploy it again, neither
// one that syncs nor a published one, which is shown what it has not applied yet.
func TestLesson5RetentionOfEventsDeploysNothingAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		published, ours := w.agent("published", agent.Active), w.agent("ours", agent.Active)
		o := w.publish(w.stack("web").ID, "kind: One")
		w.assign(o, published, ours)
		r := w.gateway(options{})
		r.event(published, o.ID, "SUCCESS")
		p := ours.start()
		r.catchUp(p)
		req := p.request(0)
		req.Applied = append(req.Applied, wire.Applied{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), SequenceID: int64(o.Sequence), Phase: "applied", Health: "healthy", ObservedAt: time.Now()})
		r.sync(p, req).answer()
		if open := r.targets(published, "?mode=incremental"); len(open) != 0 {
			t.Fatalf("incremental after success: %+v, want nothing", open)
		}
		known := r.targets(published, "")
		before, err := w.store.Assignments().OfStack(w.Context(), o.Stack)
		if err != nil || len(before) != 2 || before[0].Status == nil || before[1].Status == nil {
			t.Fatalf("assignments %+v, %v: want two with what was reported", before, err)
		}

		n, err := w.store.Reports().TrimEvents(w.Context(), time.Now().Add(time.Hour), 100)
		if err != nil || n == 0 {
			t.Fatalf("trimmed %d events, %v: want all", n, err)
		}
		synctest.Wait()
		for name, r := range map[string]*replica{"the replica": r, "a replica without memory": w.gateway(options{})} {
			if open := r.targets(published, "?mode=incremental"); len(open) != 0 {
				t.Errorf("%s: incremental without events: %+v, want nothing", name, open)
			}
			if diff := cmp.Diff(known, r.targets(published, "")); diff != "" {
				t.Errorf("%s: the target state without events (-before +after):\n%s", name, diff)
			}
			if res := r.sync(p, p.request(1)).answer(); res.Stacks != nil || len(res.Removed) != 0 {
				t.Errorf("%s: sync without events: %+v, want nothing new", name, res)
			}
		}
		after, err := w.store.Assignments().OfStack(w.Context(), o.Stack)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("assignments and statuses: %v (-before +after):\n%s", err, diff)
		}
	})
}
