package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func number(n float64) *float64 { return &n }

func TestNormalStatusSaysTheSame(t *testing.T) {
	t.Parallel()
	mixed := cluster.Status{KubernetesVersion: "v1.36.3", Nodes: 2, ReadyNodes: 1, APIs: []string{"v1", "apps/v1", "v1"}, Architectures: []string{"arm64", "amd64"}}
	got, err := mixed.Normal()
	if err != nil {
		t.Fatalf("normal: %v", err)
	}
	want := mixed.Copy()
	want.APIs, want.Architectures = []string{"apps/v1", "v1"}, []string{"amd64", "arm64"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("normal (-want +got):\n%s", diff)
	}
	if mixed.APIs[0] != "v1" {
		t.Error("the argument was changed")
	}
	a, err1 := got.Digest()
	b, err2 := want.Digest()
	if err1 != nil || err2 != nil || a != b {
		t.Errorf("digests: got %x and %x (%v, %v), want the same", a, b, err1, err2)
	}
	want.ReadyNodes++
	if c, err := want.Digest(); err != nil || c == a {
		t.Errorf("digest of another status: got %x, %v, want another", c, err)
	}
}

func TestStatusIsRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]cluster.Status{
		"negative amount":       {Allocatable: cluster.Resources{CPU: -1}},
		"negative request":      {Requested: cluster.Resources{GPU: -1}},
		"more ready than there": {Nodes: 1, ReadyNodes: 2},
		"an API of two words":   {APIs: []string{"apps v1"}},
		"too many APIs":         {APIs: many(cluster.MaxAPIs + 1)},
		"fact without a name":   {Facts: map[string]cluster.Fact{"": {Text: "x"}}},
		"fact of both kinds":    {Facts: map[string]cluster.Fact{"x": {Text: "x", Number: number(1)}}},
		"long fact":             {Facts: map[string]cluster.Fact{"x": {Text: strings.Repeat("x", 2000)}}},
		"part that is none":     {Unknown: map[cluster.Part]string{"weather": "rain"}},
		"version with a space":  {KubernetesVersion: "v1 beta"},
	} {
		if _, err := s.Normal(); !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_cluster_status" {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "g" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + "/v" + strings.Repeat("1", i/1300+1) + string(rune('a'+i/50%26))
	}
	return out
}

func TestUnknownIsNotZero(t *testing.T) {
	t.Parallel()
	s := cluster.Status{Unknown: map[cluster.Part]string{cluster.PartNodes: "nodes are forbidden"}}
	for _, p := range cluster.Parts() {
		if got, want := s.Knows(p), p != cluster.PartNodes; got != want {
			t.Errorf("knows %s: got %v, want %v", p, got, want)
		}
	}
}

