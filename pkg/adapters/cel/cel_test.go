package cel_test

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

func compiler(t *testing.T) *cel.Compiler {
	t.Helper()
	c, err := cel.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sample() *placement.Cluster {
	at, price := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 2.25
	return &placement.Cluster{
		Agent: "a1", Name: "fra-1", Labels: map[string]bool{"prod": true, "blue": true}, Annotations: map[string]string{"region": "eu"}, ReportedAt: &at, Load: 7,
		Reported: cluster.Status{KubernetesVersion: "v1.36.3", Nodes: 4, ReadyNodes: 3, Allocatable: cluster.Resources{CPU: 8000, Memory: 32 << 30, Pods: 440},
			Requested: cluster.Resources{CPU: 1500}, Architectures: []string{"amd64", "arm64"}, APIs: []string{"apps/v1", "cert-manager.io/v1"},
			Facts: map[string]cluster.Fact{"gpu_price": {Number: &price}, "zone": {Text: "b"}}},
		Assumed: cluster.Resources{CPU: 500},
	}
}

func TestEval(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for expression, want := range map[string]bool{
		"cluster.nodes.ready >= 3 && cluster.facts['gpu_price'] < 2.5":              true,
		"cluster.nodes.ready > 3":                                                   false,
		"'prod' in cluster.labels && cluster.annotations['region'] == 'eu'":         true,
		"cluster.labels.exists(l, l.startsWith('bl'))":                              true,
		"cluster.labels[0] == 'blue'":                                               true,
		"cluster.available.cpu == 6.0 && cluster.allocatable.memory >= 34359738368": true,
		"'cert-manager.io/v1' in cluster.apis && 'arm64' in cluster.architectures":  true,
		"cluster.facts['zone'] == 'b' && has(cluster.facts.zone)":                   true,
		"cluster.load < 5":               false,
		"cluster.facts['gpu_price'] < 2": false,
		"cluster.kubernetes.version.startsWith('v1.36') && cluster.name == 'fra-1'":                     true,
		"cluster.facts.exists(k, k == 'zone' && cluster.facts[k] == 'b')":                               true,
		"size(cluster.facts) == 2 && 'zone' in cluster.facts && !('x' in cluster.facts)":                true,
		"has(cluster.facts.none) || has(cluster.nodes.total) && cluster.agent == 'a1'":                  true,
		"cluster.annotations.exists_one(k, k == 'region') && size(cluster.apis) == 2":                   true,
		"cluster.apis.filter(a, a.endsWith('v1')).size() == 2 && !('x' in cluster.apis)":                true,
		"cluster.nodes == cluster.nodes && cluster == cluster":                                          true,
		"[cluster].exists(c, c.facts['gpu_price'] > 2 && c.labels.size() == 2)":                         true,
		"cluster.requested.cpu == 1.5 && cluster.available.pods == 440 && cluster.allocatable.gpu == 0": true,
	} {
		x, err := c.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got, err := x.Eval(sample()); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", expression, got, err, want)
		}
	}
}

// What is not known is an error and not zero, so that placement takes it neither for yes nor for no.
func TestUnknownIsAnError(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	silent, blind := sample(), sample()
	silent.ReportedAt = nil
	blind.Reported.Unknown = map[cluster.Part]string{cluster.PartNodes: "forbidden"}
	for _, tc := range []struct {
		expression string
		of         *placement.Cluster
		fails      bool
	}{
		{"cluster.nodes.ready < 3", silent, true},
		{"cluster.nodes.ready < 3", blind, true},
		{"cluster.available.cpu > 1.0", blind, true},
		{"'apps/v1' in cluster.apis", blind, false},
		{"'prod' in cluster.labels", silent, false},
		{"cluster.facts['nothing'] < 2.5", sample(), true},
	} {
		x, err := c.Compile(tc.expression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Eval(tc.of); (err != nil) != tc.fails {
			t.Errorf("%s: error %v, want one: %v", tc.expression, err, tc.fails)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for expression, want := range map[string]string{
		"cluster.nodes.ready >=": "Syntax error",
		"cluster.node.ready > 3": "undefined field 'node'",
		"nodes.ready > 3":        "undeclared reference",
		"cluster.nodes.ready":    "neither true nor false",
		"cluster.apis.all(a, cluster.apis.all(b, cluster.apis.all(c, a + b != c)))": "may cost",
	} {
		if _, err := c.Check(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", expression, err, want)
		}
	}
}

// An estimate rests on sizes that a cluster may exceed; the limit then counts while it runs.
func TestCostLimitWhileRunning(t *testing.T) {
	t.Parallel()
	x, err := compiler(t).Compile("cluster.apis.all(a, a != 'x')")
	if err != nil {
		t.Fatal(err)
	}
	big := sample()
	big.Reported.APIs = nil
	for range 200_000 {
		big.Reported.APIs = append(big.Reported.APIs, "v1")
	}
	if _, err := x.Eval(big); err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Fatalf("error %v, want that the cost limit is exceeded", err)
	}
}

// That nothing is counted for clusters of usual size changes no answer, and no error either.
func TestCountingChangesNoAnswer(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for _, expression := range []string{
		"cluster.nodes.ready >= 3 && cluster.facts['gpu_price'] < 2.5", "cluster.facts['none'] == 1.0", "cluster.labels[7] == 'x'",
		"'prod' in cluster.labels", "cluster.apis.exists(a, a.contains('cert'))", "cluster.name.matches('^fra-[0-9]$')",
		"cluster.facts['zone'] > 2", "1 / (cluster.load - 7) > 0", "cluster == cluster && cluster.available != cluster.requested", "'x' in cluster.facts",
		"'arm64' in cluster.architectures && size(cluster.labels) == 2 && size(cluster.name) > 2", "cluster.apis != cluster.labels",
		"cluster.facts.exists(k, k == 'zone' && cluster.facts[k] == 'b')", "'b' in cluster.facts['zone']", "cluster.facts.none in ['b']",
	} {
		x, err := c.Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		plain, long := sample(), sample()
		long.Annotations["long"] = strings.Repeat("x", 1000)
		a, errA := x.Eval(plain)
		b, errB := x.Eval(long)
		if a != b || (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
			t.Errorf("%s: %v, %v uncounted; %v, %v counted", expression, a, errA, b, errB)
		}
	}
}

// What an expression makes of itself is in no estimate: it must neither be let grow without end nor be made without being counted.
func TestWhatGrowsByItselfIsStopped(t *testing.T) {
	t.Parallel()
	again := func(start, step, end string) string {
		return "[" + start + "]" + strings.Repeat(".map(x, "+step+")", 40) + end
	}
	c := compiler(t)
	for _, expression := range []string{
		again("'a'", "x + x", ".exists(x, x == cluster.name)"),
		again("[1]", "x + x", ".exists(x, 2 in x)"),
		again("[1]", "[x, x]", ".exists(x, x != x)"),
		again("dyn('a')", "x + x", ".exists(x, x == cluster.name)"),
		"'aaaaaaaaaa'" + strings.Repeat(".replace('a', 'aaaaaaaaaa')", 12) + " == cluster.name",
	} {
		x, err := c.Compile(expression)
		if err != nil {
			continue // it is refused at once
		}
		if n := x.Cost(); n != cel.CostLimit {
			t.Errorf("%.60s...: it may cost %d, want it not to be estimated", expression, n)
		}
		if is, err := x.Eval(sample()); err == nil || !strings.Contains(err.Error(), "cost limit") && !strings.Contains(err.Error(), "more to do than it may") {
			t.Errorf("%.60s...: %v, %v; want it stopped", expression, is, err)
		}
	}
}
