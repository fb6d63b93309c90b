package porttest

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// placement is everything that a commit for p may change.
type placementState struct {
	Subject   placement.Subject
	Record    placement.Record
	Hold      *placement.Hold
	Prior     map[agent.ID]delivery.Assignment
	Revisions map[agent.ID]delivery.Revision
}

func (w *world) placement(p placed, more ...agent.ID) placementState {
	w.Helper()
	out := placementState{Subject: w.subject(p.stack.ID)}
	var err error
	if out.Record, out.Hold, err = w.Decisions().Latest(w.ctx, p.stack.ID); err != nil {
		wantKind(w.T, "latest", err, fault.NotFound)
	}
	prior, err := w.Facts().Prior(w.ctx, nil)
	wantNone(w.T, "prior", err)
	out.Prior = prior[p.stack.ID]
	for _, a := range p.agents {
		more = append(more, a.ID)
	}
	out.Revisions, err = w.Assignments().Revisions(w.ctx, more)
	wantNone(w.T, "revisions", err)
	return out
}

// staleCommits are the ways in which a decision comes too late. Each changes the world after the decision was made, or
// the decision, so that the commit must be refused.
func staleCommits() map[string]func(w *world, p placed, c *ports.Commit) {
	return map[string]func(w *world, p placed, c *ports.Commit){
		"an unknown lease":                              func(_ *world, _ placed, c *ports.Commit) { c.Lease.Name = "shard-77" },
		"another holder":                                func(_ *world, _ placed, c *ports.Commit) { c.Lease.Holder = "somebody else" },
		"an older epoch":                                func(_ *world, _ placed, c *ports.Commit) { c.Lease.Epoch-- },
		"a newer epoch":                                 func(_ *world, _ placed, c *ports.Commit) { c.Lease.Epoch++ },
		"a lease that is over":                          spoilExpired,
		"a lease given up":                              spoilReleased,
		"a lease taken over":                            spoilTakenOver,
		"a relabelled stack":                            func(w *world, p placed, _ *ports.Commit) { w.labelStack(p.stack.ID, "meanwhile") },
		"a newer object":                                func(w *world, p placed, _ *ports.Commit) { w.publish(p.stack.ID, "meanwhile") },
		"a deleted stack":                               spoilDeletedStack,
		"a newer decision":                              func(w *world, p placed, _ *ports.Commit) { w.decide(p.stack.ID) },
		"a wrong generation":                            func(_ *world, _ placed, c *ports.Commit) { c.Generation += 3 },
		"a wrong stack version":                         func(_ *world, _ placed, c *ports.Commit) { c.StackVersion-- },
		"an agent of an assignment that has changed":    func(w *world, p placed, _ *ports.Commit) { w.label(p.agents[0].ID, "meanwhile") },
		"an assignment without the version of an agent": func(_ *world, _ placed, c *ports.Commit) { c.Changes[0].Version = 0 },
		"an agent of a removal that has changed":        func(w *world, p placed, _ *ports.Commit) { w.label(p.agents[1].ID, "meanwhile") },
		"an agent of a removal that gave consent":       spoilConsent,
		"an agent of a removal that is gone":            spoilDeletedAgent(1),
		"an agent of an assignment that is gone":        spoilDeletedAgent(0),
		"a removal without the version of an agent":     func(_ *world, _ placed, c *ports.Commit) { c.Changes[1].Version = 0 },
	}
}

func spoilExpired(w *world, _ placed, c *ports.Commit) {
	l, err := w.Leases().Acquire(w.ctx, "shard-short", "the test", 20*time.Millisecond)
	wantNone(w.T, "acquire", err)
	c.Lease = l
	await(w.T, "the lease is over", func() bool {
		list, err := w.Leases().List(w.ctx, "shard-short")
		wantNone(w.T, "list", err)
		return len(list) == 0
	})
	// What the holder believes does not count.
	c.Lease.Until = time.Now().Add(time.Hour)
}

func spoilReleased(w *world, _ placed, c *ports.Commit) {
	wantNone(w.T, "release", w.Leases().Release(w.ctx, c.Lease.Name, c.Lease.Holder))
}

func spoilTakenOver(w *world, p placed, c *ports.Commit) {
	spoilReleased(w, p, c)
	_, err := w.Leases().Acquire(w.ctx, c.Lease.Name, "the successor", time.Minute)
	wantNone(w.T, "acquire", err)
}

func spoilDeletedStack(w *world, p placed, _ *ports.Commit) {
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, p.stack.ID, w.at))
}

func spoilConsent(w *world, p placed, _ *ports.Commit) {
	w.consent(p.agents[1].ID, w.generator("meanwhile").ID, "approved")
}

