package placement

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Telling is memory in which decisions are explained, one after the other: a thousand clusters take half a megabyte of verdicts, and most
// explanations are read once, by whoever stores them. The zero value is ready; it is not safe for concurrent use.
type Telling struct {
	verdicts []Verdict
	reasons  []Reason
	scores   []Score
	spread   []Fullness
	alike    []int32 // by domain of the first spread: the slot that was told of last; -1: none
	fullness [][]Fullness
	thorough bool // every cluster is judged again, by all rules: for tests of what is not
}

// Explain is the function of that name. The verdicts count until it is called again, and what they hold may be common to several of them:
// none of it may be changed but the fields of a verdict itself.
func (t *Telling) Explain(in Input, now time.Time) Decision {
	if in.byPolicy() {
		return decideByPolicy(in, now, t)
	}
	return Decide(in, now)
}

// rest is what is left of the memory, empty.
func rest[T any](s []T) []T { return s[len(s):] }

// take gives away what was appended to the rest. If the rest had no room for it, it has got memory of its own.
func take[T any](s *[]T, appended []T) []T {
	if len(appended) == 0 {
		return nil
	}
	if n := len(*s) + len(appended); n <= cap(*s) {
		*s = (*s)[:n]
	}
	return slices.Clip(appended)
}

// begin makes room for what is told by r of so many clusters.
func (t *Telling) begin(r *run, clusters int) {
	ranked := min(len(r.cands)+r.pins.count()+r.prior.count(), clusters)
	if t.verdicts == nil { // that there are none is not the same as that nothing was told
		t.verdicts = make([]Verdict, 0, clusters)
	}
	t.verdicts = slices.Grow(t.verdicts[:0], clusters)[:clusters]
	t.reasons = slices.Grow(t.reasons[:0], ranked+clusters/8)
	t.scores = slices.Grow(t.scores[:0], ranked*(len(r.c.document.Prefer)+1))
	t.spread, t.alike, t.fullness = t.spread[:0], t.alike[:0], t.fullness[:0]
	if len(r.domains) == 0 {
		return
	}
	t.spread = slices.Grow(t.spread, ranked*len(r.domains))
	for range r.domains[0].names {
		t.alike, t.fullness = append(t.alike, -1), append(t.fullness, nil)
	}
}

// verdicts says of every cluster, by agent id, why it is picked or not, and what it was compared by; it comes to the same as the decision,
// by the same rules.
func (r *run) verdicts(t *Telling) []Verdict {
	order := r.m.order(r.f)
	t.begin(r, len(order))
	low, refused, why := r.fewest(), r.refused(), r.m.refusalsOf(&r.c.clusters, r.f, r.now)
	if t.thorough {
		clear(refused)
		clear(r.sure)
	}
	r.texts = r.texts[:0]
	for p := range r.c.scales {
		r.texts = append(r.texts, r.m.textsOf(r.c.scales[p].property, r.f, r.now))
	}
	for n, slot := range order {
		i := int(slot)
		v := &t.verdicts[n]
		if refused.has(i) {
			c := r.f.at(i)
			*v = Verdict{Agent: c.Agent, Cluster: c.Name, Reasons: why.at(r.m, &r.c.clusters, r.f, i, r.now)}
			continue
		}
		*v = r.verdict(i, rest(t.reasons))
		v.Reasons = take(&t.reasons, v.Reasons)
		if v.Ranked {
			v.Scores = take(&t.scores, r.table(rest(t.scores), i))
			v.Spread = t.spreads(r, slot, low)
		}
	}
	return t.verdicts
}

// refused are the clusters of which nothing is to be said but that they do not fit the policy's selector: most of them, mostly.
func (r *run) refused() set {
	r.plain = r.plain.empty(r.f.words())
	out := r.plain
	if r.c.document.Affinity != nil {
		return out
	}
	for w := range out {
		out[w] = r.consent[w] &^ (r.pins[w] | r.picked[w] | r.f.marked[w] | r.sets[0].yes[w] | r.sets[0].unknown[w])
	}
	if r.c.document.Strategy.Type == policy.Fixed {
		for w := range out {
			out[w] &= r.fixed[w]
		}
	}
	if r.c.room != nil { // what is short besides is said too
		room := r.m.ask(r.c.room, r.f, r.now, out)
		for w := range out {
			out[w] &= room.yes[w] | r.prior[w]
		}
	}
	return out
}

