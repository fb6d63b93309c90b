package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type webhooks struct{ s session }

func noWebhook(id webhook.ID) error { return notFound("webhook_not_found", "webhook", id) }

type webhookRow struct {
	ID            webhook.ID     `db:"id"`
	Name          string         `db:"name"`
	HasAuthHeader bool           `db:"has_auth_header"`
	EventTypes    pq.StringArray `db:"event_types"`
	Filters       []byte         `db:"filters"`
	TargetLabels  pq.StringArray `db:"target_labels"`
	Enabled       bool           `db:"enabled"`
	MaxRetries    int            `db:"max_retries"`
	TimeoutMS     int64          `db:"timeout_ms"`
	CreatedAt     time.Time      `db:"created_at"`
	UpdatedAt     time.Time      `db:"updated_at"`
	CreatedBy     *string        `db:"created_by"`
}

// filtersJSON is how filters are stored.
type filtersJSON struct {
	Agent agent.ID `json:"agent_id,omitempty"`
	Stack stack.ID `json:"stack_id,omitempty"`
}

func (r webhookRow) subscription() (webhook.Subscription, error) {
	s := webhook.Subscription{
		ID: r.ID, Name: r.Name, HasAuthHeader: r.HasAuthHeader, EventTypes: r.EventTypes, TargetLabels: r.TargetLabels,
		Enabled: r.Enabled, MaxRetries: r.MaxRetries, Timeout: time.Duration(r.TimeoutMS) * time.Millisecond,
		CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt), CreatedBy: r.CreatedBy,
	}
	if r.Filters == nil {
		return s, nil
	}
	var f filtersJSON
	if err := json.Unmarshal(r.Filters, &f); err != nil {
		return s, fmt.Errorf("read filters of webhook %s: %w", r.ID, err)
	}
	s.Filters = &webhook.Filters{Agent: f.Agent, Stack: f.Stack}
	return s, nil
}

const selectWebhooks = `SELECT id, name, has_auth_header, event_types, filters, target_labels, enabled, max_retries, timeout_ms,
	created_at, updated_at, created_by FROM webhook_subscriptions`

const getWebhook = selectWebhooks + ` WHERE id = $1`

// Get implements ports.Webhooks.
func (r webhooks) Get(ctx context.Context, id webhook.ID) (webhook.Subscription, error) {
	row, err := one[webhookRow](ctx, r.s, "get webhook", noWebhook(id), getWebhook, uid(id))
	if err != nil {
		return webhook.Subscription{}, err
	}
	return row.subscription()
}

const listWebhooks = selectWebhooks + ` ORDER BY name, id`

