package gateway_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// A parked agent hears of another treatment at once, also from the cache, and what is to be removed says how.
func TestATreatmentIsPartOfTheTargetState(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "v: 1")
		w.assign(o, a)
		r := w.gateway(options{})
		p := a.start()
		if res := r.catchUp(p); cmp.Diff((*res.Stacks)[0].Policy, wire.Policy{}) != "" {
			t.Fatalf("by default: %+v, want an empty policy", (*res.Stacks)[0].Policy)
		}
		w.treatment = stack.Treatment{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
			IgnorePaths: []string{"/spec/replicas"}, ServiceAccount: "shop/deployer", HealthRules: []string{"Gadget.example.com='healthy'"}, StreamLogs: true}
		want := wire.Policy{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
			IgnorePaths: []string{"/spec/replicas"}, ServiceAccount: "shop/deployer", HealthRules: []string{"Gadget.example.com='healthy'"}}
		parked := r.sync(p, p.request(50))
		w.assign(o, a)
		if !parked.answered() || parked.took != 0 {
			t.Fatalf("the parked sync was answered: %v, after %s; want at once", parked.answered(), parked.took)
		}
		res := parked.answer()
		if res.Stacks == nil || cmp.Diff((*res.Stacks)[0].Policy, want) != "" || !(*res.Stacks)[0].StreamLogs {
			t.Fatalf("got %+v, want %+v", res, want)
		}
		synctest.Wait()
		other := w.gateway(options{})
		if res := other.catchUp(a.start()); cmp.Diff((*res.Stacks)[0].Policy, want) != "" || !(*res.Stacks)[0].StreamLogs {
			t.Errorf("at another replica: %+v, want %+v", (*res.Stacks)[0].Policy, want)
		}
		if got := r.metric("brokkr_gateway_target_cache_total", "hit") + other.metric("brokkr_gateway_target_cache_total", "hit"); got == 0 {
			t.Error("nothing came from the cache")
		}
		w.treatment = stack.Treatment{Prune: "orphan"}
		w.remove(o, a)
		res = other.catchUp(a.start())
		if len(res.Removed) != 1 || res.Removed[0].GeneratorID == "" || cmp.Diff(res.Removed[0].Policy, &wire.Policy{Prune: "orphan"}) != "" {
			t.Errorf("tombstones: %+v, want one that says orphan, and whose it is", res.Removed)
		}
	})
}
