package postgres_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// A subscription whose target cannot be opened, for its key is gone, holds up no other: its deliveries fail with the reason, and
// succeed when the key is back.
func TestTargetsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	old, now := openWith(t, dsn, "old:"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("1", 32)))), openWith(t, dsn, "new:"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("2", 32))))
	ctx := t.Context()
	for _, s := range []*postgres.Store{old, now} {
		if err := s.CheckKeys(ctx); err != nil {
			t.Fatal(err)
		}
	}
	a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "a", ClusterName: "c", Status: agent.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := now.Agents().Insert(ctx, a); err != nil {
		t.Fatal(err)
	}
	if err := now.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(uuid.NewString()), Agent: a.ID, Label: "far"}); err != nil {
		t.Fatal(err)
	}
	for name, claim := range map[string]func() ([]webhook.Call, error){
		"the control plane": func() ([]webhook.Call, error) {
			return now.Deliveries().Claim(ctx, time.Minute, ports.Quota{Limit: 10, Each: 10})
		},
		"an agent": func() ([]webhook.Call, error) {
			return now.Deliveries().ClaimFor(ctx, a.ID, time.Minute, time.Minute, ports.Quota{Limit: 10, Each: 10})
		},
	} {
		var labels []string
		if name == "an agent" {
			labels = []string{"far"}
		}
		subscribe := func(in interface{ Webhooks() ports.Webhooks }, retries int) webhook.ID {
			t.Helper()
			s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: "s", EventTypes: []string{"*"}, TargetLabels: labels, Enabled: true, MaxRetries: retries,
				Timeout: time.Second, CreatedAt: time.Now(), UpdatedAt: time.Now()}
			if err := in.Webhooks().Insert(ctx, s, webhook.Target{URL: "http://r/hush", Secret: "0123456789abcdef"}); err != nil {
				t.Fatal(err)
			}
			return s.ID
		}
		enqueue := func(s webhook.ID) webhook.DeliveryID {
			t.Helper()
			d := webhook.Delivery{ID: webhook.DeliveryID(uuid.NewString()), Subscription: s, EventType: "stack.created", EventID: uuid.NewString(), Payload: "{}"}
			if _, err := now.Deliveries().Enqueue(ctx, []webhook.Delivery{d}); err != nil {
				t.Fatal(err)
			}
			return d.ID
		}
		lost, last, good := enqueue(subscribe(old, 3)), enqueue(subscribe(old, 0)), enqueue(subscribe(now, 3))
		calls, err := claim()
		if err != nil || len(calls) != 1 || calls[0].ID != good || calls[0].Target.URL != "http://r/hush" {
			t.Fatalf("%s: got %+v, %v; want the one that can be opened", name, calls, err)
		}
		for id, want := range map[webhook.DeliveryID]webhook.Status{lost: webhook.Failed, last: webhook.Dead, good: webhook.Acquired} {
			d, err := now.Deliveries().Get(ctx, id)
			if err != nil || d.Status != want || d.Attempts != 1 {
				t.Errorf("%s: got %+v, %v; want it %s", name, d, err, want)
			}
			if want != webhook.Acquired && (d.LastError == nil || !strings.Contains(*d.LastError, "old") || strings.Contains(*d.LastError, "hush")) {
				t.Errorf("%s: the reason is %v", name, d.LastError)
			}
		}
		if _, err := old.Deliveries().Redeliver(ctx, lost); err != nil {
			t.Fatal(err)
		}
		if calls, err := old.Deliveries().Claim(ctx, time.Minute, ports.Quota{Limit: 10, Each: 10}); name != "an agent" && (err != nil || len(calls) != 1 || calls[0].ID != lost) {
			t.Errorf("%s: with the key: got %+v, %v", name, calls, err)
		}
	}
}