// List implements ports.Webhooks.
func (r webhooks) List(ctx context.Context) ([]webhook.Subscription, error) {
	rows, err := many[webhookRow](ctx, r.s, "list webhooks", listWebhooks)
	if err != nil {
		return nil, err
	}
	out := make([]webhook.Subscription, len(rows))
	for i, row := range rows {
		if out[i], err = row.subscription(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// targetJSON is what is sealed.
type targetJSON struct {
	URL        string `json:"url"`
	AuthHeader string `json:"auth_header,omitempty"`
	Secret     string `json:"secret"`
}

type sealedTarget struct {
	Target  []byte  `db:"target"`
	KeyID   *string `db:"key_id"`
	Wrapped []byte  `db:"wrapped"`
}

func targetPlace(id webhook.ID) string { return "webhook_subscriptions/" + string(id) }

func (s session) sealTarget(id webhook.ID, t webhook.Target) (sealedTarget, error) {
	plain, err := json.Marshal(targetJSON(t)) //nolint:gosec // it is sealed before it goes anywhere
	if err != nil {
		return sealedTarget{}, fmt.Errorf("encode target of webhook %s: %w", id, err)
	}
	if s.store.keys == nil {
		return sealedTarget{Target: plain}, nil
	}
	x, err := s.store.keys.Seal(targetPlace(id), plain)
	if err != nil {
		return sealedTarget{}, fmt.Errorf("seal target of webhook %s: %w", id, err)
	}
	return sealedTarget{Target: x.Content, KeyID: &x.KeyID, Wrapped: x.Wrapped}, nil
}

func (s session) openTarget(id webhook.ID, x sealedTarget) (webhook.Target, error) {
	plain := x.Target
	if x.KeyID != nil {
		if s.store.keys == nil {
			return webhook.Target{}, fmt.Errorf("open target of webhook %s: %w", id, &seal.UnknownKeyError{KeyID: *x.KeyID})
		}
		var err error
		if plain, err = s.store.keys.Open(targetPlace(id), seal.Sealed{KeyID: *x.KeyID, Wrapped: x.Wrapped, Content: x.Target}); err != nil {
			return webhook.Target{}, fmt.Errorf("open target of webhook %s: %w", id, err)
		}
	}
	var t targetJSON
	if err := json.Unmarshal(plain, &t); err != nil {
		return webhook.Target{}, fmt.Errorf("read target of webhook %s", id) // the cause might repeat it
	}
	return webhook.Target(t), nil
}

func filtersOf(f *webhook.Filters) (*string, error) {
	if f == nil {
		return nil, nil //nolint:nilnil // none is allowed
	}
	text, err := asJSON(filtersJSON{Agent: f.Agent, Stack: f.Stack})
	return &text, err
}

const insertWebhook = `INSERT INTO webhook_subscriptions (id, name, target, key_id, wrapped, has_auth_header, event_types, filters,
	target_labels, enabled, max_retries, timeout_ms, created_at, updated_at, created_by)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// Insert implements ports.Webhooks.
func (r webhooks) Insert(ctx context.Context, s webhook.Subscription, t webhook.Target) error {
	x, err := r.s.sealTarget(s.ID, t)
	if err != nil {
		return err
	}
	filters, err := filtersOf(s.Filters)
	if err != nil {
		return fmt.Errorf("encode filters of webhook %s: %w", s.ID, err)
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "insert webhook", insertWebhook, uid(s.ID), s.Name, x.Target, x.KeyID, x.Wrapped, t.AuthHeader != "",
			pq.Array(s.EventTypes), filters, pq.Array(s.TargetLabels), s.Enabled, s.MaxRetries, s.Timeout.Milliseconds(),
			micro(s.CreatedAt), micro(s.UpdatedAt), s.CreatedBy)
		return err
	})
}

const (
	updateWebhook = `WITH changed AS (
			UPDATE webhook_subscriptions SET name = $2, event_types = $3, filters = $4, target_labels = $5, enabled = $6, max_retries = $7,
				timeout_ms = $8, updated_at = $9 WHERE id = $1 RETURNING id)
		SELECT pg_notify($10, '')::text FROM changed`
	moveWebhook = `UPDATE webhook_subscriptions SET target = $2, key_id = $3, wrapped = $4, has_auth_header = $5 WHERE id = $1`
)

// Update implements ports.Webhooks.
func (r webhooks) Update(ctx context.Context, s webhook.Subscription, t *webhook.Target) error {
	filters, err := filtersOf(s.Filters)
	if err != nil {
		return fmt.Errorf("encode filters of webhook %s: %w", s.ID, err)
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if _, err := one[string](ctx, in, "update webhook", noWebhook(s.ID), updateWebhook, uid(s.ID), s.Name, pq.Array(s.EventTypes), filters,
			pq.Array(s.TargetLabels), s.Enabled, s.MaxRetries, s.Timeout.Milliseconds(), micro(s.UpdatedAt), ports.WebhooksDue); err != nil {
			return err
		}
		if t == nil {
			return nil
		}
		x, err := in.sealTarget(s.ID, *t)
		if err != nil {
			return err
		}
		_, err = in.exec(ctx, "move webhook", moveWebhook, uid(s.ID), x.Target, x.KeyID, x.Wrapped, t.AuthHeader != "")
		return err
	})
}

const deleteWebhook = `DELETE FROM webhook_subscriptions WHERE id = $1`

// Delete implements ports.Webhooks.
func (r webhooks) Delete(ctx context.Context, id webhook.ID) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete webhook", deleteWebhook, uid(id))
		if err == nil && n == 0 {
			return noWebhook(id)
		}
		return err
	})
}

const getTarget = `SELECT target, key_id, wrapped FROM webhook_subscriptions WHERE id = $1`

// Target implements ports.Webhooks.
func (r webhooks) Target(ctx context.Context, id webhook.ID) (webhook.Target, error) {
	row, err := one[sealedTarget](ctx, r.s, "get target of webhook", noWebhook(id), getTarget, uid(id))
	if err != nil {
		return webhook.Target{}, err
	}
	return r.s.openTarget(id, row)
}

type cursors struct{ s session }

type cursorRow struct {
	Seq  int64  `db:"seq"`
	Gaps []byte `db:"gaps"`
}

const loadCursor = `SELECT seq, gaps FROM outbox_cursors WHERE name = $1`

// Load implements ports.Cursors.
func (r cursors) Load(ctx context.Context, name string) (ports.Cursor, error) {
	rows, err := many[cursorRow](ctx, r.s, "load cursor", loadCursor, name)
	if err != nil || len(rows) == 0 {
		return ports.Cursor{}, err
	}
	c := ports.Cursor{Seq: rows[0].Seq}
	if err := json.Unmarshal(rows[0].Gaps, &c.Gaps); err != nil {
		return ports.Cursor{}, fmt.Errorf("read gaps of cursor %s: %w", name, err)
	}
	return c, nil
}

const storeCursor = `INSERT INTO outbox_cursors (name, seq, gaps) VALUES ($1, $2, $3)
	ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, gaps = excluded.gaps`

// Store implements ports.Cursors.
func (r cursors) Store(ctx context.Context, l ports.Lease, c ports.Cursor) error {
	gaps := maps.Clone(c.Gaps)
	if gaps == nil {
		gaps = map[int64]time.Time{}
	}
	for seq, at := range gaps {
		gaps[seq] = micro(at)
	}
	text, err := asJSON(gaps)
	if err != nil {
		return fmt.Errorf("encode gaps of cursor %s: %w", l.Name, err)
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.checkLease(ctx, l); err != nil {
			return err
		}
		_, err := in.exec(ctx, "store cursor", storeCursor, l.Name, c.Seq, text)
		return err
	})
}
