package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

type idempotencyKeys struct{ s session }

func noKey(k idempotency.Key) error {
	return notFound("idempotency_key_not_found", "idempotency key", k)
}

func answerPlace(k idempotency.Key) string { return "idempotency_keys/" + k.String() }

type recordRow struct {
	Request      []byte    `db:"request"`
	At           time.Time `db:"at"`
	ResourceType string    `db:"resource_type"`
	ResourceID   string    `db:"resource_id"`
	Answer       []byte    `db:"answer"`
	KeyID        *string   `db:"key_id"`
	Wrapped      []byte    `db:"wrapped"`
}

const getRecord = `SELECT request, at, resource_type, resource_id, answer, key_id, wrapped FROM idempotency_keys WHERE key = $1 AND at > $2`

// Get implements ports.Idempotency.
func (r idempotencyKeys) Get(ctx context.Context, k idempotency.Key, now time.Time) (idempotency.Record, error) {
	row, err := one[recordRow](ctx, r.s, "get idempotency key", noKey(k), getRecord, k[:], micro(now.Add(-idempotency.Keep)))
	if err != nil {
		return idempotency.Record{}, err
	}
	out := idempotency.Record{Key: k, At: row.At.UTC(), Resource: idempotency.Resource{Type: row.ResourceType, ID: row.ResourceID}}
	copy(out.Request[:], row.Request)
	if row.Answer == nil {
		return out, nil
	}
	out.Answer, err = r.open(k, row)
	if err != nil {
		return idempotency.Record{}, fmt.Errorf("open the answer of idempotency key %s: %w", k, err)
	}
	return out, nil
}

func (r idempotencyKeys) open(k idempotency.Key, row recordRow) (*idempotency.Answer, error) {
	text := row.Answer
	if row.KeyID != nil {
		if r.s.store.keys == nil {
			return nil, &seal.UnknownKeyError{KeyID: *row.KeyID}
		}
		var err error
		if text, err = r.s.store.keys.Open(answerPlace(k), seal.Sealed{KeyID: *row.KeyID, Wrapped: row.Wrapped, Content: text}); err != nil {
			return nil, err
		}
	}
	text, err := r.s.store.opener.DecodeAll(text, nil)
	if err != nil {
		return nil, err
	}
	var out idempotency.Answer
	return &out, json.Unmarshal(text, &out)
}

// The lock is free at once or not at all, so that repeated requests hold no connections while the first is being done. What
// commits between the look and the lock is found by Mark.
const claimKey = `SELECT pg_try_advisory_xact_lock($1) AS free, EXISTS (SELECT FROM idempotency_keys WHERE key = $2 AND at > $3) AS used`

type claimRow struct {
	Free bool `db:"free"`
	Used bool `db:"used"`
}

// Claim implements ports.Idempotency. Two keys of which the first eight bytes are the same hinder each other, which does no harm.
func (r idempotencyKeys) Claim(ctx context.Context, k idempotency.Key, now time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		lock := int64(binary.BigEndian.Uint64(k[:8])) //nolint:gosec // any 64 bits
		row, err := one[claimRow](ctx, in, "claim idempotency key", nil, claimKey, lock, k[:], micro(now.Add(-idempotency.Keep)))
		switch {
		case err != nil:
			return err
		case row.Used:
			return idempotency.Used()
		case !row.Free:
			return idempotency.InProgress()
		default:
			return nil
		}
	})
}

const markKey = `INSERT INTO idempotency_keys AS k (key, request, at, resource_type, resource_id) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (key) DO UPDATE SET request = EXCLUDED.request, at = EXCLUDED.at, resource_type = EXCLUDED.resource_type,
		resource_id = EXCLUDED.resource_id, answer = NULL, key_id = NULL, wrapped = NULL WHERE k.at <= $6`

// Mark implements ports.Idempotency.
func (r idempotencyKeys) Mark(ctx context.Context, v idempotency.Record) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "mark idempotency key", markKey, v.Key[:], v.Request[:], micro(v.At), v.Resource.Type, v.Resource.ID,
			micro(v.At.Add(-idempotency.Keep)))
		if err == nil && n == 0 {
			return idempotency.Used()
		}
		return err
	})
}

const answerKey = `UPDATE idempotency_keys SET answer = $2, key_id = $3, wrapped = $4 WHERE key = $1`

// Answer implements ports.Idempotency.
func (r idempotencyKeys) Answer(ctx context.Context, k idempotency.Key, a idempotency.Answer) error {
	if r.s.store.closed.Load() {
		return closedFault()
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode the answer of idempotency key %s: %w", k, err)
	}
	stored := r.s.store.packer.EncodeAll(text, nil)
	var keyID *string
	var wrapped []byte
	if keys := r.s.store.keys; keys != nil {
		s, err := keys.Seal(answerPlace(k), stored)
		if err != nil {
			return fmt.Errorf("seal the answer of idempotency key %s: %w", k, err)
		}
		stored, keyID, wrapped = s.Content, &s.KeyID, s.Wrapped
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "store the answer of an idempotency key", answerKey, k[:], stored, keyID, wrapped)
		if err == nil && n == 0 {
			return noKey(k)
		}
		return err
	})
}

const trimKeys = `DELETE FROM idempotency_keys WHERE key = ANY (ARRAY(SELECT key FROM idempotency_keys WHERE at < $1 ORDER BY at LIMIT $2))`

// Trim implements ports.Idempotency.
func (r idempotencyKeys) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim idempotency keys", trimKeys, micro(before), limit)
		return int(n), err
	})
}
