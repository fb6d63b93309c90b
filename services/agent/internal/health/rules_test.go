package health_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

// words compiles expressions that are answers already: a health, or what is wrong.
func words(expression string) (health.Rule, error) {
	if strings.HasPrefix(expression, "!") {
		return nil, errors.New(expression[1:])
	}
	return func(map[string]any) (delivery.Health, string, error) {
		if expression == "?" {
			return delivery.HealthHealthy, "", errors.New("no such key: phase")
		}
		word, why, _ := strings.Cut(expression, ":")
		return delivery.Health(word), why, nil
	}, nil
}

func TestRulesOfKinds(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: example.com/v1\nkind: Database\nmetadata: {name: d, generation: 2%s}\n"
	const bare, not = "", "status: {conditions: [{type: Ready, status: \"False\", message: the disk is slow}]}\n"
	for name, tc := range map[string]struct {
		rule, meta, status string
		health             delivery.Health
		says               string
	}{
		"healthy by its rule":                    {rule: "healthy:says nothing", status: not, health: healthy},
		"failing by its rule":                    {rule: "failing:no quorum", health: failing, says: "no quorum"},
		"its own words, where the rule has none": {rule: "degraded", status: not, health: degraded, says: "the disk is slow"},
		"no words at all":                        {rule: "degraded", status: bare, health: degraded, says: "its health rule says so"},
		"the rule cannot tell":                   {rule: "?", health: unknown, says: "cannot say how it is: no such key: phase"},
		"the latest change is not seen":          {rule: "healthy", status: "status: {observedGeneration: 1}\n", health: progressing, says: "has not looked at the latest change"},
		"the latest change is seen":              {rule: "healthy", status: "status: {observedGeneration: 2}\n", health: healthy},
		"being deleted":                          {rule: "healthy", meta: ", deletionTimestamp: 2026-01-01T00:00:00Z", health: progressing, says: "being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := object(t, strings.Replace(head, "%s", tc.meta, 1)+tc.status)
			k := bundle.Object{Unstructured: u}.Key()
			rules := health.Parse([]string{"Database.example.com=" + tc.rule}, words, func(i int, why string) { t.Errorf("rule %d %s", i, why) })
			if o := rules.Of(k, u); o.Key != k || o.Health != tc.health || !strings.Contains(o.Message, tc.says) || (o.Health == healthy) != (o.Message == "") {
				t.Errorf("got %+v, want %s %q", o, tc.health, tc.says)
			}
			if o := rules.Of(k, nil); o.Health != degraded || o.Message != "it is missing" {
				t.Errorf("a missing one: %+v", o)
			}
			other := k
			other.Kind = "Table"
			if got, want := rules.Of(other, u), health.Of(other, u); got != want {
				t.Errorf("of a kind without rule: got %+v, want %+v", got, want)
			}
		})
	}
}

func TestAStacksRulesGoOverThoseOfTheClustersOwner(t *testing.T) {
	t.Parallel()
	owner := health.Parse([]string{"Database.example.com=degraded:by the owner", "Queue.example.com=healthy"}, words, func(i int, why string) { t.Errorf("rule %d %s", i, why) })
	of := func(r health.Rules, kind string) health.Object {
		u := object(t, "apiVersion: example.com/v1\nkind: "+kind+"\nmetadata: {name: d}\nstatus: {conditions: [{type: Ready, status: \"False\"}]}\n")
		return r.Of(bundle.Object{Unstructured: u}.Key(), u)
	}
	both := owner.Over([]string{"Database.example.com=failing:by the stack", "Index.example.com=!1:1: what is this"}, words)
	if o := of(both, "Database"); o.Health != failing || o.Message != "by the stack" {
		t.Errorf("the stack's rule: %+v", o)
	}
	if o := of(both, "Queue"); o.Health != healthy {
		t.Errorf("the owner's rule: %+v", o)
	}
	if o := of(both, "Index"); o.Health != unknown || !strings.Contains(o.Message, "1:1: what is this") {
		t.Errorf("a rule that cannot be read is no rule that all is well: %+v", o)
	}
	many := make([]string, stack.MaxHealthRules+2)
	for i := range many {
		many[i] = fmt.Sprintf("Kind%d.example.com=healthy", i)
	}
	for kind, want := range map[string]delivery.Health{"Kind0": healthy, "Kind31": healthy, "Kind32": unknown, "Kind33": unknown} {
		if o := of(owner.Over(many, words), kind); o.Health != want || want == unknown && !strings.Contains(o.Message, "more than 32") {
			t.Errorf("of more rules than this agent takes: %+v, want %s", o, want)
		}
	}
	if o := of(owner, "Database"); o.Message != "by the owner" {
		t.Errorf("the owner's rules changed: %+v", o)
	}
	if o := of(health.Rules(nil).Over([]string{"Database.example.com=healthy"}, words), "Database"); o.Health != healthy {
		t.Errorf("over none: %+v", o)
	}
}
