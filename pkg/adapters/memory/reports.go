package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

type reports struct{ s session }

func (r reports) Advance(ctx context.Context, a agent.ID, m delivery.Mark, _ time.Time) (delivery.Reception, error) {
	return write(ctx, r.s, func(c *change) (delivery.Reception, error) {
		if _, ok := c.liveAgent(a); !ok {
			return delivery.Reception{}, noAgent(a)
		}
		o, _ := c.reportOrders.get(one(a))
		next, got := o.Accept(m)
		if got != (delivery.Reception{}) {
			c.reportOrders.put(one(a), next)
		}
		return got, nil
	})
}

// Serial has nothing to lock: transactions are serial here.
func (r reports) Serial(ctx context.Context, a agent.ID) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(a); !ok {
			return noAgent(a)
		}
		return nil
	})
}

func (r reports) Record(ctx context.Context, a agent.ID, at time.Time, list []delivery.Report) ([]delivery.Status, error) {
	at = micro(at)
	return write(ctx, r.s, func(c *change) ([]delivery.Status, error) {
		var out []delivery.Status
		for _, rep := range list {
			k := two{string(a), string(rep.Stack)}
			assigned, ok := c.assignments.get(k)
			if !ok {
				continue
			}
			old, known := c.statuses.get(k)
			if known && !old.YieldsTo(rep, assigned.Object) {
				continue
			}
			s := delivery.Status{
				Agent: a, Stack: rep.Stack, Object: rep.Object, Sequence: rep.Sequence, Phase: rep.Phase, Health: rep.Health,
				Message: rep.Message, ObservedAt: micro(rep.ObservedAt), ReportedAt: at, Since: at,
			}
			moved := !known || s.Phase != old.Phase || s.Health != old.Health
			if !moved {
				s.Since = old.Since
			}
			c.statuses.put(k, s)
			switch {
			case rep.Summary != "":
				c.summaries.put(k, rep.Summary)
			case !known || s.Object != old.Object || s.Health != old.Health:
				c.summaries.drop(k)
			}
			if moved || s.Object != old.Object {
				out = append(out, s)
			}
		}
		return out, nil
	})
}

func (r reports) Acknowledge(ctx context.Context, a agent.ID, rem delivery.Removal) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		as, ok := c.assignments.get(two{string(a), string(rem.Stack)})
		if !ok || as.State != delivery.Removing || as.Revision > rem.Revision {
			return false, nil
		}
		c.dropAssignment(a, rem.Stack)
		c.growRevision(a)
		return true, nil
	})
}

func (r reports) AddEvent(ctx context.Context, e agent.Event) (agent.Event, error) {
	return write(ctx, r.s, func(c *change) (agent.Event, error) { return c.addEvent(e) })
}

func (c *change) addEvent(e agent.Event) (agent.Event, error) {
	if _, ok := c.liveAgent(e.Agent); !ok {
		return agent.Event{}, noAgent(e.Agent)
	}
	if !c.objects.has(one(e.Object)) {
		return agent.Event{}, noObject(e.Object)
	}
	e = copyEvent(e)
	last := two{string(e.Agent), string(e.Object)}
	if n, ok := c.lastEvents.get(last); ok {
		k := numbered{string(e.Agent), n}
		old, _ := c.events.get(k)
		if old.Type == e.Type && old.Status == e.Status && sameText(old.Message, e.Message) {
			old.Count++
			old.UpdatedAt = e.UpdatedAt
			c.events.put(k, old)
			return copyEvent(old), nil
		}
	}
	e.Count = 1
	n := c.sequences.event.Add(1)
	e.Ordinal = n
	c.events.put(numbered{string(e.Agent), n}, e)
	c.lastEvents.put(last, n)
	return copyEvent(e), nil
}

func (r reports) AddEvents(ctx context.Context, list []agent.Event) ([]agent.Event, error) {
	return write(ctx, r.s, func(c *change) ([]agent.Event, error) {
		var out []agent.Event
		for _, e := range list {
			stored, err := c.addEvent(e)
			if err != nil {
				return nil, err
			}
			out = append(out, stored)
		}
		return out, nil
	})
}

func (r reports) TrimEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var old []agent.Event
		c.events.each(func(_ numbered, e agent.Event) bool {
			if e.UpdatedAt.Before(micro(before)) {
				old = append(old, e)
			}
			return true
		})
		slices.SortFunc(old, func(x, y agent.Event) int { return x.UpdatedAt.Compare(y.UpdatedAt) })
		old = old[:min(len(old), limit)]
		for _, e := range old {
			c.events.drop(numbered{string(e.Agent), e.Ordinal})
			last := two{string(e.Agent), string(e.Object)}
			if n, _ := c.lastEvents.get(last); n == e.Ordinal {
				c.lastEvents.drop(last)
			}
		}
		return len(old), nil
	})
}

func sameText(x, y *string) bool {
	if x == nil || y == nil {
		return x == y
	}
	return *x == *y
}
