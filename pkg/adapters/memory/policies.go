package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type policies struct{ s session }

func noPolicy(id any) error { return notFound("placement_policy_not_found", "placement policy", id) }

func notAttached(what string, id any) error {
	return notFound("placement_policy_not_attached", "a placement policy attached to the "+what, id)
}

// livePolicy returns the policy, without document, unless it is unknown or deleted or scope does not see it.
func (s *state) livePolicy(scope tenancy.Scope, id policy.ID) (policy.Policy, bool) {
	p, ok := s.policies.get(one(id))
	return p, ok && p.DeletedAt == nil && scope.Owns(p.Generator)
}

// wholePolicy returns a copy of p with its document and what it is attached to.
func (s *state) wholePolicy(p policy.Policy) (policy.Policy, error) {
	r, _ := s.policyRevisions.get(numbered{string(p.ID), int64(p.Revision)})
	var err error
	if p.Document, err = r.Document.Clone(); err != nil {
		return policy.Policy{}, err
	}
	p.Labels = keysOf(s.policyLabels, string(p.ID))
	for _, k := range keysOf(s.stacksOfPolicy, string(p.ID)) {
		if _, live := s.liveStack(stack.ID(k)); live {
			p.Stacks++
		}
	}
	return p, nil
}

// effectivePolicy returns what decides about a stack.
func (s *state) effectivePolicy(st stack.Stack) *policy.Ref {
	var reach []policy.Ref
	add := func(id policy.ID, by policy.By, label string) {
		if p, ok := s.livePolicy(tenancy.Scope{Generator: st.Generator}, id); ok {
			reach = append(reach, policy.Ref{ID: p.ID, Name: p.Name, Revision: p.Revision, By: by, Label: label})
		}
	}
	if a, ok := s.policyStacks.get(one(st.ID)); ok {
		add(a.Policy, policy.ByStack, "")
	}
	for _, l := range keysOf(s.stackLabels, string(st.ID)) {
		for _, id := range keysOf(s.labelPolicies, l) {
			add(policy.ID(id), policy.ByLabel, l)
		}
	}
	return policy.Effective(reach)
}

// detachPolicy takes from a stack what it has by id, if anything.
func (s *state) detachPolicy(id stack.ID) {
	if a, ok := s.policyStacks.get(one(id)); ok {
		s.policyStacks.drop(one(id))
		s.stacksOfPolicy.drop(two{string(a.Policy), string(id)})
	}
}

func (r policies) Get(ctx context.Context, scope tenancy.Scope, id policy.ID) (policy.Policy, error) {
	return read(ctx, r.s, func(s *state) (policy.Policy, error) {
		p, ok := s.livePolicy(scope, id)
		if !ok {
			return policy.Policy{}, noPolicy(id)
		}
		return s.wholePolicy(p)
	})
}

func (r policies) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[policy.Policy], error) {
	return read(ctx, r.s, func(s *state) (page.Page[policy.Policy], error) {
		var all []policy.Policy
		var failed error
		s.policies.each(func(_ one, p policy.Policy) bool {
			if p.DeletedAt == nil && scope.Owns(p.Generator) {
				p, failed = s.wholePolicy(p)
				all = append(all, p)
			}
			return failed == nil
		})
		return policy.List().Cut(all, q), failed
	})
}

func (r policies) Insert(ctx context.Context, p policy.Policy) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveGenerator(p.Generator); !ok {
			return noGenerator(p.Generator)
		}
		name := two{string(p.Generator), p.Name}
		if c.policyNames.has(name) {
			return duplicate("placement_policies_name", "placement policy", p.Name)
		}
		if c.policies.has(one(p.ID)) {
			return duplicate("placement_policies_pkey", "placement policy", p.ID)
		}
		p.Revision = 1
		p.CreatedAt, p.UpdatedAt, p.DeletedAt = micro(p.CreatedAt), micro(p.UpdatedAt), nil
		c.policyNames.put(name, p.ID)
		return c.putRevision(p)
	})
}

// putRevision stores a policy and the revision that it is in.
func (c *change) putRevision(p policy.Policy) error {
	d, err := p.Document.Clone()
	if err != nil {
		return err
	}
	c.policyRevisions.put(numbered{string(p.ID), int64(p.Revision)}, policy.Revision{Policy: p.ID, Number: p.Revision, Document: d, CreatedAt: p.UpdatedAt})
	p.Document, p.Labels, p.Stacks = policy.Document{}, nil, 0
	c.policies.put(one(p.ID), p)
	return nil
}

func (r policies) Revise(ctx context.Context, p policy.Policy) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.livePolicy(tenancy.Everything(), p.ID)
		if !ok {
			return noPolicy(p.ID)
		}
		if stored.Revision != p.Revision {
			return stale("placement policy", p.ID)
		}
		name := two{string(stored.Generator), p.Name}
		if holder, taken := c.policyNames.get(name); taken && holder != p.ID {
			return duplicate("placement_policies_name", "placement policy", p.Name)
		}
		c.policyNames.drop(two{string(stored.Generator), stored.Name})
		c.policyNames.put(name, p.ID)
		stored.Name, stored.Document, stored.UpdatedAt = p.Name, p.Document, micro(p.UpdatedAt)
		stored.Revision++
		c.policyRevisions.drop(numbered{string(p.ID), int64(stored.Revision - policy.KeepRevisions)})
		return c.putRevision(stored)
	})
}

