package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// candidates are the objects that the worlds of these properties are made of.
func candidates() []*unstructured.Unstructured {
	make1 := func(api, kind, namespace, name string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": api, "kind": kind}}
		u.SetName(name)
		u.SetNamespace(namespace)
		return u
	}
	definition := make1("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.x.io")
	definition.Object["spec"] = map[string]any{"group": "x.io", "names": map[string]any{"kind": "Widget", "plural": "widgets"}}
	return []*unstructured.Unstructured{
		make1("v1", "Namespace", "", "shop"), make1("v1", "Namespace", "", "side"), definition,
		make1("v1", "ConfigMap", "shop", "a"), make1("v1", "ConfigMap", "side", "a"), make1("v1", "PersistentVolumeClaim", "side", "data"),
		make1("x.io/v1", "Widget", "side", "w"), make1("apps/v1", "Deployment", "shop", "web"),
		make1("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "web"),
	}
}

func drawPolicy(t *rapid.T) wire.Policy {
	return wire.Policy{
		Prune: rapid.SampledFrom([]string{"", "delete", "orphan"}).Draw(t, "prune"), PruneAdopted: rapid.Bool().Draw(t, "prune adopted"),
		PruneProtected: rapid.Bool().Draw(t, "prune protected"),
		Adopt:          rapid.SampledFrom([]string{"", "always", "if_no_diff", "never"}).Draw(t, "adopt"),
		Drift:          rapid.SampledFrom([]string{"", "correct", "report", "ignore"}).Draw(t, "drift"),
		IgnorePaths:    rapid.SampledFrom([][]string{nil, {"/data/x"}, {"/data"}, {"/data/y", "/metadata/annotations"}}).Draw(t, "ignore"),
	}
}

// drawData gives u some fields.
func drawData(t *rapid.T, u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	data := map[string]any{}
	for _, k := range []string{"x", "y", "z"} {
		if v := rapid.IntRange(0, 2).Draw(t, k); v > 0 {
			data[k] = fmt.Sprint(v)
		}
	}
	if len(data) > 0 {
		u.Object["data"] = data
	}
	return u
}

func drawBundle(t *rapid.T) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, u := range candidates() {
		if rapid.Bool().Draw(t, "wanted") {
			u = drawData(t, u)
			if rapid.IntRange(0, 4).Draw(t, "never prune") == 0 {
				u.SetAnnotations(map[string]string{cluster.AnnotationPrune: cluster.PruneNever})
			}
			out = append(out, u)
		}
	}
	return out
}

// tamper is what others do in a cluster.
func tamper(t *rapid.T, m *model) {
	for _, u := range candidates() {
		k := keyOf(u)
		switch rapid.IntRange(0, 9).Draw(t, "tamper") {
		case 0:
			delete(m.objects, k)
		case 1, 2:
			m.write("kubectl", drawData(t, u), false)
		case 3:
			if m.objects[k] != nil {
				m.release(k)
			}
		case 4:
			u = drawData(t, u)
			stampAs(u, "stack-2", "agent-2")
			m.write("another-agent", u, false)
		case 5:
			stampAs(u, stackID, "agent-2")
			m.write("another-agent", u, false)
		case 6:
			if o := m.objects[k]; o != nil {
				m.made++
				o.uid = fmt.Sprintf("uid-%d", m.made) // deleted and restored with all that was on it
			}
		}
	}
}

// drawWorld is a cluster with a history, and the inventory that it has led to.
func drawWorld(t *rapid.T, tb testing.TB) (*model, cluster.Inventory) {
	m, inv := newModel(), cluster.Inventory{}
	tamper(t, m)
	for i := range rapid.IntRange(0, 2).Draw(t, "revisions") {
		d := prepare(tb, stack(fmt.Sprint("old", i), drawPolicy(t)), drawBundle(t)...)
		set := plan.Diff(d, m.observe(d, inv))
		if rapid.IntRange(0, 3).Draw(t, "interrupted") == 0 {
			set.Changes = set.Changes[:rapid.IntRange(0, len(set.Changes)).Draw(t, "done")]
			set.Prune = nil
			m.carryOut(d, set)
			inv = set.Inventory
		} else {
			inv = m.carryOut(d, set)
		}
		tamper(t, m)
	}
	return m, inv
}

func TestApplyingAPlanLeavesNothingToDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m, inv := drawWorld(rt, t)
		d := prepare(t, stack("new", drawPolicy(rt)), drawBundle(rt)...)
		first := plan.Diff(d, m.observe(d, inv))
		inv = m.carryOut(d, first)
		writes := m.made
		second := plan.Diff(d, m.observe(d, inv))
		if len(second.Changes)+len(second.Drift)+len(second.Prune)+len(second.Terminating)+len(second.Deferred) > 0 {
			rt.Fatalf("there is still something to do: %+v", second)
		}
		if second.Unchanged+len(second.Conflicts) != len(d.Objects) || len(second.Conflicts) != len(first.Conflicts) {
			rt.Fatalf("%d objects are as wanted and %d in conflict of %d; before, %d were in conflict", second.Unchanged, len(second.Conflicts), len(d.Objects), len(first.Conflicts))
		}
		if again := m.carryOut(d, second); !plan.Same(again, inv) || m.made != writes {
			rt.Fatalf("an unchanged bundle writes something: inventory (-was +is):\n%s", cmp.Diff(inv, again))
		}
	})
}

func TestPlansRespectWhatIsOthers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m, inv := drawWorld(rt, t)
		p := drawPolicy(rt)
		d := prepare(t, stack("new", p), drawBundle(rt)...)
		before := m.clone()
		o := m.observe(d, inv)
		set := plan.Diff(d, o)
		checkOwnership(rt, m, inv, p, set)
		checkOrder(rt, set)
		checkContents(rt, d, set)
		kept := map[cluster.Key]bool{}
		for _, e := range set.Inventory.Entries {
			kept[e.Key] = true
		}
		for _, e := range inv.Entries {
			if !kept[e.Key] {
				rt.Fatalf("%s is forgotten before it is gone", e.Key)
			}
		}
		for _, c := range set.Changes {
			if !kept[c.Object.Key] {
				rt.Fatalf("%s is written before it is noted", c.Object.Key)
			}
		}
		if o.Partial = true; len(plan.Diff(d, o).Prune) > 0 {
			rt.Fatal("something is pruned though not everything was looked at")
		}
		m.carryOut(d, set)
		for k := range before.objects {
			live := before.get(k)
			if s, a := plan.Owner(live); (s == "" || s == stackID) && (a == "" || a == agentID) {
				checkIgnored(rt, live, m.get(k), p, set)
				continue
			}
			if diff := cmp.Diff(live, m.get(k)); diff != "" {
				rt.Fatalf("%s is somebody else's and was changed:\n%s", k, diff)
			}
		}
	})
}

func checkOwnership(rt *rapid.T, m *model, inv cluster.Inventory, p wire.Policy, set plan.ChangeSet) {
	for _, c := range set.Changes {
		if live := m.get(c.Object.Key); live != nil {
			if s, a := plan.Owner(live); (s != "" && s != stackID) || (a != "" && a != agentID) {
				rt.Fatalf("%s is written and belongs to stack %q of agent %q", c.Object.Key, s, a)
			}
		}
	}
	for _, r := range set.Prune {
		if r.Fate != plan.Delete {
			continue
		}
		at := slices.IndexFunc(inv.Entries, func(e cluster.Entry) bool { return e == r.Entry })
		live := m.get(r.Entry.Key)
		s, a := plan.Owner(live)
		switch {
		case at < 0:
			rt.Fatalf("%s is deleted and was not in the inventory", r.Entry.Key)
		case s != stackID || (a != "" && a != agentID):
			rt.Fatalf("%s is deleted and belongs to stack %q of agent %q", r.Entry.Key, s, a)
		case p.Prune == "orphan", (r.Entry.Adopted || live.GetAnnotations()[cluster.AnnotationAdopted] == "true") && !p.PruneAdopted, live.GetAnnotations()[cluster.AnnotationPrune] == cluster.PruneNever:
			rt.Fatalf("%s is deleted against the policy %+v", r.Entry.Key, p)
		case !p.PruneProtected && (r.Entry.Key.Kind == "PersistentVolumeClaim" || r.Entry.Key.Kind == "CustomResourceDefinition"):
			rt.Fatalf("%s is deleted and was protected", r.Entry.Key)
		}
	}
}

