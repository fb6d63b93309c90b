package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
	"github.com/colliery-io/brokkr/pkg/trail"
)

// WebhookChange is what somebody says of a subscription; what is nil or not set stays, or is the default of a new one.
type WebhookChange struct {
	Name         *string
	URL          *string
	AuthHeader   *string // empty: none
	Secret       *string // key of the signature
	NewSecret    bool    // make one
	EventTypes   *[]string
	Filters      Patch[webhook.Filters]
	TargetLabels *[]string // empty: the control plane delivers
	Enabled      *bool
	MaxRetries   *int
	Timeout      *time.Duration
}

// ListWebhooks returns all subscriptions by name.
func (a *App) ListWebhooks(ctx context.Context) ([]webhook.Subscription, error) {
	out, err := a.Store.Webhooks().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return out, nil
}

// GetWebhook returns a subscription.
func (a *App) GetWebhook(ctx context.Context, id webhook.ID) (webhook.Subscription, error) {
	out, err := a.Store.Webhooks().Get(ctx, id)
	if err != nil {
		return webhook.Subscription{}, fmt.Errorf("get webhook: %w", err)
	}
	return out, nil
}

// secretPrefix lets people and scanners tell a signing secret when they see one.
const secretPrefix = "brokkr_whsec_"

func (a *App) newSecret() (string, error) {
	var key [32]byte
	if _, err := io.ReadFull(a.Random, key[:]); err != nil {
		return "", fmt.Errorf("make a signing secret: %w", err)
	}
	return secretPrefix + base64.RawURLEncoding.EncodeToString(key[:]), nil
}

// CreateWebhook makes a subscription. It returns the signing secret if it made one, which is never shown again; it is empty
// if the caller gave one.
func (a *App) CreateWebhook(ctx context.Context, p tenancy.Principal, ch WebhookChange) (webhook.Subscription, string, error) {
	at, by := a.now(), string(p.Role)
	if p.Credential != "" {
		by += "/" + string(p.Credential)
	}
	s := webhook.Subscription{
		ID: webhook.ID(newID()), Enabled: true, MaxRetries: webhook.DefaultRetries, Timeout: webhook.DefaultTimeout,
		CreatedAt: at, UpdatedAt: at, CreatedBy: &by,
	}
	ch.NewSecret = ch.Secret == nil
	t, made, err := a.applyWebhook(&s, webhook.Target{}, ch)
	if err != nil {
		return webhook.Subscription{}, "", err
	}
	s.HasAuthHeader = t.AuthHeader != ""
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Webhooks().Insert(ctx, s, t); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.WebhookCreated, string(s.ID), nil, s).With("name", s.Name))
	})
	if err != nil {
		return webhook.Subscription{}, "", fmt.Errorf("create webhook: %w", err)
	}
	return s, made, nil
}

// WebhookTag is the state of a subscription that a change may rest on.
func WebhookTag(s webhook.Subscription) string {
	return precondition.State(s.ID, s.Name, s.HasAuthHeader, s.EventTypes, s.Filters, s.TargetLabels, s.Enabled, s.MaxRetries, s.Timeout, s.UpdatedAt)
}

// UpdateWebhook changes a subscription. It returns the signing secret if it made a new one.
func (a *App) UpdateWebhook(ctx context.Context, id webhook.ID, ch WebhookChange) (webhook.Subscription, string, error) {
	var out webhook.Subscription
	var made string
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Webhook(ctx, id); err != nil {
			return err
		}
		s, err := tx.Webhooks().Get(ctx, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, WebhookTag(s)); err != nil {
			return err
		}
		old, err := tx.Webhooks().Target(ctx, id)
		if err != nil {
			return err
		}
		before := s
		whole, err := ch.leading(s, old)
		if err != nil {
			return err
		}
		var t webhook.Target
		if t, made, err = a.applyWebhook(&s, old, whole); err != nil {
			return err
		}
		s.UpdatedAt = a.now()
		var moved *webhook.Target
		if t != old {
			moved = &t
		}
		if err := tx.Webhooks().Update(ctx, s, moved); err != nil {
			return err
		}
		if out, err = tx.Webhooks().Get(ctx, id); err != nil {
			return err
		}
		e := audit.Did(audit.WebhookUpdated, string(id), before, out).With("name", out.Name)
		if moved != nil { // the target is a secret, so that no digest tells of it
			e = e.With("target", "changed")
		}
		return a.did(ctx, tx, e)
	})
	if err != nil {
		return webhook.Subscription{}, "", fmt.Errorf("update webhook: %w", err)
	}
	return out, made, nil
}

