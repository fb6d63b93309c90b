package rollout

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Pick is a cluster that placement picked for the stack.
type Pick struct {
	Agent   agent.ID
	Offline bool   // it cannot be reached
	Fits    []bool // by wave: whether the cluster fits the wave's selector
}

func (p Pick) fits(wave int) bool { return wave < len(p.Fits) && p.Fits[wave] }

// Dependency is another stack that must be there before a cluster is given the object.
type Dependency struct {
	Stack      string
	Need       string // healthy or applied
	Everywhere bool   // in all of its clusters; else in the same cluster
	Met        bool   // if Everywhere
	Clusters   map[agent.ID]bool
}

func (d Dependency) metFor(a agent.ID) bool {
	if d.Everywhere {
		return d.Met
	}
	return d.Clusters[a]
}

// Opening says whether a wave may begin now, and when that changes (zero: never).
type Opening struct {
	Open    bool
	Changes time.Time
}

// In is everything that a step rests on.
type In struct {
	Spec         *Spec    // of the policy as it is now; nil: it asks for no rollout
	Current      *Rollout // that governs the stack; nil: none
	NewID        ID       // for the rollout that this step may start
	Stack        stack.ID
	Newest       stack.ObjectID              // empty: there is none, or it is to be nowhere
	Picks        []Pick                      // in any order
	Prior        map[agent.ID]stack.ObjectID // what clusters are assigned
	Status       map[agent.ID]delivery.Status
	Window       Opening
	Dependencies []Dependency
	Refused      map[Offer]Refusal // what cannot be given, of what may be; nil: everything can
}

// Out is the outcome of a step.
type Out struct {
	Rollout     *Rollout                    // that governs the stack from now on; nil: none
	Former      *Rollout                    // that does so no longer; nil: nothing changed about that
	Objects     map[agent.ID]stack.ObjectID // what each pick is to have; one without keeps having nothing
	Transitions []Transition
	Changed     bool // Rollout or Former differ from what was given
}

// Step moves the rollout of a stack on as far as it goes, and says which object each picked cluster is to have. Without a
// spec, and when a rollout is completed, that is the newest one at once; but a cluster that has nothing of the stack is given
// nothing by a rollout, open or over, before the dependencies are met there.
func Step(in In, now time.Time) Out {
	now = now.UTC().Truncate(time.Microsecond) // as it is stored
	in.Picks = slices.Clone(in.Picks)
	slices.SortFunc(in.Picks, func(a, b Pick) int { return cmp.Compare(a.Agent, b.Agent) })
	if in.Current != nil && in.Newest != "" && in.Current.Object == in.Newest && in.Current.Phase != PhaseSuperseded {
		r := in.Current.Clone()
		return run(in, &r, now)
	}
	out := Out{}
	if in.Current != nil {
		former := in.Current.Clone()
		if former.Phase.Open() {
			why := "a newer object supersedes it"
			if in.Newest == "" {
				why = "the stack is to be nowhere any more"
			}
			out.Transitions = append(out.Transitions, former.move(PhaseSuperseded, now, "", why))
			former.Blockers, former.WakeAt = nil, nil
		}
		out.Former, out.Changed = &former, true
	}
	if in.Newest == "" || in.Spec == nil || (in.Current == nil && isThere(in)) {
		out.Objects = everywhere(in)
		return out
	}
	r := start(in, now)
	ran := run(in, r, now)
	ran.Former, ran.Changed = out.Former, true
	ran.Transitions = append(out.Transitions, ran.Transitions...)
	return ran
}

// isThere reports whether a cluster has the newest object already: then it went everywhere at once, before there was a
// policy, and goes on to do so.
func isThere(in In) bool {
	return slices.ContainsFunc(in.Picks, func(p Pick) bool { return in.Prior[p.Agent] == in.Newest })
}

func everywhere(in In) map[agent.ID]stack.ObjectID {
	if in.Newest == "" {
		return nil
	}
	out := make(map[agent.ID]stack.ObjectID, len(in.Picks))
	for _, p := range in.Picks {
		out[p.Agent] = in.Newest
	}
	return out
}

// start makes the rollout of the newest object, with its clusters pinned to waves.
func start(in In, now time.Time) *Rollout {
	r := &Rollout{
		ID: in.NewID, Stack: in.Stack, Object: in.Newest, Base: base(in), Spec: in.Spec.clone(), Phase: PhasePending, Since: now, CreatedAt: now,
	}
	waves := pin(r.Spec, r.Object, in.Picks)
	for _, p := range in.Picks {
		r.Members = append(r.Members, in.member(p, waves[p.Agent], now))
	}
	return r
}

