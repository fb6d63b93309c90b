package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// A stack is published, updated, loses an object, is changed by hand and is deleted; both clusters follow each time.
func TestStackTravels(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	app := w.App("shop", "one", 2)
	s := g.NewStack(t, "shop", world.All)

	o := g.Publish(t, s.ID, app.Bundle())
	t.Logf("published to healthy in both clusters: %s", g.WaitHealthy(t, o, w.Agents...))
	runs(t, w, app)
	wantStamps(t, w, app, s.ID, o)

	// What is published before the schedulers have shared the stacks is decided when they read everything, in a trace of its own.
	app.Text, app.Replicas = "two", 3
	o = g.Publish(t, s.ID, app.Bundle())
	t.Logf("update to healthy: %s", g.WaitHealthy(t, o, w.Agents...))
	runs(t, w, app)
	wantTrace(t, w.Traces, w, o)
	wantTraceOnTheWire(t, w, s.ID, o)

	app.NoService = true
	o = g.Publish(t, s.ID, app.Bundle())
	g.WaitHealthy(t, o, w.Agents...)
	for _, c := range w.Clusters {
		c.WaitGone(world.Services, app.Name)
	}
	runs(t, w, app)

	for _, c := range w.Clusters {
		c.Patch(world.ConfigMaps, app.Name, `{"data":{"text":"by hand"}}`)
		c.Patch(world.Deployments, app.Name, `{"spec":{"replicas":1}}`)
		c.Delete(world.Budgets, app.Name)
	}
	runs(t, w, app)

	for range 2 { // the second time after it was restored
		g.DeleteStack(t, s.ID)
		for i, c := range w.Clusters {
			g.WaitUnassigned(t, s.ID, w.Agents[i])
			absent(t, c, app)
		}
		g.RestoreStack(t, s.ID)
		g.WaitHealthy(t, o, w.Agents...)
		runs(t, w, app)
	}
	wantSignals(t, w, 4*len(w.Agents))
}

// wantTrace waits for one trace from the publishing call through all services to healthy in every cluster.
func wantTrace(t *testing.T, traces *world.Collector, w *world.World, o world.Object) {
	t.Helper()
	world.Eventually(t, world.Patience, "one trace from publish to healthy in each cluster", func() error {
		return errors.Join(traces.Has(o.TraceID, "brokkr-api", "brokkr-scheduler", "brokkr-gateway", "brokkr-agent"), traces.Ends(o.TraceID, w.Agents...))
	})
}

// wantSignals looks at how the changes came to the agents, of which there were so many at least: by signals, and not because
// the gateways asked the store, as they do for what signals may have missed. Where that happens between a commit and its
// signal, it counts as missed, too: one is no failure.
func wantSignals(t *testing.T, w *world.World, changes int) {
	t.Helper()
	var changed, missed float64
	for _, g := range w.Gateways {
		c, err := g.Metric("brokkr_gateway_syncs_total", map[string]string{"outcome": "changed"})
		if err != nil {
			t.Fatal(err)
		}
		m, err := g.Metric("brokkr_gateway_signals_missed_total", nil)
		if err != nil {
			t.Fatal(err)
		}
		changed, missed = changed+c, missed+m
	}
	if changed < float64(changes) || missed > 1 {
		t.Errorf("%v syncs brought a change, of which %v were found without a signal; want %d at least, and none", changed, missed, changes)
	}
}

// runs waits until every cluster runs the application as it is.
func runs(t *testing.T, w *world.World, app world.App) {
	t.Helper()
	for _, c := range w.Clusters {
		runsIn(t, c, app)
	}
}

func runsIn(t *testing.T, c *world.Cluster, app world.App) {
	t.Helper()
	world.Eventually(t, world.Patience, app.Name+" runs in "+c.Name, func() error { return app.Runs(c) })
}

func absent(t *testing.T, c *world.Cluster, app world.App) {
	t.Helper()
	world.Eventually(t, world.Patience, app.Name+" gone from "+c.Name, func() error { return app.Absent(c) })
}

// wantStamps looks for the label and annotations by which an object names its stack and revision.
func wantStamps(t *testing.T, w *world.World, app world.App, stack string, o world.Object) {
	t.Helper()
	for _, c := range w.Clusters {
		for _, kind := range world.AppKinds() {
			got, err := c.Get(kind, app.Name)
			if err != nil {
				t.Fatal(err)
			}
			if l := got.GetLabels()[world.StackLabel]; l != stack {
				t.Errorf("%s in %s: label %s is %q, want %q", kind.Resource, c.Name, world.StackLabel, l, stack)
			}
			for key, want := range map[string]string{
				"k8s.brokkr.io/stack": "", "brokkr.io/owner-id": "",
				"brokkr.io/deployment-object-id": o.ID, "k8s.brokkr.io/deployment-checksum": o.Checksum,
			} {
				if v := got.GetAnnotations()[key]; v == "" || (want != "" && v != want) {
					t.Errorf("%s in %s: annotation %s is %q, want %q", kind.Resource, c.Name, key, v, want)
				}
			}
		}
	}
}

