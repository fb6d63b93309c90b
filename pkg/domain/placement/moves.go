package placement

import (
	"math"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Recent returns which of the times at which a stack moved count at now, with as many more moves at now: those of the last
// hour. moved stays as it is.
func Recent(moved []time.Time, now time.Time, more int) []time.Time {
	var out []time.Time
	for _, t := range moved {
		if t.After(now.Add(-time.Hour)) {
			out = append(out, t)
		}
	}
	for range more {
		out = append(out, now)
	}
	return out
}

// settle chooses, and holds back moves that stickiness forbids. It returns how many picks there are and how many clusters
// that fit were left for better ones.
func (r *run) settle() (picks, moves int) {
	most := math.MaxInt
	if r.count() {
		most = r.c.document.Strategy.Count.Max
	}
	picks = r.choose(most)
	for r.blind && r.found() { // who leaves is no reason for others to stay
		picks = r.choose(most)
	}
	losers, surplus := r.losers(most)
	if s := r.c.document.Stickiness; s != nil && (s.MinDwell > 0 || s.MaxMovesPerHour > 0) {
		for losers > 0 && r.protect(s, surplus) { // who stays may take the place of another one, which then moves
			picks = r.choose(most)
			losers, surplus = r.losers(most)
		}
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

// protect marks the losers that may not be moved now, and says when that changes. It reports whether there are any that were not
// marked before.
func (r *run) protect(s *policy.Stickiness, surplus int) bool {
	any, free := false, 0
	mark := func(c *candidate) { any = any || !c.must; c.must = true }
	for i := range r.cands {
		c := &r.cands[i]
		if !c.incumbent || c.tier == math.MaxInt32 {
			continue
		}
		lost := !r.picked.has(int(c.slot))
		if end := r.in.Prior[r.f.at(int(c.slot)).Agent].Placed.Add(time.Duration(s.MinDwell)); end.After(r.now) {
			r.wakeAt(end) // also of one that is picked: it loses its place then if those that may not be moved are more than there are places
			mark(c)
		} else if lost && !c.must {
			free++
		}
	}
	if s.MaxMovesPerHour == 0 {
		return any
	}
	recent := 0
	var oldest time.Time
	for _, t := range r.in.Subject.Moved {
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
			mark(c)
		}
	}
	for _, i := range order[:min(keep, len(order))] {
		mark(&r.cands[i])
	}
	return any
}
