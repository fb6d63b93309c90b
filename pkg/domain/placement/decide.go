package placement

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Brake bounds how much one decision may remove without approval. The zero Brake never holds.
type Brake struct {
	Share float64 // of the stack's clusters; more is held
	AtOne int     // removals below this number are never held
	// Fleet bounds what the decisions about all stacks remove together; nil: it does not.
	Fleet   *FleetWindow
	Waiting Waiting // for its room, as far as is known; it is only read
}

// UsualBrake is the brake where no configuration says another: the scheduler's default, by which the api foretells, too.
func UsualBrake() Brake {
	const share = 0.2
	return Brake{Share: share, AtOne: 5, Fleet: &FleetWindow{Share: share, Floor: 10, Length: 10 * time.Minute}}
}

// Input is everything that a decision for one stack rests on.
type Input struct {
	Subject  Subject
	Clusters []Cluster // every live agent, in any order
	Prior    Prior
	Brake    Brake

	Policy *Compiled        // nil: plain matching
	Fleet  *Fleet           // the clusters, indexed, for a policy; nil: made of Clusters
	Peers  map[string]Prior // where the stacks are that Policy.Peers names; one that is missing is not known
}

// Decide decides where one stack runs. With a policy the clusters are those that it says; explicit targets stay as pins.
// Without one the stack is matched plainly: a cluster gets the stack's newest object if the generator has
// its consent and it is an explicit target, shares a label, or shares an annotation. What was assigned and is
// wanted no longer becomes a removal, always with a recorded reason; what a brake stops is held as a whole, while
// assignments that add or update go on. An assignment of an agent that is not among the clusters is left alone: that
// an agent is missing from a read is no reason to remove anything. Whatever decides: to a cluster that is cordoned, drained
// or tainted nothing new comes, and what is there leaves if drain or taint say so.
func Decide(in Input, now time.Time) Decision {
	if in.byPolicy() {
		return decideByPolicy(in, now, nil)
	}
	d := Decision{Stack: in.Subject.Stack}
	if in.Policy != nil {
		d.Policy = in.Subject.Policy
	}
	clusters := slices.Clone(in.Clusters)
	if clusters == nil && in.Fleet != nil {
		in.Fleet.live.each(func(i int) { clusters = append(clusters, *in.Fleet.at(i)) })
	}
	slices.SortFunc(clusters, func(a, b Cluster) int { return cmp.Compare(a.Agent, b.Agent) })
	var removals []Change
	picks, consent := 0, true // what leaves, leaves because consent is gone
	for _, c := range clusters {
		was, assigned := in.Prior[c.Agent]
		v := match(in.Subject, c, assigned && was.State == delivery.Assigned, now)
		d.Verdicts = append(d.Verdicts, v)
		if v.Picked {
			picks++
		}
		switch {
		case v.Picked && (!assigned || was.State != delivery.Assigned || was.Object != in.Subject.Newest.ID):
			d.Changes = append(d.Changes, Change{Agent: c.Agent, State: delivery.Assigned, Object: in.Subject.Newest.ID, Reason: why(v), Version: c.Version})
		case !v.Picked && assigned && was.State == delivery.Assigned && removes(v):
			removals = append(removals, Change{Agent: c.Agent, State: delivery.Removing, Object: was.Object, Reason: why(v), Version: c.Version})
			consent = consent && slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == RuleConsent })
		}
	}
	// That a policy is gone is no wish that the stack be gone from everywhere, neither at once nor at a later look.
	held := in.Subject.Hold != nil && in.Subject.Hold.Cause == HoldNowhere
	nowhere := (in.Subject.Decided != nil || held) && in.Subject.Policy == nil && picks == 0 && !consent
	if hold := brake(in, removals, now, nowhere); hold != nil {
		d.Hold, d.WakeAt = hold, in.Brake.RoomFor(in.Subject, hold, now)
	} else {
		d.Changes = append(d.Changes, removals...)
	}
	slices.SortFunc(d.Changes, func(a, b Change) int { return cmp.Compare(a.Agent, b.Agent) })
	return d
}

// removes reports whether a refusal is a positive reason to remove. That no object is published is not: it would make a
// failed read of objects a removal.
func removes(v Verdict) bool {
	return !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == RuleNoObject })
}

