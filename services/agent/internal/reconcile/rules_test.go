package reconcile_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// phase sets status.phase of a custom resource, as its controller would.
func (w *world) phase(path, phase string) {
	w.t.Helper()
	r, name := w.at(path)
	if _, err := r.Patch(context.Background(), name, types.MergePatchType, []byte(`{"status":{"phase":"`+phase+`"}}`), metav1.PatchOptions{FieldManager: "controller"}, "status"); err != nil {
		w.t.Fatalf("set the phase of %s: %v", path, err)
	}
}

// kstatus takes an object without conditions for healthy; by its rule it is what its phase says.
func TestCustomResourcesAreAsTheirRulesSay(t *testing.T) {
	t.Parallel()
	group, id := "g"+uuid.NewString()[:8]+".example.com", uuid.NewString()
	crd, one := "apiextensions.k8s.io/v1/customresourcedefinitions//gadgets."+group, group+"/v1/gadgets/./one"
	const rule = "object.?status.?phase.orValue('') == 'Ready' ? 'healthy' : object.status.phase == 'Broken' ? 'failing: it is broken' : 'progressing: ' + object.status.phase"
	w := newWorld(t, func(w *world) { w.rules = []string{"Gadget." + group + "=" + rule} })
	t.Cleanup(func() { w.drop(crd) })
	bundle := definition(group) + gadget(group, "one")
	is := func(health, says string) {
		t.Helper()
		w.reports.await(t, id, func(a wire.Applied) bool {
			return a.Phase == "applied" && a.Health == health && strings.Contains(a.Message, says)
		})
	}
	w.apply(w.stack(id, bundle, wire.Policy{PruneProtected: true}))
	is("unknown", "its health rule cannot say how it is: no such key: status")
	w.phase(one, "Starting")
	is("progressing", "Starting")
	w.phase(one, "Ready")
	is("healthy", "")
	w.phase(one, "Broken")
	is("failing", "it is broken")
	before := w.wire.writes.Load()
	w.apply(w.stack(id, bundle, wire.Policy{PruneProtected: true, HealthRules: []string{"Gadget." + group + "='degraded: says the stack'"}}))
	is("degraded", "says the stack")
	if u := w.get(one); u.GetGeneration() != 1 {
		t.Errorf("another rule changed the object: %v", w.wire.lines[before:])
	}
	w.apply(w.stack(id, bundle, wire.Policy{PruneProtected: true, HealthRules: []string{"Gadget." + group + "=news.of(a)"}}))
	is("unknown", "undeclared reference to 'news'")
	w.restart()
	w.apply(w.stack(id, bundle, wire.Policy{PruneProtected: true}))
	is("failing", "it is broken")
	w.remove(id)
}
