package health

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Rule says how an object is, and why. An error is that it cannot say it of this object.
type Rule func(object map[string]any) (h delivery.Health, why string, err error)

// Compile makes a rule of an expression.
type Compile func(expression string) (Rule, error)

// Rules are those of kinds that nobody but their owner or publisher knows to be healthy.
type Rules map[schema.GroupKind]Rule

// Parse reads rules as they are written: Kind.group=expression. One that cannot be read is left out, and reported to bad with its
// place in the list.
func Parse(texts []string, compile Compile, bad func(i int, why string)) Rules {
	out := Rules{}
	made := map[string]Rule{}
	for _, r := range stack.ParseHealthRules(texts, func(expression string) error {
		rule, err := compile(expression)
		made[expression] = rule
		return err
	}, bad) {
		if rule := made[r.Expression]; rule != nil {
			out[schema.GroupKind{Group: r.Group, Kind: r.Kind}] = rule
		}
	}
	return out
}

// Over returns r with a stack's own rules in place of those that r has for the same kinds. One that this agent cannot read, as when
// the broker is of a newer release, says of every object that it cannot be told how it is.
func (r Rules) Over(texts []string, compile Compile) Rules {
	if len(texts) == 0 {
		return r
	}
	reasons := map[int]string{}
	own := Parse(texts, compile, func(i int, why string) { reasons[i] = why })
	for i, text := range texts {
		why, bad := reasons[min(i, stack.MaxHealthRules)]
		if !bad {
			continue
		}
		of, _, _ := strings.Cut(text, "=")
		own[schema.ParseGroupKind(strings.TrimSpace(of))] = func(map[string]any) (delivery.Health, string, error) {
			return delivery.HealthUnknown, "", fmt.Errorf("the rule %s", why)
		}
	}
	out := maps.Clone(r)
	if out == nil {
		out = Rules{}
	}
	maps.Copy(out, own)
	return out
}

// Of is how a live object is by its kind's rule, and without one as Of says. No rule is asked about an object that is missing, is being
// deleted, or has a latest change that its controller has not seen: what its status says is then of something else.
func (r Rules) Of(k cluster.Key, u *unstructured.Unstructured) Object {
	o := Of(k, u)
	rule := r[k.GroupKind()]
	if rule == nil || u == nil || u.GetDeletionTimestamp() != nil {
		return o
	}
	if !isObserved(u) {
		return o.as(delivery.HealthProgressing, "its controller has not looked at the latest change yet")
	}
	h, why, err := rule(u.Object)
	switch {
	case err != nil:
		return o.as(delivery.HealthUnknown, "its health rule cannot say how it is: "+err.Error())
	case h == delivery.HealthHealthy:
		return o.as(h, "")
	case why == "":
		why = "its health rule says so"
		if o.Health != delivery.HealthHealthy && o.Message != "" {
			why = o.Message
		}
	}
	return o.as(h, why)
}
