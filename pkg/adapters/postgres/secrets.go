package postgres

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// secrets keeps what is sealed sealed with the current key. Without keys everything lies readable.
type secrets struct{ s session }

// sealedTable is a table with sealed values. A row is called by a text that is also, behind the table's name, the place to
// which its value is bound.
type sealedTable struct {
	name    string
	stale   string // (key or empty, after, limit) -> rows that are sealed with a key or lie readable, by name, locked
	content string // (row) -> the content of one that lies readable
	update  string // (row, key, wrapped, content or null)
	uses    string // (key) -> whether a value is sealed with it
}

func sealedTables() []sealedTable {
	return []sealedTable{
		{name: "blobs", stale: staleBlobs, content: readableBlob, update: resealBlob, uses: blobsUseKey},
		{name: "webhook_subscriptions", stale: staleTargets, content: readableTarget, update: resealTarget, uses: targetsUseKey},
		{name: "idempotency_keys", stale: staleAnswers, content: readableAnswer, update: resealAnswer, uses: answersUseKey},
	}
}

func blobPlace(sum []byte) string { return fmt.Sprintf("blobs/%x", sum) }

const (
	staleBlobs = `SELECT encode(sha256, 'hex') AS name, key_id, wrapped FROM blobs
		WHERE COALESCE(key_id, '') = $1 AND sha256 > decode($2, 'hex') ORDER BY sha256 LIMIT $3 FOR UPDATE SKIP LOCKED`
	readableBlob = `SELECT content FROM blobs WHERE sha256 = decode($1, 'hex') AND key_id IS NULL`
	resealBlob   = `UPDATE blobs SET key_id = $2, wrapped = $3, content = COALESCE($4, content) WHERE sha256 = decode($1, 'hex')`
	blobsUseKey  = `SELECT EXISTS (SELECT FROM blobs WHERE COALESCE(key_id, '') = $1)`
)

const (
	staleTargets = `SELECT id::text AS name, key_id, wrapped FROM webhook_subscriptions
		WHERE COALESCE(key_id, '') = $1 AND id > COALESCE(NULLIF($2, ''), '00000000-0000-0000-0000-000000000000')::uuid
		ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED`
	readableTarget = `SELECT target FROM webhook_subscriptions WHERE id = $1::uuid AND key_id IS NULL`
	resealTarget   = `UPDATE webhook_subscriptions SET key_id = $2, wrapped = $3, target = COALESCE($4, target) WHERE id = $1::uuid`
	targetsUseKey  = `SELECT EXISTS (SELECT FROM webhook_subscriptions WHERE COALESCE(key_id, '') = $1)`
)

const (
	staleAnswers = `SELECT encode(key, 'hex') AS name, key_id, wrapped FROM idempotency_keys
		WHERE answer IS NOT NULL AND COALESCE(key_id, '') = $1 AND key > decode($2, 'hex') ORDER BY key LIMIT $3 FOR UPDATE SKIP LOCKED`
	readableAnswer = `SELECT answer FROM idempotency_keys WHERE key = decode($1, 'hex') AND key_id IS NULL`
	resealAnswer   = `UPDATE idempotency_keys SET key_id = $2, wrapped = $3, answer = COALESCE($4, answer) WHERE key = decode($1, 'hex')`
	answersUseKey  = `SELECT EXISTS (SELECT FROM idempotency_keys WHERE answer IS NOT NULL AND COALESCE(key_id, '') = $1)`
)

type staleRow struct {
	Name    string  `db:"name"`
	KeyID   *string `db:"key_id"`
	Wrapped []byte  `db:"wrapped"`
}

// Rewrap implements ports.Secrets.
func (r secrets) Rewrap(ctx context.Context, limit int) (int, error) {
	if r.s.store.closed.Load() {
		return 0, closedFault()
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("rewrap: %w", err)
	}
	if r.s.store.keys == nil {
		return 0, nil
	}
	known, err := many[keyRow](ctx, r.s, "list keys", listKeys)
	if err != nil {
		return 0, err
	}
	former := []string{""} // what lies readable
	for _, k := range known {
		if k.ID != r.s.store.keys.Current() {
			former = append(former, k.ID)
		}
	}
	done := 0
	var damaged error
	for _, t := range sealedTables() {
		for _, key := range former {
			n, bad, err := r.rewrapAll(ctx, t, key, limit-done)
			done, damaged = done+n, errors.Join(damaged, bad)
			if err != nil {
				return done, err
			}
		}
	}
	return done, damaged
}

