package cel_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// rich is the policy of the benchmark: eight filters (a label, an annotation among several, version, cores, nodes, an API,
// CEL, taints; and capacity), four preferences, spread, 10 of 1,000.
const rich = `
name: rich
clusters:
  labels: [prod]
  expressions:
    - {key: annotation.region, operator: In, values: [r0, r1, r2, r3]}
    - {key: kubernetes.version, operator: ">=", values: [1.30]}
    - {key: allocatable.cpu, operator: ">", values: [8]}
    - {key: nodes.ready, operator: ">=", values: [3]}
    - {key: api, operator: Exists, values: [cert-manager.io/v1]}
  cel: "cluster.nodes.ready >= 3 && cluster.facts['gpu_price'] < 9.5"
requires: {cpu: 500m, memory: 1Gi}
tolerations: [{key: maintenance, effect: NoPlace}]
strategy: {count: {min: 10, max: 10}}
spread: [{by: annotation.region, max_skew: 1, min_domains: 2}]
prefer:
  - {property: available.cpu, range: [0, 64], weight: 5}
  - {property: facts.gpu_price, range: [0, 10], order: low, weight: 3}
  - {property: available.memory, range: [0, 274877906944], weight: 2}
  - {balance: true}
stickiness: {points: 20}
`

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func fleet(n int) []placement.Cluster {
	out := make([]placement.Cluster, n)
	for i := range out {
		out[i] = member(i, 0)
	}
	return out
}

// member is one cluster; turn changes what it tells.
func member(i, turn int) placement.Cluster {
	price := float64((i*7+turn)%10) + 0.5
	c := placement.Cluster{
		Agent: agent.ID(fmt.Sprintf("a%05d", i)), Name: fmt.Sprintf("cluster-%05d", i), Version: 1, Status: agent.Active, ReportedAt: &start, Load: (i + turn) % 40,
		Labels: map[string]bool{"prod": i%5 != 0, "linux": true}, Annotations: map[string]string{"region": fmt.Sprint("r", i%5), "owner": "x"},
		Generators: map[tenancy.GeneratorID]bool{"team": true},
		Reported: cluster.Status{KubernetesVersion: fmt.Sprintf("v1.%d.2", 29+i%8), Nodes: 5, ReadyNodes: int32(2 + i%4),
			Allocatable: cluster.Resources{CPU: int64(4+i%60) * 1000, Memory: int64(16+i%200) << 30, Pods: 500}, Requested: cluster.Resources{CPU: 1000, Memory: 1 << 30},
			Architectures: []string{"amd64"}, APIs: []string{"apps/v1", "cert-manager.io/v1", "v1"}, Facts: map[string]cluster.Fact{"gpu_price": {Number: &price}}},
	}
	if i%11 == 0 {
		c.Taints = []cluster.Taint{{Key: "maintenance", Effect: cluster.NoPlace, Since: start}}
	}
	return c
}

func input(tb testing.TB, text string) placement.Input {
	tb.Helper()
	compiler, err := cel.New()
	if err != nil {
		tb.Fatal(err)
	}
	d, problems := policy.Parse([]byte(text), policy.Checks{CEL: compiler.Check})
	if policy.Failed(problems) {
		tb.Fatal(problems)
	}
	p, err := placement.Compile(d, placement.Deps{CEL: compiler.Compile})
	if err != nil {
		tb.Fatal(err)
	}
	return placement.Input{Subject: placement.Subject{Stack: "s", Generator: "team", Newest: &stack.Object{ID: "o"}}, Policy: p}
}

// standing returns in with the stack where a decision puts it.
func standing(in placement.Input) placement.Input {
	d := placement.Decide(in, start)
	in.Prior = placement.Prior{}
	for _, p := range d.Picks {
		in.Prior[p.Agent] = delivery.Assignment{Agent: p.Agent, Stack: "s", Object: "o", State: delivery.Assigned}
	}
	return in
}

