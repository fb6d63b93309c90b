package placement

import (
	"math/bits"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// outage: a domain of which at least two clusters, and at least half, are unreachable is not left by failover: it is then
// likelier that the network is broken than that the clusters are.
const outageMin, outageShare = 2, 2

// defaultUnreachable is how long a cluster must be unreachable before failover.
const defaultUnreachable = 5 * time.Minute

// run is one decision at work; its memory is used again.
type run struct {
	in      Input
	c       *Compiled
	f       *Fleet
	m       *memory
	now     time.Time
	wake    time.Time
	explain bool

	sets     []sets // of the policy's clusters, then of each group
	peers    []set  // where each of Compiled.Peers is
	consent  set
	pins     set
	prior    set // where the stack is assigned
	fixed    set // of a strategy that names agents
	grouped  set // in one of the groups
	sure     set // the stack may come and stay, without a look at it
	out      set // it may neither
	plain    set // that it does not fit is all there is to tell of it
	frozen   bool
	domains  []*domains // by spread
	down     []int32    // by domain of all spreads: clusters that fit, and of them unreachable
	offsets  []int      // of each spread's domains in down and counts
	cands    []candidate
	order    []int32
	buckets  []bucket
	byDomain []int32
	counts   []int32
	seen     []bool
	hidden   []int32 // by spread: clusters with the stack whose domain is not known
	blind    bool    // there are some
	picked   set
	scales   []*points // by preference
	texts    []*texts  // the same, of what points rest on
	told     []fill    // by domain of all spreads
	atMost   string    // how many clusters there may be, as it is told; empty: not asked yet
	seed     uint64
}

// fill is how full a domain is, as it is told; thousands of clusters are refused for the same.
type fill struct {
	picked int32
	text   string // empty: not asked yet
}

type candidate struct {
	score     int64
	hash      uint64
	slot      int32
	tier      int32
	incumbent bool
	must      bool // it may not be moved now
}

func (r *run) count() bool { return r.c.document.Strategy.Type == policy.Count }

// begin prepares everything that is known before clusters are looked at one by one.
func (r *run) begin() {
	n := r.f.words()
	r.consent, r.pins, r.prior, r.picked = r.consent.empty(n), r.pins.empty(n), r.prior.empty(n), r.picked.empty(n)
	copy(r.consent, r.m.consent(r.in.Subject.Generator, r.f, r.now))
	for a, x := range r.in.Prior {
		if i, ok := r.f.byAgent[a]; ok && x.State == delivery.Assigned {
			r.prior.add(i)
		}
	}
	for w := range r.consent {
		for word := r.consent[w] & r.f.targeted[w]; word != 0; word &= word - 1 {
			if i := w<<6 + bits.TrailingZeros64(word); r.f.at(i).Targets[r.in.Subject.Stack] {
				r.pins.add(i)
			}
		}
	}
	r.seed = digest(string(r.in.Subject.Stack))
	r.choices()
	r.scales = r.scales[:0]
	for _, k := range r.c.scales {
		r.scales = append(r.scales, r.m.scale(k, r.f, r.now))
	}
	r.domains, r.offsets = r.domains[:0], r.offsets[:0]
	total := 0
	for _, s := range r.c.document.Spread {
		d := r.m.domain(s.By, r.f, r.now)
		r.domains, r.offsets = append(r.domains, d), append(r.offsets, total)
		total += len(d.names)
	}
	for _, fact := range r.c.facts {
		r.wakeAt(r.m.until(fact, r.f, r.now))
	}
	r.hide()
	r.atMost = ""
	r.counts = zeros(r.counts, total)
	r.told = zeros(r.told, total)
	r.down = zeros(r.down, 2*total)
	r.peerSets(n)
	r.outages()
}

// choices finds which clusters fit: of those that matter to a decision, or of all if each is to be explained.
func (r *run) choices() {
	n := r.f.words()
	matter := r.m.lend(n)
	defer r.m.back(matter)
	of := matter.yes
	for w := range of {
		of[w] = r.consent[w] | r.prior[w]
		if r.explain {
			of[w] = r.f.live[w]
		}
	}
	for len(r.sets) < 1+len(r.c.groups) {
		r.sets = append(r.sets, sets{})
	}
	r.sets = r.sets[:1+len(r.c.groups)]
	r.c.clusters.over(r.m, r.f, r.now, of, &r.sets[0])
	r.grouped = r.grouped.empty(n)
	if len(r.c.groups) == 0 {
		copy(r.grouped, of)
	}
	fit := r.m.lend(n)
	for w := range fit.yes {
		fit.yes[w] = r.sets[0].yes[w] | r.sets[0].unknown[w]
	}
	for g := range r.c.groups {
		s := &r.sets[1+g]
		r.c.groups[g].over(r.m, r.f, r.now, fit.yes, s)
		for w := range r.grouped {
			r.grouped[w] |= s.yes[w]
		}
	}
	r.m.back(fit)
	r.fixed = r.fixed.empty(n)
	for _, a := range r.c.document.Strategy.Fixed {
		if i, ok := r.f.byAgent[a]; ok {
			r.fixed.add(i)
		}
	}
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
			if col.of[i] == col.nowhere {
				r.hidden[s]++
				r.blind = true
			}
		})
	}
}

// found reports whether clusters that were hidden leave. They are hidden no longer: where they leave from, the stack is not, whichever domain
// that may be. There are only ever fewer, so that choosing anew comes to an end.
func (r *run) found() bool {
	less := false
	r.blind = false
	for s, col := range r.domains {
		n := int32(0)
		if r.hidden[s] > 0 {
			r.prior.each(func(i int) {
				if col.of[i] == col.nowhere && r.picked.has(i) {
					n++
				}
			})
		}
		if n < r.hidden[s] {
			r.hidden[s], less = n, true
		}
		r.blind = r.blind || r.hidden[s] > 0
	}
	if less && !r.blind {
		for i := range r.cands {
			r.cands[i].must = false
		}
	}
	return less
}

// lostIn returns which spread that refuses asks for a domain that is not known of the slot; -1: none.
func (r *run) lostIn(slot int32) int {
	for s, col := range r.domains {
		if col.nowhere >= 0 && col.of[slot] == col.nowhere && r.c.document.Spread[s].WhenUnsatisfiable != policy.Prefer {
			return s
		}
	}
	return -1
}

func zeros[T any](s []T, n int) []T {
	if cap(s) < n {
		s = make([]T, n)
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
		r.peers[j] = r.peers[j].empty(n)
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
	away := 0
	for w := range r.consent {
		away += bits.OnesCount64(r.consent[w] & r.f.unreachable[w])
	}
	if away < outageMin || !r.failover() {
		return
	}
	all := 0
	away = 0
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
			d := 2 * (r.offsets[s] + int(col.of[i]))
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
		d := 2 * (r.offsets[s] + int(col.of[i]))
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

// sooner returns the earlier of two moments of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
