package placement

import (
	"math"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// bucket is the candidates of one combination of domains, as a heap with the best first.
type bucket struct {
	heap []int32 // of cands
	any  int32   // one slot of it, for its domains
}

// better says which of two candidates comes first, deficit of the spread aside.
func (r *run) better(a, b *candidate) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	if a.incumbent != b.incumbent {
		return a.incumbent
	}
	if a.hash != b.hash {
		return a.hash < b.hash
	}
	return r.f.slots[a.slot].Agent < r.f.slots[b.slot].Agent
}

// first orders within a bucket, where all have the same deficit.
func (r *run) first(a, b int32) bool {
	x, y := &r.cands[a], &r.cands[b]
	if x.must != y.must {
		return x.must
	}
	if x.tier != y.tier {
		return x.tier < y.tier
	}
	return r.better(x, y)
}

func (r *run) down1(h []int32, i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && r.first(h[child], h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// fill puts the candidates into their buckets.
func (r *run) fill() {
	r.buckets = r.buckets[:0]
	r.order = zeros(r.order, len(r.cands))
	if len(r.domains) == 0 {
		for i := range r.order {
			r.order[i] = int32(i)
		}
		if len(r.order) > 0 {
			r.buckets = append(r.buckets, bucket{heap: r.order, any: r.cands[0].slot})
		}
	} else {
		r.sortByDomain()
	}
	for _, b := range r.buckets {
		for i := len(b.heap)/2 - 1; i >= 0; i-- {
			r.down1(b.heap, i)
		}
	}
}

// sortByDomain groups by the combination of domains: by counting, one pass for each spread, the last first.
func (r *run) sortByDomain() {
	for i := range r.order {
		r.order[i] = int32(i)
	}
	next := zeros(r.byDomain, len(r.order))
	r.byDomain = next
	for s := len(r.domains) - 1; s >= 0; s-- {
		col := r.domains[s]
		counts := r.counts[r.offsets[s] : r.offsets[s]+len(col.names)]
		clear(counts)
		for _, o := range r.order {
			counts[col.domains[r.cands[o].slot]]++
		}
		sum := int32(0)
		for d, n := range counts {
			counts[d], sum = sum, sum+n
		}
		for _, o := range r.order {
			d := col.domains[r.cands[o].slot]
			next[counts[d]] = o
			counts[d]++
		}
		r.order, next = next, r.order
	}
	r.byDomain = next
	clear(r.counts)
	for from := 0; from < len(r.order); {
		slot := r.cands[r.order[from]].slot
		to := from + 1
		for to < len(r.order) && r.same(slot, r.cands[r.order[to]].slot) {
			to++
		}
		r.buckets = append(r.buckets, bucket{heap: r.order[from:to], any: slot})
		from = to
	}
}

func (r *run) same(a, b int32) bool {
	for _, col := range r.domains {
		if col.domains[a] != col.domains[b] {
			return false
		}
	}
	return true
}

// choose picks up to most candidates: each time the best of those that the spread admits. Pins count before.
func (r *run) choose(most int) int {
	clear(r.picked)
	clear(r.counts)
	n := 0
	r.pins.each(func(i int) {
		if s, _, _ := r.judge(i, nil); s == place || (s != leave && r.prior.has(i)) {
			r.picked.add(i)
			n++
			r.counted(int32(i))
		}
	})
	r.fill()
	r.eligible()
	for n < most {
		best := -1
		var bestDeficit int32
		for b := range r.buckets {
			if len(r.buckets[b].heap) == 0 {
				continue
			}
			deficit, ok := r.admits(r.buckets[b].any, r.cands[r.buckets[b].heap[0]].must)
			if !ok {
				continue
			}
			if best < 0 || r.before(r.buckets[b].heap[0], deficit, r.buckets[best].heap[0], bestDeficit) {
				best, bestDeficit = b, deficit
			}
		}
		if best < 0 {
			break
		}
		h := r.buckets[best].heap
		slot := r.cands[h[0]].slot
		h[0] = h[len(h)-1]
		r.buckets[best].heap = h[:len(h)-1]
		r.down1(r.buckets[best].heap, 0)
		r.picked.add(int(slot))
		r.counted(slot)
		n++
	}
	return n
}

// before compares the best of two buckets: what may not move, group, deficit, points, incumbency, hash.
func (r *run) before(a int32, deficitA int32, b int32, deficitB int32) bool {
	x, y := &r.cands[a], &r.cands[b]
	if x.must != y.must {
		return x.must
	}
	if x.tier != y.tier {
		return x.tier < y.tier
	}
	if deficitA != deficitB {
		return deficitA < deficitB
	}
	return r.better(x, y)
}

func (r *run) counted(slot int32) {
	for s, col := range r.domains {
		r.counts[r.offsets[s]+int(col.domains[slot])]++
	}
}

// eligible notes which domains have a candidate or a pin.
func (r *run) eligible() {
	if cap(r.seen) < len(r.counts) {
		r.seen = make([]bool, len(r.counts))
	}
	r.seen = r.seen[:len(r.counts)]
	for d, n := range r.counts {
		r.seen[d] = n > 0
	}
	for i := range r.buckets {
		for s, col := range r.domains {
			r.seen[r.offsets[s]+int(col.domains[r.buckets[i].any])] = true
		}
	}
	for s, col := range r.domains {
		if col.nowhere >= 0 && r.c.document.Spread[s].WhenUnsatisfiable != policy.Prefer {
			r.seen[r.offsets[s]+int(col.nowhere)] = false
		}
	}
}

// admits returns how full the domains of a slot are (less comes first), and whether every spread that refuses admits one
// more there. Where clusters have the stack whose domain is not known, what must stay (must) may be beyond the skew by as many.
func (r *run) admits(slot int32, must bool) (deficit int32, ok bool) {
	for s, col := range r.domains {
		spread := &r.c.document.Spread[s]
		n := r.counts[r.offsets[s]+int(col.domains[slot])]
		deficit += n
		if spread.WhenUnsatisfiable == policy.Prefer || col.domains[slot] == col.nowhere {
			continue
		}
		most := int32(spread.MaxSkew)
		if must {
			most += r.hidden[s]
		}
		low, domains := int32(math.MaxInt32), 0
		for d := range col.names {
			if r.seen[r.offsets[s]+d] {
				domains++
				low = min(low, r.counts[r.offsets[s]+d])
			}
		}
		if domains < spread.MinDomains {
			low = 0
		}
		if n+1-low > most {
			return 0, false
		}
	}
	return deficit, true
}

// collect finds the candidates among the slots that are not pinned.
func (r *run) collect() {
	r.cands = r.cands[:0]
	for w := range r.consent {
		word := r.consent[w] &^ r.pins[w]
		fits := r.sets[0].yes[w] | (r.sets[0].unknown[w] & r.prior[w])
		one := set{word & fits}
		one.each(func(bit int) { r.consider(w<<6 + bit) })
	}
}

func (r *run) consider(i int) {
	s, group, shy := r.judge(i, nil)
	incumbent := r.prior.has(i)
	if s == leave || (s != place && !incumbent) {
		return
	}
	c := candidate{slot: int32(i), incumbent: incumbent, score: r.score(i), hash: mix(r.seed, r.f.hashes[i]), tier: int32(group) << 1}
	if shy {
		c.tier |= 1
	}
	if s == last {
		c.tier = math.MaxInt32
	}
	if incumbent {
		c.since = r.in.Prior[r.f.slots[i].Agent].Since
		c.must = r.blind && c.tier != math.MaxInt32
	} else if r.lostInSpread(c.slot) {
		return // nothing new comes where it is not known where that is
	}
	r.cands = append(r.cands, c)
}

// settle chooses, and holds back moves that stickiness forbids. It returns how many picks there are and how many clusters
// that fit were left for better ones.
func (r *run) settle() (picks, moves int) {
	most := math.MaxInt
	if r.count() {
		most = r.c.document.Strategy.Count.Max
	}
	picks = r.choose(most)
	losers, surplus := r.losers(most)
	if s := r.c.document.Stickiness; s != nil && losers > 0 && (s.MinDwell > 0 || s.MaxMovesPerHour > 0) && r.protect(s, losers, surplus) {
		picks = r.choose(most)
		losers, surplus = r.losers(most)
	}
	return picks, max(losers-surplus, 0)
}

// losers counts the incumbents that fit and were not picked, and how many of them are too many anyway.
func (r *run) losers(most int) (losers, surplus int) {
	incumbents := 0
	for i := range r.cands {
		if c := &r.cands[i]; c.incumbent && c.tier != math.MaxInt32 {
			incumbents++
			if !r.picked.has(int(c.slot)) {
				losers++
			}
		}
	}
	pins := r.pins.count()
	if most < math.MaxInt {
		surplus = max(0, incumbents+pins-most)
	}
	return losers, surplus
}

// protect marks the losers that may not be moved now, and says when that changes. It reports whether there are any.
func (r *run) protect(s *policy.Stickiness, losers, surplus int) bool {
	any, free := false, losers
	mark := func(c *candidate) { c.must, any = true, true; free-- }
	for i := range r.cands {
		c := &r.cands[i]
		if end := c.since.Add(time.Duration(s.MinDwell)); c.incumbent && c.tier != math.MaxInt32 && end.After(r.now) {
			if r.picked.has(int(c.slot)) {
				c.must, any = true, true
				continue
			}
			r.wakeAt(end)
			mark(c)
		}
	}
	if s.MaxMovesPerHour == 0 {
		return any
	}
	recent := 0
	var oldest time.Time
	for _, t := range r.in.Moved {
		if end := t.Add(time.Hour); end.After(r.now) {
			recent++
			oldest = sooner(oldest, end)
		}
	}
	allowed := surplus + max(0, s.MaxMovesPerHour-recent)
	if free <= allowed {
		return any
	}
	if oldest.IsZero() {
		oldest = r.now.Add(time.Hour)
	}
	r.wakeAt(oldest)
	order := make([]int32, 0, free)
	for i := range r.cands {
		if c := &r.cands[i]; c.incumbent && c.tier != math.MaxInt32 && !r.picked.has(int(c.slot)) && !c.must {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		if r.first(a, b) {
			return -1
		}
		return 1 // no two are equal
	})
	keep := free - allowed
	for i := range r.cands { // what was picked stays picked: the moves that are left are for the worst
		if c := &r.cands[i]; c.incumbent && r.picked.has(int(c.slot)) {
			c.must = true
		}
	}
	for _, i := range order[:min(keep, len(order))] {
		mark(&r.cands[i])
	}
	return any
}
