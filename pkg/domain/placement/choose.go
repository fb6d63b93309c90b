package placement

import (
	"math"
	"math/bits"

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
	return r.f.at(int(a.slot)).Agent < r.f.at(int(b.slot)).Agent
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

// fill puts the candidates into their buckets. It leaves nothing in counts that counts.
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
			counts[col.of[r.cands[o].slot]]++
		}
		sum := int32(0)
		for d, n := range counts {
			counts[d], sum = sum, sum+n
		}
		for _, o := range r.order {
			d := col.of[r.cands[o].slot]
			next[counts[d]] = o
			counts[d]++
		}
		r.order, next = next, r.order
	}
	r.byDomain = next
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
		if col.of[a] != col.of[b] {
			return false
		}
	}
	return true
}

// choose picks up to most candidates: each time the best of those that the spread admits. Pins count before.
func (r *run) choose(most int) int {
	clear(r.picked)
	r.fill()
	clear(r.counts)
	n := 0
	r.pins.each(func(i int) {
		if s, _, _ := r.judge(i, nil); s == place || (s != leave && r.prior.has(i)) {
			r.picked.add(i)
			n++
			r.counted(int32(i))
		}
	})
	r.eligible()
	for n < most {
		best := -1
		var bestDeficit int32
		for b := range r.buckets {
			if len(r.buckets[b].heap) == 0 {
				continue
			}
			deficit, against := r.admits(r.buckets[b].any, r.cands[r.buckets[b].heap[0]].must)
			if against >= 0 {
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
		r.counts[r.offsets[s]+int(col.of[slot])]++
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
			r.seen[r.offsets[s]+int(col.of[r.buckets[i].any])] = true
		}
	}
	for s, col := range r.domains {
		if col.nowhere >= 0 && r.c.document.Spread[s].WhenUnsatisfiable != policy.Prefer {
			r.seen[r.offsets[s]+int(col.nowhere)] = false
		}
	}
}

// admits returns how full the domains of a slot are (less comes first), and which spread that refuses does not admit one more there; -1:
// each does. Where clusters have the stack whose domain is not known, what must stay (must) may be beyond the skew by as many.
func (r *run) admits(slot int32, must bool) (deficit int32, against int) {
	for s, col := range r.domains {
		spread := &r.c.document.Spread[s]
		n := r.counts[r.offsets[s]+int(col.of[slot])]
		deficit += n
		if spread.WhenUnsatisfiable == policy.Prefer || col.of[slot] == col.nowhere {
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
			return 0, s
		}
	}
	return deficit, -1
}

// collect finds the candidates among the slots that are not pinned. Most of them are told by sets alone.
func (r *run) collect() {
	r.cands = r.cands[:0]
	r.surely()
	for w := range r.consent {
		fits := r.sets[0].yes[w] | (r.sets[0].unknown[w] & r.prior[w])
		for word := r.consent[w] &^ r.pins[w] & fits; word != 0; word &= word - 1 {
			i := w<<6 + bits.TrailingZeros64(word)
			switch bit := word & -word; {
			case r.sure[w]&bit != 0:
				g, _ := r.fits(i)
				r.candidate(i, place, g, false)
			case r.out[w]&bit == 0:
				s, group, shy := r.judge(i, nil)
				r.candidate(i, s, group, shy)
			}
		}
	}
}

// surely finds the slots of which sets alone tell that the stack may come and stay (sure), or that it is not to be there (out).
func (r *run) surely() {
	n := r.f.words()
	r.sure, r.out = r.sure.empty(n), r.out.empty(n)
	if r.c.document.Affinity != nil {
		return
	}
	fixed := r.c.document.Strategy.Type == policy.Fixed
	for w := range r.sure {
		r.sure[w] = r.sets[0].yes[w] & r.grouped[w] &^ r.f.marked[w]
		if fixed {
			r.sure[w] &= r.fixed[w]
			r.out[w] = ^r.fixed[w]
		}
	}
	if r.c.room == nil {
		return
	}
	room := r.m.ask(r.c.room, r.f, r.now, r.sure)
	for w := range r.sure {
		r.out[w] |= r.sure[w] &^ room.yes[w] &^ r.prior[w]
		r.sure[w] &^= r.out[w]
	}
}

// candidate takes a slot for one, if the stack may be there.
func (r *run) candidate(i int, s stand, group int, shy bool) {
	incumbent := r.prior.has(i)
	if s == leave || (s != place && !incumbent) {
		return
	}
	c := candidate{slot: int32(i), incumbent: incumbent, score: r.score(i), hash: mix(r.seed, r.f.hash(i)), tier: int32(group) << 1}
	if shy {
		c.tier |= 1
	}
	if s == last {
		c.tier = math.MaxInt32
	}
	if incumbent {
		c.must = r.blind && c.tier != math.MaxInt32
	} else if r.lostIn(c.slot) >= 0 {
		return // nothing new comes where it is not known where that is
	}
	r.cands = append(r.cands, c)
}
