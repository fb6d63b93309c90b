package porttest

import (
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func deliveryCases() map[string]func(*world) {
	return map[string]func(*world){
		"an event is queued once for a subscription": deliveryOnce,
		"lists are newest first, filtered, in pages": deliveryLists,
		"a settlement holds for its attempt":         deliverySettled,
		"a redelivery begins anew":                   deliveryAgain,
		"what is old or lost is swept":               deliverySwept,
		"enqueueing wakes":                           deliveryWakes,
	}
}

func deliveryOnce(w *world) {
	s, other := w.webhook("s", labelled("prod")), w.webhook("other")
	e := uuid.NewString()
	first := newDelivery(s.ID, e)
	enqueue := func(list ...webhook.Delivery) int {
		w.Helper()
		n, err := w.Deliveries().Enqueue(w.ctx, list)
		wantNone(w.T, "enqueue", err)
		return n
	}
	wantSame(w.T, "nothing", enqueue(), 0)
	wantSame(w.T, "the first", enqueue(first, newDelivery(other.ID, e)), 2)
	wantSame(w.T, "again", enqueue(newDelivery(s.ID, e), newDelivery(other.ID, uuid.NewString())), 1)
	got := w.seeDelivery(first.ID)
	if got.CreatedAt.IsZero() || got.Ordinal <= 0 {
		w.Fatalf("got %+v, want it created at some time, with an ordinal", got)
	}
	first.Status, first.TargetLabels, first.CreatedAt, first.Ordinal = webhook.Pending, []string{"prod"}, got.CreatedAt, got.Ordinal
	wantSame(w.T, "delivery", got, first)
	errs := race(6, func(int) error {
		_, err := w.Deliveries().Enqueue(w.ctx, []webhook.Delivery{newDelivery(s.ID, "the same"), newDelivery(other.ID, "the same")})
		return err
	})
	for _, err := range errs {
		wantNone(w.T, "enqueue", err)
	}
	list, err := w.Deliveries().List(w.ctx, ports.DeliveryQuery{Subscription: s.ID, Limit: 10})
	wantNone(w.T, "list", err)
	wantSame(w.T, "deliveries", len(list), 2)
}

func deliveryLists(w *world) {
	s, other := w.webhook("s"), w.webhook("other")
	ids := w.enqueue(s.ID, 5)
	w.enqueue(other.ID, 2)
	list := func(q ports.DeliveryQuery) []webhook.DeliveryID {
		w.Helper()
		rows, err := w.Deliveries().List(w.ctx, q)
		wantNone(w.T, "list", err)
		var out []webhook.DeliveryID
		for _, d := range rows {
			out = append(out, d.ID)
		}
		return out
	}
	wantSame(w.T, "all", len(list(ports.DeliveryQuery{Limit: 100})), 7)
	wantSame(w.T, "newest", list(ports.DeliveryQuery{Subscription: s.ID, Limit: 2}), []webhook.DeliveryID{ids[4], ids[3]})
	wantSame(w.T, "a page", list(ports.DeliveryQuery{Subscription: s.ID, Limit: 2, Offset: 2}), []webhook.DeliveryID{ids[2], ids[1]})
	wantSame(w.T, "what is before", list(ports.DeliveryQuery{Subscription: s.ID, Limit: 9, Before: w.seeDelivery(ids[2]).Ordinal}), []webhook.DeliveryID{ids[1], ids[0]})
	wantSame(w.T, "of a status", len(list(ports.DeliveryQuery{Status: webhook.Pending, Limit: 100})), 7)
	wantSame(w.T, "of another status", len(list(ports.DeliveryQuery{Status: webhook.Dead, Limit: 100})), 0)
	wantSame(w.T, "of a type", len(list(ports.DeliveryQuery{EventType: event.StackCreated, Subscription: other.ID, Limit: 100})), 2)
	wantSame(w.T, "of another type", len(list(ports.DeliveryQuery{EventType: event.StackDeleted, Limit: 100})), 0)
	wantSame(w.T, "of what is unknown", len(list(ports.DeliveryQuery{Subscription: newID[webhook.ID](), Limit: 100})), 0)
}

// claimOne claims the one delivery that is due.
func (w *world) claimOne() webhook.Call {
	w.Helper()
	calls := w.claim(ports.Quota{Limit: 10, Each: 10})
	if len(calls) != 1 {
		w.Fatalf("claimed %d, want one", len(calls))
	}
	return calls[0]
}

func (w *world) settle(c webhook.Call, status webhook.Status, retry *time.Time) int {
	w.Helper()
	x := webhook.Settlement{ID: c.ID, Attempt: c.Attempts, Status: status, At: w.at, RetryAt: retry}
	if status != webhook.Success {
		text := "it failed"
		x.Error = &text
	}
	n, err := w.Deliveries().Settle(w.ctx, "", []webhook.Settlement{x})
	wantNone(w.T, "settle", err)
	return n
}

func deliverySettled(w *world) {
	s := w.webhook("s")
	w.enqueue(s.ID, 1)
	c := w.claimOne()
	late := c
	late.Attempts = 7
	wantSame(w.T, "of another attempt", w.settle(late, webhook.Success, nil), 0)
	n, err := w.Deliveries().Settle(w.ctx, w.agent("a").ID, []webhook.Settlement{{ID: c.ID, Attempt: 1, Status: webhook.Success, At: w.at}})
	wantNone(w.T, "settle", err)
	wantSame(w.T, "by another", n, 0)

	soon := time.Now().Add(-time.Second).UTC().Truncate(time.Microsecond)
	wantSame(w.T, "failed", w.settle(c, webhook.Failed, &soon), 1)
	d := w.seeDelivery(c.ID)
	wantSame(w.T, "status", d.Status, webhook.Failed)
	wantSame(w.T, "retry", *d.NextRetryAt, soon)
	wantSame(w.T, "error", *d.LastError, "it failed")
	if d.CompletedAt != nil || d.AcquiredUntil != nil {
		w.Fatalf("got %+v, want it neither complete nor acquired", d)
	}
	wantSame(w.T, "twice", w.settle(c, webhook.Success, nil), 0)

	c = w.claimOne()
	wantSame(w.T, "attempts", c.Attempts, 2)
	wantSame(w.T, "success", w.settle(c, webhook.Success, nil), 1)
	d = w.seeDelivery(c.ID)
	wantSame(w.T, "status", d.Status, webhook.Success)
	wantSame(w.T, "completed", *d.CompletedAt, w.at)
	if d.LastError != nil || d.NextRetryAt != nil {
		w.Fatalf("got %+v, want no error and no retry", d)
	}
	wantSame(w.T, "due", len(w.claim(ports.Quota{Limit: 10, Each: 10})), 0)
	n, err = w.Deliveries().Settle(w.ctx, "", nil)
	wantNone(w.T, "settle nothing", err)
	wantSame(w.T, "settled nothing", n, 0)
}

func deliveryAgain(w *world) {
	s := w.webhook("s")
	id := w.enqueue(s.ID, 1)[0]
	c := w.claimOne()
	_, err := w.Deliveries().Redeliver(w.ctx, id)
	wantKind(w.T, "while it is tried", err, fault.Refused)
	wantSame(w.T, "code", fault.CodeOf(err), "delivery_in_progress")
	wantSame(w.T, "dead", w.settle(c, webhook.Dead, nil), 1)
	wantSame(w.T, "completed", w.seeDelivery(id).CompletedAt != nil, true)
	d, err := w.Deliveries().Redeliver(w.ctx, id)
	wantNone(w.T, "redeliver", err)
	wantSame(w.T, "delivery", d, w.seeDelivery(id))
	if d.Status != webhook.Pending || d.Attempts != 0 || d.CompletedAt != nil || d.EventID != c.EventID {
		w.Fatalf("got %+v, want it pending, of the same event, without attempts", d)
	}
	wantSame(w.T, "the first settlement is late", w.settle(c, webhook.Success, nil), 0)
	wantSame(w.T, "attempts", w.claimOne().Attempts, 1)
}

func deliverySwept(w *world) {
	s := w.webhook("s", func(s *webhook.Subscription) { s.MaxRetries, s.Timeout = 0, time.Millisecond })
	sweep := func(before time.Time, limit int) [2]int {
		w.Helper()
		buried, trimmed, err := w.Deliveries().Sweep(w.ctx, before, limit)
		wantNone(w.T, "sweep", err)
		return [2]int{buried, trimmed}
	}
	id := w.enqueue(s.ID, 1)[0]
	_, err := w.Deliveries().Claim(w.ctx, 0, ports.Quota{Limit: 1, Each: 1})
	wantNone(w.T, "claim", err)
	var swept [2]int
	await(w.T, "the attempt is lost", func() bool {
		swept = sweep(w.at, 10)
		return swept[0] > 0
	})
	wantSame(w.T, "swept", swept, [2]int{1, 0})
	d := w.seeDelivery(id)
	if d.Status != webhook.Dead || d.CompletedAt == nil || d.LastError == nil {
		w.Fatalf("got %+v, want it dead, with a reason", d)
	}
	w.enqueue(s.ID, 3)
	later := time.Now().Add(time.Hour)
	wantSame(w.T, "some", sweep(later, 3), [2]int{0, 3})
	wantSame(w.T, "the rest", sweep(later, 3), [2]int{0, 1})
	wantSame(w.T, "nothing", sweep(later, 3), [2]int{0, 0})
}

func deliveryWakes(w *world) {
	s := w.webhook("s")
	heard := w.listen(w.ctx, ports.WebhooksDue)
	id := w.enqueue(s.ID, 1)[0]
	wantSame(w.T, "after enqueueing", w.nextWakeup(heard), ports.Wakeup{Channel: ports.WebhooksDue})
	_, err := w.Deliveries().Redeliver(w.ctx, id)
	wantNone(w.T, "redeliver", err)
	wantSame(w.T, "after a redelivery", w.nextWakeup(heard), ports.Wakeup{Channel: ports.WebhooksDue})
	wantNone(w.T, "update", w.Webhooks().Update(w.ctx, s, nil))
	wantSame(w.T, "after a change", w.nextWakeup(heard), ports.Wakeup{Channel: ports.WebhooksDue})
}
