package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// term is one compiled part of a selector.
type term struct {
	rule     Rule
	wanted   string
	ask      func(c *Cluster, now time.Time) answer
	observed func(c *Cluster, now time.Time) string
	key      string // the same for terms that ask the same
	fact     string // the answer may change when this fact expires, anyFact for each of them
}

// key is another one for other parts, whatever is in them.
func key(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}

func expressionTerm(e policy.Expression) term {
	t := term{rule: RuleExpression, wanted: strings.TrimSpace(e.Key + " " + string(e.Operator) + " " + strings.Join(e.Values, ", ")),
		fact: factOf(e.Key), key: key(append([]string{"expression", e.Key, string(e.Operator)}, e.Values...)...),
		observed: func(c *Cluster, now time.Time) string { return e.Key + ": " + orNone(observe(c, e.Key, now).text()) }}
	var b bounds
	for _, v := range e.Values {
		n, ok := policy.ParseQuantity(v) // validated where an order is asked for
		if !ok {
			n = math.NaN()
		}
		b.numbers = append(b.numbers, n)
	}
	if len(e.Values) == 1 {
		b.version, _ = policy.ParseVersion(e.Values[0])
	}
	t.ask = func(c *Cluster, now time.Time) answer {
		o := observe(c, e.Key, now)
		if !o.known {
			return unknown
		}
		return truth(holds(&e, &o, &b))
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

// bounds are an expression's values as numbers (NaN: it is none) and, of a single one, as a version.
type bounds struct {
	numbers []float64
	version [3]int
}

// among reports whether what is observed is one of the expression's values.
func among(e *policy.Expression, o *observed, b *bounds) bool {
	switch {
	case o.list != nil:
		return slices.ContainsFunc(e.Values, func(v string) bool { return slices.Contains(o.list, v) })
	case o.isNumber:
		return slices.Contains(b.numbers, o.number)
	default:
		return slices.Contains(e.Values, o.string)
	}
}

func holds(e *policy.Expression, o *observed, b *bounds) bool {
	switch e.Operator {
	case policy.In:
		return o.exists && among(e, o, b)
	case policy.NotIn:
		return !o.exists || !among(e, o, b)
	case policy.Exists: // with values: all of them
		return o.exists && !slices.ContainsFunc(e.Values, func(v string) bool { return !slices.Contains(o.list, v) })
	case policy.DoesNotExist:
		return !o.exists || (len(e.Values) > 0 && !among(e, o, b))
	case policy.Equal, policy.Greater, policy.AtLeast, policy.Less, policy.AtMost:
	default:
		return false
	}
	if !o.exists {
		return false
	}
	var order int
	switch {
	case o.version:
		v, ok := policy.ParseVersion(o.string)
		if !ok {
			return false
		}
		order = slices.Compare(v[:], b.version[:])
	case e.Operator == policy.Equal:
		return among(e, o, b)
	default:
		n, ok := o.number, o.isNumber
		if !ok {
			if n, ok = policy.ParseQuantity(o.string); !ok {
				return false
			}
		}
		order = cmp.Compare(n, b.numbers[0])
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

func celTerm(source string, x Expr) term {
	return term{rule: RuleCEL, wanted: source, fact: anyFact, key: key("cel", source),
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

func labelTerm(l string) term {
	return term{rule: RuleLabel, wanted: l, key: key("label", l), ask: func(c *Cluster, _ time.Time) answer { return truth(c.Labels[l]) }}
}

func annotationTerm(k, v string) term {
	return term{rule: RuleAnnotation, wanted: k + "=" + v, key: key("annotation", k, v), ask: func(c *Cluster, _ time.Time) answer {
		is, has := c.Annotations[k]
		return truth(has && is == v)
	}}
}