// verdict says why a slot is picked or not; the reasons are appended to why, or are others.
func (r *run) verdict(i int, why []Reason) Verdict {
	c := r.f.at(i)
	v := Verdict{Agent: c.Agent, Cluster: c.Name, Picked: r.picked.has(i)}
	pinned, incumbent := r.pins.has(i), r.prior.has(i)
	stands, shy := place, false
	if !r.sure.has(i) || !r.consent.has(i) || pinned {
		stands, _, shy = r.judge(i, &why)
	}
	ranked := !pinned && (stands == place || (incumbent && stands != leave))
	if ranked {
		p := r.pick(i)
		v.Ranked, v.Incumbent, v.Avoided = true, incumbent, shy
		v.Group, v.Score = p.Group, p.Score
	}
	switch {
	case v.Picked && pinned:
		v.Reasons = append(why[:0], Reason{Rule: RuleTarget, Message: "the stack is an explicit target of the agent"})
	case v.Picked && stands != place:
		v.Reasons = slices.Insert(why, 0, Reason{Rule: RuleKept, Message: "the stack is here and may stay, though it would not come anew"})
	case v.Picked:
		v.Reasons = append(why[:0], Reason{Rule: RulePicked, Wanted: r.c.document.Name, Message: r.because(r.pick(i))})
	case ranked && stands != last:
		v.Reasons = append(why, r.lost(i, v.Score))
	default:
		v.Reasons = why
	}
	return v
}

// lost says why a cluster that fits was not picked.
func (r *run) lost(i int, score int64) Reason {
	if s := r.lostIn(int32(i)); s >= 0 {
		return Reason{Rule: RuleSpread, Wanted: r.c.document.Spread[s].By, Observed: "unknown", Message: "it is not known where in the spread the cluster is"}
	}
	if _, s := r.admits(int32(i), false); s >= 0 {
		return Reason{Rule: RuleSpread, Wanted: "no more than " + strconv.Itoa(r.c.document.Spread[s].MaxSkew) + " apart", Observed: r.full(s, i),
			Message: "one more here would break the spread"}
	}
	if r.atMost == "" {
		r.atMost = "at most " + strconv.Itoa(r.most()) + " clusters"
	}
	return Reason{Rule: RuleOutranked, Wanted: r.atMost, Observed: r.m.scoreText(score), Message: "it fits, but others come first"}
}

// full says how full the domain of spread s is in which slot i is.
func (r *run) full(s, i int) string {
	col := r.domains[s]
	d := r.offsets[s] + int(col.of[i])
	t := &r.told[d]
	if t.text == "" || t.picked != r.counts[d] {
		*t = fill{picked: r.counts[d], text: fmt.Sprintf("%s %s: %d", r.c.document.Spread[s].By, orNone(col.names[col.of[i]]), r.counts[d])}
	}
	return t.text
}

// fewest returns for each spread how many clusters are picked in its emptiest domain of those that have clusters that fit.
func (r *run) fewest() []int32 {
	clear(r.counts)
	r.picked.each(func(i int) { r.counted(int32(i)) }) // what was taken back since does not count
	out := make([]int32, len(r.domains))
	for s, col := range r.domains {
		low := int32(math.MaxInt32)
		for d := range col.names {
			if n := r.offsets[s] + d; n < len(r.seen) && r.seen[n] {
				low = min(low, r.counts[n])
			}
		}
		if low < math.MaxInt32 {
			out[s] = low
		}
	}
	return out
}

// spreads says how full the domains of a slot are; slots in the same domains are mostly told of with the same list.
func (t *Telling) spreads(r *run, slot int32, low []int32) []Fullness {
	if len(r.domains) == 0 {
		return nil
	}
	first := r.domains[0].of[slot]
	if before := t.alike[first]; before >= 0 && r.same(before, slot) {
		return t.fullness[first]
	}
	out := rest(t.spread)
	for s, col := range r.domains {
		d := col.of[slot]
		out = append(out, Fullness{By: r.c.document.Spread[s].By, Domain: col.names[d], Picked: int(r.counts[r.offsets[s]+int(d)]), Fewest: int(low[s])})
	}
	out = take(&t.spread, out)
	t.alike[first], t.fullness[first] = slot, out
	return out
}