// leading returns ch with what it has to say when it leads the calls of a subscription elsewhere: to another scheme, host or port,
// or through other agents. Nobody can read what is sent there, so nobody may have it sent to where they can: auth_header has to come with
// such a change (empty: none), and the URL with one of the agents, who are told it; the signing secret is made anew unless it comes too.
func (ch WebhookChange) leading(s webhook.Subscription, t webhook.Target) (WebhookChange, error) {
	want := func(field, why string) error {
		return fault.Newf(fault.Invalid, "invalid_webhook", "%s; send %s again too, since what is stored is not sent there", why, field).With("field", field)
	}
	agents := ch.TargetLabels != nil && len(*ch.TargetLabels) > 0 && !slices.Equal(*ch.TargetLabels, s.TargetLabels)
	host := ch.URL != nil && checkURL(*ch.URL) == nil && origin(*ch.URL) != origin(t.URL) // what is no URL is refused as such
	switch {
	case agents && ch.URL == nil:
		return ch, want("url", "target_labels let other agents make the calls")
	case agents && ch.AuthHeader == nil && t.AuthHeader != "":
		return ch, want("auth_header", "target_labels let other agents make the calls")
	case host && ch.AuthHeader == nil && t.AuthHeader != "":
		return ch, want("auth_header", "url has another scheme, host or port")
	}
	ch.NewSecret = ch.NewSecret || (agents || host) && ch.Secret == nil
	return ch, nil
}

// origin is where a URL leads, as far as it can be read; what cannot is refused later.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// applyWebhook changes s and returns the changed target, with the signing secret if it made one.
func (a *App) applyWebhook(s *webhook.Subscription, t webhook.Target, ch WebhookChange) (webhook.Target, string, error) {
	set(&s.Name, ch.Name)
	set(&s.EventTypes, ch.EventTypes)
	set(&s.TargetLabels, ch.TargetLabels)
	set(&s.Enabled, ch.Enabled)
	set(&s.MaxRetries, ch.MaxRetries)
	set(&s.Timeout, ch.Timeout)
	if len(s.TargetLabels) == 0 {
		s.TargetLabels = nil
	}
	if ch.Filters.Set {
		if s.Filters = ch.Filters.Value; s.Filters != nil && *s.Filters == (webhook.Filters{}) {
			s.Filters = nil
		}
	}
	set(&t.URL, ch.URL)
	set(&t.AuthHeader, ch.AuthHeader)
	set(&t.Secret, ch.Secret)
	made := ""
	if ch.NewSecret {
		var err error
		if made, err = a.newSecret(); err != nil {
			return t, "", err
		}
		t.Secret = made
	}
	if err := s.Check(); err != nil {
		return t, "", err
	}
	if err := t.Check(); err != nil {
		return t, "", err
	}
	return t, made, checkURL(t.URL)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// checkURL refuses what cannot be called. Its message repeats nothing of the URL, which may hold a secret.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return fault.New(fault.Invalid, "invalid_webhook", "url is not a URL with a host")
	case u.User != nil:
		return fault.New(fault.Invalid, "invalid_webhook", "url holds a user; send it as auth_header")
	}
	return nil
}

// DeleteWebhook removes a subscription with its deliveries.
func (a *App) DeleteWebhook(ctx context.Context, id webhook.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Webhook(ctx, id); err != nil {
			return err
		}
		s, err := tx.Webhooks().Get(ctx, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, WebhookTag(s)); err != nil {
			return err
		}
		if err := tx.Webhooks().Delete(ctx, id); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.WebhookDeleted, string(id), s, nil).With("name", s.Name))
	})
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	return nil
}

// WebhookDeliveries returns a page of deliveries; NotFound if they are asked for of a subscription that is not there.
func (a *App) WebhookDeliveries(ctx context.Context, q page.Query) (page.Page[webhook.Delivery], error) {
	if id, one := q.Is["subscription_id"]; one {
		if _, err := a.GetWebhook(ctx, webhook.ID(id)); err != nil {
			return page.Page[webhook.Delivery]{}, err
		}
	}
	out, err := a.Store.Deliveries().Page(ctx, q)
	if err != nil {
		return out, fmt.Errorf("list deliveries: %w", err)
	}
	return out, nil
}

