package health_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

const (
	healthy     = delivery.HealthHealthy
	unknown     = delivery.HealthUnknown
	progressing = delivery.HealthProgressing
	degraded    = delivery.HealthDegraded
	failing     = delivery.HealthFailing
)

// object reads one object as a client of the API server would.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("bad YAML: %v\n%s", err, text)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatalf("bad object: %v\n%s", err, text)
	}
	return u
}

func of(t *testing.T, text string) health.Object {
	t.Helper()
	u := object(t, text)
	k := bundle.Object{Unstructured: u}.Key()
	o := health.Of(k, u)
	if o.Key != k {
		t.Errorf("key %v, want %v", o.Key, k)
	}
	return o
}

// state is a case of a table: an object, and how it is.
type state struct {
	text   string
	health delivery.Health
	says   string // a part of the message; a healthy object says nothing
}

func check(t *testing.T, head string, states map[string]state) {
	t.Helper()
	for name, s := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := of(t, head+s.text)
			if o.Health != s.health || !strings.Contains(o.Message, s.says) {
				t.Errorf("got %s %q, want %s %q", o.Health, o.Message, s.health, s.says)
			}
			if (o.Health == healthy) != (o.Message == "") {
				t.Errorf("%s says %q: what is healthy says nothing, all else why", o.Health, o.Message)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	k := cluster.Key{Kind: "ConfigMap", Name: "c"}
	if got, want := health.Of(k, nil), (health.Object{Key: k, Health: degraded, Message: "it is missing"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnyKind(t *testing.T) {
	t.Parallel()
	check(t, "", map[string]state{
		"no status at all":             {"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}", healthy, ""},
		"kind without status":          {"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, rules: null}", healthy, ""},
		"cron job":                     {"{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, generation: 1}, spec: {suspend: true}, status: {}}", healthy, ""},
		"budget":                       {"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b, generation: 1}, status: {observedGeneration: 1, conditions: [{type: DisruptionAllowed, status: 'False', reason: InsufficientPods}]}}", healthy, ""},
		"being deleted":                {"{apiVersion: v1, kind: Secret, metadata: {name: s, deletionTimestamp: '2026-11-24T02:22:48Z'}}", progressing, "it is being deleted"},
		"pod being deleted":            {"{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: '2026-11-24T02:22:48Z'}, status: {phase: Running}}", progressing, "it is being deleted"},
		"being deleted, guarded":       {"{apiVersion: v1, kind: Secret, metadata: {name: s, deletionTimestamp: '2026-11-24T02:22:48Z', finalizers: [foregroundDeletion, x.io/guard]}}", progressing, "it is being deleted, and waits for the deletion of what it owns, x.io/guard"},
		"namespace":                    {"{apiVersion: v1, kind: Namespace, metadata: {name: ns}, status: {phase: Active}}", healthy, ""},
		"namespace that cannot end":    {"{apiVersion: v1, kind: Namespace, metadata: {name: ns, deletionTimestamp: '2026-11-24T02:22:48Z'}, status: {phase: Terminating, conditions: [{type: NamespaceDeletionDiscoveryFailure, status: 'False', message: fine}, {type: NamespaceFinalizersRemaining, status: 'True', message: 'Some content in the namespace has finalizers remaining: x.io/guard in 2 resource instances'}]}}", progressing, "it is being deleted; Some content in the namespace has finalizers remaining: x.io/guard"},
		"definition established":       {"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: w}, status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}]}}", healthy, ""},
		"definition on its way":        {"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: w}, status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'False', reason: Installing}]}}", progressing, "Install in progress"},
		"definition with a taken name": {"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: w}, status: {conditions: [{type: NamesAccepted, status: 'False', reason: PluralConflict, message: '\"widgets\" is already in use'}]}}", failing, "already in use"},
		"status of another form":       {"{apiVersion: x.io/v1, kind: Widget, metadata: {name: w}, status: {conditions: broken}}", unknown, "its status cannot be read: "},
		"generation of another form":   {"{apiVersion: x.io/v1, kind: Widget, metadata: {name: w, generation: 1}, status: {observedGeneration: one}}", unknown, "its status cannot be read: "},
	})
}

func TestCustomResource(t *testing.T) {
	t.Parallel()
	check(t, "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: w, generation: 3}\nspec: {}\n", map[string]state{
		"no status":                  {"", healthy, ""},
		"no conditions":              {"status: {observedGeneration: 3, conditions: []}", healthy, ""},
		"ready":                      {"status: {observedGeneration: 3, conditions: [{type: Ready, status: 'True', reason: Ok, message: fine}]}", healthy, ""},
		"not ready":                  {"status: {conditions: [{type: Ready, status: 'False', reason: DoesNotExist, message: Issuing certificate as Secret does not exist}]}", progressing, "Secret does not exist"},
		"not ready, reason alone":    {"status: {conditions: [{type: Ready, status: 'False', reason: DoesNotExist}]}", progressing, "DoesNotExist"},
		"not ready, without a word":  {"status: {conditions: [{type: Ready, status: 'False'}]}", progressing, "does not say why"},
		"not known":                  {"status: {conditions: [{type: Ready, status: Unknown, message: asking}]}", progressing, "asking"},
		"reconciling":                {"status: {conditions: [{type: Reconciling, status: 'True', message: at it}, {type: Ready, status: 'True'}]}", progressing, "at it"},
		"stalled":                    {"status: {conditions: [{type: Stalled, status: 'True', reason: BadSpec, message: the size is odd}]}", failing, "the size is odd"},
		"stalled, reason alone":      {"status: {conditions: [{type: Stalled, status: 'True', reason: BadSpec}]}", failing, "BadSpec"},
		"not looked at yet":          {"status: {observedGeneration: 2, conditions: [{type: Ready, status: 'True'}]}", progressing, "generation is 3, but latest observed generation is 2"},
		"condition of an older spec": {"status: {conditions: [{type: Ready, status: 'True', observedGeneration: 2}]}", progressing, "has not looked at the latest change"},
		"condition of this spec":     {"status: {conditions: [{type: Ready, status: 'True', observedGeneration: 3}]}", healthy, ""},
		"another condition, older":   {"status: {conditions: [{type: Programmed, status: 'True', observedGeneration: 2}, {type: Ready, status: 'True'}]}", healthy, ""},
	})
	check(t, "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: w}\n", map[string]state{
		"without a generation": {"status: {observedGeneration: 3, conditions: [{type: Ready, status: 'True'}]}", healthy, ""},
	})
}

func TestWorse(t *testing.T) {
	t.Parallel()
	order := []delivery.Health{healthy, unknown, progressing, degraded, failing}
	for i, a := range order {
		for j, b := range order {
			if got, want := health.Worse(a, b), order[max(i, j)]; got != want {
				t.Errorf("the worse of %s and %s is %s, want %s", a, b, got, want)
			}
		}
	}
	if len(order) != len(delivery.Healths()) {
		t.Errorf("%d healths are in order, there are %d", len(order), len(delivery.Healths()))
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	o := func(name string, h delivery.Health, message string) health.Object {
		return health.Object{Key: cluster.Key{Kind: "Pod", Namespace: "shop", Name: name}, Health: h, Message: message}
	}
	long := strings.Repeat("é", 300)
	for name, tc := range map[string]struct {
		objects []health.Object
		health  delivery.Health
		message string
	}{
		"nothing":     {nil, healthy, ""},
		"all healthy": {[]health.Object{o("a", healthy, ""), o("b", healthy, "")}, healthy, ""},
		"one":         {[]health.Object{o("a", healthy, ""), o("b", progressing, "Ready: 0/1")}, progressing, "Pod shop/b: Ready: 0/1"},
		"worst first, then by name": {[]health.Object{o("a", progressing, "pa"), o("c", failing, "fc"), o("b", failing, "fb")}, failing,
			"Pod shop/b: fb; Pod shop/c: fc; Pod shop/a: pa"},
		"no more than three": {[]health.Object{o("a", unknown, "u"), o("b", degraded, "d"), o("c", degraded, "d"), o("d", degraded, "d"), o("e", progressing, "p")}, degraded,
			"Pod shop/b: d; Pod shop/c: d; Pod shop/d: d; and 2 more"},
		"a long story": {[]health.Object{o("a", failing, long)}, failing, "Pod shop/a: " + strings.Repeat("é", 198) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, message := health.Summary(tc.objects)
			if h != tc.health || message != tc.message {
				t.Errorf("got %s %q, want %s %q", h, message, tc.health, tc.message)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		s    string
		n    int
		want string
	}{{"short", 5, "short"}, {"longer", 5, "lo..."}, {"ééé", 5, "é..."}, {"abcdef", 3, "..."}, {"abcdef", 2, ".."}, {"", 0, ""}, {"a", 0, ""}} {
		if got := health.Shorten(tc.s, tc.n); got != tc.want {
			t.Errorf("Shorten(%q, %d) is %q, want %q", tc.s, tc.n, got, tc.want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		s, n := rapid.String().Draw(rt, "s"), rapid.IntRange(0, 20).Draw(rt, "n")
		got := health.Shorten(s, n)
		if len(got) > n || !utf8.ValidString(got) || (len(s) <= n && got != s) {
			rt.Fatalf("Shorten(%q, %d) is %q", s, n, got)
		}
	})
}
