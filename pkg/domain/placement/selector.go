package placement

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// selector is a compiled policy.Selector.
type selector struct {
	labels      []string
	annotations [][2]string
	terms       []term // the rest
	asked       []term // all of it, the cheapest first
	any         []selector
	facts       []string // what the answers may expire with
	key         string   // the same for selectors that ask the same
}

func (s *selector) compile(from policy.Selector, d Deps) error {
	s.labels = from.Labels
	for _, k := range sorted(from.Annotations) {
		s.annotations = append(s.annotations, [2]string{k, from.Annotations[k]})
	}
	for _, e := range from.Expressions {
		s.terms = append(s.terms, expressionTerm(e))
	}
	if from.CEL != "" {
		if d.CEL == nil {
			return fmt.Errorf("cel: no interpreter of expressions")
		}
		x, err := d.CEL(from.CEL)
		if err != nil {
			return fmt.Errorf("cel: %w", err)
		}
		s.terms = append(s.terms, celTerm(from.CEL, x))
	}
	for _, l := range s.labels {
		s.asked = append(s.asked, labelTerm(l))
	}
	for _, kv := range s.annotations {
		s.asked = append(s.asked, annotationTerm(kv[0], kv[1]))
	}
	s.asked = append(s.asked, s.terms...)
	for _, t := range s.terms {
		if t.fact != "" {
			s.facts = append(s.facts, t.fact)
		}
	}
	for i, a := range from.Any {
		var sub selector
		if err := sub.compile(a, d); err != nil {
			return fmt.Errorf("any[%d]: %w", i, err)
		}
		s.any, s.facts = append(s.any, sub), append(s.facts, sub.facts...)
	}
	s.name()
	return nil
}

// rest asks what labels and annotations do not say.
func (s *selector) rest(c *Cluster, now time.Time) answer {
	out := yes
	for i := range s.terms {
		if out = min(out, s.terms[i].ask(c, now)); out == no {
			return no
		}
	}
	if len(s.any) == 0 {
		return out
	}
	best := no
	for i := range s.any {
		if best = max(best, s.any[i].ask(c, now)); best == yes {
			break
		}
	}
	return min(out, best)
}

func (s *selector) ask(c *Cluster, now time.Time) answer {
	for _, l := range s.labels {
		if !c.Labels[l] {
			return no
		}
	}
	for _, kv := range s.annotations {
		if v, has := c.Annotations[kv[0]]; !has || v != kv[1] {
			return no
		}
	}
	return s.rest(c, now)
}

// explain returns a reason for each part that does not hold.
func (s *selector) explain(c *Cluster, now time.Time) []Reason {
	var out []Reason
	for _, l := range s.labels {
		if !c.Labels[l] {
			out = append(out, Reason{Rule: RuleLabel, Wanted: l, Observed: describe(c.Labels, nil), Message: fmt.Sprintf("the cluster has no label %q", l)})
		}
	}
	for _, kv := range s.annotations {
		if v, has := c.Annotations[kv[0]]; !has || v != kv[1] {
			out = append(out, Reason{Rule: RuleAnnotation, Wanted: kv[0] + "=" + kv[1], Observed: orNone(v), Message: fmt.Sprintf("the cluster has no annotation %s=%s", kv[0], kv[1])})
		}
	}
	for _, t := range s.terms {
		switch t.ask(c, now) {
		case no:
			out = append(out, Reason{Rule: t.rule, Wanted: t.wanted, Observed: t.observed(c, now), Message: fmt.Sprintf("%s does not hold", t.wanted)})
		case unknown:
			out = append(out, Reason{Rule: RuleUnknown, Wanted: t.wanted, Observed: t.observed(c, now), Message: fmt.Sprintf("whether %s holds is not known", t.wanted)})
		case yes:
		}
	}
	if len(s.any) == 0 {
		return out
	}
	var inner []Reason
	for i := range s.any {
		if s.any[i].ask(c, now) == yes {
			return out
		}
		inner = append(inner, s.any[i].explain(c, now)...)
	}
	return append(out, inner...)
}

// over answers for the slots of f that are in of: the dearest questions come last, about those that are left.
func (s *selector) over(m *memory, f *Fleet, now time.Time, of set, out *sets) {
	words := f.words()
	out.empty(words)
	copy(out.yes, of)
	left := m.lend(words).yes
	for i := range s.asked {
		for w := range left {
			left[w] = out.yes[w] | out.unknown[w]
		}
		a := m.ask(&s.asked[i], f, now, left)
		out.and(a.yes, a.unknown)
	}
	if len(s.any) == 0 {
		m.back(sets{yes: left})
		return
	}
	for w := range left {
		left[w] = out.yes[w] | out.unknown[w]
	}
	one, some := m.lend(words), m.lend(words)
	for i := range s.any {
		s.any[i].over(m, f, now, left, &one)
		for w := range some.yes {
			some.yes[w] |= one.yes[w]
			some.unknown[w] |= one.unknown[w]
		}
	}
	for w := range some.yes {
		some.unknown[w] &^= some.yes[w]
	}
	out.and(some.yes, some.unknown)
	m.back(sets{yes: left}, one, some)
}
