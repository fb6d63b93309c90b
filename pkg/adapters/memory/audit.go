package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// sortable writes times so that their order is that of their texts.
const sortable = "2006-01-02T15:04:05.000000Z"

func timeKey(e audit.Entry) two { return two{e.At.UTC().Format(sortable), string(e.ID)} }

func copyAudit(e audit.Entry) audit.Entry {
	if e.Details = maps.Clone(e.Details); len(e.Details) == 0 {
		e.Details = nil
	}
	return e
}

func copyChain(c audit.Chain) audit.Chain {
	c.After, c.DroppedAt = ptr(c.After), microPtr(c.DroppedAt)
	return c
}

type auditLog struct{ s session }

func (r auditLog) Append(ctx context.Context, entries ...audit.Entry) error {
	for _, e := range entries {
		if err := e.Check(); err != nil {
			return err
		}
	}
	return r.s.update(ctx, func(c *change) error {
		for _, e := range entries {
			if c.auditEntries.has(one(e.ID)) {
				return duplicate("audit_log_pkey", "audit entry", e.ID)
			}
			e = copyAudit(e)
			e.Seq, e.Link, e.ActorName = 0, audit.Hash{}, ""
			c.auditEntries.put(one(e.ID), e)
			c.auditWaiting.put(timeKey(e), nothing{})
			c.auditTimes.put(timeKey(e), nothing{})
		}
		return nil
	})
}

func (r auditLog) Get(ctx context.Context, id audit.ID) (audit.Entry, error) {
	return read(ctx, r.s, func(s *state) (audit.Entry, error) {
		e, ok := s.auditEntries.get(one(id))
		if !ok {
			return e, notFound("audit_log_not_found", "audit log entry", id)
		}
		return s.named(e), nil
	})
}

// named returns a copy of e with the name that its actor has now.
func (s *state) named(e audit.Entry) audit.Entry {
	e = copyAudit(e)
	switch e.Actor.Type {
	case string(tenancy.RoleAgent):
		if a, ok := s.agents.get(one(agent.ID(e.Actor.ID))); ok {
			e.ActorName = a.Name
		}
	case string(tenancy.RoleGenerator):
		if g, ok := s.generators.get(one(e.Actor.ID)); ok {
			e.ActorName = g.Name
		}
	default:
		e.ActorName = e.Actor.Type
	}
	return e
}

func (r auditLog) List(ctx context.Context, f audit.Filter, p audit.Page) ([]audit.Entry, int, error) {
	var total int
	out, err := read(ctx, r.s, func(s *state) ([]audit.Entry, error) {
		out, skip := []audit.Entry{}, p.Offset
		s.auditTimes.back(two{a: "~"}, func(k two, _ nothing) bool {
			e, _ := s.auditEntries.get(one(k.b))
			if !f.Match(e) {
				return true
			}
			total++
			if p.After != nil && timeKey(e).compare(timeKey(audit.Entry{At: p.After.At, ID: p.After.ID})) >= 0 {
				return true
			}
			if skip > 0 {
				skip--
			} else if len(out) < p.Limit {
				out = append(out, s.named(e))
			}
			return true
		})
		return out, nil
	})
	return out, total, err
}

func (r auditLog) Chains(ctx context.Context) ([]audit.Chain, error) {
	return read(ctx, r.s, func(s *state) ([]audit.Chain, error) {
		var out []audit.Chain
		s.auditChains.each(func(_ one, c audit.Chain) bool {
			out = append(out, copyChain(c))
			return true
		})
		slices.SortFunc(out, func(x, y audit.Chain) int { return cmp.Compare(x.Number, y.Number) })
		return out, nil
	})
}

func (r auditLog) Sealed(ctx context.Context, p audit.Period, seq int64, limit int) ([]audit.Entry, error) {
	return read(ctx, r.s, func(s *state) ([]audit.Entry, error) {
		var out []audit.Entry
		s.auditSealed.from(numbered{string(p), seq + 1}, func(k numbered, id audit.ID) bool {
			if k.a != string(p) || len(out) >= limit {
				return false
			}
			e, _ := s.auditEntries.get(one(id))
			out = append(out, s.named(e))
			return true
		})
		return out, nil
	})
}

func (r auditLog) Waiting(ctx context.Context) (int, error) {
	return read(ctx, r.s, func(s *state) (int, error) {
		n := 0
		s.auditWaiting.each(func(two, nothing) bool {
			n++
			return true
		})
		return n, nil
	})
}

type auditKeeper struct{ s session }

func (r auditKeeper) Seal(ctx context.Context, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var keys []two
		c.auditWaiting.each(func(k two, _ nothing) bool {
			if len(keys) >= limit {
				return false
			}
			keys = append(keys, k)
			return true
		})
		for _, k := range keys {
			e, _ := c.auditEntries.get(one(k.b))
			chain := c.chainOf(audit.PeriodOf(e.At))
			e = chain.Seal(e)
			c.auditChains.put(one(chain.Period), chain)
			c.auditEntries.put(one(e.ID), e)
			c.auditSealed.put(numbered{string(chain.Period), e.Seq}, e.ID)
			c.auditWaiting.drop(k)
		}
		return len(keys), nil
	})
}

// chainOf returns the chain of a period, a new one if there is none.
func (s *state) chainOf(p audit.Period) audit.Chain {
	if c, ok := s.auditChains.get(one(p)); ok {
		return copyChain(c)
	}
	var newest *audit.Chain
	s.auditChains.each(func(_ one, c audit.Chain) bool {
		if newest == nil || c.Number > newest.Number {
			newest = &c
		}
		return true
	})
	return audit.Begin(p, newest)
}

func (r auditKeeper) Prepare(ctx context.Context, _ audit.Period) error {
	return r.s.view(ctx, func(*state) error { return nil })
}

func (r auditKeeper) Drop(ctx context.Context, p audit.Period, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		chain, ok := c.auditChains.get(one(p))
		if !ok || chain.DroppedAt != nil {
			return nil
		}
		waits := false
		c.auditWaiting.from(two{a: p.Start().Format(sortable)}, func(k two, _ nothing) bool {
			waits = k.a < p.Next().Start().Format(sortable)
			return false
		})
		if waits {
			return fault.Newf(fault.Refused, "audit_not_sealed", "entries of %s are not sealed yet", p)
		}
		var gone []audit.ID
		c.auditSealed.from(numbered{a: string(p)}, func(k numbered, id audit.ID) bool {
			if k.a == string(p) {
				gone = append(gone, id)
			}
			return k.a == string(p)
		})
		for i, id := range gone {
			e, _ := c.auditEntries.get(one(id))
			c.auditEntries.drop(one(id))
			c.auditTimes.drop(timeKey(e))
			c.auditSealed.drop(numbered{string(p), int64(i) + 1})
		}
		chain = copyChain(chain)
		chain.DroppedAt = microPtr(&at)
		c.auditChains.put(one(p), chain)
		return nil
	})
}
