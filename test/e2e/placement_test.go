package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// pricePolicy takes so many of the cheap production clusters, spread over regions; in the east and in c2 they get something else than
// what was published.
func pricePolicy(most int) string {
	return fmt.Sprintf(`name: cheap
clusters:
  labels: [prod]
  expressions: [{key: facts.price, operator: "<", values: [5]}]
  cel: "cluster.nodes.ready >= 1"
strategy: {count: {min: 2, max: %d}}
spread: [{by: annotation.region, max_skew: 1}]
overrides:
- clusters: {annotations: {region: east}}
  patches:
  - {target: {kind: Deployment}, patch: [{op: replace, path: /spec/replicas, value: 3}]}
  - {target: {kind: ConfigMap}, merge: {data: {text: for the east}}}
- clusters: {labels: [c2]}
  patches: [{target: {kind: Deployment}, patch: [{op: replace, path: /spec/replicas, value: 2}]}]
`, most)
}

// priced are three clusters with a price each, and one stack under pricePolicy.
type priced struct {
	*world.World
	owner, operator world.CLI
	stack           world.Named
	object          world.Object
	apps            []world.App // as the policy makes it for each cluster
}

// price states the price of a cluster as its owner would, and waits until the control plane knows it.
func (x *priced) price(t *testing.T, i, price int) {
	t.Helper()
	x.Clusters[i].State("prices", map[string]string{"price": fmt.Sprint(price)})
	world.Eventually(t, world.Patience, fmt.Sprintf("%s is known to cost %d", x.Clusters[i].Name, price), func() error {
		known, err := x.Known(x.Agents[i])
		if err != nil {
			return err
		}
		if known.Status == nil || known.Status.Facts["price"].Number == nil || *known.Status.Facts["price"].Number != float64(price) {
			return fmt.Errorf("what is known: %+v", known.Status)
		}
		return nil
	})
}

// wantOn waits until the application runs, as it is meant for each, in these clusters and is gone from the others.
func (x *priced) wantOn(t *testing.T, why string, on ...int) {
	t.Helper()
	here := map[int]bool{}
	for _, i := range on {
		here[i] = true
		x.Tenant.WaitHealthy(t, x.object, x.Agents[i])
	}
	world.Eventually(t, world.Patience, why, func() error {
		var errs []error
		for i, c := range x.Clusters {
			if here[i] {
				errs = append(errs, x.apps[i].Runs(c))
			} else {
				errs = append(errs, x.apps[i].Absent(c))
			}
		}
		return errors.Join(errs...)
	})
}

// says waits until the explanation of a cluster says all of this.
func (x *priced) says(t *testing.T, i int, parts ...string) {
	t.Helper()
	x.owner.WaitSays(t, []string{"explain", "shop", x.Agents[i].Name}, parts)
}

// operate runs a command about a cluster in an operator's name.
func (x *priced) operate(t *testing.T, command string, i int, args ...string) {
	t.Helper()
	x.operator.Run(t, 0, append([]string{command, x.Agents[i].Name}, args...)...)
}

func (x *priced) versions(i int) map[string]string {
	return x.Clusters[i].Versions(x.stack.ID, world.ConfigMaps, world.Services)
}

// A policy picks among real clusters by what their owners say of them, gives each what is meant for it, and follows when that changes,
// when a cluster is cordoned, drained or tainted, and when the policy itself is changed under a plan.
func TestPolicyPicksAmongClusters(t *testing.T) {
	w := world.New(t, programs, world.Options{Clusters: 3, AgentEnv: []string{"BROKKR__AGENT__STATUS_EVERY=5s"}})
	x := &priced{World: w, owner: w.CLI(w.Tenant.PAK), operator: w.CLI(w.Admin.PAK), stack: w.Tenant.NewStack(t, "shop")}
	for i, region := range []string{"east", "west", "west"} {
		w.AnnotateAgent(w.Agents[i], "region", region)
		x.price(t, i, []int{1, 2, 9}[i])
	}
	w.LabelAgent(w.Agents[0], "prod")
	w.LabelAgent(w.Agents[1], "prod")
	x.apps = []world.App{w.App("shop", "for the east", 3), w.App("shop", "one", 2), w.App("shop", "one", 1)}
	x.owner.Run(t, 0, "policy", "apply", "-f", x.owner.File(t, "cheap.yaml", pricePolicy(2)))
	x.owner.Run(t, 0, "policy", "attach", "cheap", "--stack", "shop")
	x.object = w.Tenant.Publish(t, x.stack.ID, w.App("shop", "one", 1).Bundle())
	x.wantOn(t, "the cheap production clusters, each with what is meant for it", 0, 1)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"a refused cluster and what changes it", x.facts},
		{"cordon, and a drain with its plan", x.drain},
		{"a policy under a plan", x.plan},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

