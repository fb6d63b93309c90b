package placement

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is told of clusters is remembered like what is decided from: a thousand decisions by one policy tell nearly the same.

// refusals are why clusters do not fit a selector.
type refusals struct {
	mark
	asked set
	of    [][]Reason // by slot
}

func (x *refusals) forget(i int) { x.asked.remove(i) }

// maxRefused bounds for how many slots, over all selectors, it is remembered why they do not fit; beyond it all are forgotten.
const maxRefused = 1 << 17

// refusal says why the cluster in a slot does not fit the selector. The answer must not be changed.
func (m *memory) refusal(s *selector, f *Fleet, i int, now time.Time) []Reason {
	return m.refusalsOf(s, f, now).at(m, s, f, i, now)
}

// refusalsOf is what is remembered of why clusters do not fit the selector, for at.
func (m *memory) refusalsOf(s *selector, f *Fleet, now time.Time) *refusals {
	x := m.refusals[s.key]
	if more := f.slots() - x.slots(); more > 0 {
		if m.refused += more; m.refused > maxRefused {
			clear(m.refusals)
			clear(m.refusing)
			x, m.refused = nil, f.slots()
		}
	}
	if x == nil {
		x = &refusals{}
		m.refusals[s.key] = x
	}
	if more := f.slots() - len(x.of); more > 0 {
		x.of = slices.Grow(x.of, more)[:f.slots()]
		x.asked = x.asked.sized(f.words())
	}
	m.renew(&x.mark, f, now.UnixNano(), s.fact(), x.forget)
	return x
}

func (x *refusals) at(m *memory, s *selector, f *Fleet, i int, now time.Time) []Reason {
	if !x.asked.has(i) {
		x.asked.add(i)
		x.of[i] = m.common(s.explain(f.at(i), now))
	}
	return x.of[i]
}

// maxCommon bounds how many different refusals are kept in common, and how many different points; beyond it all are forgotten.
const maxCommon = 1 << 14

// common returns the list of reasons that all clusters share that are refused for the same.
func (m *memory) common(list []Reason) []Reason {
	var b strings.Builder
	for i := range list {
		r := &list[i]
		for _, s := range [...]string{string(r.Rule), r.Wanted, r.Observed, r.Message} {
			b.WriteString(strconv.Itoa(len(s)))
			b.WriteByte(':')
			b.WriteString(s)
		}
	}
	if one, ok := m.refusing[b.String()]; ok {
		return one
	}
	if len(m.refusing) >= maxCommon {
		clear(m.refusing)
	}
	list = slices.Clip(list) // others must not write behind it
	m.refusing[b.String()] = list
	return list
}

// scoreText is a score as it is told.
func (m *memory) scoreText(score int64) string {
	s, ok := m.scored[score]
	if !ok {
		if len(m.scored) >= maxCommon {
			clear(m.scored)
		}
		s = strconv.FormatInt(score, 10) + inPoints
		m.scored[score] = s
	}
	return s
}

func (x *refusals) slots() int {
	if x == nil {
		return 0
	}
	return len(x.of)
}

// fact is what the selector's answers may expire with.
func (s *selector) fact() string {
	switch len(s.facts) {
	case 0:
		return ""
	case 1:
		return s.facts[0]
	default:
		return anyFact
	}
}

// name makes the selector's key, by which those know each other that ask the same in the same order.
func (s *selector) name() {
	var b strings.Builder
	part := func(text string) {
		b.WriteString(strconv.Itoa(len(text)))
		b.WriteByte(':')
		b.WriteString(text)
	}
	for i := range s.asked {
		part(s.asked[i].key)
	}
	for i := range s.any {
		b.WriteByte('|')
		part(s.any[i].key)
	}
	s.key = b.String()
}

// texts are what is observed of clusters under a key, as it is told; the empty key is how many stacks they have.
type texts struct {
	mark
	of []string // by slot; empty: to be asked
}

// textsOf is what is remembered of a key, for at.
func (m *memory) textsOf(key string, f *Fleet, now time.Time) *texts {
	x := m.texts[key]
	if x == nil {
		x = &texts{}
		m.texts[key] = x
	}
	for len(x.of) < f.slots() {
		x.of = append(x.of, "")
	}
	m.renew(&x.mark, f, now.UnixNano(), factOf(key), func(i int) { x.of[i] = "" })
	return x
}

func (x *texts) at(key string, f *Fleet, i int, now time.Time) string {
	if x.of[i] == "" {
		if key == "" {
			x.of[i] = strconv.Itoa(f.at(i).Load) + " stacks"
		} else {
			x.of[i] = observe(f.at(i), key, now).text()
		}
	}
	return x.of[i]
}

// ordered are the slots of a snapshot by agent id.
type ordered struct {
	members uint64
	slots   []int32
}

// order returns the slots that have a cluster, by agent id.
func (m *memory) order(f *Fleet) []int32 {
	if m.ordered.members != f.members || m.ordered.slots == nil {
		m.ordered.members, m.ordered.slots = f.members, make([]int32, 0, f.Len())
		f.live.each(func(i int) { m.ordered.slots = append(m.ordered.slots, int32(i)) })
		slices.SortFunc(m.ordered.slots, func(a, b int32) int { return strings.Compare(string(f.at(int(a)).Agent), string(f.at(int(b)).Agent)) })
	}
	return m.ordered.slots
}