func TestTaintCheck(t *testing.T) {
	t.Parallel()
	good := cluster.Taint{Key: "brokkr.io/maintenance", Value: "disks", Effect: cluster.Evict}
	if err := good.Check(); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	for _, e := range cluster.Effects() {
		if got, err := cluster.ParseEffect(strings.ToLower(string(e))); err != nil || got != e {
			t.Errorf("parse %s: got %s, %v", e, got, err)
		}
	}
	for name, bad := range map[string]cluster.Taint{
		"no key": {Effect: cluster.Evict}, "space": {Key: "a b", Effect: cluster.Evict}, "equals sign": {Key: "a=b", Effect: cluster.Evict},
		"value": {Key: "a", Value: "b c", Effect: cluster.Evict}, "effect": {Key: "a", Effect: "NoSchedule"},
	} {
		if err := bad.Check(); !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_taint" {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func TestDrainEvicts(t *testing.T) {
	t.Parallel()
	released := map[stack.ID]time.Time{"web": time.Unix(0, 0)}
	for name, tc := range map[string]struct {
		drain *cluster.Drain
		want  map[stack.ID]bool
	}{
		"none":          {nil, map[stack.ID]bool{"web": false, "db": false}},
		"all at once":   {&cluster.Drain{}, map[stack.ID]bool{"web": true, "db": true}},
		"with a budget": {&cluster.Drain{Budget: 1, Released: released}, map[stack.ID]bool{"web": true, "db": false}},
	} {
		for s, want := range tc.want {
			if got := tc.drain.Evicts(s); got != want {
				t.Errorf("%s evicts %s: got %v, want %v", name, s, got, want)
			}
		}
	}
}

func TestWeighSilence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ids := func(n int) []agent.ID { return make([]agent.ID, n) }
	c := cluster.Caution{Share: 0.3, Floor: 3, Wait: 2 * time.Minute}
	for name, tc := range map[string]struct {
		silence cluster.Silence
		was     time.Duration // before now; 0: no outage yet
		mark    bool
		outage  bool
	}{
		"nobody is lost":                    {cluster.Silence{Watched: 10}, 0, false, false},
		"one of ten":                        {cluster.Silence{Watched: 10, Lost: ids(1)}, 0, true, false},
		"the only one":                      {cluster.Silence{Watched: 1, Lost: ids(1)}, 0, true, false},
		"both of two, below the floor":      {cluster.Silence{Watched: 2, Lost: ids(2)}, 0, true, false},
		"a third of ten":                    {cluster.Silence{Watched: 10, Lost: ids(3)}, 0, true, false},
		"more than a third":                 {cluster.Silence{Watched: 10, Lost: ids(4)}, 0, false, true},
		"of those that were reachable":      {cluster.Silence{Watched: 10, Unreachable: 6, Lost: ids(3)}, 0, false, true},
		"all, for a minute":                 {cluster.Silence{Watched: 10, Lost: ids(10)}, time.Minute, false, true},
		"all, for as long as it is doubted": {cluster.Silence{Watched: 10, Lost: ids(10)}, 2 * time.Minute, true, true},
		"an outage is over":                 {cluster.Silence{Watched: 10, Lost: ids(1)}, time.Minute, true, false},
	} {
		var was cluster.Outage
		if tc.was > 0 {
			was.Since = now.Add(-tc.was)
		}
		mark, is := c.Weigh(tc.silence, was, now)
		if mark != tc.mark || !is.Since.IsZero() != tc.outage {
			t.Errorf("%s: got mark %v, outage since %v; want %v, %v", name, mark, is.Since, tc.mark, tc.outage)
		}
		if tc.outage && tc.was > 0 && !is.Since.Equal(was.Since) {
			t.Errorf("%s: the outage began anew", name)
		}
	}
}

func TestParseFacts(t *testing.T) {
	t.Parallel()
	got, err := cluster.ParseFacts("zone=north, price=2.5,")
	if err != nil || len(got) != 2 || got["zone"].Text != "north" || got["price"].Number == nil || *got["price"].Number != 2.5 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"zone", "=x", "a b=c", "x=" + strings.Repeat("x", 2000)} {
		if _, err := cluster.ParseFacts(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.20q: got %v, want Invalid", bad, err)
		}
	}
	if f := cluster.ParseFact("NaN"); f.Number != nil || f.Text != "NaN" {
		t.Errorf("NaN: got %+v, want a text", f)
	}
}

func TestRoundedIgnoresNoise(t *testing.T) {
	t.Parallel()
	s := cluster.Status{Allocatable: cluster.Resources{CPU: 64_000, Memory: 256 << 30, Pods: 1100}, Requested: cluster.Resources{CPU: 3210, Memory: 9 << 30, Pods: 101}}
	noisy := s
	noisy.Requested.CPU, noisy.Requested.Pods = 3250, 103
	if a, b := s.Rounded(), noisy.Rounded(); a.Requested != b.Requested {
		t.Errorf("got %+v and %+v, want the same", a.Requested, b.Requested)
	}
	noisy.Requested.CPU = 6000
	if a, b := s.Rounded(), noisy.Rounded(); a.Requested == b.Requested {
		t.Errorf("got %+v for much more, want another", b.Requested)
	}
}
