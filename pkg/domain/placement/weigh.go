package placement

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// stand is what may become of a stack in one cluster.
type stand uint8

const (
	leave stand = iota // it must not be there
	last               // it stays only where nothing else is to be had: failover
	keep               // it may stay, not come
	place              // it may come and stay
)

// outage: a domain of which at least two clusters, and at least half, are unreachable is not left by failover: it is then
// likelier that the network is broken than that the clusters are.
const outageMin, outageShare = 2, 2

// defaultUnreachable is how long a cluster must be unreachable before failover.
const defaultUnreachable = 5 * time.Minute

// run is one decision at work; its memory is used again.
type run struct {
	in   Input
	c    *Compiled
	f    *Fleet
	now  time.Time
	wake time.Time

	sets     []sets
	peers    []set // where each of Compiled.Peers is
	consent  set
	pins     set
	prior    set // where the stack is assigned
	frozen   bool
	domains  []*column // by spread
	down     []int32   // by domain of all spreads: clusters that fit, and of them unreachable
	offsets  []int     // of each spread's domains in down and counts
	cands    []candidate
	order    []int32
	buckets  []bucket
	byDomain []int32
	counts   []int32
	seen     []bool
	hidden   []int32 // by spread: clusters with the stack whose domain is not known
	blind    bool    // there are some
	picked   set
	columns  []*column // by preference
	seed     uint64
}

type candidate struct {
	slot      int32
	tier      int32
	incumbent bool
	must      bool // it may not be moved now
	since     time.Time
	score     int64
	hash      uint64
}

func (r *run) count() bool { return r.c.document.Strategy.Type == policy.Count }

func resized(s set, n int) set {
	words := (n + 63) / 64
	if cap(s) < words {
		s = make(set, words)
	}
	s = s[:words]
	clear(s)
	return s
}

// begin prepares everything that is known before clusters are looked at one by one.
func (r *run) begin() {
	n := len(r.f.slots)
	r.sets = grown(r.sets, 1+len(r.c.groups), n)
	r.wake = r.c.fit(r.f, r.now, r.sets)
	r.consent, r.pins, r.prior, r.picked = resized(r.consent, n), resized(r.pins, n), resized(r.prior, n), resized(r.picked, n)
	copy(r.consent, r.f.generators[r.in.Subject.Generator])
	for a, x := range r.in.Prior {
		if i, ok := r.f.byAgent[a]; ok && x.State == delivery.Assigned {
			r.prior.add(i)
		}
	}
	r.consent.each(func(i int) {
		if r.f.slots[i].Targets[r.in.Subject.Stack] {
			r.pins.add(i)
		}
	})
	r.seed = digest(string(r.in.Subject.Stack))
	r.columns = r.columns[:0]
	for _, p := range r.c.document.Prefer {
		var col *column
		if !p.Balance {
			col = r.f.column(p.Property, r.now, true)
			r.wakeAt(col.until)
		}
		r.columns = append(r.columns, col)
	}
	r.domains, r.offsets = r.domains[:0], r.offsets[:0]
	total := 0
	for _, s := range r.c.document.Spread {
		col := r.f.column(s.By, r.now, false)
		r.wakeAt(col.until)
		r.domains, r.offsets = append(r.domains, col), append(r.offsets, total)
		total += len(col.names)
	}
	r.hide()
	r.counts = zeros(r.counts, total)
	r.down = zeros(r.down, 2*total)
	r.peerSets(n)
	r.outages()
}

// hide counts the clusters with the stack whose domain is not known just now. They may be in any, so that the spread is no
// reason to take the stack from where it is.
func (r *run) hide() {
	r.hidden, r.blind = zeros(r.hidden, len(r.domains)), false
	for s, col := range r.domains {
		if col.nowhere < 0 || r.c.document.Spread[s].WhenUnsatisfiable == policy.Prefer {
			continue
		}
		r.prior.each(func(i int) {
			if col.domains[i] == col.nowhere {
				r.hidden[s]++
				r.blind = true
			}
		})
	}
}

