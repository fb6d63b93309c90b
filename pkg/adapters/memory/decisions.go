package memory

import (
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type decisions struct{ s session }

func (r decisions) Commit(ctx context.Context, commits ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	return write(ctx, r.s, func(c *change) (map[agent.ID]delivery.Revision, error) {
		decided := map[stack.ID]bool{}
		for _, co := range commits {
			if err := c.mayCommit(co); err != nil {
				return nil, err
			}
			if decided[co.Stack] {
				return nil, fault.Newf(fault.Invalid, "invalid_decision", "stack %s is decided twice at once", co.Stack)
			}
			decided[co.Stack] = true
		}
		revisions := map[agent.ID]delivery.Revision{}
		for _, co := range commits {
			c.commit(co, revisions)
		}
		for _, co := range commits {
			for _, r := range co.Rooms {
				if _, changed := revisions[r.Agent]; !changed {
					return nil, fault.Newf(fault.Invalid, "invalid_decision", "the decision gives room of agent %s, which it does not change", r.Agent)
				}
				if c.unknown(r) > r.Spare {
					return nil, stale("what is assigned to agent", r.Agent)
				}
			}
		}
		return revisions, nil
	})
}

// unknown is how many stacks are assigned to an agent of which the room does not know.
func (c *change) unknown(r ports.Room) int {
	n := 0
	c.assignments.from(two{string(r.Agent), ""}, func(k two, x delivery.Assignment) bool {
		if k.a == string(r.Agent) && x.State == delivery.Assigned && !slices.Contains(r.Stacks, x.Stack) {
			n++
		}
		return k.a == string(r.Agent)
	})
	return n
}

func (c *change) commit(co ports.Commit, revisions map[agent.ID]delivery.Revision) {
	for _, ch := range co.Changes {
		rev, grown := revisions[ch.Agent]
		if !grown {
			rev = c.growRevision(ch.Agent)
			revisions[ch.Agent] = rev
		}
		c.assign(co, ch, rev)
	}
	d, _ := c.decisions.get(one(co.Stack))
	d.generation = co.Generation + 1
	d.moved = placement.Recent(d.moved, micro(co.Record.At), co.Record.Decision.Moves)
	d.approved, d.hold, d.record = 0, copyHold(co.Hold), copyRecord(co.Record)
	d.record.Stack, d.record.Generation = co.Stack, d.generation
	c.decisions.put(one(co.Stack), d)
	c.records.put(numbered{string(co.Stack), d.generation}, d.record)
}

// mayCommit checks everything on which the decision rests.
func (c *change) mayCommit(co ports.Commit) error {
	if err := c.holds(co.Lease); err != nil {
		return err
	}
	st, ok := c.stacks.get(one(co.Stack))
	if !ok {
		return noStack(co.Stack)
	}
	if st.Version != co.StackVersion {
		return stale("stack", co.Stack)
	}
	if d, _ := c.decisions.get(one(co.Stack)); d.generation != co.Generation {
		return stale("the decision of stack", co.Stack)
	}
	if !policy.Same(c.effectivePolicy(st), co.Policy) {
		return stale("the policy of stack", co.Stack)
	}
	for _, ch := range co.Changes {
		if err := c.mayChange(co.Stack, ch); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) mayChange(id stack.ID, ch placement.Change) error {
	if a, live := c.liveAgent(ch.Agent); !live || a.Version != ch.Version {
		return stale("agent", ch.Agent)
	}
	if o, ok := c.objects.get(one(ch.Object)); !ok || o.Stack != id {
		return noObject(ch.Object)
	}
	if ch.Variant != "" && !c.blobs.has(one(ch.Variant)) {
		return fault.Newf(fault.Refused, "foreign_key_violation", "the content %s is not there", ch.Variant).With("constraint", "assignments_variant")
	}
	return nil
}

func (c *change) assign(co ports.Commit, ch placement.Change, rev delivery.Revision) {
	k := two{string(ch.Agent), string(co.Stack)}
	placed := micro(co.Record.At)
	if was, ok := c.assignments.get(k); ok && was.State == ch.State {
		placed = was.Placed
	}
	c.assignments.put(k, delivery.Assignment{
		Agent: ch.Agent, Stack: co.Stack, Object: ch.Object, Variant: ch.Variant, Treatment: copyTreatment(ch.Treatment), State: ch.State, Revision: rev, Reason: ch.Reason,
		Traceparent: co.Record.Traceparent, Since: micro(co.Record.At), Placed: placed,
	})
	c.stackAgents.put(two{string(co.Stack), string(ch.Agent)}, nothing{})
}

func (r decisions) Latest(ctx context.Context, id stack.ID) (placement.Record, *placement.Hold, error) {
	var hold *placement.Hold
	rec, err := read(ctx, r.s, func(s *state) (placement.Record, error) {
		d, ok := s.decisions.get(one(id))
		if !ok {
			return placement.Record{}, notFound("decision_not_found", "a decision for stack", id)
		}
		hold = copyHold(d.hold)
		return copyRecord(d.record), nil
	})
	return rec, hold, err
}

func (r decisions) Approve(ctx context.Context, id stack.ID, fingerprint string) error {
	return r.s.update(ctx, func(c *change) error {
		d, _ := c.decisions.get(one(id))
		if d.hold == nil || d.hold.Fingerprint != fingerprint {
			return fault.Newf(fault.Refused, "nothing_to_approve", "no decision with this fingerprint waits for stack %s", id)
		}
		d.approved = d.generation
		c.decisions.put(one(id), d)
		return nil
	})
}
