package e2e

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// wavesPolicy is a policy with a spread over regions, the first cluster as canary, and at most one cluster in flight.
func wavesPolicy(approval bool) string {
	return fmt.Sprintf(`name: web
clusters: {labels: [all]}
strategy: {count: {min: 2, max: 3}}
spread: [{by: annotation.region, max_skew: 1}]
rollout:
  waves:
  - {name: canary, clusters: {labels: [c1]}, approval: %t}
  - {name: rest}
  max_concurrent: 1
  on_failure: rollback
`, approval)
}

// waves are one stack on three clusters under wavesPolicy.
type waves struct {
	*world.World
	cli   world.CLI
	stack world.Named
}

// publish publishes a revision of the application whose pods do what phase says.
func (x *waves) publish(t *testing.T, text, phase string) (world.App, world.Object) {
	t.Helper()
	app := x.App("shop", text, 1)
	app.Phase = phase
	return app, x.Tenant.Publish(t, x.stack.ID, app.Bundle())
}

// follow stores the next revision of the policy.
func (x *waves) follow(t *testing.T, approval bool) {
	t.Helper()
	x.cli.Run(t, 0, "policy", "apply", "-f", x.cli.File(t, "web.yaml", wavesPolicy(approval)))
}

// have returns the clusters that have the revision.
func (x *waves) have(app world.App) []*world.Cluster {
	return slices.DeleteFunc(slices.Clone(x.Clusters), func(c *world.Cluster) bool {
		text, err := c.Data(app.Name, "text")
		return err != nil || text != app.Text
	})
}

// waitNext waits until another cluster than these has the revision, and returns it.
func (x *waves) waitNext(t *testing.T, app world.App, but ...*world.Cluster) *world.Cluster {
	t.Helper()
	var next *world.Cluster
	world.Eventually(t, world.Patience, "the next cluster gets "+app.Text, func() error {
		more := slices.DeleteFunc(x.have(app), func(c *world.Cluster) bool { return slices.Contains(but, c) })
		if len(more) != 1 {
			return fmt.Errorf("%d more clusters have it than the %d that had it", len(more), len(but))
		}
		next = more[0]
		return nil
	})
	return next
}

// through lets the revision pass through all clusters but those that are done, one after the other: each becomes healthy by hand, and
// until then no other may have it.
func (x *waves) through(t *testing.T, app world.App, done ...*world.Cluster) {
	t.Helper()
	for len(done) < len(x.Clusters) {
		next := x.waitNext(t, app, done...)
		done = append(done, next)
		x.wantOnly(t, "while "+next.Name+" is not healthy", app, done...)
		next.LetRun(app)
	}
}

// wantOnly fails unless for a while these clusters and no others have the revision.
func (x *waves) wantOnly(t *testing.T, why string, app world.App, these ...*world.Cluster) {
	t.Helper()
	world.Throughout(t, time.Second, why, func() error {
		got := x.have(app)
		if len(got) != len(these) || slices.ContainsFunc(these, func(c *world.Cluster) bool { return !slices.Contains(got, c) }) {
			return fmt.Errorf("clusters %s have %s, want %s", names(got), app.Text, names(these))
		}
		return nil
	})
}

func names(clusters []*world.Cluster) (names []string) {
	for _, c := range clusters {
		names = append(names, c.Name)
	}
	return names
}

// Revisions move across real clusters in waves: one that is good, one that fails in the canary, one that somebody steers, one whose
// schedulers are killed, and one while a cluster cannot be reached.
func TestRolloutsGoInWaves(t *testing.T) {
	w := world.New(t, programs, world.Options{Clusters: 3, SchedulerEnv: []string{"BROKKR__SCHEDULER__UNREACHABLE_AFTER=65s"}})
	x := &waves{World: w, cli: w.CLI(w.Tenant.PAK), stack: w.Tenant.NewStack(t, "shop")}
	for i, region := range []string{"east", "west", "west"} {
		w.AnnotateAgent(w.Agents[i], "region", region)
	}
	x.follow(t, false)
	x.cli.Run(t, 0, "policy", "attach", "web", "--stack", "shop")
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"one after the other until all have it", x.completes},
		{"back from the canary by itself", x.rollsBack},
		{"paused, resumed and approved by hand", x.steered},
		{"schedulers killed in the middle", x.killed},
		{"past a cluster that cannot be reached", x.offline},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

func (x *waves) completes(t *testing.T) {
	app, o := x.publish(t, "one", world.PhasePending)
	if first := x.waitNext(t, app); first != x.Clusters[0] {
		t.Errorf("the first cluster is %s, want the canary", first.Name)
	}
	x.through(t, app)
	x.Tenant.WaitRollout(t, o, "completed")
	x.Tenant.WaitHealthy(t, o, x.Agents...)
	runs(t, x.World, app)
	x.cli.Says(t, 0, []string{"rollout", "watch", "shop"}, []string{"completed"})
}

func (x *waves) rollsBack(t *testing.T) {
	good, others := x.App("shop", "one", 1), x.Clusters[1:]
	var before []map[string]string
	for i, c := range others {
		before = append(before, c.Versions(x.stack.ID, world.ConfigMaps, world.Services, world.Autoscalers, world.Budgets))
		x.Agents[i+1].Gate.Forget()
	}
	_, o := x.publish(t, "two", world.PhaseBroken)
	x.Tenant.WaitRollout(t, o, "rolled_back")
	world.Eventually(t, world.Patience, "the canary is back", func() error { return good.Runs(x.Clusters[0]) })
	for i, c := range others {
		if after := c.Versions(x.stack.ID, world.ConfigMaps, world.Services, world.Autoscalers, world.Budgets); fmt.Sprint(after) != fmt.Sprint(before[i]) {
			t.Errorf("%s, which was not the canary, had its objects changed: %v, before %v", c.Name, after, before[i])
		}
		if writes := x.Agents[i+1].Gate.Writes(); len(writes) > 0 {
			t.Errorf("the agent of %s, which was not the canary, wrote %v", c.Name, writes)
		}
	}
	x.cli.Says(t, 0, []string{"rollout", "history", "shop"}, []string{"failed", "ImagePullBackOff", "rolling_back", "rolled_back"})
	x.cli.Says(t, 1, []string{"rollout", "watch", "shop"}, []string{"rolled_back"})
	x.wantOnly(t, "all have the good one", good, x.Clusters...)
}