// GetDelivery returns a delivery.
func (a *App) GetDelivery(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	out, err := a.Store.Deliveries().Get(ctx, id)
	if err != nil {
		return webhook.Delivery{}, fmt.Errorf("get delivery: %w", err)
	}
	return out, nil
}

// Redeliver makes a delivery pending again, whatever became of it; Refused while it is tried or its subscription is disabled.
func (a *App) Redeliver(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	var out webhook.Delivery
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		d, err := tx.Deliveries().Get(ctx, id)
		if err != nil {
			return err
		}
		s, err := tx.Webhooks().Get(ctx, d.Subscription)
		if err != nil {
			return err
		}
		if !s.Enabled {
			return fault.Newf(fault.Refused, "webhook_disabled", "webhook %q is disabled and delivers nothing; enable it first", s.Name)
		}
		if out, err = tx.Deliveries().Redeliver(ctx, id); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.DeliveryRedelivered, string(id), d, out).With("subscription_id", string(d.Subscription)))
	})
	if err != nil {
		return webhook.Delivery{}, fmt.Errorf("redeliver: %w", err)
	}
	return out, nil
}

const (
	lookEvery = 500 * time.Millisecond // at a test that an agent makes
	lookFor   = 20 * time.Second
)

// TestWebhook sends a test event and returns the status with which the receiver answered, 0 if an agent asked it; a failure
// is Invalid, code webhook_test_failed. A test that an agent makes is a delivery like any other. It is noted before it is made; an
// idempotency key is used up by one that succeeds alone.
func (a *App) TestWebhook(ctx context.Context, id webhook.ID) (int, error) {
	var s webhook.Subscription
	err := a.write(trail.KeepKey(ctx), func(ctx context.Context, tx ports.Repositories) (err error) {
		if s, err = tx.Webhooks().Get(ctx, id); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.WebhookTested, string(id), s, s).With("name", s.Name))
	})
	if err != nil {
		return 0, fmt.Errorf("note the test of a webhook: %w", err)
	}
	status, err := a.testWebhook(ctx, s)
	if err != nil {
		return status, err
	}
	if err := a.write(ctx, func(context.Context, ports.Repositories) error { return nil }); err != nil {
		return 0, fmt.Errorf("mark the test of a webhook as done: %w", err)
	}
	return status, nil
}

func (a *App) testWebhook(ctx context.Context, s webhook.Subscription) (int, error) {
	id := s.ID
	at := a.now()
	e := event.Event{ID: newID(), Type: webhook.Test, At: at, Data: map[string]any{
		"message": "This is a test of the webhook " + s.Name, "subscription_id": id,
	}}
	body, err := webhook.Body(e)
	if err != nil {
		return 0, err
	}
	d := webhook.Delivery{ID: webhook.DeliveryID(newID()), Subscription: id, EventType: e.Type, EventID: e.ID, Payload: body}
	if s.TargetLabels != nil {
		return 0, a.testByAgent(ctx, s, d)
	}
	t, err := a.Store.Webhooks().Target(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("get the webhook's target: %w", err)
	}
	o := a.Sender.Send(ctx, webhook.Call{Delivery: d, Target: t, Timeout: min(s.Timeout, lookFor)}.Request(at))
	if o.Success {
		return o.StatusCode, nil
	}
	return o.StatusCode, testFailed(o.Error).With("status_code", o.StatusCode)
}

func testFailed(why string) *fault.Error {
	return fault.New(fault.Invalid, "webhook_test_failed", "the test failed: "+why)
}

func (a *App) testByAgent(ctx context.Context, s webhook.Subscription, d webhook.Delivery) error {
	if !s.Enabled {
		return testFailed("agents get nothing of a webhook that is disabled; enable it first")
	}
	if _, err := a.Store.Deliveries().Enqueue(ctx, []webhook.Delivery{d}); err != nil {
		return fmt.Errorf("queue the test: %w", err)
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	late := time.NewTimer(lookFor)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return testFailed(fmt.Sprintf("no agent with all of the labels %v has delivered it within %s; it goes on waiting as delivery %s",
				s.TargetLabels, lookFor, d.ID)).With("delivery_id", d.ID)
		case <-look.C:
		}
		now, err := a.Store.Deliveries().Get(ctx, d.ID)
		if err != nil {
			return fmt.Errorf("look at the test: %w", err)
		}
		if now.Status == webhook.Success {
			return nil
		}
		if now.LastError != nil {
			return testFailed(*now.LastError).With("delivery_id", d.ID)
		}
	}
}