// wantTraceOnTheWire asks as an agent without a process would, and looks at the assignment.
func wantTraceOnTheWire(t *testing.T, w *world.World, stack string, o world.Object) {
	t.Helper()
	id, pak := w.NewAgent(w.Unique("by-hand"), world.All)
	c := world.NewClient(w.Balancer.URL(), pak)
	boot, seq := uuid.NewString(), int64(0)
	world.Eventually(t, world.Patience, "assignment with the publisher's trace", func() error {
		seq++
		var res wire.SyncResponse
		if _, err := c.Try(t.Context(), http.MethodPost, "/agents/"+id+"/sync", wire.SyncRequest{BootID: boot, Seq: seq, WaitSeconds: 1}, http.StatusOK, &res); err != nil {
			return err
		}
		if res.Stacks == nil {
			return fmt.Errorf("no target state yet: %+v", res)
		}
		for _, st := range *res.Stacks {
			if st.StackID == stack && st.DeploymentObjectID == o.ID && len(st.Traceparent) == 55 {
				return nil
			}
		}
		return fmt.Errorf("no such assignment in %+v", *res.Stacks)
	})
	w.Admin.Must(t, http.MethodDelete, "/agents/"+id, nil, http.StatusNoContent, nil)
}

// A stack leaves exactly the cluster whose agent has lost the label, and comes back with it.
func TestRelabelledAgentLosesTheStack(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	w.LabelAgent(w.Agents[0], "extra")
	w.LabelAgent(w.Agents[1], "extra")
	app := w.App("shop", "one", 1)
	s := g.NewStack(t, "shop", "extra")
	o := g.Publish(t, s.ID, app.Bundle())
	g.WaitHealthy(t, o, w.Agents...)
	before := w.Clusters[1].Versions(s.ID, world.ConfigMaps, world.Services)

	w.UnlabelAgent(w.Agents[0], "extra")
	g.WaitUnassigned(t, s.ID, w.Agents[0])
	absent(t, w.Clusters[0], app)
	stays(t, w.Clusters[1], s.ID, before)

	w.LabelAgent(w.Agents[0], "extra")
	g.WaitHealthy(t, o, w.Agents...)
	runs(t, w, app)
	stays(t, w.Clusters[1], s.ID, before)
}

// stays checks for a while that the stack's objects in a cluster are the same as before.
func stays(t *testing.T, c *world.Cluster, stack string, before map[string]string) {
	t.Helper()
	if len(before) == 0 {
		t.Fatal("nothing to compare with")
	}
	world.Throughout(t, time.Second, "unchanged in "+c.Name, func() error {
		now := c.Versions(stack, world.ConfigMaps, world.Services)
		if fmt.Sprint(now) != fmt.Sprint(before) {
			return fmt.Errorf("got versions %v, want %v", now, before)
		}
		return nil
	})
}

// Consent that is revoked takes the generator's stacks from that cluster, and nobody else's from anywhere.
func TestRevokedConsentTakesTheStacks(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g, other := w.Tenant, w.NewGenerator("other")
	for _, a := range w.Agents {
		w.Register(a, other)
	}
	app, foreign := w.App("shop", "one", 1), w.App("foreign", "one", 1)
	s := g.NewStack(t, "shop", world.All)
	f := other.NewStack(t, "shop", world.All) // the same name: tenants do not meet
	o, fo := g.Publish(t, s.ID, app.Bundle()), other.Publish(t, f.ID, foreign.Bundle())
	g.WaitHealthy(t, o, w.Agents...)
	other.WaitHealthy(t, fo, w.Agents...)
	mine, theirs := w.Clusters[1].Versions(s.ID, world.ConfigMaps, world.Services), w.Clusters[0].Versions(f.ID, world.ConfigMaps, world.Services)

	w.Deregister(w.Agents[0], g)
	g.WaitUnassigned(t, s.ID, w.Agents[0])
	absent(t, w.Clusters[0], app)
	stays(t, w.Clusters[1], s.ID, mine)
	stays(t, w.Clusters[0], f.ID, theirs)

	w.Register(w.Agents[0], g)
	g.WaitHealthy(t, o, w.Agents...)
	runs(t, w, app)
}
