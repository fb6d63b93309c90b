package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

const whole = `
name: web-eu
clusters:
  labels: [prod]
  expressions:
    - {key: annotation.region, operator: In, values: [eu-west, eu-north]}
    - {key: kubernetes.version, operator: ">=", values: [1.30]}
    - {key: allocatable.cpu, operator: ">", values: [8]}
    - {key: api, operator: Exists, values: [cert-manager.io/v1]}
  cel: "cluster.nodes.ready >= 3 && cluster.facts['gpu_price'] < 2.5"
requires: {cpu: 500m, memory: 1Gi, pods: 3}
tolerations: [{key: maintenance, effect: NoPlace, seconds: 600}]
strategy: {count: {min: 2, max: 3}}
spread: [{by: annotation.region, max_skew: 1, min_domains: 2, when_unsatisfiable: refuse}]
affinity: {with_stacks: [db], apart_from_stacks: [noisy]}
groups: [{name: primary, clusters: {labels: [a]}}, {name: overflow, clusters: {any: [{labels: [b]}, {labels: [c]}]}}]
prefer: [{property: available.cpu, range: [0, 64], weight: 5}, {property: facts.cost, range: [0, 10], order: low}, {balance: true}]
stickiness: {points: 20, min_dwell: 10m, max_moves_per_hour: 2}
failover: {unreachable_after: 5m, enabled: true}
overrides: [{clusters: {}, patches: [{target: {kind: Deployment, name: web}, patch: [{op: replace, path: /spec/replicas, value: 5}]}]}]
depends_on: [{stack: crds, health: healthy}]
rollout:
  waves: [{name: canary, clusters: {labels: [canary]}, soak: 10m}, {name: half, percent: 50, approval: true}, {name: rest}]
  max_concurrent: 20%
  failure_budget: {max_failed: 2, or_percent: 5}
  on_failure: rollback
  windows: [{cron: "0 22 * * 1-5", duration: 6h, timezone: Europe/Berlin}]
`

func checks() policy.Checks {
	never := func(what string) func(string) error {
		return func(s string) error {
			if strings.HasPrefix(s, "bad") {
				return errors.New(what + " is bad")
			}
			return nil
		}
	}
	dear := func(s string) (uint64, error) { // as its length says, in thousands
		return 1000 * uint64(len(s)), never("cel")(s)
	}
	return policy.Checks{CEL: dear, Cron: never("cron"), Zone: never("zone")}
}

func TestParseWhole(t *testing.T) {
	t.Parallel()
	d, problems := policy.Parse([]byte(whole), checks())
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if d.Strategy.Type != policy.Count || d.Strategy.Count.Max != 3 {
		t.Errorf("strategy = %+v, want the type to follow from the count", d.Strategy)
	}
	if got := d.Clusters.Expressions[1].Values[0]; got != "1.30" {
		t.Errorf("version = %q, want it as it was written", got)
	}
	if got := string(d.Overrides[0].Patches[0].JSON6902); got != `[{"op":"replace","path":"/spec/replicas","value":5}]` {
		t.Errorf("patch = %s", got)
	}
	if time.Duration(d.Stickiness.MinDwell) != 10*time.Minute {
		t.Errorf("dwell = %v", d.Stickiness.MinDwell)
	}
	text, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, problems := policy.Parse(text, checks())
	if diff := cmp.Diff(d, again); len(problems) > 0 || diff != "" {
		t.Errorf("read again from JSON: %v\n%s", problems, diff)
	}
}

func TestProblemsNameTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "the policy (line 1): the document is empty",
		"- a":                                  "the policy (line 1): a policy is a mapping",
		"{":                                    "the policy (line 1): not JSON",
		"name: [":                              "not YAML",
		"name: a\n---\nname: b":                "more than one document",
		"name: x\nname: y":                     "name (line 2): is given twice",
		`{"name":"x","name":"y"}`:              "name (line 1): is given twice",
		"name: &a x":                           "anchors",
		"name: x\nlabls: [a]":                  "labls (line 2): is not known here",
		"name: x\nclusters: {lables: [a]}":     "clusters.lables (line 2): is not known here; did you mean labels?",
		"clusters: {}":                         "name: the name is empty",
		"name: x\nspread: 3":                   "spread (line 2): is a number, not a list",
		"name: x\nstrategy: {count: {min: a}}": "strategy.count.min (line 2): is a text, not a number",
		"name: x\nstrategy: {type: some}":      `strategy.type (line 2): "some" is not known`,
		"name: x\nstrategy: {count: {min: 3, max: 2}}":                                                            "strategy.count.min (line 2): 3 is more than max, 2",
		"name: x\nstrategy: {type: fixed, count: {min: 1}}":                                                       "strategy.count (line 2): a strategy of type fixed has no count",
		"name: x\nstrategy: {fixed: [a], count: {min: 1}}":                                                        "both fixed and count",
		"name: x\nstrategy: {fixed: [a, a]}":                                                                      `strategy.fixed[1] (line 2): "a" is there already`,
		"name: x\nspread: [{by: annotation.r, max_skew: 0}]":                                                      "spread[0].max_skew (line 2): 0 is less than 1",
		"name: x\nspread: [{by: region, max_skew: 1}]":                                                            `spread[0].by (line 2): "region" is not known`,
		"name: x\nstrategy: {count: {min: 1, max: 2}}\nspread: [{by: cluster.name, max_skew: 1, min_domains: 3}]": "spread[0].min_domains (line 3): 3 domains cannot be had with 2",
		"name: x\nrollout: {waves: [{name: a, percent: 10}, {name: b, percent: 101}, {name: c}]}":                 "rollout.waves[1].percent (line 2): 101 is not within 1 to 100",
		"name: x\nrollout: {waves: [{name: a}, {name: a}]}":                                                       "rollout.waves[1].name",
		"name: x\nrollout: {max_concurrent: 0}":                                                                   "rollout.max_concurrent (line 2): 0 is less than 1",
		"name: x\nrollout: {failure_budget: {or_percent: -1}}":                                                    "rollout.failure_budget.or_percent",
		"name: x\nrollout: {deadline: soon}":                                                                      "rollout.deadline (line 2): \"soon\" is no duration",
		"name: x\nrollout: {windows: [{cron: bad, duration: 1h}]}":                                                "rollout.windows[0].cron (line 2): cron is bad",
		"name: x\nrollout: {windows: [{cron: x, duration: 1h, timezone: bad}]}":                                   "rollout.windows[0].timezone (line 2): zone is bad",
		"name: x\nclusters: {cel: bad}":                                                                           "clusters.cel (line 2): cel is bad",
		"name: x\nclusters: {any: [{cel: bad}]}":                                                                  "clusters.any[0].cel (line 2): cel is bad",
		"name: x\nclusters: {expressions: [{key: annotation.r, operator: In, values: [a]}, {key: annotation.r, operator: NotIn, values: [a]}]}": "clusters.expressions[1] (line 2): contradicts expressions[0]",
		"name: x\nclusters: {expressions: [{key: nodes.ready, operator: '>', values: [5]}, {key: nodes.ready, operator: <, values: [3]}]}":      "contradicts",
		"name: x\nclusters: {labels: [a], expressions: [{key: label.a, operator: DoesNotExist}]}":                                               "no cluster can fit",
		"name: x\nclusters: {annotations: {r: a}, expressions: [{key: annotation.r, operator: In, values: [b]}]}":                               "no cluster can fit",
		"name: x\nclusters: {expressions: [{key: kubernetes.version, operator: '>=', values: [new]}]}":                                          "is no version like 1.30",
		"name: x\nclusters: {expressions: [{key: api, operator: '>', values: [3]}]}":                                                            "does not order",
		"name: x\naffinity: {with_stacks: [a], apart_from_stacks: [a]}":                                                                         "no cluster can fit",
		"name: x\nprefer: [{property: annotation.r, range: [0, 1]}]":                                                                            "prefer[0].property",
		"name: x\nprefer: [{property: facts.c, range: [1, 1]}]":                                                                                 "prefer[0].range",
		"name: x\nrequires: {cpu: lots}":                                 "requires.cpu",
		"name: x\nrequires: {cpu: 1e300}":                                "requires.cpu (line 2): \"1e300\" is more than any cluster has",
		"name: x\nrequires: {memory: 7e18}":                              "requires.memory (line 2): \"7e18\" is more than any cluster has",
		"name: x\nprefer: [{property: facts.c, range: [-1e308, 1e308]}]": "prefer[0].range (line 2): from -1e+308 to 1e+308 is too far",
		"name: x\nclusters: {cel: " + strings.Repeat("a", 150) + ", any: [{cel: " + strings.Repeat("a", 150) + "}, {cel: " + strings.Repeat("b", 51) + "}]}": "clusters.any[1].cel (line 2): with the expressions before it, it may cost 201000",
		"name: x\ntolerations: [{effect: Gone}]":                                                      "tolerations[0].effect",
		"name: x\noverrides: [{clusters: {}, patches: [{target: {}}]}]":                               "overrides[0].patches[0]",
		"name: x\noverrides: [{clusters: {}, patches: [{target: {}, patch: [{op: put, path: /a}]}]}]": "overrides[0].patches[0].patch[0].op",
		"name: x\ndepends_on: [{stack: a, health: well}]":                                             "depends_on[0].health",
	} {
		_, problems := policy.Parse([]byte(text), checks())
		var all []string
		for _, p := range problems {
			all = append(all, p.String())
		}
		if got := strings.Join(all, "\n"); !policy.Failed(problems) || !strings.Contains(got, want) {
			t.Errorf("%q: problems\n%s\nwant an error with %q", text, got, want)
		}
	}
}

