package memory

import (
	"context"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type leases struct{ s session }

func (r leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (ports.Lease, error) {
	return write(ctx, r.s, func(c *change) (ports.Lease, error) {
		now := c.now()
		l, ok := c.leases.get(one(name))
		if ok && l.Holder != holder && l.Until.After(now) {
			return ports.Lease{}, fault.Newf(fault.Conflict, "lease_held", "lease %s is held by %s", name, l.Holder)
		}
		if !ok || l.Holder != holder {
			l = ports.Lease{Name: name, Holder: holder, Epoch: l.Epoch + 1}
		}
		l.Until = micro(now.Add(ttl))
		c.leases.put(one(name), l)
		return l, nil
	})
}

func (r leases) Release(ctx context.Context, name, holder string) error {
	return r.s.update(ctx, func(c *change) error {
		l, ok := c.leases.get(one(name))
		if !ok || l.Holder != holder {
			return nil
		}
		// The row stays: the next holder's epoch must be greater.
		l.Holder, l.Until = "", time.Time{}
		c.leases.put(one(name), l)
		return nil
	})
}

func (r leases) Check(ctx context.Context, l ports.Lease) error {
	return r.s.update(ctx, func(c *change) error { return c.holds(l) })
}

func (r leases) List(ctx context.Context, prefix string) ([]ports.Lease, error) {
	return read(ctx, r.s, func(s *state) ([]ports.Lease, error) {
		now := s.now()
		var out []ports.Lease
		s.leases.from(one(prefix), func(k one, l ports.Lease) bool {
			if !strings.HasPrefix(string(k), prefix) {
				return false
			}
			if l.Until.After(now) {
				out = append(out, l)
			}
			return true
		})
		return out, nil
	})
}