func (r policies) Delete(ctx context.Context, id policy.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		p, ok := c.livePolicy(tenancy.Everything(), id)
		if !ok {
			return noPolicy(id)
		}
		at = micro(at)
		p.DeletedAt, p.UpdatedAt = &at, at
		c.policies.put(one(id), p)
		c.policyNames.drop(two{string(p.Generator), p.Name})
		for _, l := range keysOf(c.policyLabels, string(id)) {
			c.policyLabels.drop(two{string(id), l})
			c.labelPolicies.drop(two{l, string(id)})
		}
		for _, k := range keysOf(c.stacksOfPolicy, string(id)) {
			c.detachPolicy(stack.ID(k))
		}
		return nil
	})
}

func (r policies) Revisions(ctx context.Context, scope tenancy.Scope, id policy.ID) ([]policy.Revision, error) {
	return read(ctx, r.s, func(s *state) ([]policy.Revision, error) {
		if _, ok := s.livePolicy(scope, id); !ok {
			return nil, noPolicy(id)
		}
		var out []policy.Revision
		s.policyRevisions.from(numbered{a: string(id)}, func(k numbered, v policy.Revision) bool {
			if k.a != string(id) {
				return false
			}
			v.Document = policy.Document{}
			out = append(out, v)
			return true
		})
		slices.Reverse(out)
		return out, nil
	})
}

func (r policies) Revision(ctx context.Context, scope tenancy.Scope, id policy.ID, number int) (policy.Revision, error) {
	return read(ctx, r.s, func(s *state) (policy.Revision, error) {
		if _, ok := s.livePolicy(scope, id); !ok {
			return policy.Revision{}, noPolicy(id)
		}
		v, ok := s.policyRevisions.get(numbered{string(id), int64(number)})
		if !ok {
			return policy.Revision{}, noPolicyRevision(number)
		}
		var err error
		v.Document, err = v.Document.Clone()
		return v, err
	})
}

func noPolicyRevision(n any) error {
	return notFound("placement_policy_revision_not_found", "revision", n)
}

func (r policies) Attach(ctx context.Context, a policy.Attachment) error {
	return r.s.update(ctx, func(c *change) error {
		st, ok := c.liveStack(a.Stack)
		if !ok {
			return noStack(a.Stack)
		}
		if _, ok := c.livePolicy(tenancy.Scope{Generator: st.Generator}, a.Policy); !ok {
			return noPolicy(a.Policy)
		}
		a.At = micro(a.At)
		c.detachPolicy(a.Stack)
		c.policyStacks.put(one(a.Stack), a)
		c.stacksOfPolicy.put(two{string(a.Policy), string(a.Stack)}, nothing{})
		c.touchStack(a.Stack)
		return nil
	})
}

func (r policies) Detach(ctx context.Context, id stack.ID) (policy.ID, error) {
	return write(ctx, r.s, func(c *change) (policy.ID, error) {
		if _, ok := c.liveStack(id); !ok {
			return "", noStack(id)
		}
		a, ok := c.policyStacks.get(one(id))
		if !ok {
			return "", notAttached("stack", id)
		}
		c.detachPolicy(id)
		c.touchStack(id)
		return a.Policy, nil
	})
}

func (r policies) AttachLabel(ctx context.Context, id policy.ID, label string, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.livePolicy(tenancy.Everything(), id); !ok {
			return noPolicy(id)
		}
		if k := (two{string(id), label}); !c.policyLabels.has(k) {
			c.policyLabels.put(k, micro(at))
			c.labelPolicies.put(two{label, string(id)}, nothing{})
		}
		return nil
	})
}

func (r policies) DetachLabel(ctx context.Context, id policy.ID, label string) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.livePolicy(tenancy.Everything(), id); !ok {
			return noPolicy(id)
		}
		if !c.policyLabels.drop(two{string(id), label}) {
			return notAttached("label", label)
		}
		c.labelPolicies.drop(two{label, string(id)})
		return nil
	})
}

func (r policies) Effective(ctx context.Context, id stack.ID) (*policy.Ref, error) {
	return read(ctx, r.s, func(s *state) (*policy.Ref, error) {
		st, ok := s.liveStack(id)
		if !ok {
			return nil, noStack(id)
		}
		return s.effectivePolicy(st), nil
	})
}

func (r policies) Reaches(ctx context.Context, id policy.ID) ([]stack.ID, error) {
	return read(ctx, r.s, func(s *state) ([]stack.ID, error) {
		p, ok := s.livePolicy(tenancy.Everything(), id)
		if !ok {
			return nil, nil
		}
		var out []stack.ID
		labels := keysOf(s.policyLabels, string(id))
		s.stacks.each(func(k one, st stack.Stack) bool {
			if st.DeletedAt == nil && st.Generator == p.Generator && (s.stacksOfPolicy.has(two{string(id), string(k)}) ||
				slices.ContainsFunc(labels, func(l string) bool { return s.stackLabels.has(two{string(k), l}) })) {
				out = append(out, st.ID)
			}
			return true
		})
		slices.Sort(out)
		return out, nil
	})
}

func (r policies) Live(ctx context.Context, ids []policy.ID) ([]policy.Policy, error) {
	return read(ctx, r.s, func(s *state) ([]policy.Policy, error) {
		var out []policy.Policy
		var failed error
		s.policies.each(func(k one, p policy.Policy) bool {
			if p.DeletedAt == nil && (ids == nil || slices.Contains(ids, policy.ID(k))) {
				p, failed = s.wholePolicy(p)
				out = append(out, p)
			}
			return failed == nil
		})
		return out, failed
	})
}
