package porttest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
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
	p, err := w.Deliveries().Page(w.ctx, page.Query{Limit: 10, Is: only{"subscription_id": string(s.ID)}})
	wantNone(w.T, "list", err)
	wantSame(w.T, "deliveries", len(p.Items), 2)
}

func deliveryLists(w *world) {
	s, other := w.webhook("s"), w.webhook("other")
	ids := w.enqueue(s.ID, 5)
	all := append(slices.Clone(ids), w.enqueue(other.ID, 2)...)
	list := func(skip int, is only) []webhook.DeliveryID {
		w.Helper()
		q := webhook.DeliveryList().All(2)
		q.Is, q.Skip, q.Total = is, skip, true
		p, err := w.Deliveries().Page(w.ctx, q)
		wantNone(w.T, "list", err)
		out := []webhook.DeliveryID{webhook.DeliveryID(fmt.Sprint(p.Total, " in all"))}
		for _, d := range p.Items {
			out = append(out, d.ID)
		}
		return out
	}
	mine := only{"subscription_id": string(s.ID)}
	wantSame(w.T, "newest", list(0, mine), []webhook.DeliveryID{"5 in all", ids[4], ids[3]})
	wantSame(w.T, "a page", list(2, mine), []webhook.DeliveryID{"5 in all", ids[2], ids[1]})
	wantSame(w.T, "the last page", list(4, mine), []webhook.DeliveryID{"5 in all", ids[0]})
	wantSame(w.T, "behind the last page", list(7, mine), []webhook.DeliveryID{"5 in all"})
	wantSame(w.T, "of a status", list(0, only{"status": "pending"})[0], "7 in all")
	wantSame(w.T, "of another status", list(0, only{"status": "dead"})[0], "0 in all")
	wantSame(w.T, "of a type", list(0, only{"event_type": string(event.StackCreated), "subscription_id": string(other.ID)})[0], "2 in all")
	wantSame(w.T, "of another type", list(0, only{"event_type": string(event.StackDeleted)})[0], "0 in all")
	wantSame(w.T, "of what is unknown", list(0, only{"subscription_id": string(newID[webhook.ID]())})[0], "0 in all")
	of := func(ctx context.Context, _ tenancy.Scope, q page.Query) (page.Page[webhook.Delivery], error) {
		return w.Deliveries().Page(ctx, q)
	}
	var rows []webhook.Delivery
	for _, id := range all {
		rows = append(rows, w.seeDelivery(id))
	}
	everyOrder(w, webhook.DeliveryList(), of, rows)
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