// checkContents makes sure that nothing that the plan knows to stay goes with something that is deleted.
func checkContents(rt *rapid.T, d plan.Desired, set plan.ChangeSet) {
	for _, r := range set.Prune {
		if r.Fate != plan.Delete {
			continue
		}
		for _, o := range d.Objects {
			if goesWith(o.Key, r.Entry.Key) {
				rt.Fatalf("%s is wanted and would go with %s", o.Key, r.Entry.Key)
			}
		}
		for _, other := range set.Prune {
			if (other.Fate == plan.Release || other.Fate == plan.Foreign) && goesWith(other.Entry.Key, r.Entry.Key) {
				rt.Fatalf("%s stays and would go with %s", other.Entry.Key, r.Entry.Key)
			}
		}
	}
}

func checkOrder(rt *rapid.T, set plan.ChangeSet) {
	if !slices.IsSortedFunc(set.Changes, func(a, b plan.Change) int { return int(a.Object.Rank - b.Object.Rank) }) {
		rt.Fatalf("changes are out of order: %+v", set.Changes)
	}
	if !slices.IsSortedFunc(set.Prune, func(a, b plan.Removal) int { return int(b.Rank - a.Rank) }) {
		rt.Fatalf("removals are out of order: %+v", set.Prune)
	}
}

// checkIgnored makes sure that wanted fields that are ignored are in an object that was there as they were.
func checkIgnored(rt *rapid.T, was, is *unstructured.Unstructured, p wire.Policy, set plan.ChangeSet) {
	at := slices.IndexFunc(set.Changes, func(c plan.Change) bool { return c.Object.Key == keyOf(was) })
	if at < 0 {
		return
	}
	wanted := map[string]any{}
	leaves("", set.Changes[at].Object.Manifest.Object, wanted)
	for field := range wanted {
		for _, path := range p.IgnorePaths {
			if (field != path && !strings.HasPrefix(field, path+"/")) || strings.Contains(field, "brokkr.io") {
				continue
			}
			before, _, _ := unstructured.NestedFieldNoCopy(was.Object, parts(field)...)
			after, _, _ := unstructured.NestedFieldNoCopy(is.Object, parts(field)...)
			if before != after {
				rt.Fatalf("ignored field %s of %s was %v and is %v", field, keyOf(was), before, after)
			}
		}
	}
}

// TestGoingBackAfterInterruptions: whatever part of a revision was applied, and then of the former one, that can be had
// again, also where drift is only reported.
func TestGoingBackAfterInterruptions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m, p := newModel(), wire.Policy{Drift: rapid.SampledFrom([]string{"report", "ignore", ""}).Draw(rt, "drift")}
		old := prepare(t, stack("old", p), drawBundle(rt)...)
		inv := m.carryOut(old, plan.Diff(old, m.observe(old, cluster.Inventory{})))
		want := m.contents(old)
		for _, d := range []plan.Desired{prepare(t, stack("new", p), drawBundle(rt)...), old} {
			set := plan.Diff(d, m.observe(d, inv))
			set.Changes = set.Changes[:rapid.IntRange(0, len(set.Changes)).Draw(rt, "written")]
			set.Prune = set.Prune[:rapid.IntRange(0, len(set.Prune)).Draw(rt, "pruned")]
			m.carryOut(d, set)
			inv = set.Inventory // the rest was lost
		}
		m.carryOut(old, plan.Diff(old, m.observe(old, inv)))
		if diff := cmp.Diff(want, m.contents(old)); diff != "" {
			rt.Fatalf("after going back (-want +got):\n%s", diff)
		}
	})
}

// contents returns the fields of all that is desired.
func (m *model) contents(d plan.Desired) map[string]any {
	out := map[string]any{}
	for _, o := range d.Objects {
		if u := m.get(o.Key); u != nil {
			leaves("/"+o.Key.String(), map[string]any{"data": u.Object["data"], "stamps": u.GetAnnotations()[cluster.AnnotationObject]}, out)
		}
	}
	return out
}
