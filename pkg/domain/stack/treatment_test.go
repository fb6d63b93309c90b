package stack_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func TestTreatmentsThatMeanTheSameAreTheSame(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct{ in, want stack.Treatment }{
		"nothing":           {},
		"defaults in words": {in: stack.Treatment{Prune: "delete", Adopt: "always", Drift: "correct", IgnorePaths: []string{}}},
		"everything else": {
			in: stack.Treatment{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
				IgnorePaths: []string{"/spec/replicas", "/metadata/annotations/a.b~1c", "/data/a~0b"}, ServiceAccount: "shop-1/deployer.v2",
				HealthRules: []string{"Gadget.example.com='healthy'"}},
			want: stack.Treatment{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
				IgnorePaths: []string{"/spec/replicas", "/metadata/annotations/a.b~1c", "/data/a~0b"}, ServiceAccount: "shop-1/deployer.v2",
				HealthRules: []string{"Gadget.example.com='healthy'"}},
		},
	} {
		got, err := c.in.Parsed()
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", reason, err, diff)
		}
		again, err := got.Full().Parsed()
		if err != nil || !again.Equal(got) {
			t.Errorf("%s: spelled out it means %+v, %v", reason, again, err)
		}
	}
	if full := (stack.Treatment{}).Full(); full.Prune != "delete" || full.Adopt != "always" || full.Drift != "correct" || !(stack.Treatment{}).IsZero() || full.IsZero() {
		t.Errorf("the defaults in words: %+v", full)
	}
}

func TestWhatIsWrongWithATreatmentIsNamed(t *testing.T) {
	t.Parallel()
	rules := func(r ...string) stack.Treatment { return stack.Treatment{HealthRules: r} }
	paths := func(p ...string) stack.Treatment { return stack.Treatment{IgnorePaths: p} }
	for reason, c := range map[string]struct {
		in   stack.Treatment
		path string
		text string
	}{
		"a way to prune":        {stack.Treatment{Prune: "keep"}, "treatment.prune", `is "keep", not delete or orphan`},
		"a way to adopt":        {stack.Treatment{Adopt: "ask"}, "treatment.adopt", `is "ask", not always, if_no_diff or never`},
		"a way with drift":      {stack.Treatment{Drift: "Report"}, "treatment.drift", `is "Report", not correct, report or ignore`},
		"too many paths":        {paths(make([]string, 65)...), "treatment.ignore_paths", "more than 64"},
		"no slash":              {paths("spec/replicas"), "treatment.ignore_paths[0]", "begins with /"},
		"no path":               {paths("/spec", ""), "treatment.ignore_paths[1]", "begins with /"},
		"a slash alone":         {paths("/"), "treatment.ignore_paths[0]", "empty"},
		"a slash at the end":    {paths("/spec/"), "treatment.ignore_paths[0]", "empty"},
		"an empty name":         {paths("/spec//replicas"), "treatment.ignore_paths[0]", "empty"},
		"a bare tilde":          {paths("/data/a~b"), "treatment.ignore_paths[0]", "~0"},
		"a tilde at the end":    {paths("/data/a~"), "treatment.ignore_paths[0]", "~0"},
		"a line break":          {paths("/data/a\nb"), "treatment.ignore_paths[0]", "control"},
		"a long path":           {paths("/" + strings.Repeat("a", 256)), "treatment.ignore_paths[0]", "longer than 256"},
		"the same twice":        {paths("/spec", "/data", "/spec"), "treatment.ignore_paths[2]", "twice"},
		"the name":              {paths("/metadata/name"), "treatment.ignore_paths[0]", "what it is"},
		"the metadata":          {paths("/metadata"), "treatment.ignore_paths[0]", "what it is"},
		"the kind":              {paths("/kind"), "treatment.ignore_paths[0]", "what it is"},
		"no namespace":          {stack.Treatment{ServiceAccount: "deployer"}, "treatment.service_account", "not namespace/name"},
		"a user":                {stack.Treatment{ServiceAccount: "system:masters/x"}, "treatment.service_account", "not namespace/name"},
		"a star":                {stack.Treatment{ServiceAccount: "shop/*"}, "treatment.service_account", "not namespace/name"},
		"three parts":           {stack.Treatment{ServiceAccount: "a/b/c"}, "treatment.service_account", "not namespace/name"},
		"a rule of nothing":     {rules("Gadget.example.com="), "treatment.health_rules[0]", "not Kind.group=expression"},
		"a known kind":          {rules("A.example.com='healthy'", "Deployment.apps='healthy'"), "treatment.health_rules[1]", "kinds whose API group has a dot"},
		"a kind with no group":  {rules("Pod='healthy'"), "treatment.health_rules[0]", "kinds whose API group has a dot"},
		"a group like no other": {rules("A.example..com='healthy'"), "treatment.health_rules[0]", "not a kind and its group"},
		"two rules for a kind":  {rules("A.example.com='healthy'", " A.example.com = 'failing'"), "treatment.health_rules[1]", "second rule for A.example.com"},
		"a bell":                {rules("A.example.com='\a'"), "treatment.health_rules[0]", "control characters"},
		"a long rule":           {rules("A.example.com=" + strings.Repeat(" ", 2048)), "treatment.health_rules[0]", "longer than 2048"},
		"too many rules":        {rules(make([]string, 33)...), "treatment.health_rules[32]", "more than 32"},
		"an account of nothing": {stack.Treatment{ServiceAccount: "shop/"}, "treatment.service_account", "not namespace/name"},
	} {
		_, err := c.in.Parsed()
		f, ok := fault.As(err)
		if !ok || f.Kind != fault.Invalid || f.Code != "invalid_treatment" || !strings.HasPrefix(f.Message, c.path+" ") || !strings.Contains(f.Message, c.text) {
			t.Errorf("%s: got %v, want Invalid that begins with %q and says %q", reason, err, c.path, c.text)
		}
	}
	_, err := stack.Treatment{Prune: "x", Adopt: "y", ServiceAccount: "z"}.Parsed()
	f, _ := fault.As(err)
	all, _ := f.Details["problems"].([]stack.Problem)
	if len(all) != 3 || all[2].Path != "treatment.service_account" || !strings.HasSuffix(f.Message, "(and 2 more problems)") {
		t.Errorf("three problems at once: %v, %+v", err, all)
	}
}

func TestExpressionsAreAskedOfWhoReadsThem(t *testing.T) {
	t.Parallel()
	in := stack.Treatment{HealthRules: []string{"A.example.com=good", "B.example.com=bad == 1"}}
	_, err := in.Parsed(func(expression string) error {
		if expression == "good" {
			return nil
		}
		return errors.New("1:1: " + expression)
	})
	f, _ := fault.As(err)
	if f == nil || f.Message != "treatment.health_rules[1] for B.example.com cannot be used: 1:1: bad == 1" {
		t.Errorf("got %v", err)
	}
}