// The memory that a decision takes does not grow with the fleet.
func TestAllocationsDoNotGrowWithTheFleet(t *testing.T) {
	measure := func(n int) float64 {
		in := input(t, rich)
		in.Fleet = placement.NewFleet(fleet(n))
		in = standing(in)
		if d := placement.Decide(in, start); len(d.Picks) != 10 || d.Unmet != nil {
			t.Fatalf("of %d clusters picked %d, unmet %+v", n, len(d.Picks), d.Unmet)
		}
		return testing.AllocsPerRun(50, func() { placement.Decide(in, start) })
	}
	if raced {
		t.Skip("the race detector gives kept memory back at random, so that nothing can be counted; the test runs without it too")
	}
	small, large := measure(500), measure(5000)
	if large > small+5 || large > 100 {
		t.Fatalf("%.0f allocations a decision over 500 clusters, %.0f over 5,000", small, large)
	}
}

// calibrate is work of a known size that is measured beside: sorting 1,000 numbers.
func calibrate(n int) time.Duration {
	at := used()
	for range n {
		x := make([]uint32, 1000)
		for i := range x {
			x[i] = uint32(i) * 2654435761
		}
		slices.Sort(x)
	}
	return (used() - at) / time.Duration(n)
}

// measure does work b.N times and reports rate and percentiles, by the time that the thread was at work and by the time of
// day, and the ratio to sorting 1,000 numbers.
func measure(b *testing.B, before func(i int), work func(i int)) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	each, day := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if before != nil {
			b.StopTimer()
			before(i)
			b.StartTimer()
		}
		at, from := time.Now(), used()
		work(i)
		each, day = append(each, used()-from), append(day, time.Since(at))
	}
	b.StopTimer()
	unit := calibrate(300)
	slices.Sort(each)
	slices.Sort(day)
	var sum time.Duration
	for _, d := range each {
		sum += d
	}
	mean := sum / time.Duration(len(each))
	b.ReportMetric(float64(time.Second)/float64(mean), "decisions/cpu-s")
	for name, p := range map[string]int{"p50": 50, "p99": 99} {
		b.ReportMetric(float64(each[len(each)*p/100].Nanoseconds())/1000, "cpu-µs-"+name)
		b.ReportMetric(float64(day[len(day)*p/100].Nanoseconds())/1000, "µs-"+name)
	}
	b.ReportMetric(float64(mean)/float64(unit), "x-sort-1000")
}

// BenchmarkDecideRich: one decision over 1,000 clusters. Before each decision one cluster tells something new (Changed), or
// none does (Still); or the policy is another one each time, with a selector and CEL that nobody has asked before (Fresh); or all
// clusters are new, so that nothing that is remembered counts (Cold).
func BenchmarkDecideRich(b *testing.B) {
	run := func(b *testing.B, clusters int, before func(in *placement.Input, i int), first func(in *placement.Input, i int)) {
		in := input(b, rich)
		in.Fleet = placement.NewFleet(fleet(clusters))
		in = standing(in)
		var prepare func(i int)
		if before != nil {
			prepare = func(i int) { before(&in, i) }
		}
		measure(b, prepare, func(i int) {
			first(&in, i)
			if d := placement.Decide(in, start); len(d.Picks) != 10 {
				b.Fatalf("%d picks: %+v", len(d.Picks), d.Unmet)
			}
		})
	}
	nothing := func(*placement.Input, int) {}
	b.Run("Still", func(b *testing.B) { run(b, 1000, nil, nothing) })
	changed := func(of int) func(in *placement.Input, i int) {
		return func(in *placement.Input, i int) {
			in.Fleet = in.Fleet.With([]placement.Cluster{member(i%of, i)}, nil)
		}
	}
	b.Run("Changed", func(b *testing.B) { run(b, 1000, nil, changed(1000)) })
	b.Run("ChangedOf10000", func(b *testing.B) { run(b, 10_000, nil, changed(10_000)) })
	b.Run("Fresh", func(b *testing.B) {
		run(b, 1000, func(in *placement.Input, i int) {
			in.Policy = input(b, strings.Replace(rich, "< 9.5", fmt.Sprintf("< 9.6 && cluster.load < 1%05d", i), 1)).Policy
		}, nothing)
	})
	b.Run("Cold", func(b *testing.B) {
		clusters := fleet(1000)
		run(b, 1000, nil, func(in *placement.Input, _ int) { in.Fleet = placement.NewFleet(clusters) })
	})
}

