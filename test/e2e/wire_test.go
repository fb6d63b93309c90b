package e2e

import (
	"fmt"
	"testing"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// The control plane alone, with agents of the test's own that remember every removal: processes are killed, Redis is
// emptied, hangs and dies while stacks are published, deleted and moved. Each agent ends with exactly what it should have,
// was told each removal once, and none that nobody wanted.
func TestControlPlaneNeverRemovesByMistake(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	g := w.Tenant
	agents := []*world.WireAgent{w.NewWireAgent("one", world.All), w.NewWireAgent("two", world.All), w.NewWireAgent("three", world.All)}
	steady := g.NewStack(t, "steady", world.All)
	so := g.Publish(t, steady.ID, world.ConfigMap("x", "steady", "x"))
	for _, a := range agents {
		a.WaitHas(t, so)
	}
	everything := append(append([]*world.Service{w.API}, w.Gateways...), w.Schedulers...)
	for name, disturb := range map[string]func(){
		"api":            func() { again(w.API) },
		"one gateway":    func() { again(w.Gateways[0]) },
		"both gateways":  func() { again(w.Gateways...) },
		"one scheduler":  func() { again(w.Schedulers[0]) },
		"all schedulers": func() { again(w.Schedulers...) },
		"everything":     func() { again(everything...) },
		"redis flushed": func() {
			if err := w.FlushRedis(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"redis restarted": func() {
			if err := w.Redis.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		moved, deleted := g.NewStack(t, "moved "+name, world.All), g.NewStack(t, "deleted "+name, world.All)
		do := g.Publish(t, deleted.ID, world.ConfigMap("x", "deleted", name))
		for _, a := range agents {
			a.WaitHas(t, do)
		}
		p := publish(t.Context(), g, moved.ID, func(n int) string { return world.ConfigMap("x", "moved", fmt.Sprint(name, n)) })
		p.await(t, 3)
		g.DeleteStack(t, deleted.ID)
		disturb()
		acknowledged := p.finish(t)
		last := acknowledged[len(acknowledged)-1]
		for _, a := range agents {
			t.Logf("%s: %d revisions, the last one with agent %s after %s", name, len(acknowledged), a.Name, a.WaitHas(t, last))
			a.WaitRemoved(t, deleted.ID)
		}
		wantAll(t, g, moved.ID, acknowledged)
		for _, a := range agents {
			if n := a.Removals(deleted.ID); n != 1 {
				t.Errorf("%s: agent %s removed the deleted stack %d times, want once", name, a.Name, n)
			}
			if n := a.Removals(moved.ID) + a.Removals(steady.ID); n != 0 {
				t.Errorf("%s: agent %s was told %d removals that nobody wanted", name, a.Name, n)
			}
		}
	}
	if taken := w.Balancer.Taken(); taken[0] == 0 || taken[1] == 0 {
		t.Errorf("connections by gateway: %v, want some at each", taken)
	}
}

// again kills processes and starts them again.
func again(services ...*world.Service) {
	for _, s := range services {
		s.Kill()
	}
	for _, s := range services {
		s.StartUnready()
	}
	for _, s := range services {
		s.Ready()
	}
}
