package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type diagnostics struct{ s session }

func noDiagnostic(id any) error { return notFound("diagnostic_not_found", "diagnostic request", id) }

func copyRequest(r diagnostic.Request) diagnostic.Request {
	r.RequestedBy, r.ClaimedAt, r.CompletedAt = ptr(r.RequestedBy), microPtr(r.ClaimedAt), microPtr(r.CompletedAt)
	r.CreatedAt, r.ExpiresAt = micro(r.CreatedAt), micro(r.ExpiresAt)
	return r
}

func copyResult(r diagnostic.Result) diagnostic.Result {
	r.LogTails, r.CollectedAt, r.CreatedAt = ptr(r.LogTails), micro(r.CollectedAt), micro(r.CreatedAt)
	return r
}

func (r diagnostics) Insert(ctx context.Context, d diagnostic.Request) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(d.Agent); !ok {
			return noAgent(d.Agent)
		}
		o, ok := c.objects.get(one(d.Object))
		if !ok || o.DeletedAt != nil {
			return noObject(d.Object)
		}
		if c.diagnostics.has(one(d.ID)) {
			return duplicate("diagnostic_requests_pkey", "diagnostic request", d.ID)
		}
		d = copyRequest(d)
		d.Stack, d.Status, d.ClaimedAt, d.CompletedAt = o.Stack, diagnostic.Pending, nil, nil
		c.diagnostics.put(one(d.ID), d)
		return nil
	})
}

func (r diagnostics) Get(ctx context.Context, scope tenancy.Scope, id diagnostic.ID) (diagnostic.Request, *diagnostic.Result, error) {
	var answer *diagnostic.Result
	d, err := read(ctx, r.s, func(s *state) (diagnostic.Request, error) {
		d, ok := s.diagnostics.get(one(id))
		if !ok || (!scope.All && (scope.Agent == "" || scope.Agent != d.Agent)) {
			return diagnostic.Request{}, noDiagnostic(id)
		}
		if a, ok := s.diagnoses.get(one(id)); ok {
			a = copyResult(a)
			answer = &a
		}
		return copyRequest(d), nil
	})
	return d, answer, err
}

func (r diagnostics) Open(ctx context.Context, a agent.ID, now time.Time, limit int) ([]diagnostic.Request, error) {
	return read(ctx, r.s, func(s *state) ([]diagnostic.Request, error) {
		var out []diagnostic.Request
		s.diagnostics.each(func(_ one, d diagnostic.Request) bool {
			if d.Agent == a && d.Open(micro(now)) {
				out = append(out, copyRequest(d))
			}
			return true
		})
		slices.SortFunc(out, func(x, y diagnostic.Request) int {
			return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), cmp.Compare(x.ID, y.ID))
		})
		return out[:min(limit, len(out))], nil
	})
}

func (r diagnostics) Move(ctx context.Context, was, next diagnostic.Request, answer *diagnostic.Result) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.diagnostics.get(one(was.ID))
		if !ok {
			return noDiagnostic(was.ID)
		}
		if stored.Status != was.Status || !sameTime(stored.ClaimedAt, microPtr(was.ClaimedAt)) {
			return stale("diagnostic request", was.ID)
		}
		next = copyRequest(next)
		stored.Status, stored.ClaimedAt, stored.CompletedAt = next.Status, next.ClaimedAt, next.CompletedAt
		c.diagnostics.put(one(was.ID), stored)
		if answer != nil {
			c.diagnoses.put(one(was.ID), copyResult(*answer))
		}
		return nil
	})
}

func sameTime(x, y *time.Time) bool {
	if x == nil || y == nil {
		return x == y
	}
	return x.Equal(*y)
}

func (r diagnostics) Trim(ctx context.Context, now time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var gone []diagnostic.ID
		c.diagnostics.each(func(_ one, d diagnostic.Request) bool {
			if d.Forgotten(micro(now)) {
				gone = append(gone, d.ID)
			}
			return len(gone) < limit
		})
		for _, id := range gone {
			c.diagnostics.drop(one(id))
			c.diagnoses.drop(one(id))
		}
		return len(gone), nil
	})
}

// pendingDiagnostics adds the requests that the agent may claim.
func (s *state) pendingDiagnostics(a agent.ID, now time.Time, p *ports.Pending) {
	s.diagnostics.each(func(_ one, d diagnostic.Request) bool {
		if d.Agent != a || !d.Open(now) {
			return true
		}
		p.Diagnostics++
		since := d.CreatedAt
		if d.ClaimedAt != nil {
			since = d.ClaimedAt.Add(diagnostic.ClaimFor)
		}
		newest(p, since)
		return true
	})
}
