package placement

import (
	"math"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// points are what a preference gives a cluster on its absolute scale of 0 to 100, times the weight; here is how many of the
// cluster's stacks do not count.
func (k *pointsKey) points(c *Cluster, here int, now time.Time) int64 {
	if k.property == "" {
		return k.weight * 1600 / int64(16+max(c.Load-here, 0))
	}
	v := observe(c, k.property, now)
	if !v.isNumber {
		return 0
	}
	share := (min(max(v.number, k.low), k.high) - k.low) / (k.high - k.low)
	if k.lowFirst {
		share = 1 - share
	}
	return k.weight * int64(math.Round(share*100))
}

// scaleOf returns the scale of a preference.
func scaleOf(p policy.Preference) pointsKey {
	k := pointsKey{weight: int64(max(p.Weight, 1))}
	if !p.Balance {
		k.property, k.low, k.high, k.lowFirst = p.Property, p.Range[0], p.Range[1], p.Order == "low"
		of, _, amount := policy.IsAmount(k.property)
		k.free = amount && of == policy.KeyAvailable
	}
	return k
}

// points of one preference: what is remembered, but that the stack does not count against itself. Else it would leave a cluster because of the
// room that it takes there, and come back for the room that it has left.
func (r *run) points(p int, i int) int64 {
	k := &r.c.scales[p]
	switch {
	case !r.prior.has(i):
	case k.property == "":
		return k.points(r.f.at(i), 1, r.now)
	case k.free && r.c.needs != (cluster.Resources{}):
		return k.points(without(r.f.at(i), r.c.needs), 1, r.now)
	}
	return r.scales[p].of[i]
}

// without is the cluster as it would be if a stack that is there did not use so much of it. For some minutes that may be counted twice, as
// promised and as requested, so that both go: at worst the stack stays for these minutes where it is.
func without(c *Cluster, needs cluster.Resources) *Cluster {
	x := *c
	x.Reported.Requested, x.Assumed = x.Reported.Requested.Minus(needs), x.Assumed.Minus(needs)
	return &x
}

func (r *run) score(i int) int64 {
	var sum int64
	if !r.prior.has(i) {
		for _, s := range r.scales {
			sum += s.of[i]
		}
		return sum
	}
	for p := range r.scales {
		sum += r.points(p, i)
	}
	if s := r.c.document.Stickiness; s != nil {
		sum += int64(s.Points)
	}
	return sum
}

// table appends the score as it is told.
func (r *run) table(out []Score, i int) []Score {
	sticky := 0
	if s := r.c.document.Stickiness; s != nil && s.Points > 0 && r.prior.has(i) {
		sticky = 1
	}
	for p := range r.c.document.Prefer {
		pref := &r.c.document.Prefer[p]
		s := Score{Name: pref.Property, Weight: max(pref.Weight, 1), Points: r.points(p, i), Observed: r.texts[p].at(r.c.scales[p].property, r.f, i, r.now)}
		if pref.Balance {
			s.Name = "balance"
		}
		out = append(out, s)
	}
	if sticky > 0 {
		out = append(out, Score{Name: "stickiness", Observed: "it is here already", Points: int64(r.c.document.Stickiness.Points)})
	}
	return out
}
