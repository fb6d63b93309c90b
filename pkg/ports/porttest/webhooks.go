package porttest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func webhookCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":                 webhookRoundTrip,
		"a list is by name":                         webhookList,
		"an update keeps what it may not change":    webhookUpdate,
		"a deletion takes the deliveries along":     webhookDelete,
		"what is unknown is not found":              webhookUnknown,
		"values are copies":                         webhookCopies,
		"a cursor is kept while the lease is held":  cursorKept,
		"a cursor is refused when the lease is not": cursorRefused,
	}
}

func someTarget() webhook.Target {
	return webhook.Target{URL: "https://hooks.example.com/x?token=t", AuthHeader: "Bearer b", Secret: "0123456789abcdef"}
}

func (w *world) newWebhook(name string) webhook.Subscription {
	return webhook.Subscription{
		ID: newID[webhook.ID](), Name: name, HasAuthHeader: true, EventTypes: []string{"*"}, Enabled: true,
		MaxRetries: 2, Timeout: 30 * time.Second, CreatedAt: w.at, UpdatedAt: w.at,
	}
}

func (w *world) webhook(name string, change ...func(*webhook.Subscription)) webhook.Subscription {
	w.Helper()
	s := w.newWebhook(name)
	for _, f := range change {
		f(&s)
	}
	wantNone(w.T, "insert webhook", w.Webhooks().Insert(w.ctx, s, someTarget()))
	return s
}

func labelled(labels ...string) func(*webhook.Subscription) {
	return func(s *webhook.Subscription) { s.TargetLabels = labels }
}

// enqueue stores n deliveries of new events and returns their ids in order.
func (w *world) enqueue(id webhook.ID, n int) []webhook.DeliveryID {
	w.Helper()
	var list []webhook.Delivery
	var ids []webhook.DeliveryID
	for range n {
		d := newDelivery(id, uuid.NewString())
		list, ids = append(list, d), append(ids, d.ID)
	}
	stored, err := w.Deliveries().Enqueue(w.ctx, list)
	wantNone(w.T, "enqueue", err)
	wantSame(w.T, "enqueued", stored, n)
	return ids
}

func newDelivery(id webhook.ID, eventID string) webhook.Delivery {
	return webhook.Delivery{ID: newID[webhook.DeliveryID](), Subscription: id, EventType: event.StackCreated, EventID: eventID, Payload: `{"id":"` + eventID + `"}`}
}

func (w *world) seeDelivery(id webhook.DeliveryID) webhook.Delivery {
	w.Helper()
	d, err := w.Deliveries().Get(w.ctx, id)
	wantNone(w.T, "get delivery", err)
	return d
}

func webhookRoundTrip(w *world) {
	by := "admin"
	full := w.newWebhook("full")
	full.EventTypes, full.TargetLabels, full.CreatedBy, full.Timeout = []string{"deployment.*", "stack.deleted"}, []string{"prod", "eu"}, &by, 1500*time.Millisecond
	full.Filters = &webhook.Filters{Agent: newID[agent.ID](), Stack: newID[stack.ID]()}
	bare := w.newWebhook("bare")
	bare.HasAuthHeader, bare.Enabled, bare.MaxRetries = false, false, 0
	half := w.newWebhook("half")
	half.Filters = &webhook.Filters{Stack: newID[stack.ID]()}
	targets := map[webhook.ID]webhook.Target{
		full.ID: someTarget(), half.ID: someTarget(), bare.ID: {URL: "http://x", Secret: "fedcba9876543210"},
	}
	for _, s := range []webhook.Subscription{full, bare, half} {
		wantNone(w.T, "insert", w.Webhooks().Insert(w.ctx, s, targets[s.ID]))
		got, err := w.Webhooks().Get(w.ctx, s.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "webhook", got, s)
		target, err := w.Webhooks().Target(w.ctx, s.ID)
		wantNone(w.T, "target", err)
		wantSame(w.T, "target", target, targets[s.ID])
	}
	wantKind(w.T, "insert again", w.Webhooks().Insert(w.ctx, full, someTarget()), fault.Conflict)
}

func webhookList(w *world) {
	list, err := w.Webhooks().List(w.ctx)
	wantNone(w.T, "list", err)
	wantSame(w.T, "webhooks", len(list), 0)
	b, a, c := w.webhook("b"), w.webhook("B"), w.webhook("c")
	list, err = w.Webhooks().List(w.ctx)
	wantNone(w.T, "list", err)
	wantSame(w.T, "webhooks", list, []webhook.Subscription{a, b, c})
}