// match matches plainly. What is there already stays where something new would not come.
func match(s Subject, c Cluster, assigned bool, now time.Time) Verdict {
	v := Verdict{Agent: c.Agent, Cluster: c.Name}
	refuse := func(r Rule, wanted, observed, message string) Verdict {
		v.Reasons = append(v.Reasons, Reason{Rule: r, Wanted: wanted, Observed: observed, Message: message})
		return v
	}
	switch {
	case s.Deleted:
		return refuse(RuleDeleted, "", "", "the stack is deleted")
	case s.Newest == nil:
		return refuse(RuleNoObject, "a deployment object", "none", "nothing has been published to the stack")
	case s.Newest.Marker:
		return refuse(RuleMarker, "", "", "the newest deployment object is a deletion marker")
	case !c.Generators[s.Generator]:
		return refuse(RuleConsent, "an approved registration with the stack's generator", "none",
			"the agent has no approved registration with the stack's generator")
	}
	if c.Targets[s.Stack] {
		v.Reasons = append(v.Reasons, Reason{Rule: RuleTarget, Message: "the stack is an explicit target of the agent"})
	}
	for _, l := range sorted(s.Labels) {
		if c.Labels[l] {
			v.Reasons = append(v.Reasons, Reason{Rule: RuleLabel, Wanted: l, Observed: l, Message: fmt.Sprintf("both have the label %q", l)})
		}
	}
	for _, k := range sorted(s.Annotations) {
		if val := s.Annotations[k]; c.Annotations[k] == val {
			if _, has := c.Annotations[k]; has {
				kv := k + "=" + val
				v.Reasons = append(v.Reasons, Reason{Rule: RuleAnnotation, Wanted: kv, Observed: kv, Message: fmt.Sprintf("both have the annotation %q", kv)})
			}
		}
	}
	if len(v.Reasons) > 0 {
		v.Picked = true
		if c.Cordon == nil && c.Drain == nil && len(c.Taints) == 0 {
			return v
		}
		stands := place
		var reasons []Reason
		owners(s, &c, nil, now, func(limit stand, r Rule, wanted, observed, message string) {
			stands = min(stands, limit)
			reasons = append(reasons, Reason{Rule: r, Wanted: wanted, Observed: observed, Message: message})
		})
		if stands == leave || (stands != place && !assigned) {
			v.Picked, v.Reasons = false, reasons
		}
		return v
	}
	return refuse(RuleNoMatch, describe(s.Labels, s.Annotations), describe(c.Labels, c.Annotations),
		"no explicit target, no shared label and no shared annotation")
}

func describe(labels map[string]bool, annotations map[string]string) string {
	parts := sorted(labels)
	for _, k := range sorted(annotations) {
		parts = append(parts, k+"="+annotations[k])
	}
	if len(parts) == 0 {
		return "no labels or annotations"
	}
	const most = 20
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, ", ")
}

func why(v Verdict) string {
	parts := make([]string, 0, len(v.Reasons))
	for _, r := range v.Reasons {
		parts = append(parts, r.Message)
	}
	return strings.Join(parts, "; ")
}

// brake returns the hold under which removals wait, or nil. What a user names himself is not braked: a deleted stack
// or a deletion marker says exactly what goes.
// Nowhere says that the stack would be left without a cluster; under a policy that needs approval too.
func brake(in Input, removals []Change, now time.Time, nowhere bool) *Hold {
	s := in.Subject
	if len(removals) == 0 || s.Over() || in.Brake.Share <= 0 {
		return nil
	}
	has := in.Prior.Assigned()
	h := Hold{Since: now, Of: has}
	for _, r := range removals {
		h.Removes = append(h.Removes, r.Agent)
	}
	h.Fingerprint = fingerprint(s.Stack, h.Removes)
	same := s.Hold != nil && s.Hold.Fingerprint == h.Fingerprint
	if same && s.Approved != 0 && s.Approved == s.Generation {
		return nil
	}
	n, left, ahead := len(removals), math.MaxInt, 0
	if in.Brake.Fleet != nil {
		left, ahead = in.Brake.Fleet.Left(now), in.Brake.Waiting.Ahead(s, in.Brake.Fleet, now)
	}
	switch {
	case n >= in.Brake.AtOne && float64(n) > in.Brake.Share*float64(has):
		h.Cause = HoldShare
		h.Reason = fmt.Sprintf("would remove the stack from %d of its %d clusters at once, more than %.0f %%", n, has, in.Brake.Share*100)
	case s.Hold != nil && s.Hold.stays() && overlap(s.Hold.Removes, h.Removes):
		h.Cause, h.Reason = s.Hold.Cause, s.Hold.Reason // a part of what waits for approval is still among the removals
	case nowhere: // also where the window has no room: that alone would let it go
		h.Cause = HoldNowhere
		h.Reason = fmt.Sprintf("would leave the stack without any cluster, where it has %d now", has)
	case n > left-ahead:
		h.Cause = HoldFleet
		h.Reason = fmt.Sprintf("would remove %d assignments where the fleet's window admits %d more", n, left)
		if ahead > 0 {
			h.Reason += ", and others have waited for longer"
		}
	default:
		return nil
	}
	switch {
	case same && s.Hold.Cause == h.Cause:
		return s.Hold
	case h.Cause == HoldFleet && s.Hold != nil && s.Hold.Cause == HoldFleet:
		h.Since = s.Hold.Since // it keeps its place, whatever it is by now that waits
	case same && h.Cause != HoldFleet:
		h.Since = s.Hold.Since
	}
	return &h
}

