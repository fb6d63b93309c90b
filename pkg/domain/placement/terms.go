package placement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// answer of a question about a cluster. Unknown is no: nothing new comes; but it is no reason to leave either.
type answer uint8

const (
	no answer = iota
	unknown
	yes
)

// observed is what is known of a cluster under one key.
type observed struct {
	known    bool // false: not told, or expired
	exists   bool
	isNumber bool
	number   float64
	string   string
	list     []string // of keys with several values
	version  bool
	until    time.Time // it counts until then; zero: as long as the cluster is as it is
}

func (o observed) text() string {
	switch {
	case !o.known:
		return "unknown"
	case !o.exists:
		return ""
	case o.list != nil:
		return strings.Join(o.list, ", ")
	case o.isNumber:
		return policy.FormatNumber(o.number)
	default:
		return o.string
	}
}

func text(s string) observed { return observed{known: true, exists: true, string: s} }
func number(n float64) observed {
	return observed{known: true, exists: true, isNumber: true, number: n}
}

// observe returns what is known of c under a key of policy's vocabulary at now.
func observe(c *Cluster, key string, now time.Time) observed {
	if l, ok := strings.CutPrefix(key, policy.KeyLabel); ok {
		return observed{known: true, exists: c.Labels[l], string: "true"}
	}
	if a, ok := strings.CutPrefix(key, policy.KeyAnnotation); ok {
		v, has := c.Annotations[a]
		return observed{known: true, exists: has, string: v}
	}
	switch key {
	case policy.KeyName:
		return text(c.Name)
	case policy.KeyAgent:
		return text(string(c.Agent))
	case policy.KeyLoad:
		return number(float64(c.Load))
	}
	if c.ReportedAt == nil {
		return observed{}
	}
	s := &c.Reported
	if fact, ok := strings.CutPrefix(key, policy.KeyFact); ok {
		return observeFact(s, fact, now)
	}
	part := cluster.PartNodes
	var o observed
	switch key {
	case policy.KeyVersion:
		part, o = cluster.PartVersion, text(s.KubernetesVersion)
		o.version = true
	case policy.KeyNodes:
		o = number(float64(s.Nodes))
	case policy.KeyReadyNodes:
		o = number(float64(s.ReadyNodes))
	case policy.KeyArch:
		o = observed{known: true, exists: len(s.Architectures) > 0, list: s.Architectures}
	case policy.KeyAPI:
		part, o = cluster.PartAPIs, observed{known: true, exists: len(s.APIs) > 0, list: s.APIs}
	default:
		of, resource, _ := policy.IsAmount(key)
		var r cluster.Resources
		switch of {
		case policy.KeyRequested:
			part, r = cluster.PartRequested, s.Requested
		case policy.KeyAvailable:
			part, r = cluster.PartRequested, available(c)
			if !s.Knows(cluster.PartNodes) {
				return observed{}
			}
		default:
			r = s.Allocatable
		}
		switch resource {
		case policy.CPU:
			o = number(float64(r.CPU) / 1000)
		case policy.Memory:
			o = number(float64(r.Memory))
		case policy.Pods:
			o = number(float64(r.Pods))
		default:
			o = number(float64(r.GPU))
		}
	}
	if !s.Knows(part) {
		return observed{}
	}
	return o
}

// available is what is free, less what was promised since the cluster last told.
func available(c *Cluster) cluster.Resources { return c.Reported.Available().Minus(c.Assumed) }

func observeFact(s *cluster.Status, name string, now time.Time) observed {
	f, has := s.Facts[name]
	if !has {
		return observed{known: s.Knows(cluster.PartFacts)}
	}
	var o observed
	if f.Number != nil {
		o = number(*f.Number)
	} else {
		o = text(f.Text)
	}
	if f.Until != nil {
		if !f.Until.After(now) {
			return observed{} // what it was is not known to be so any longer
		}
		o.until = *f.Until
	}
	return o
}

// term is one compiled part of a selector.
type term struct {
	rule     Rule
	wanted   string
	ask      func(c *Cluster, now time.Time) answer
	observed func(c *Cluster, now time.Time) string
	facts    bool // the answer may change when a fact expires
}