func (x *waves) steered(t *testing.T) {
	canary := x.Clusters[0]
	x.follow(t, true)
	app, o := x.publish(t, "three", world.PhasePending)
	x.waitNext(t, app)
	x.cli.Says(t, 0, []string{"rollout", "pause", "shop"}, []string{"paused"})
	canary.LetRun(app)
	x.Tenant.WaitHealthy(t, o, x.Agents[0])
	x.wantOnly(t, "paused", app, canary)
	x.cli.Says(t, 0, []string{"rollout", "resume", "shop"}, []string{"resumed"})
	x.Tenant.WaitRollout(t, o, "waiting_approval")
	x.cli.Says(t, 0, []string{"rollout", "status", "shop"}, []string{"waits for approval", "ends with:"})
	x.wantOnly(t, "not approved", app, canary)
	x.cli.Says(t, 0, []string{"rollout", "approve", "shop"}, []string{"approved"})
	x.through(t, app, canary)
	x.Tenant.WaitRollout(t, o, "completed")
	x.cli.Says(t, 1, []string{"rollout", "approve", "shop"}, []string{"completed"})
}

func (x *waves) killed(t *testing.T) {
	x.follow(t, false)
	app, o := x.publish(t, "four", world.PhasePending)
	var let atomic.Int32
	bounded := x.atMost(app, &let)
	letRun := func(c *world.Cluster) {
		let.Add(1)
		c.LetRun(app)
	}
	canary := x.waitNext(t, app)
	letRun(canary)
	second := x.waitNext(t, app, canary)

	t.Log("killed while a cluster is in flight")
	x.restartSchedulers(t, func() {})
	alive := x.Tenant.NewStack(t, "alive", world.All)
	x.Tenant.WaitHealthy(t, x.Tenant.Publish(t, alive.ID, world.ConfigMap(canary.Namespace, "alive", "yes")), x.Agents...)
	x.wantOnly(t, "in flight when the schedulers were killed", app, canary, second)

	t.Log("killed when its report came")
	x.restartSchedulers(t, func() {
		letRun(second)
		x.Tenant.WaitHealthy(t, o, x.Agents[slices.Index(x.Clusters, second)])
		x.wantOnly(t, "nobody decides", app, canary, second)
	})
	letRun(x.waitNext(t, app, canary, second))
	x.Tenant.WaitRollout(t, o, "completed")
	if err := bounded(); err != nil {
		t.Error(err)
	}
}

func (x *waves) restartSchedulers(t *testing.T, meanwhile func()) {
	t.Helper()
	for _, s := range x.Schedulers {
		s.Kill()
	}
	meanwhile()
	for _, s := range x.Schedulers {
		s.StartUnready()
	}
	for _, s := range x.Schedulers {
		s.Ready()
	}
}

// atMost looks all the time, until the function that it returns is called, that no more clusters have the revision than were let run
// and one more.
func (x *waves) atMost(app world.App, let *atomic.Int32) (end func() error) {
	stop, found := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				found <- nil
				return
			case <-time.After(10 * time.Millisecond):
			}
			have := len(x.have(app))
			if healthy := int(let.Load()); have > healthy+1 { // read after: it only grows
				found <- fmt.Errorf("%d clusters had the revision when %d were healthy with it, and one at a time is admitted", have, healthy)
				return
			}
		}
	}()
	return func() error {
		close(stop)
		return <-found
	}
}

func (x *waves) offline(t *testing.T) {
	last, agent, lost := x.App("shop", "four", 1), x.Agents[2], x.Clusters[2]
	kinds := []schema.GroupVersionResource{world.ConfigMaps, world.Deployments, world.Services, world.Autoscalers, world.Budgets}
	before := identities(t, lost, last.Name, kinds)
	agent.Kill()
	world.Eventually(t, 3*world.Patience, "the cluster is known to be unreachable", func() error {
		known, err := x.Known(agent)
		if err == nil && known.Reachability != "unreachable" {
			err = fmt.Errorf("it is %s", known.Reachability)
		}
		return err
	})
	app, o := x.publish(t, "five", world.PhaseRun)
	x.Tenant.WaitRollout(t, o, "completed")
	x.wantOnly(t, "the agent is not there", app, x.Clusters[0], x.Clusters[1])
	x.cli.Says(t, 0, []string{"rollout", "status", "shop"}, []string{"cannot be reached"})
	agent.Start()
	x.Tenant.WaitHealthy(t, o, x.Agents...)
	if after := identities(t, lost, app.Name, kinds); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the cluster that came back has other objects: %v, before %v", after, before)
	}
}

// identities are the UIDs of an application's objects: the same as long as none of them is deleted and made anew.
func identities(t *testing.T, c *world.Cluster, name string, kinds []schema.GroupVersionResource) map[string]types.UID {
	t.Helper()
	out := map[string]types.UID{}
	for _, k := range kinds {
		o, err := c.Get(k, name)
		if err != nil {
			t.Fatal(err)
		}
		out[k.Resource] = o.GetUID()
	}
	return out
}
