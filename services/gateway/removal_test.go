package gateway_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// A removal of which something may be left is acknowledged as any other, and told to people, once. Where the agent has never told of the
// stack nothing can be left, and agents of older releases say nothing.
func TestWhatARemovalMayHaveLeftIsAnEventOfTheAgent(t *testing.T) {
	t.Parallel()
	const doubt = "removed nothing: no inventory was found"
	long := "u" + strings.Repeat("ü", 3000)
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{})
		p := a.start()
		var order []stack.Object
		for _, name := range []string{"lost", "long", "silent", "never applied"} {
			o := w.publish(w.stack(name).ID, "v: 1")
			w.assign(o, a)
			order = append(order, o)
		}
		r.catchUp(p)
		req := p.request(0)
		for _, o := range order[:3] {
			req.Applied = append(req.Applied, wire.Applied{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), Phase: "applying", Health: "unknown"})
		}
		r.sync(p, req).answer()
		for _, o := range order {
			w.remove(o, a)
		}
		res := r.catchUp(p)
		if len(res.Removed) != len(order) {
			t.Fatalf("tombstones: %+v, want %d", res.Removed, len(order))
		}
		says := map[string]string{string(order[0].Stack): doubt, string(order[1].Stack): long, string(order[3].Stack): doubt}
		for _, told := range []string{"once", "twice"} {
			req = p.request(0)
			for _, o := range res.Removed {
				req.Removed = append(req.Removed, wire.Removed{StackID: o.StackID, Revision: o.Revision, Message: says[o.StackID]})
			}
			if left := r.sync(p, req).answer(); len(left.Removed) != 0 {
				t.Errorf("told %s: %d tombstones are left", told, len(left.Removed))
			}
		}
		feed, err := w.store.Insights().Feed(w.Context(), tenancy.Scope{Agent: a.id}, page.Query{Limit: 10})
		w.must(err)
		got := map[stack.ObjectID]agent.Event{}
		for _, e := range feed.Items {
			got[e.Object] = e
		}
		if len(feed.Items) != 2 || len(got) != 2 {
			t.Fatalf("events: %+v, want two", feed.Items)
		}
		if e := got[order[0].ID]; e.Type != "REMOVE" || e.Status != "FAILURE" || e.Message == nil || *e.Message != doubt || e.Count != 1 || !e.CreatedAt.Equal(time.Now().UTC()) {
			t.Errorf("got %+v", e)
		}
		if e := got[order[1].ID]; e.Message == nil || len(*e.Message) != delivery.MaxMessage-1 || !utf8.ValidString(*e.Message) {
			t.Errorf("what is long was not cut at a rune's end: %+v", e)
		}
		if n := len(w.outbox(event.RemovalAcknowledged)); n != len(order) {
			t.Errorf("%d removals are acknowledged, want %d", n, len(order))
		}
		failed := w.outbox(event.DeploymentFailed)
		if len(failed) != 2 || failed[0].Stack != order[0].Stack && failed[1].Stack != order[0].Stack {
			t.Errorf("told to webhooks: %+v, want what the two events say", failed)
		}
	})
}
