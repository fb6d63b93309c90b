package placement

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Explain is Decide with the verdict on every cluster: each reason with what is wanted and observed, and the points. Its
// work and its answer grow with the fleet. What several verdicts have in common lies in one place: their lists must not be changed.
func Explain(in Input, now time.Time) Decision { return new(Telling).Explain(in, now) }

// byPolicy reports whether the policy says where the stack runs: not if it is deleted, marked or has no object.
func (in Input) byPolicy() bool {
	return in.Policy != nil && in.Subject.Newest != nil && !in.Subject.Over()
}

// decideByPolicy decides as the policy says; with tell it says of every cluster why.
func decideByPolicy(in Input, now time.Time, tell *Telling) Decision {
	f := in.Fleet
	if f == nil {
		f = NewFleet(in.Clusters)
	}
	f.line.mu.Lock()
	defer f.line.mu.Unlock()
	m := f.recall()
	r := &m.run
	defer func() { r.in, r.c, r.f, r.m = Input{}, nil, nil, nil }()
	r.in, r.c, r.f, r.m, r.now, r.wake, r.explain = in, in.Policy, f, m, now, time.Time{}, tell != nil
	d := Decision{Stack: in.Subject.Stack, Policy: in.Subject.Policy}
	r.begin()
	r.collect()
	picks, moves := r.settle()
	d.Moves = moves
	var removals []Change
	consent := true // what leaves, leaves because consent is gone
	r.prior.each(func(i int) {
		if r.picked.has(i) {
			return
		}
		c := f.at(i)
		was := in.Prior[c.Agent]
		removals = append(removals, Change{Agent: c.Agent, State: delivery.Removing, Object: was.Object, Version: c.Version, Reason: why(r.verdict(i, nil))})
		consent = consent && !r.consent.has(i)
	})
	additions := 0
	r.picked.each(func(i int) {
		c := f.at(i)
		p := r.pick(i)
		d.Picks = append(d.Picks, p)
		was, assigned := in.Prior[c.Agent]
		if !assigned || was.State != delivery.Assigned {
			additions++
		} else if was.Object == in.Subject.Newest.ID {
			return
		}
		d.Changes = append(d.Changes, Change{Agent: c.Agent, State: delivery.Assigned, Object: in.Subject.Newest.ID, Version: c.Version, Reason: r.because(p)})
	})
	slices.SortFunc(removals, byAgent)
	if hold := brake(in, removals, now, picks == 0 && !consent); hold != nil {
		d.Hold, d.Moves = hold, 0 // what is held has not moved, and must not use up the moves that it needs when it is approved
		if at := in.Brake.RoomFor(in.Subject, hold, now); at != nil {
			r.wakeAt(*at)
		}
		if most := r.c.document.Strategy.Count; r.count() && most != nil {
			d.trim(in, max(0, picks+len(removals)-most.Max), additions, r)
		}
	} else {
		d.Changes = append(d.Changes, removals...)
	}
	slices.SortFunc(d.Changes, byAgent)
	slices.SortFunc(d.Picks, func(a, b Pick) int { return cmp.Compare(a.Agent, b.Agent) })
	d.Unmet = r.unmet(len(d.Picks), d.Hold)
	if tell != nil {
		d.Verdicts = r.verdicts(tell)
	}
	if !r.wake.IsZero() {
		at := r.wake
		d.WakeAt = &at
	}
	return d
}

func byAgent(a, b Change) int { return cmp.Compare(a.Agent, b.Agent) }

// trim takes back additions that would be beyond the count while removals are held: the worst first.
func (d *Decision) trim(in Input, surplus, additions int, r *run) {
	surplus = min(surplus, additions)
	if surplus == 0 {
		return
	}
	var added []candidate
	for _, c := range r.cands {
		if r.picked.has(int(c.slot)) && !c.incumbent {
			added = append(added, c)
		}
	}
	slices.SortFunc(added, func(a, b candidate) int {
		if c := cmp.Compare(b.tier, a.tier); c != 0 {
			return c
		}
		if r.better(&b, &a) {
			return -1
		}
		return 1
	})
	back := map[agent.ID]bool{}
	for _, c := range added[:min(surplus, len(added))] {
		back[r.f.at(int(c.slot)).Agent] = true
		r.picked.remove(int(c.slot))
	}
	d.Picks = slices.DeleteFunc(d.Picks, func(p Pick) bool { return back[p.Agent] })
	d.Changes = slices.DeleteFunc(d.Changes, func(c Change) bool { return back[c.Agent] })
}

func (r *run) pick(i int) Pick {
	p := Pick{Agent: r.f.at(i).Agent, Pinned: r.pins.has(i)}
	if !p.Pinned {
		p.Score = r.score(i)
		if len(r.c.groups) > 0 {
			g, _ := r.fits(i)
			p.Group = r.c.document.Groups[g].Name
		}
	}
	return p
}

func (r *run) because(p Pick) string {
	if p.Pinned {
		return "the stack is an explicit target of the agent"
	}
	s := fmt.Sprintf("picked by the policy %q", r.c.document.Name)
	if p.Group != "" {
		s += fmt.Sprintf(" in the group %q", p.Group)
	}
	if len(r.c.document.Prefer) > 0 {
		s += fmt.Sprintf(" with %d points", p.Score)
	}
	return s
}

// unmet says what is asked for beyond the picks that there are. How large the fleet is, is not said: a generator is told of clusters that it
// may use.
func (r *run) unmet(picked int, held *Hold) *Unmet {
	st := r.c.document.Strategy
	u, fit := Unmet{Picked: picked}, len(r.cands)
	r.pins.each(func(i int) {
		if r.picked.has(i) && (st.Type != policy.Fixed || r.fixed.has(i)) {
			fit++
		}
	})
	switch st.Type {
	case policy.Count:
		u.Wanted = st.Count.Min
	case policy.Fixed:
		u.Wanted = len(st.Fixed)
		u.Picked = 0
		for _, a := range st.Fixed {
			if i, ok := r.f.byAgent[a]; ok && r.picked.has(i) {
				u.Picked++
			}
		}
	case policy.All:
		return nil
	default:
		return nil
	}
	if u.Picked >= u.Wanted {
		return nil
	}
	// How many clusters there are besides is not for a generator to know.
	u.Reason = fmt.Sprintf("%d clusters have consent, %d of them fit", r.consent.count(), fit)
	switch {
	case fit <= u.Picked:
	case held != nil:
		u.Reason += "; others come when the removals that are held are made"
	default:
		u.Reason += "; the spread admits no more"
	}
	return &u
}

func (r *run) most() int {
	if r.count() {
		return r.c.document.Strategy.Count.Max
	}
	return r.f.Len()
}
