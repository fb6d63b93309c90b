package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
)

type idempotencyKeys struct{ s session }

func noKey(k idempotency.Key) error {
	return notFound("idempotency_key_not_found", "idempotency key", k)
}

func copyMark(r idempotency.Record) idempotency.Record {
	r.At = micro(r.At)
	if r.Answer != nil {
		a := *r.Answer
		a.Body, a.Header = bytes.Clone(a.Body), maps.Clone(a.Header)
		for name, values := range a.Header {
			a.Header[name] = slices.Clone(values)
		}
		r.Answer = &a
	}
	return r
}

func (r idempotencyKeys) Get(ctx context.Context, k idempotency.Key, now time.Time) (idempotency.Record, error) {
	return read(ctx, r.s, func(s *state) (idempotency.Record, error) {
		v, ok := s.idempotency.get(one(k.String()))
		if !ok || !v.Live(now) {
			return idempotency.Record{}, noKey(k)
		}
		return copyMark(v), nil
	})
}

// Claim waits for others by being in a transaction: writes are serial.
func (r idempotencyKeys) Claim(ctx context.Context, k idempotency.Key, now time.Time) error {
	return r.s.update(ctx, func(c *change) error { return c.free(k, now) })
}

func (s *state) free(k idempotency.Key, now time.Time) error {
	if v, ok := s.idempotency.get(one(k.String())); ok && v.Live(now) {
		return idempotency.Used()
	}
	return nil
}

func (r idempotencyKeys) Mark(ctx context.Context, v idempotency.Record) error {
	return r.s.update(ctx, func(c *change) error {
		if err := c.free(v.Key, v.At); err != nil {
			return err
		}
		v.Answer = nil
		v = copyMark(v)
		if old, ok := c.idempotency.get(one(v.Key.String())); ok {
			c.idempotencyTimes.drop(markedAt(old))
		}
		c.idempotency.put(one(v.Key.String()), v)
		c.idempotencyTimes.put(markedAt(v), nothing{})
		return nil
	})
}

func markedAt(r idempotency.Record) two { return two{r.At.UTC().Format(sortable), r.Key.String()} }

func (r idempotencyKeys) Answer(ctx context.Context, k idempotency.Key, a idempotency.Answer) error {
	return r.s.update(ctx, func(c *change) error {
		v, ok := c.idempotency.get(one(k.String()))
		if !ok {
			return noKey(k)
		}
		v.Answer = &a
		c.idempotency.put(one(k.String()), copyMark(v))
		return nil
	})
}

func (r idempotencyKeys) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var old []two
		c.idempotencyTimes.each(func(k two, _ nothing) bool {
			if len(old) >= limit || k.a >= before.UTC().Format(sortable) {
				return false
			}
			old = append(old, k)
			return true
		})
		for _, k := range old {
			c.idempotencyTimes.drop(k)
			c.idempotency.drop(one(k.b))
		}
		return len(old), nil
	})
}