// What an earlier release has taken, and this one would not, comes to what can be reckoned with.
func TestWhatWasTakenBeforeStaysWithinBounds(t *testing.T) {
	t.Parallel()
	cpu, memory, _, _ := (&policy.Requirements{CPU: "1e300", Memory: "7e18"}).Amount()
	for what, n := range map[string]int64{"cpu": cpu, "memory": memory} {
		if n <= 0 || n > 1<<50 {
			t.Errorf("%s: %d, want a number of which thousands can be summed up", what, n)
		}
	}
}

// What can be done as it is written, and is hardly meant so, is taken with a warning that names the place.
func TestWhatIsHardlyMeantIsAWarning(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: x\nfailover: {enabled: true}":                                                             "failover.enabled (line 2): only a strategy of type count",
		"name: x\nclusters: {any: [{labels: [a]}, {}]}":                                                  "clusters.any[1] (line 2): is empty and so fits each cluster",
		"name: x\nrollout: {waves: [{name: a}, {name: b}]}":                                              "rollout.waves[1] (line 2): an earlier wave takes all clusters",
		"name: x\nrollout: {waves: [{name: a, percent: 50}]}":                                            "rollout.waves (line 2): no wave takes what is left",
		"name: x\nrollout: {waves: [{name: a, percent: 50, approval: true}, {name: b, approval: true}]}": "rollout.waves[1].approval (line 2): no wave follows this one",
	} {
		_, problems := policy.Parse([]byte(text), checks())
		if len(problems) != 1 || policy.Failed(problems) || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%q: problems %v, want one warning with %q", text, problems, want)
		}
	}
	if _, problems := policy.Parse([]byte("name: x\nrollout: {waves: [{name: a, percent: 50, approval: true}]}"), checks()); len(problems) != 1 {
		t.Errorf("the last wave is followed by what is left: problems %v, want that alone", problems)
	}
}

func TestLargeTextsAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"size":  "name: " + strings.Repeat("x", policy.MaxSize),
		"depth": "name: x\nclusters: " + strings.Repeat("{any: [", 40) + strings.Repeat("]}", 40),
		"json":  `{"name":"x","clusters":` + strings.Repeat(`{"any":[`, 40) + strings.Repeat("]}", 40) + "}",
		"parts": "name: x\nclusters: {labels: [" + strings.Repeat("a,", 30_000) + "a]}",
	} {
		if _, problems := policy.Parse([]byte(text), checks()); !policy.Failed(problems) {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"name":"x","strategy":{"count":{"min":1}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, problems := policy.Parse(text, checks())
		if policy.Failed(problems) {
			return
		}
		stored, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, problems := policy.Parse(stored, checks())
		if policy.Failed(problems) {
			t.Fatalf("what was taken is refused when it is read again: %v\n%s", problems, stored)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
