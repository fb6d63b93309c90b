package placement_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

var update = flag.Bool("update", false, "write what is decided into the scenarios")

// scenario is a file of testdata/scenarios: what is the case, and what is decided.
type scenario struct {
	Because  string                     `json:"because"`
	Policy   policy.Document            `json:"policy"`
	Moved    []policy.Duration          `json:"moved,omitempty"` // so long ago
	Peers    map[string][]agent.ID      `json:"peers,omitempty"` // where other stacks are
	Brake    *scenarioBrake             `json:"brake,omitempty"`
	Clusters map[string]scenarioCluster `json:"clusters"`
	Decided  map[string]string          `json:"decided,omitempty"` // by cluster
}

type scenarioBrake struct {
	Share float64 `json:"share"`
	AtOne int     `json:"at_one"`
}

// Durations are how long it has been so; long, if it is not said.
type scenarioCluster struct {
	Here        bool              `json:"here,omitempty"` // the stack is assigned to it
	HereFor     policy.Duration   `json:"here_for,omitempty"`
	DownFor     policy.Duration   `json:"unreachable_for,omitempty"`
	TaintedFor  policy.Duration   `json:"tainted_for,omitempty"`
	Labels      []string          `json:"labels,omitempty"`
	Region      string            `json:"region,omitempty"`
	Cordoned    bool              `json:"cordoned,omitempty"`
	Unreachable bool              `json:"unreachable,omitempty"`
	CPU         int64             `json:"cpu,omitempty"`       // cores; 0: the cluster has told nothing
	Requested   int64             `json:"requested,omitempty"` // of them
	Taints      map[string]string `json:"taints,omitempty"`
	Facts       map[string]string `json:"facts,omitempty"`
	Stale       []string          `json:"stale,omitempty"` // facts that are not known to be so any longer
	Version     string            `json:"version,omitempty"`
	Ready       int32             `json:"ready,omitempty"` // nodes
	APIs        []string          `json:"apis,omitempty"`
	Load        int               `json:"load,omitempty"` // stacks
	NoConsent   bool              `json:"no_consent,omitempty"`
	Pinned      bool              `json:"pinned,omitempty"`
	Drained     bool              `json:"drained,omitempty"`
}

func (s scenario) decide(t *testing.T) map[string]string {
	var clusters []placement.Cluster
	prior := placement.Prior{}
	long := now.Add(-1e12)
	ago := func(d policy.Duration) time.Time {
		if d == 0 {
			return long
		}
		return now.Add(-time.Duration(d))
	}
	for name, x := range s.Clusters {
		c := cluster(name)
		c.Labels, c.Annotations = map[string]bool{}, map[string]string{"region": x.Region}
		for _, l := range x.Labels {
			c.Labels[l] = true
		}
		if x.Cordoned {
			c.Cordon = &domain.Cordon{Since: long}
		}
		if x.Unreachable || x.DownFor != 0 {
			since := ago(x.DownFor)
			c.UnreachableSince = &since
		}
		if x.CPU > 0 {
			c.ReportedAt, c.Reported.Nodes, c.Reported.Allocatable.CPU, c.Reported.Requested.CPU = &long, 1, x.CPU*1000, x.Requested*1000
		}
		x.tell(&c, long)
		for k, e := range x.Taints {
			c.Taints = append(c.Taints, domain.Taint{Key: k, Effect: domain.Effect(e), Since: ago(x.TaintedFor)})
		}
		if x.Here || x.HereFor != 0 {
			prior[agent.ID(name)] = delivery.Assignment{Agent: agent.ID(name), Stack: web, Object: "o1", State: delivery.Assigned, Placed: ago(x.HereFor)}
		}
		clusters = append(clusters, c)
	}
	in := placement.Input{Subject: subject(), Clusters: clusters, Prior: prior, Policy: withCEL(t, s.Policy), Peers: map[string]placement.Prior{},
		Brake: placement.Brake{Share: 0.9, AtOne: 50}}
	for _, m := range s.Moved {
		in.Subject.Moved = append(in.Subject.Moved, ago(m))
	}
	for name, agents := range s.Peers {
		in.Peers[name] = placement.Prior{}
		for _, a := range agents {
			in.Peers[name][a] = delivery.Assignment{Agent: a, State: delivery.Assigned}
		}
	}
	if b := s.Brake; b != nil {
		in.Brake.Share, in.Brake.AtOne = b.Share, b.AtOne
	}
	d := placement.Explain(in, now)
	out := map[string]string{}
	for _, v := range d.Verdicts {
		var rules []string
		for _, r := range v.Reasons {
			rules = append(rules, string(r.Rule))
		}
		word := "no"
		if v.Picked {
			word = "yes"
		}
		out[v.Cluster] = word + ": " + strings.Join(slices.Compact(rules), ", ")
	}
	if d.Hold != nil {
		out["held"] = d.Hold.Reason
	}
	if d.WakeAt != nil {
		out["again"] = "in " + d.WakeAt.Sub(now).String()
	}
	if d.Unmet != nil {
		out["unmet"] = fmt.Sprintf("%d of %d", d.Unmet.Picked, d.Unmet.Wanted)
	}
	return out
}

// withCEL compiles a policy, whose expressions are those that users write.
func withCEL(t *testing.T, d policy.Document) *placement.Compiled {
	t.Helper()
	language, err := cel.New()
	if err != nil {
		t.Fatal(err)
	}
	d, problems := policy.Validate(d, policy.Checks{CEL: language.Check})
	if policy.Failed(problems) {
		t.Fatalf("the scenario's policy is wrong: %v", problems)
	}
	c, err := placement.Compile(d, placement.Deps{CEL: language.Compile})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tell fills in what the agent has told, and what people have said of the cluster.
func (x scenarioCluster) tell(c *placement.Cluster, long time.Time) {
	c.Load = x.Load
	if x.NoConsent {
		c.Generators = nil
	}
	if x.Pinned {
		c.Targets = map[stack.ID]bool{web: true}
	}
	if x.Drained {
		c.Drain = &domain.Drain{Since: long}
	}
	if x.Version+strings.Join(x.APIs, "") == "" && x.Ready == 0 && len(x.Facts) == 0 {
		return
	}
	c.ReportedAt = &long
	c.Reported.KubernetesVersion, c.Reported.ReadyNodes, c.Reported.APIs, c.Reported.Facts = x.Version, x.Ready, x.APIs, map[string]domain.Fact{}
	c.Reported.Nodes = max(c.Reported.Nodes, x.Ready)
	for k, v := range x.Facts {
		f := domain.ParseFact(v)
		if slices.Contains(x.Stale, k) {
			f.Until = &long
		}
		c.Reported.Facts[k] = f
	}
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			if err := yaml.UnmarshalStrict(text, &s); err != nil {
				t.Fatal(err)
			}
			decided, err := yaml.Marshal(map[string]any{"decided": s.decide(t)})
			if err != nil {
				t.Fatal(err)
			}
			before, want, _ := bytes.Cut(text, []byte("decided:"))
			if *update {
				if err := os.WriteFile(file, append(before, decided...), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want = append([]byte("decided:"), want...); !bytes.Equal(want, decided) {
				t.Errorf("%s\ndecided is\n%s\nnot\n%s", s.Because, decided, want)
			}
		})
	}
}