// stays reports whether only an approval ends the hold, or that nothing of it would be removed.
func (h *Hold) stays() bool { return h.Cause == HoldShare || h.Cause == "" }

// RoomFor is when the fleet's window has room for what it holds of s, if nothing else happens; nil: it holds nothing, or never has.
func (b Brake) RoomFor(s Subject, h *Hold, now time.Time) *time.Time {
	if h == nil || h.Cause != HoldFleet || b.Fleet == nil {
		return nil
	}
	n, most, ahead := len(h.Removes), b.Fleet.left(0), b.Waiting.Ahead(s, b.Fleet, now)
	if ahead == 0 || n > most {
		return b.Fleet.RoomAt(n, now)
	}
	if at := b.Fleet.RoomAt(min(n+ahead, most), now); at != nil {
		return at
	}
	at := b.Fleet.look(now) // there is room, which those that go before have not taken yet
	return &at
}

// overlap reports whether two lists, which are in order, have one in common.
func overlap(a, b []agent.ID) bool {
	return slices.ContainsFunc(a, func(x agent.ID) bool { _, found := slices.BinarySearch(b, x); return found })
}

func fingerprint(s stack.ID, removes []agent.ID) string {
	h := sha256.New()
	fmt.Fprintln(h, s)
	for _, a := range removes {
		fmt.Fprintln(h, a)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Differs reports whether Decide without a policy could change the assignment of c: a cheap test that says which stacks a change of one
// cluster concerns.
func Differs(s Subject, c Cluster, prior Prior) bool {
	was, assigned := prior[c.Agent]
	if !assigned && !mayMatch(s, c) {
		return false
	}
	v := match(s, c, assigned && was.State == delivery.Assigned, time.Time{}) // nothing is tolerated for a time here
	if v.Picked {
		return !assigned || was.State != delivery.Assigned || was.Object != s.Newest.ID
	}
	return assigned && was.State == delivery.Assigned && removes(v)
}

// mayMatch reports whether the cluster and the stack have something in common that picks it, leaving open what keeps it away.
func mayMatch(s Subject, c Cluster) bool {
	if !c.Generators[s.Generator] {
		return false
	}
	if c.Targets[s.Stack] {
		return true
	}
	for l, has := range s.Labels {
		if has && c.Labels[l] {
			return true
		}
	}
	for k, v := range s.Annotations {
		if x, has := c.Annotations[k]; has && x == v {
			return true
		}
	}
	return false
}

// News reports whether d is worth a commit: it changes an assignment, what is held, or what cannot be made for clusters.
func (d Decision) News(s Subject) bool {
	if len(d.Changes) > 0 || !SameBlocked(d.Blocked, s.Blocked) || (d.Hold == nil) != (s.Hold == nil) {
		return true
	}
	return d.Hold != nil && (d.Hold.Fingerprint != s.Hold.Fingerprint || d.Hold.Reason != s.Hold.Reason)
}

// Calm reports whether d is just what is there already: nothing changes, is held or lacks.
func (d Decision) Calm() bool { return len(d.Changes) == 0 && d.Hold == nil && d.Unmet == nil }
