package memory

import (
	"context"
	"maps"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type outbox struct{ s session }

func (r outbox) Append(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	return r.s.update(ctx, func(c *change) error {
		data := make([]map[string]any, len(events))
		for i, e := range events {
			d, err := asJSON(e.Data)
			if err != nil {
				return err
			}
			data[i] = d
		}
		for i, e := range events {
			e.Seq, e.Data = c.sequences.outbox.Add(1), data[i]
			if e.At = micro(e.At); e.At.IsZero() {
				e.At = c.now()
			}
			c.outbox.put(numbered{n: e.Seq}, e)
		}
		c.announce(ports.Wakeup{Channel: ports.OutboxGrew})
		return nil
	})
}

// Read never has to wait for a gap: writes are serial, so that a sequence that is missing was rolled back or trimmed.
// It still honours gaps of the cursor, so that a cursor means the same to every store.
func (r outbox) Read(ctx context.Context, cur ports.Cursor, now time.Time, gapFor time.Duration, limit int) ([]event.Event, ports.Cursor, error) {
	next := ports.Cursor{Seq: cur.Seq, Gaps: maps.Clone(cur.Gaps)}
	out, err := read(ctx, r.s, func(s *state) ([]event.Event, error) {
		var out []event.Event
		first := cur.Seq + 1
		for seq := range cur.Gaps {
			first = min(first, seq)
		}
		s.outbox.from(numbered{n: first}, func(k numbered, e event.Event) bool {
			if len(out) >= limit {
				return false
			}
			if _, gap := cur.Gaps[k.n]; k.n <= cur.Seq && !gap {
				return true
			}
			delete(next.Gaps, k.n)
			next.Seq = max(next.Seq, k.n)
			e.Data = copyJSON(e.Data)
			out = append(out, e)
			return true
		})
		return out, nil
	})
	if err != nil {
		return nil, cur, err
	}
	maps.DeleteFunc(next.Gaps, func(_ int64, since time.Time) bool { return now.Sub(since) >= gapFor })
	return out, next, nil
}

func (r outbox) End(ctx context.Context) (ports.Cursor, error) {
	return read(ctx, r.s, func(s *state) (ports.Cursor, error) {
		var c ports.Cursor
		s.outbox.back(numbered{n: maxSequence}, func(k numbered, _ event.Event) bool {
			c.Seq = k.n
			return false
		})
		return c, nil
	})
}

func (r outbox) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var old []numbered
		c.outbox.each(func(k numbered, e event.Event) bool {
			if len(old) >= limit {
				return false
			}
			if e.At.Before(before) {
				old = append(old, k)
			}
			return true
		})
		for _, k := range old {
			c.outbox.drop(k)
		}
		return len(old), nil
	})
}