// lostInSpread reports whether a spread that refuses asks for a domain that is not known of the slot.
func (r *run) lostInSpread(slot int32) bool {
	for s, col := range r.domains {
		if col.nowhere >= 0 && col.domains[slot] == col.nowhere && r.c.document.Spread[s].WhenUnsatisfiable != policy.Prefer {
			return true
		}
	}
	return false
}

func zeros(s []int32, n int) []int32 {
	if cap(s) < n {
		s = make([]int32, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func (r *run) peerSets(n int) {
	names := r.c.document.Affinity
	if names == nil {
		r.peers = r.peers[:0]
		return
	}
	total := len(names.WithStacks) + len(names.ApartFromStacks)
	for len(r.peers) < total {
		r.peers = append(r.peers, nil)
	}
	r.peers = r.peers[:total]
	at := func(j int) string {
		if j < len(names.WithStacks) {
			return names.WithStacks[j]
		}
		return names.ApartFromStacks[j-len(names.WithStacks)]
	}
	for j := range r.peers {
		r.peers[j] = resized(r.peers[j], n)
		for a, x := range r.in.Peers[at(j)] {
			if i, ok := r.f.byAgent[a]; ok && x.State == delivery.Assigned {
				r.peers[j].add(i)
			}
		}
	}
}

// outages finds where so much is unreachable at once that nothing fails over.
func (r *run) outages() {
	r.frozen = false
	if !r.failover() {
		return
	}
	all, away := 0, 0
	r.consent.each(func(i int) {
		if _, fits := r.fits(i); fits == no {
			return
		}
		down := r.f.unreachable.has(i)
		all++
		if down {
			away++
		}
		for s, col := range r.domains {
			d := 2 * (r.offsets[s] + int(col.domains[i]))
			r.down[d]++
			if down {
				r.down[d+1]++
			}
		}
	})
	r.frozen = away >= outageMin && away*outageShare >= all
}

func (r *run) outage(i int) bool {
	if r.frozen {
		return true
	}
	for s, col := range r.domains {
		d := 2 * (r.offsets[s] + int(col.domains[i]))
		if r.down[d+1] >= outageMin && r.down[d+1]*outageShare >= r.down[d] {
			return true
		}
	}
	return false
}

func (r *run) failover() bool {
	f := r.c.document.Failover
	return f != nil && f.Enabled && r.count()
}

func (r *run) wakeAt(t time.Time) {
	if t.After(r.now) {
		r.wake = sooner(r.wake, t)
	}
}

// fits returns the first group that the slot fits, and whether it fits at all.
func (r *run) fits(i int) (group int, a answer) {
	switch {
	case r.sets[0].yes.has(i):
		a = yes
	case r.sets[0].unknown.has(i):
		a = unknown
	default:
		return 0, no
	}
	if len(r.c.groups) == 0 {
		return 0, a
	}
	best, at := no, 0
	for g := range r.c.groups {
		if r.sets[1+g].yes.has(i) {
			return g, a
		}
		if best == no && r.sets[1+g].unknown.has(i) {
			best, at = unknown, g
		}
	}
	return at, min(a, best)
}

// judge says what may become of the stack in a slot. Reasons are added to why, if it is not nil: one for each rule that
// does not admit it without conditions.
func (r *run) judge(i int, why *[]Reason) (s stand, group int, shy bool) {
	c := r.f.slots[i]
	s = place
	say := func(limit stand, rule Rule, wanted, observed, message string) {
		s = min(s, limit)
		if why != nil {
			*why = append(*why, Reason{Rule: rule, Wanted: wanted, Observed: observed, Message: message})
		}
	}
	if !r.consent.has(i) {
		say(leave, RuleConsent, "an approved registration with the stack's generator", "none", "the agent has no approved registration with the stack's generator")
	}
	pinned := r.pins.has(i)
	if !pinned {
		group = r.wanted(i, why, say)
	}
	if r.f.marked.has(i) {
		shy = r.marks(c, pinned, i, say)
	}
	if pinned {
		return s, 0, shy
	}
	if n := r.c.needs; n != (cluster.Resources{}) && !r.prior.has(i) && (s == place || why != nil) {
		r.capacity(c, n, say)
	}
	if a := r.c.document.Affinity; a != nil {
		r.affinity(a, i, say)
	}
	return s, group, shy
}

type sayer func(limit stand, rule Rule, wanted, observed, message string)

// wanted asks the selector, the groups and the fixed agents.
func (r *run) wanted(i int, why *[]Reason, say sayer) int {
	c := r.f.slots[i]
	group, a := r.fits(i)
	limit := place
	switch a {
	case no:
		limit = leave
	case unknown:
		limit = keep
	case yes:
	}
	if a != yes {
		if why == nil {
			say(limit, RuleNoMatch, "", "", "")
		} else {
			reasons := r.c.clusters.explain(c, r.now)
			if len(reasons) == 0 { // it is the groups
				for g := range r.c.groups {
					reasons = append(reasons, r.c.groups[g].explain(c, r.now)...)
				}
				say(limit, RuleGroup, "one of the policy's groups", "none", "the cluster is in none of the policy's groups")
			}
			for _, x := range reasons {
				say(limit, x.Rule, x.Wanted, x.Observed, x.Message)
			}
		}
	}
	if st := r.c.document.Strategy; st.Type == policy.Fixed && !slices.Contains(st.Fixed, c.Agent) {
		say(leave, RuleFixed, "one of the policy's fixed agents", string(c.Agent), "the agent is none of the policy's fixed ones")
	}
	return group
}

// marks asks what the cluster's owners say and whether it is there. It reports whether others are taken first.
func (r *run) marks(c *Cluster, pinned bool, i int, say sayer) (shy bool) {
	if c.Status == agent.Inactive {
		say(keep, RuleInactive, "an active agent", "inactive", "the agent is not active")
	}
	shy, until := owners(r.in.Subject, c, r.c.document.Tolerations, r.now, say)
	r.wakeAt(until)
	if c.UnreachableSince == nil || pinned || !r.count() {
		return shy
	}
	since := c.UnreachableSince.UTC().Format(time.RFC3339)
	say(keep, RuleUnreachable, "a cluster that is heard of", "unreachable since "+since, "the cluster is unreachable")
	if !r.failover() || !r.prior.has(i) {
		return shy
	}
	after := time.Duration(r.c.document.Failover.UnreachableAfter)
	if after == 0 {
		after = defaultUnreachable
	}
	due := c.UnreachableSince.Add(after)
	switch {
	case due.After(r.now):
		r.wakeAt(due)
	case r.outage(i):
		say(keep, RuleOutage, "fewer than half of the clusters unreachable at once", "an outage", "so many clusters are unreachable at once that the stack stays")
	default:
		say(last, RuleUnreachable, "a cluster that is heard of within "+after.String(), "unreachable since "+since, "the stack leaves for another cluster, if there is one")
	}
	return shy
}

// owners asks cordon, drain and taints. It reports whether others are taken first, and when this may change by itself.
func owners(s Subject, c *Cluster, tolerations []policy.Toleration, now time.Time, say sayer) (shy bool, until time.Time) {
	switch {
	case c.Drain.Evicts(s.Stack):
		say(leave, RuleDrain, "", c.Drain.Reason, "the cluster is drained")
	case c.Drain != nil:
		say(keep, RuleDrain, "", c.Drain.Reason, "the cluster is being drained; nothing new comes")
	case c.Cordon != nil:
		say(keep, RuleCordon, "", c.Cordon.Reason, "the cluster is cordoned; nothing new comes")
	}
	for _, t := range c.Taints {
		end, tolerated := tolerates(tolerations, t, now)
		if tolerated {
			if end.After(now) {
				until = sooner(until, end)
			}
			continue
		}
		what := t.Key
		if t.Value != "" {
			what += "=" + t.Value
		}
		switch t.Effect {
		case cluster.PreferNoPlace:
			shy = true
		case cluster.NoPlace:
			say(keep, RuleTaint, "a toleration", what+":"+string(t.Effect), fmt.Sprintf("the cluster has the taint %s, which keeps new stacks away", what))
		case cluster.Evict:
			say(leave, RuleTaint, "a toleration", what+":"+string(t.Effect), fmt.Sprintf("the cluster has the taint %s, which lets no stack stay", what))
		}
	}
	return shy, until
}

// tolerates reports whether a taint is tolerated now, and until when if not for ever.
func tolerates(ts []policy.Toleration, t cluster.Taint, now time.Time) (until time.Time, ok bool) {
	for _, x := range ts {
		if (x.Key != "" && x.Key != t.Key) || (x.Value != "" && x.Value != t.Value) || (x.Effect != "" && x.Effect != t.Effect) {
			continue
		}
		if x.Seconds == nil {
			return time.Time{}, true
		}
		if end := t.Since.Add(time.Duration(*x.Seconds) * time.Second); end.After(now) {
			ok = true
			if end.After(until) {
				until = end
			}
		}
	}
	return until, ok
}

func (r *run) capacity(c *Cluster, n cluster.Resources, say sayer) {
	if c.ReportedAt == nil || !c.Reported.Knows(cluster.PartNodes) || !c.Reported.Knows(cluster.PartRequested) {
		say(keep, RuleCapacity, "known resources", "none", "what is available in the cluster is not known")
		return
	}
	a := available(c)
	for _, x := range [...]struct {
		name         string
		needs, there int64
	}{{"cpu (millicores)", n.CPU, a.CPU}, {"memory (bytes)", n.Memory, a.Memory}, {"pods", n.Pods, a.Pods}, {"gpus", n.GPU, a.GPU}} {
		if x.needs > x.there {
			say(keep, RuleCapacity, fmt.Sprintf("%d %s", x.needs, x.name), fmt.Sprint(x.there), "not enough "+x.name+" is available")
		}
	}
}

func (r *run) affinity(a *policy.Affinity, i int, say sayer) {
	for j, name := range a.WithStacks {
		if _, known := r.in.Peers[name]; !known {
			say(keep, RuleAffinity, "with "+name, "unknown", fmt.Sprintf("where the stack %q is is not known", name))
		} else if !r.peers[j].has(i) {
			say(leave, RuleAffinity, "with "+name, "not there", fmt.Sprintf("the stack %q is not in this cluster", name))
		}
	}
	for j, name := range a.ApartFromStacks {
		if _, known := r.in.Peers[name]; known && r.peers[len(a.WithStacks)+j].has(i) {
			say(leave, RuleAffinity, "apart from "+name, "there", fmt.Sprintf("the stack %q is in this cluster", name))
		}
	}
}

// points of one preference on its absolute scale of 0 to 100, times the weight.
func (r *run) points(p int, i int) int64 {
	pref := &r.c.document.Prefer[p]
	weight := int64(max(pref.Weight, 1))
	if pref.Balance {
		load := r.f.slots[i].Load
		if r.prior.has(i) {
			load-- // it does not count against itself
		}
		return weight * 1600 / int64(16+max(load, 0))
	}
	n := r.columns[p].numbers[i]
	if math.IsNaN(n) {
		return 0
	}
	low, high := pref.Range[0], pref.Range[1]
	share := (min(max(n, low), high) - low) / (high - low)
	if pref.Order == "low" {
		share = 1 - share
	}
	return weight * int64(math.Round(share*100))
}

func (r *run) score(i int) int64 {
	var sum int64
	for p := range r.c.document.Prefer {
		sum += r.points(p, i)
	}
	if s := r.c.document.Stickiness; s != nil && r.prior.has(i) {
		sum += int64(s.Points)
	}
	return sum
}

// table is the score as it is told.
func (r *run) table(i int) []Score {
	var out []Score
	for p, pref := range r.c.document.Prefer {
		s := Score{Name: pref.Property, Weight: max(pref.Weight, 1), Points: r.points(p, i)}
		if pref.Balance {
			s.Name, s.Observed = "balance", fmt.Sprintf("%d stacks", r.f.slots[i].Load)
		} else {
			s.Observed = observe(r.f.slots[i], pref.Property, r.now).text()
		}
		out = append(out, s)
	}
	if s := r.c.document.Stickiness; s != nil && s.Points > 0 && r.prior.has(i) {
		out = append(out, Score{Name: "stickiness", Observed: "it is here already", Points: int64(s.Points)})
	}
	return out
}