func spoilDeletedAgent(i int) func(w *world, p placed, c *ports.Commit) {
	return func(w *world, p placed, _ *ports.Commit) {
		wantNone(w.T, "delete agent", w.Agents().Delete(w.ctx, p.agents[i].ID, w.at))
	}
}

// decisionRefused commits a decision that assigns, removes and holds after spoil made it stale.
func decisionRefused(w *world, spoil func(w *world, p placed, c *ports.Commit)) {
	p := w.place(2)
	fresh := w.agent("fresh")
	c := w.decision(p.stack.ID, w.assign(p.agents[0].ID, w.publish(p.stack.ID, "next")), w.remove(p.agents[1].ID, p.object), w.assign(fresh.ID, p.object))
	c.Hold = &placement.Hold{Since: w.at, Reason: "too many", Removes: []agent.ID{fresh.ID}, Of: 2, Fingerprint: "print"}
	spoil(w, p, &c)
	before := w.placement(p, fresh.ID)
	_, err := w.Decisions().Commit(w.ctx, c)
	wantKind(w.T, "commit", err, fault.Conflict)
	wantSame(w.T, "after the refusal", w.placement(p, fresh.ID), before)
	err = w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error { return discard(tx.Decisions().Commit(ctx, c)) })
	wantKind(w.T, "commit in a transaction", err, fault.Conflict)
	wantSame(w.T, "after the refused transaction", w.placement(p, fresh.ID), before)
}

func decisionRace(w *world) {
	p := w.place(1)
	next := w.publish(p.stack.ID, "next")
	c := w.decision(p.stack.ID, w.assign(p.agents[0].ID, next))
	before, _ := w.held(p.agents[0].ID)
	wantOneWinner(w.T, "commit", race(8, func(int) error { return discard(w.Decisions().Commit(w.ctx, c)) }))
	after, _ := w.held(p.agents[0].ID)
	wantGrown(w.T, "revision", before, after)
	wantSame(w.T, "generation", w.subject(p.stack.ID).Generation, c.Generation+1)
}

// decisionRacesDeletion never leaves an assignment to an agent that is gone.
func decisionRacesDeletion(w *world) {
	p := w.place(0)
	for i := range 10 {
		a := w.agent(fmt.Sprintf("racer-%d", i))
		c := w.decision(p.stack.ID, w.assign(a.ID, p.object))
		errs := race(2, func(i int) error {
			if i == 0 {
				return w.Agents().Delete(w.ctx, a.ID, w.at)
			}
			return discard(w.Decisions().Commit(w.ctx, c))
		})
		wantNone(w.T, "delete", errs[0])
		if errs[1] != nil {
			wantKind(w.T, "commit", errs[1], fault.Conflict)
		}
		if _, held := w.held(a.ID); len(held) != 0 {
			w.Fatalf("round %d: the deleted agent has %+v", i, held)
		}
	}
}

// decisionRacesPublish never lets a decision through that rests on a version which a committed change has passed.
func decisionRacesPublish(w *world) {
	p := w.place(1)
	for i := range 10 {
		c := w.decision(p.stack.ID, w.assign(p.agents[0].ID, p.object))
		first := make([]int64, 2)
		errs := race(2, func(i int) error {
			if i == 0 {
				return discard(w.Objects().Insert(w.ctx, w.newObject(p.stack.ID, "meanwhile")))
			}
			return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
				if _, err := tx.Decisions().Commit(ctx, c); err != nil {
					return err
				}
				s, err := tx.Stacks().Get(ctx, everything, p.stack.ID)
				first[1] = s.Version
				return err
			})
		})
		wantNone(w.T, "publish", errs[0])
		switch {
		case errs[1] != nil:
			wantKind(w.T, "commit", errs[1], fault.Conflict)
		case first[1] != c.StackVersion:
			w.Fatalf("round %d: committed on version %d while the stack was at %d", i, c.StackVersion, first[1])
		}
	}
}

// decisionTwoHolders has the former holder of an expired lease commit after its successor took over.
func decisionTwoHolders(w *world) {
	p := w.place(0)
	a := w.agent("edge")
	old := w.decision(p.stack.ID, w.assign(a.ID, p.object))
	l, err := w.Leases().Acquire(w.ctx, "shard-1", "first", 20*time.Millisecond)
	wantNone(w.T, "acquire", err)
	old.Lease = l
	await(w.T, "the successor has the lease", func() bool {
		l, err = w.Leases().Acquire(w.ctx, "shard-1", "second", time.Minute)
		return err == nil
	})
	fresh := old
	fresh.Lease = l
	errs := race(2, func(i int) error { return discard(w.Decisions().Commit(w.ctx, []ports.Commit{old, fresh}[i])) })
	wantKind(w.T, "commit of the former holder", errs[0], fault.Conflict)
	wantNone(w.T, "commit of the successor", errs[1])
}