// BenchmarkExplainRich: the same with the verdict on each of the 1,000 clusters, as it is made for a decision that is
// committed; and what it takes to pack that for the record.
func BenchmarkExplainRich(b *testing.B) {
	in := input(b, rich)
	in.Fleet = placement.NewFleet(fleet(1000))
	in = standing(in)
	b.Run("Verdicts", func(b *testing.B) {
		measure(b, nil, func(int) {
			if d := placement.Explain(in, start); len(d.Verdicts) != 1000 {
				b.Fatalf("%d verdicts", len(d.Verdicts))
			}
		})
	})
	d := placement.Explain(in, start)
	b.Run("Pack", func(b *testing.B) {
		measure(b, nil, func(int) {
			if _, err := d.Pack(); err != nil {
				b.Fatal(err)
			}
		})
	})
	// As a scheduler commits: one stack after the other of a policy, each decision changing what the clusters that it picked tell.
	b.Run("Commit", func(b *testing.B) {
		var p placement.Packer
		var t placement.Telling
		size := 0
		next := in
		measure(b, func(i int) {
			next.Subject.Stack = stack.ID(fmt.Sprint("s", i))
			for n := range 10 {
				next.Fleet = next.Fleet.With([]placement.Cluster{member((10*i+n)%1000, i)}, nil)
			}
		}, func(int) {
			kept, err := p.Pack(t.Explain(next, start))
			if err != nil {
				b.Fatal(err)
			}
			size = len(kept.Rest)
		})
		b.ReportMetric(float64(size), "bytes")
	})
}

// BenchmarkDecideAll: 10,000 policies, each with a selector, a preference and a count of its own, over 1,000 clusters, all
// of it cold: each compiled and decided once (Decide), and parsed from YAML before that (Parse). Rich is the same with 10,000
// variants of the rich policy, of which each tenth has an expression of its own.
func BenchmarkDecideAll(b *testing.B) {
	clusters := fleet(1000)
	simple := func(i int) string {
		return fmt.Sprintf("name: p%d\nclusters: {labels: [prod], expressions: [{key: annotation.region, operator: In, values: [r%d, r%d]}]}\n"+
			"strategy: {count: {min: 1, max: %d}}\nprefer: [{property: available.cpu, range: [0, 64]}, {balance: true}]\n", i, i%5, (i+1)%5, 1+i%10)
	}
	varied := func(i int) string {
		return strings.Replace(strings.Replace(rich, "< 9.5", fmt.Sprintf("< 9.6 && cluster.load < 1%05d", i/10), 1), "points: 20", fmt.Sprint("points: ", 1+i%50), 1)
	}
	compiler, err := cel.New()
	if err != nil {
		b.Fatal(err)
	}
	all := func(b *testing.B, text func(i int) string, parsing bool) {
		checks, deps := policy.Checks{CEL: compiler.Check}, placement.Deps{CEL: compiler.Compile}
		parse := func(i int) policy.Document {
			d, problems := policy.Parse([]byte(text(i)), checks)
			if policy.Failed(problems) {
				b.Fatal(problems)
			}
			return d
		}
		documents := make([]policy.Document, 10_000)
		for i := range documents {
			documents[i] = parse(i)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		b.ReportAllocs()
		b.ResetTimer()
		from := used()
		for range b.N {
			f := placement.NewFleet(clusters)
			picks := 0
			for i := range documents {
				d := documents[i]
				if parsing {
					d = parse(i)
				}
				p, err := placement.Compile(d, deps)
				if err != nil {
					b.Fatal(err)
				}
				out := placement.Decide(placement.Input{Subject: placement.Subject{Stack: stack.ID(fmt.Sprint("s", i)), Generator: "team", Newest: &stack.Object{ID: "o"}}, Fleet: f, Policy: p}, start)
				picks += len(out.Picks)
			}
			if picks == 0 {
				b.Fatal("nothing was picked")
			}
		}
		cpu := (used() - from) / time.Duration(b.N)
		b.StopTimer()
		b.ReportMetric(cpu.Seconds(), "cpu-s")
		b.ReportMetric(float64(cpu)/float64(calibrate(300)), "x-sort-1000")
	}
	b.Run("Decide", func(b *testing.B) { all(b, simple, false) })
	b.Run("Parse", func(b *testing.B) { all(b, simple, true) })
	b.Run("Rich", func(b *testing.B) { all(b, varied, false) })
}