// rewrapAll seals at most limit rows of t that are sealed with key, a few in each transaction.
func (r secrets) rewrapAll(ctx context.Context, t sealedTable, key string, limit int) (done int, damaged, err error) {
	for after := ""; done < limit; {
		var rows []staleRow
		var n int
		var bad error
		err := r.s.atomically(ctx, func(ctx context.Context, in session) (err error) {
			rows, err = many[staleRow](ctx, in, "find values to rewrap", t.stale, key, after, min(limit-done, rewrapBatch))
			if err != nil {
				return err
			}
			n, bad, err = t.rewrap(ctx, in, rows)
			return err
		})
		if err != nil {
			return done, damaged, err
		}
		done, damaged = done+n, errors.Join(damaged, bad)
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Name
	}
	return done, damaged, nil
}

// rewrapBatch is how many rows one transaction locks.
const rewrapBatch = 100

// rewrap seals rows with the current key. bad tells of those that it cannot open; they stay as they are.
func (t sealedTable) rewrap(ctx context.Context, in session, rows []staleRow) (done int, bad, err error) {
	keys := in.store.keys
	for _, row := range rows {
		place := t.name + "/" + row.Name
		var s seal.Sealed
		var content []byte
		if row.KeyID == nil {
			if content, err = one[[]byte](ctx, in, "read value to seal", nil, t.content, row.Name); err != nil {
				return done, bad, err
			}
			if s, err = keys.Seal(place, content); err != nil {
				return done, bad, fmt.Errorf("seal %s: %w", place, err)
			}
			content = s.Content
		} else {
			var damaged error
			if s, damaged = keys.Rewrap(place, seal.Sealed{KeyID: *row.KeyID, Wrapped: row.Wrapped}); damaged != nil {
				bad = errors.Join(bad, fmt.Errorf("rewrap %s: %w", place, damaged))
				continue
			}
		}
		if _, err := in.exec(ctx, "rewrap value", t.update, row.Name, s.KeyID, s.Wrapped, content); err != nil {
			return done, bad, err
		}
		done++
	}
	return done, bad, nil
}

type usageRow struct {
	KeyID  string `db:"key_id"`
	Values int64  `db:"values"`
}

const secretsUsage = `SELECT COALESCE(u.key_id, '') AS key_id, count(*) AS values
	FROM (SELECT key_id FROM blobs UNION ALL SELECT key_id FROM webhook_subscriptions
		UNION ALL SELECT key_id FROM idempotency_keys WHERE answer IS NOT NULL) u GROUP BY COALESCE(u.key_id, '')`

// Usage implements ports.Secrets.
func (r secrets) Usage(ctx context.Context) (map[string]int64, error) {
	rows, err := many[usageRow](ctx, r.s, "count values by key", secretsUsage)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, row := range rows {
		out[row.KeyID] = row.Values
	}
	return out, nil
}

type keyRow struct {
	ID    string `db:"id"`
	Check []byte `db:"key_check"`
}

const (
	listKeys = `SELECT id, key_check FROM secret_keys ORDER BY id`
	addKey   = `INSERT INTO secret_keys (id, key_check) VALUES ($1, $2) ON CONFLICT DO NOTHING`
)

// CheckKeys compares the store's keys (Options.Keys) with those that have sealed something in this database, and makes the
// current one known. A key that is missing although something is sealed with it, or that is another one than it was, is
// Invalid; so are no keys at all where something is sealed. It is called once, before the store is used.
func (s *Store) CheckKeys(ctx context.Context) error {
	return s.inTransaction(ctx, func(ctx context.Context, in session) error {
		if s.keys != nil {
			check, _ := s.keys.Check(s.keys.Current())
			if _, err := in.exec(ctx, "make key known", addKey, s.keys.Current(), check); err != nil {
				return err
			}
		}
		known, err := many[keyRow](ctx, in, "list keys", listKeys)
		if err != nil {
			return err
		}
		var missing []string
		for _, k := range known {
			if s.keys != nil {
				if check, ok := s.keys.Check(k.ID); ok {
					if subtle.ConstantTimeCompare(check, k.Check) == 0 {
						return fault.Newf(fault.Invalid, "secret_key_changed", "the key %s is another one than the %s that sealed values of this database", k.ID, k.ID)
					}
					continue
				}
			}
			used, err := in.usesKey(ctx, k.ID)
			if err != nil {
				return err
			}
			if used {
				missing = append(missing, k.ID)
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			return fault.Newf(fault.Invalid, "secret_key_missing", "values of this database are sealed with the key %s, which was not given", strings.Join(missing, ", "))
		}
		return nil
	})
}

func (s session) usesKey(ctx context.Context, id string) (bool, error) {
	for _, t := range sealedTables() {
		used, err := one[bool](ctx, s, "look for values of a key", nil, t.uses, id)
		if err != nil || used {
			return used, err
		}
	}
	return false, nil
}