func webhookUpdate(w *world) {
	s := w.webhook("s")
	next := s
	by := "somebody else"
	next.Name, next.EventTypes, next.Enabled, next.MaxRetries, next.Timeout = "t", []string{"agent.*"}, false, 7, time.Second
	next.TargetLabels, next.Filters, next.UpdatedAt = []string{"l"}, &webhook.Filters{Agent: newID[agent.ID]()}, w.at.Add(time.Minute)
	asked := next
	asked.CreatedAt, asked.CreatedBy, asked.HasAuthHeader = w.at.Add(time.Hour), &by, false
	wantNone(w.T, "update", w.Webhooks().Update(w.ctx, asked, nil))
	got, err := w.Webhooks().Get(w.ctx, s.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "webhook", got, next)
	target, err := w.Webhooks().Target(w.ctx, s.ID)
	wantNone(w.T, "target", err)
	wantSame(w.T, "target", target, someTarget())

	moved := webhook.Target{URL: "https://elsewhere", Secret: "another-secret-16"}
	wantNone(w.T, "update", w.Webhooks().Update(w.ctx, next, &moved))
	target, err = w.Webhooks().Target(w.ctx, s.ID)
	wantNone(w.T, "target", err)
	wantSame(w.T, "target", target, moved)
	got, err = w.Webhooks().Get(w.ctx, s.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "has a header", got.HasAuthHeader, false)
}

func webhookDelete(w *world) {
	s, other := w.webhook("s"), w.webhook("other")
	ids, kept := w.enqueue(s.ID, 2), w.enqueue(other.ID, 1)
	wantNone(w.T, "delete", w.Webhooks().Delete(w.ctx, s.ID))
	wantKind(w.T, "delete again", w.Webhooks().Delete(w.ctx, s.ID), fault.NotFound)
	_, err := w.Deliveries().Get(w.ctx, ids[0])
	wantKind(w.T, "its delivery", err, fault.NotFound)
	w.seeDelivery(kept[0])
	n, err := w.Deliveries().Enqueue(w.ctx, []webhook.Delivery{newDelivery(s.ID, uuid.NewString())})
	wantNone(w.T, "enqueue", err)
	wantSame(w.T, "enqueued of what is gone", n, 0)
}

func webhookUnknown(w *world) {
	for _, id := range []webhook.ID{newID[webhook.ID](), "no-uuid", ""} {
		_, err := w.Webhooks().Get(w.ctx, id)
		wantCode(w.T, "get", err, fault.NotFound, "webhook_not_found")
		_, err = w.Webhooks().Target(w.ctx, id)
		wantCode(w.T, "target", err, fault.NotFound, "webhook_not_found")
		wantCode(w.T, "delete", w.Webhooks().Delete(w.ctx, id), fault.NotFound, "webhook_not_found")
		s := w.newWebhook("s")
		s.ID = id
		wantCode(w.T, "update", w.Webhooks().Update(w.ctx, s, nil), fault.NotFound, "webhook_not_found")
		_, err = w.Deliveries().Get(w.ctx, webhook.DeliveryID(id))
		wantCode(w.T, "get delivery", err, fault.NotFound, "delivery_not_found")
		_, err = w.Deliveries().Redeliver(w.ctx, webhook.DeliveryID(id))
		wantCode(w.T, "redeliver", err, fault.NotFound, "delivery_not_found")
	}
}

func webhookCopies(w *world) {
	s := w.newWebhook("s")
	s.EventTypes, s.Filters, s.TargetLabels = []string{"*"}, &webhook.Filters{Agent: newID[agent.ID]()}, []string{"a"}
	want := *s.Filters
	wantNone(w.T, "insert", w.Webhooks().Insert(w.ctx, s, someTarget()))
	for range 2 {
		s.EventTypes[0], s.Filters.Agent, s.TargetLabels[0] = "changed", "changed", "changed"
		got, err := w.Webhooks().Get(w.ctx, s.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "event types", got.EventTypes, []string{"*"})
		wantSame(w.T, "filters", *got.Filters, want)
		wantSame(w.T, "labels", got.TargetLabels, []string{"a"})
		s = got
	}
}

func cursorKept(w *world) {
	none, err := w.Cursors().Load(w.ctx, "reader")
	wantNone(w.T, "load", err)
	wantSame(w.T, "no cursor", fmt.Sprint(none.Seq, len(none.Gaps)), "0 0")
	l := w.acquire("reader", "a", time.Minute)
	for _, c := range []ports.Cursor{
		{Seq: 7, Gaps: map[int64]time.Time{3: w.at, 5: w.at.Add(time.Second)}},
		{Seq: 9, Gaps: map[int64]time.Time{}},
	} {
		wantNone(w.T, "store", w.Cursors().Store(w.ctx, l, c))
		got, err := w.Cursors().Load(w.ctx, "reader")
		wantNone(w.T, "load", err)
		wantSame(w.T, "seq", got.Seq, c.Seq)
		wantSame(w.T, "gaps", len(got.Gaps), len(c.Gaps))
		for seq, at := range c.Gaps {
			wantSame(w.T, "gap", got.Gaps[seq], at)
		}
	}
}

func cursorRefused(w *world) {
	old := w.expired("reader", "a")
	wantKind(w.T, "of a lease that is over", w.Cursors().Store(w.ctx, old, ports.Cursor{Seq: 1}), fault.Conflict)
	now := w.acquire("reader", "b", time.Minute)
	wantKind(w.T, "of a former holder", w.Cursors().Store(w.ctx, old, ports.Cursor{Seq: 1}), fault.Conflict)
	wantNone(w.T, "of the holder", w.Cursors().Store(w.ctx, now, ports.Cursor{Seq: 2}))
	got, err := w.Cursors().Load(w.ctx, "reader")
	wantNone(w.T, "load", err)
	wantSame(w.T, "seq", got.Seq, 2)
}
