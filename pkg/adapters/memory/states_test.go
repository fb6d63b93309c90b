package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/statechart"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// oneDelivery is a store with one delivery.
type oneDelivery struct {
	t     *testing.T
	store *memory.Store
	id    webhook.DeliveryID
	tries int // after the first one
}

func newDelivery(t *testing.T, retries int) *oneDelivery {
	t.Helper()
	d := &oneDelivery{t: t, store: memory.New(time.Now), id: webhook.DeliveryID(uuid.NewString()), tries: retries}
	s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: "hook", EventTypes: []string{"*"}, Enabled: true, MaxRetries: retries, Timeout: time.Second, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	d.must(d.store.Webhooks().Insert(t.Context(), s, webhook.Target{URL: "http://receiver", Secret: "0123456789abcdef"}))
	_, err := d.store.Deliveries().Enqueue(t.Context(), []webhook.Delivery{{ID: d.id, Subscription: s.ID, EventType: "stack.created", EventID: uuid.NewString(), Payload: "{}"}})
	d.must(err)
	return d
}

func (d *oneDelivery) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// state is its status, or nothing when it is gone.
func (d *oneDelivery) state() string {
	d.t.Helper()
	x, err := d.store.Deliveries().Get(d.t.Context(), d.id)
	if fault.Is(err, fault.NotFound) {
		return statechart.Nothing
	}
	d.must(err)
	return string(x.Status)
}

func (d *oneDelivery) settle(ctx context.Context, success bool) {
	d.t.Helper()
	x, err := d.store.Deliveries().Get(ctx, d.id)
	if fault.Is(err, fault.NotFound) {
		return
	}
	d.must(err)
	_, err = d.store.Deliveries().Settle(ctx, "", []webhook.Settlement{webhook.Settle(d.id, x.Attempts, d.tries, webhook.Outcome{Success: success}, time.Now(), 0.5)})
	d.must(err)
}

// docs/state/webhook-delivery.md draws what becomes of a delivery: all ways of four steps are gone, with a retry and without.
func TestStatesOfADeliveryAreDrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, walked := t.Context(), statechart.Walked{}
		walked.Step(statechart.Nothing, newDelivery(t, 1).state())
		steps := []func(d *oneDelivery) (happened bool){
			func(d *oneDelivery) bool {
				calls, err := d.store.Deliveries().Claim(ctx, 0, ports.Quota{Limit: 1, Each: 1})
				d.must(err)
				return len(calls) == 1
			},
			func(d *oneDelivery) bool { before := d.state(); d.settle(ctx, true); return d.state() != before },
			func(d *oneDelivery) bool { before := d.state(); d.settle(ctx, false); return d.state() != before },
			func(d *oneDelivery) bool {
				before := d.state()
				time.Sleep(time.Minute)
				_, _, err := d.store.Deliveries().Sweep(ctx, time.Now().Add(-time.Hour), 10)
				d.must(err)
				return d.state() != before
			},
			func(d *oneDelivery) bool {
				time.Sleep(2 * time.Hour)
				_, _, err := d.store.Deliveries().Sweep(ctx, time.Now().Add(-time.Hour), 10)
				d.must(err)
				return true
			},
			func(d *oneDelivery) bool { _, err := d.store.Deliveries().Redeliver(ctx, d.id); return err == nil },
		}
		const long = 4
		ways := 1
		for range long {
			ways *= len(steps)
		}
		for way := range 2 * ways {
			d := newDelivery(t, way/ways)
			for range long {
				from, step := d.state(), steps[way%len(steps)]
				way /= len(steps)
				if step(d) {
					walked.Step(from, d.state())
				}
			}
		}
		walked.Check(t, "webhook-delivery")
	})
}
