package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// An agent that is away when its stack is deleted, or its label taken, executes the tombstones when it comes back.
func TestOfflineAgentGetsItsTombstones(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	away, there := w.Agents[0], w.Agents[1]
	w.LabelAgent(away, "extra")
	deleted, relabelled, kept := w.App("deleted", "one", 1), w.App("relabelled", "one", 1), w.App("kept", "one", 1)
	sd, sr, sk := g.NewStack(t, "deleted", world.All), g.NewStack(t, "relabelled", "extra"), g.NewStack(t, "kept", world.All)
	g.WaitHealthy(t, g.Publish(t, sd.ID, deleted.Bundle()), w.Agents...)
	g.WaitHealthy(t, g.Publish(t, sr.ID, relabelled.Bundle()), away)
	g.WaitHealthy(t, g.Publish(t, sk.ID, kept.Bundle()), w.Agents...)

	away.Kill()
	g.DeleteStack(t, sd.ID)
	w.UnlabelAgent(away, "extra")
	kept.Text = "two"
	o := g.Publish(t, sk.ID, kept.Bundle())
	g.WaitHealthy(t, o, there)
	absent(t, there.Cluster, deleted)
	g.WaitUnassigned(t, sd.ID, there)
	// Nothing but the agent can have removed it, and the tombstone waits for the agent.
	if err := deleted.Runs(away.Cluster); err != nil {
		t.Error(err)
	}
	s, err := g.Status(t.Context(), sd.ID)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := s.Of(away.ID); !ok || c.State != "removing" {
		t.Errorf("status of the deleted stack in the cluster of the absent agent: got %v, %t, want removing", c, ok)
	}

	// It comes back to a control plane that has forgotten all but its database.
	for _, s := range append(w.Gateways, w.Schedulers...) {
		s.Kill()
		s.Start()
	}
	away.Start()
	g.WaitUnassigned(t, sd.ID, away)
	g.WaitUnassigned(t, sr.ID, away)
	absent(t, away.Cluster, deleted)
	absent(t, away.Cluster, relabelled)
	g.WaitHealthy(t, o, away)
	runs(t, w, kept)
}

// While the API server of a cluster is away nothing is lost: changes and removals wait and are done when it is back,
// and the agent goes on to report that it lives.
func TestUnreachableClusterLosesNothing(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	cut, other := w.Agents[0], w.Agents[1]
	app, gone := w.App("app", "one", 1), w.App("gone", "one", 1)
	s, sg := g.NewStack(t, "app", world.All), g.NewStack(t, "gone", world.All)
	g.WaitHealthy(t, g.Publish(t, s.ID, app.Bundle()), w.Agents...)
	g.WaitHealthy(t, g.Publish(t, sg.ID, gone.Bundle()), w.Agents...)

	cut.Gate.Shut()
	app.Text = "two"
	o := g.Publish(t, s.ID, app.Bundle())
	g.DeleteStack(t, sg.ID)
	g.WaitHealthy(t, o, other) // one cluster's trouble is not another's
	absent(t, other.Cluster, gone)
	world.Eventually(t, world.Patience, "the agent says that its API server is away", func() error {
		a, err := w.Agent(cut)
		if err != nil {
			return err
		}
		if a.K8sReachable == nil || *a.K8sReachable {
			return fmt.Errorf("k8s_reachable is %v", a.K8sReachable)
		}
		return nil
	})
	a, err := w.Agent(cut)
	if err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, world.Patience, "the agent goes on beating", func() error {
		now, err := w.Agent(cut)
		if err != nil {
			return err
		}
		if now.LastHeartbeat == nil || a.LastHeartbeat == nil || !now.LastHeartbeat.After(*a.LastHeartbeat) {
			return fmt.Errorf("last heartbeat %v, before %v", now.LastHeartbeat, a.LastHeartbeat)
		}
		return nil
	})

	cut.Gate.Open()
	g.WaitHealthy(t, o, cut)
	runs(t, w, app)
	absent(t, cut.Cluster, gone)
	g.WaitUnassigned(t, sg.ID, cut)
}

// While no gateway is to be reached the clusters stay as they are, and drift goes on to be corrected.
func TestUnreachableBrokerLeavesClustersAlone(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	app := w.App("app", "one", 1)
	s := g.NewStack(t, "app", world.All)
	g.WaitHealthy(t, g.Publish(t, s.ID, app.Bundle()), w.Agents...)

	for _, gw := range w.Gateways {
		gw.Kill()
	}
	for _, c := range w.Clusters {
		c.Patch(world.ConfigMaps, app.Name, `{"data":{"text":"by hand"}}`)
		c.Delete(world.Services, app.Name)
	}
	runs(t, w, app)
	world.Throughout(t, 2*time.Second, "nothing is removed", func() error { return app.Runs(w.Clusters[0]) })

	app.Text = "two"
	o := g.Publish(t, s.ID, app.Bundle())
	for _, gw := range w.Gateways {
		gw.Start()
	}
	g.WaitHealthy(t, o, w.Agents...)
	runs(t, w, app)
}