// base is what clusters are to have that the rollout has not reached and that have nothing.
func base(in In) stack.ObjectID {
	if c := in.Current; c != nil {
		if c.Phase == PhaseCompleted {
			return c.Object
		}
		return c.Base
	}
	counts := map[stack.ObjectID]int{}
	for _, p := range in.Picks {
		if o := in.Prior[p.Agent]; o != "" {
			counts[o]++
		}
	}
	var best stack.ObjectID
	for _, o := range slices.Sorted(maps.Keys(counts)) {
		if counts[o] > counts[best] {
			best = o
		}
	}
	return best
}

func (in In) member(p Pick, wave int, now time.Time) Member {
	m := Member{Agent: p.Agent, Wave: wave, State: MemberPending, Since: now, From: in.Prior[p.Agent]}
	var was Member
	if in.Current != nil && in.Current.ID != in.NewID {
		if i, ok := in.Current.find(p.Agent); ok {
			was = in.Current.Members[i]
		}
	}
	switch {
	case m.From != "" && m.From != in.Newest && isHealthy(in.Status[p.Agent], m.From):
		m.Good = m.From
	case was.WasHealthy && in.Current.Object == m.From:
		m.Good = m.From
	default:
		m.Good = was.Good
	}
	return m
}

// isHealthy reports whether the agent says that it has applied this object, and that it is healthy. A health that was told before
// the object was applied comes without that phase.
func isHealthy(s delivery.Status, o stack.ObjectID) bool {
	return s.Object == o && s.Phase == delivery.PhaseApplied && s.Health == delivery.HealthHealthy
}

func hasFailed(s delivery.Status, o stack.ObjectID) bool {
	return s.Object == o && (s.Phase == delivery.PhaseFailed || s.Health == delivery.HealthFailing)
}

func (r *Rollout) find(a agent.ID) (int, bool) {
	return slices.BinarySearchFunc(r.Members, a, func(m Member, a agent.ID) int { return strings.Compare(string(m.Agent), string(a)) })
}

// run moves r on, whose object is the newest.
func run(in In, r *Rollout, now time.Time) Out {
	s := stepper{in: in, r: r, now: now, blockers: r.Blockers, notes: map[BlockerKind]*note{}}
	r.Blockers = nil
	if !r.Phase.Open() { // it only says which object is where
		out := Out{Rollout: r, Objects: s.objects()}
		s.block()
		out.Changed = len(r.Blockers) != len(s.blockers) || (len(r.Blockers) > 0 && !reflect.DeepEqual(r.Blockers, s.blockers))
		return out
	}
	r.WakeAt = nil
	s.seat()
	for _, m := range s.live() {
		s.observe(m)
	}
	for s.advance() {
		clear(s.notes)
		r.WakeAt = nil
	}
	s.deadlines()
	out := Out{Rollout: r, Transitions: s.transitions, Objects: s.objects()}
	s.block()
	out.Changed = in.Current == nil || in.Current.ID != r.ID || !reflect.DeepEqual(normal(*in.Current), normal(*r))
	return out
}

// normal is r so that nothing and an empty list are the same.
func normal(r Rollout) Rollout {
	if len(r.Blockers) == 0 {
		r.Blockers = nil
	}
	if len(r.Members) == 0 {
		r.Members = nil
	}
	return r
}

// objects says what each pick is to have. One that has nothing is given nothing before the dependencies are met there, unless
// the rollout goes on and has admitted it; what a cluster has is never taken away.
func (s *stepper) objects() map[agent.ID]stack.ObjectID {
	out := make(map[agent.ID]stack.ObjectID, len(s.in.Picks))
	for _, p := range s.in.Picks {
		o, admitted := s.object(p.Agent)
		if o == "" {
			continue
		}
		if s.in.Prior[p.Agent] == "" && !admitted {
			if d, held := s.heldBy(p.Agent); held {
				if !s.r.Phase.Open() { // else it is said of those whose turn it is
					s.noteOf(BlockedByDependency, p.Agent, d)
				}
				continue
			}
		}
		out[p.Agent] = o
	}
	return out
}

// object says what a pick is to have, dependencies aside, and whether the rollout goes on and has admitted it. Empty: nothing.
func (s *stepper) object(a agent.ID) (o stack.ObjectID, admitted bool) {
	r := s.r
	if r.Phase == PhaseCompleted {
		return r.Object, false
	}
	i, ok := r.find(a)
	switch {
	case !ok || r.Members[i].AdmittedAt == nil:
		keeps := cmp.Or(s.in.Prior[a], r.Base)
		if keeps == r.Object { // it left with the object and came back to a rollout that has not reached it
			keeps = r.Base
		}
		return keeps, false
	case s.returns():
		return cmp.Or(r.Members[i].Target(), r.Object), false
	default:
		return r.Object, r.Phase.Open()
	}
}
