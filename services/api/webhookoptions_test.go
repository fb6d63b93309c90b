package api_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/api"
)

// slowReceivers take a minute for each call.
type slowReceivers struct {
	mu       sync.Mutex
	now, max int
}

func (r *slowReceivers) Send(context.Context, webhook.Request) webhook.Outcome {
	r.mu.Lock()
	r.now++
	r.max = max(r.max, r.now)
	r.mu.Unlock()
	time.Sleep(time.Minute)
	r.mu.Lock()
	r.now--
	r.mu.Unlock()
	return webhook.Outcome{Class: webhook.Delivered, Success: true, StatusCode: 200}
}

// webhooks.workers, webhooks.per_subscription and webhooks.keep bound what a replica does at a time, and how long deliveries are kept.
func TestWebhookOptionsDoSomething(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		config api.Webhooks
		atOnce int
		kept   bool
	}{
		"by default":              {api.Webhooks{}, 40, true},
		"workers":                 {api.Webhooks{Workers: 3}, 3, true},
		"per subscription":        {api.Webhooks{PerSubscription: 2}, 8, true},
		"keep":                    {api.Webhooks{Keep: time.Hour}, 40, false},
		"workers bound them all":  {api.Webhooks{Workers: 5, PerSubscription: 2}, 5, true},
		"as long as is asked for": {api.Webhooks{Keep: 3 * time.Hour}, 40, true},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				store, to := memory.New(time.Now), &slowReceivers{}
				var old webhook.DeliveryID
				for i := range 4 {
					s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: fmt.Sprint("hook ", i), EventTypes: []string{"*"}, Enabled: true, Timeout: 2 * time.Minute, CreatedAt: time.Now(), UpdatedAt: time.Now()}
					must(t, store.Webhooks().Insert(ctx, s, webhook.Target{URL: "http://receiver", Secret: "0123456789abcdef"}))
					for range 10 {
						old = webhook.DeliveryID(uuid.NewString())
						_, err := store.Deliveries().Enqueue(ctx, []webhook.Delivery{{ID: old, Subscription: s.ID, EventType: "stack.created", EventID: uuid.NewString(), Payload: "{}"}})
						must(t, err)
					}
				}
				tel, err := telemetry.New(ctx, telemetry.Config{Service: "api-test", Output: io.Discard})
				must(t, err)
				svc, err := api.New(ctx, api.Config{}, api.Deps{Store: store, Wakeups: store, Telemetry: tel, Clock: time.Now, Version: "1.2.3",
					Verifier: identity.NewVerifier(store.Credentials(), store, time.Now), Sender: to, Webhooks: c.config})
				must(t, err)
				running, stop := context.WithCancel(ctx)
				ended := make(chan error, 1)
				go func() { ended <- svc.Run(running) }()
				time.Sleep(30 * time.Second)
				synctest.Wait()
				to.mu.Lock()
				if to.max != c.atOnce {
					t.Errorf("%d calls at a time, want %d", to.max, c.atOnce)
				}
				to.mu.Unlock()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if _, err := store.Deliveries().Get(ctx, old); (err == nil) != c.kept {
					t.Errorf("a delivery of two hours ago: %v, want it kept: %t", err, c.kept)
				}
				stop()
				must(t, <-ended)
			})
		})
	}
}