func expressionTerm(e policy.Expression) term {
	t := term{rule: RuleExpression, wanted: strings.TrimSpace(e.Key + " " + string(e.Operator) + " " + strings.Join(e.Values, ", ")),
		facts:    strings.HasPrefix(e.Key, policy.KeyFact),
		observed: func(c *Cluster, now time.Time) string { return e.Key + ": " + orNone(observe(c, e.Key, now).text()) }}
	var bound float64
	var version [3]int
	if len(e.Values) == 1 {
		bound, _ = policy.ParseQuantity(e.Values[0]) // validated where an order is asked for
		version, _ = policy.ParseVersion(e.Values[0])
	}
	t.ask = func(c *Cluster, now time.Time) answer {
		o := observe(c, e.Key, now)
		if !o.known {
			return unknown
		}
		return truth(holds(e, o, bound, version))
	}
	return t
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func truth(b bool) answer {
	if b {
		return yes
	}
	return no
}

func holds(e policy.Expression, o observed, bound float64, version [3]int) bool {
	among := func(values []string) bool {
		if o.list != nil {
			return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(o.list, v) })
		}
		return slices.ContainsFunc(values, func(v string) bool {
			if o.isNumber {
				n, ok := policy.ParseQuantity(v)
				return ok && n == o.number
			}
			return v == o.string
		})
	}
	switch e.Operator {
	case policy.In:
		return o.exists && among(e.Values)
	case policy.NotIn:
		return !o.exists || !among(e.Values)
	case policy.Exists: // with values: all of them
		return o.exists && !slices.ContainsFunc(e.Values, func(v string) bool { return !slices.Contains(o.list, v) })
	case policy.DoesNotExist:
		return !o.exists || (len(e.Values) > 0 && !among(e.Values))
	case policy.Equal, policy.Greater, policy.AtLeast, policy.Less, policy.AtMost:
	default:
		return false
	}
	if !o.exists {
		return false
	}
	order := 0
	switch {
	case o.version:
		v, ok := policy.ParseVersion(o.string)
		if !ok {
			return false
		}
		order = slices.Compare(v[:], version[:])
	case e.Operator == policy.Equal:
		return among(e.Values)
	default:
		n, ok := o.number, o.isNumber
		if !ok {
			if n, ok = policy.ParseQuantity(o.string); !ok {
				return false
			}
		}
		switch {
		case n < bound:
			order = -1
		case n > bound:
			order = 1
		}
	}
	switch e.Operator {
	case policy.Greater:
		return order > 0
	case policy.AtLeast:
		return order >= 0
	case policy.Less:
		return order < 0
	case policy.AtMost:
		return order <= 0
	case policy.Equal, policy.In, policy.NotIn, policy.Exists, policy.DoesNotExist:
		return order == 0
	default:
		return false
	}
}

// selector is a compiled policy.Selector.
type selector struct {
	labels      []string
	annotations [][2]string
	terms       []term
	any         []selector
	facts       bool
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
	s.facts = slices.ContainsFunc(s.terms, func(t term) bool { return t.facts })
	for i, a := range from.Any {
		var sub selector
		if err := sub.compile(a, d); err != nil {
			return fmt.Errorf("any[%d]: %w", i, err)
		}
		s.any, s.facts = append(s.any, sub), s.facts || sub.facts
	}
	return nil
}

func celTerm(source string, x Expr) term {
	return term{rule: RuleCEL, wanted: source, facts: true,
		ask: func(c *Cluster, now time.Time) answer {
			ok, err := x.Eval(current(c, now))
			if err != nil {
				return unknown
			}
			return truth(ok)
		},
		observed: func(c *Cluster, now time.Time) string {
			ok, err := x.Eval(current(c, now))
			if err != nil {
				return "error: " + err.Error()
			}
			return fmt.Sprint(ok)
		}}
}

// current returns c without facts that have expired.
func current(c *Cluster, now time.Time) *Cluster {
	for _, f := range c.Reported.Facts {
		if f.Until != nil && !f.Until.After(now) {
			x := *c
			x.Reported.Facts = map[string]cluster.Fact{}
			for k, v := range c.Reported.Facts {
				if v.Until == nil || v.Until.After(now) {
					x.Reported.Facts[k] = v
				}
			}
			return &x
		}
	}
	return c
}

// expires returns when the next fact of c expires; zero: none does.
func expires(c *Cluster, now time.Time) time.Time {
	var t time.Time
	for _, f := range c.Reported.Facts {
		if f.Until != nil && f.Until.After(now) {
			t = sooner(t, *f.Until)
		}
	}
	return t
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

// sets are the slots for which a selector's answer is yes, and unknown.
type sets struct{ yes, unknown set }

// eval asks about one slot.
func (s *selector) eval(f *Fleet, i int, now time.Time, out *sets) {
	out.yes.remove(i)
	out.unknown.remove(i)
	if !f.live.has(i) {
		return
	}
	for _, l := range s.labels {
		if !f.labels[l].has(i) {
			return
		}
	}
	for _, kv := range s.annotations {
		if !f.annotations[kv].has(i) {
			return
		}
	}
	switch s.rest(f.slots[i], now) {
	case yes:
		out.yes.add(i)
	case unknown:
		out.unknown.add(i)
	case no:
	}
}

// all asks about every slot: labels and annotations by their indexes, the rest of those that are left.
func (s *selector) all(f *Fleet, now time.Time, out *sets) {
	copy(out.yes, f.live)
	clear(out.unknown)
	narrow := func(by set) {
		for w := range out.yes {
			out.yes[w] &= by.word(w)
		}
	}
	for _, l := range s.labels {
		narrow(f.labels[l])
	}
	for _, kv := range s.annotations {
		narrow(f.annotations[kv])
	}
	if len(s.terms) == 0 && len(s.any) == 0 {
		return
	}
	out.yes.each(func(i int) {
		if a := s.rest(f.slots[i], now); a != yes {
			out.yes.remove(i)
			if a == unknown {
				out.unknown.add(i)
			}
		}
	})
}