// planned waits until the plan of a drain of a cluster says all of this.
func (x *priced) planned(t *testing.T, i int, parts ...string) {
	t.Helper()
	x.operator.WaitSays(t, []string{"plan", "--agent", x.Agents[i].Name, "--drain"}, parts)
}

func (x *priced) facts(t *testing.T) {
	x.says(t, 2, "not picked", `no label "prod"`, "facts.price < 5 does not hold", "observed facts.price: 9")
	first, second := x.versions(0), x.versions(1)

	x.LabelAgent(x.Agents[2], "prod")
	x.price(t, 2, 1)
	x.planned(t, 1, "+ "+x.Agents[2].Name) // it fits now, and would be taken if one were missing
	stays(t, x.Clusters[1], x.stack.ID, second)

	x.price(t, 1, 9)
	x.wantOn(t, "from the cluster that got dear to the cheap one", 0, 2)
	stays(t, x.Clusters[0], x.stack.ID, first)
	x.says(t, 1, "not picked", "observed facts.price: 9")
}

func (x *priced) drain(t *testing.T) {
	moved := time.Now()
	x.price(t, 1, 2)
	x.planned(t, 2, "gains 1, loses 1", "+ "+x.Agents[1].Name, "- "+x.Agents[2].Name)
	third := x.versions(2)
	x.operate(t, "cordon", 1, "--reason", "new disks")
	x.planned(t, 2, "gains 0, loses 1", "1 of 2 wanted")
	x.operate(t, "uncordon", 1)
	x.planned(t, 2, "gains 1, loses 1")
	stays(t, x.Clusters[2], x.stack.ID, third) // plans move nothing

	x.operator.Says(t, 0, []string{"drain", x.Agents[2].Name, "--dry-run"}, []string{"stack/shop: would go to " + x.Agents[1].Name, "nothing was changed"})
	stays(t, x.Clusters[2], x.stack.ID, third)
	x.operate(t, "drain", 2, "--budget", "1", "--reason", "old iron", "--wait")
	x.wantOn(t, "as the plan said", 0, 1)
	world.Eventually(t, world.Patience, "the drain is done", func() error {
		known, err := x.Known(x.Agents[2])
		if err == nil && (known.Drain == nil || !known.Drain.Done || known.Drain.Moving+known.Drain.Waiting != 0) {
			err = fmt.Errorf("drain %+v", known.Drain)
		}
		return err
	})
	x.says(t, 2, "not picked", "drain")
	x.owner.Says(t, 0, []string{"explain", "shop", x.Agents[2].Name, "--at", moved.UTC().Format(time.RFC3339Nano)}, []string{": picked"})
	x.operate(t, "uncordon", 2)
}

func (x *priced) plan(t *testing.T) {
	file := x.owner.File(t, "cheap.yaml", pricePolicy(3))
	planned := func() string {
		t.Helper()
		out := x.owner.Says(t, 0, []string{"plan", "-f", file}, []string{"gains 1, loses 0, stays in 2", "+ " + x.Agents[2].Name})
		return regexp.MustCompile(`plan (\S+)\n`).FindStringSubmatch(out)[1]
	}
	id := planned()
	x.operate(t, "cordon", 2)
	x.owner.Says(t, 1, []string{"policy", "apply", "-f", file, "--plan", id}, []string{"brokkr plan -f"})
	x.operate(t, "uncordon", 2)
	x.owner.Says(t, 0, []string{"policy", "apply", "-f", file, "--plan", planned()}, []string{"revision 2"})
	x.wantOn(t, "all three, each with what is meant for it", 0, 1, 2)

	first := x.versions(0)
	x.operate(t, "taint", 2, "maintenance:Evict")
	x.wantOn(t, "evicted", 0, 1)
	x.says(t, 2, "not picked", "maintenance")
	x.operate(t, "taint", 2, "maintenance-")
	x.wantOn(t, "back", 0, 1, 2)
	stays(t, x.Clusters[0], x.stack.ID, first)
}
