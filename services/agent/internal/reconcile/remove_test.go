package reconcile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestAbsenceRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")))
	w.engine.Desired(nil, nil)
	other := uuid.NewString()
	w.apply(w.stack(other, configMap("another", "ours")))
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.eventually("drift to be corrected all the same", func() bool { return w.value("v1/configmaps/./it") == "ours" })
	w.remove(id)
	w.remove(other)
}

func TestANamespaceWithOtherThingsInItStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ns, id := "u-"+uuid.NewString()[:8], uuid.NewString()
	text := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %[1]s}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ours, namespace: %[1]s}\n", ns)
	s := w.stack(id, text)
	w.apply(s)
	t.Cleanup(func() { w.drop("v1/namespaces//" + ns) })
	w.create("v1/configmaps/"+ns+"/theirs", map[string]any{"apiVersion": "v1", "kind": "ConfigMap"})
	w.remove(id)
	if w.get("v1/namespaces//"+ns) == nil || w.get("v1/configmaps/"+ns+"/theirs") == nil {
		t.Fatal("other people's things are gone")
	}
	if w.get("v1/configmaps/"+ns+"/ours") != nil {
		t.Error("the stack's config map is still there")
	}
	if l := w.get("v1/namespaces//" + ns).GetLabels()["brokkr.io/stack"]; l != "" {
		t.Errorf("the namespace is still stamped: %s", l)
	}
}

func TestALabelMakesNothingTheStacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ns, id := "u-"+uuid.NewString()[:8], uuid.NewString()
	w.apply(w.stack(id, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", ns)))
	t.Cleanup(func() { w.drop("v1/namespaces//" + ns) })
	claim := "v1/persistentvolumeclaims/" + ns + "/data"
	w.create(claim, map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", // as an operator makes it, with its resource's labels
		"metadata": map[string]any{"labels": map[string]any{"brokkr.io/stack": id}},
		"spec":     map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}})
	w.remove(id)
	if u := w.get(claim); u == nil || u.GetDeletionTimestamp() != nil {
		t.Error("a claim that the stack has not made is gone")
	}
}

func TestWhatStays(t *testing.T) {
	t.Parallel()
	claim := "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
	never := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, annotations: {brokkr.io/prune: never}}\n"
	for _, c := range []struct {
		name, text, path string
		policy           wire.Policy
		stays            bool
	}{
		{name: "claims", text: claim, path: "v1/persistentvolumeclaims/./data", stays: true},
		{name: "claims if told", text: claim, path: "v1/persistentvolumeclaims/./data", policy: wire.Policy{PruneProtected: true}},
		{name: "what says never", text: never, path: "v1/configmaps/./it", stays: true},
		{name: "everything of an orphaning stack", text: configMap("it", "x"), path: "v1/configmaps/./it", policy: wire.Policy{Prune: "orphan"}, stays: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			w.apply(w.stack(id, c.text+configMap("rest", "x"), c.policy))
			r := w.apply(w.stack(id, configMap("rest", "x"), c.policy)) // dropped from the bundle
			if u := w.get(c.path); (u != nil && u.GetDeletionTimestamp() == nil) != c.stays {
				t.Errorf("after it was dropped from the bundle it is %v, want there: %v", u, c.stays)
			}
			if c.stays && !strings.Contains(r.Message, "kept: ") {
				t.Errorf("that it stays is not said: %q", r.Message)
			}
			w.remove(id)
			if u := w.get(c.path); (u != nil && u.GetDeletionTimestamp() == nil) != c.stays {
				t.Errorf("after the removal it is %v, want there: %v", u, c.stays)
			}
		})
	}
}

func TestARemovalWaitsForFinalizersAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	s := w.stack(id, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, finalizers: [example.com/hold]}\n"+configMap("other", "x"))
	w.apply(s)
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "removing" && strings.Contains(a.Message, "finalizers: example.com/hold")
	})
	if len(w.reports.removed) != 0 {
		t.Fatal("the removal was acknowledged though something is left")
	}
	w.restart() // the tombstone is not lost
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.patch("v1/configmaps/./it", `{"metadata":{"finalizers":null}}`)
	w.reports.awaitRemoved(t, id)
	if w.get("v1/configmaps/./it") != nil {
		t.Error("it is still there")
	}
}

func TestAJobTakesItsPodsAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: it}\nspec: {template: {metadata: {labels: {job: it}}, spec: {restartPolicy: Never, containers: [{name: c, image: \"registry.example/c:1\"}]}}}\n"))
	pods := func() int {
		r, _ := w.at("v1/pods/./-")
		list, err := r.List(t.Context(), listOptions("job=it"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	w.eventually("a pod", func() bool { return pods() > 0 })
	w.remove(id)
	if n := pods(); n != 0 {
		t.Errorf("%d pods are left", n)
	}
}

// Without its inventory nobody knows what of a stack is here: it is told with the acknowledgement, also when that is told again.
func TestARemovalWithoutInventoryIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost, whole := uuid.NewString(), uuid.NewString()
	w.apply(w.stack(lost, configMap("it", "one")), w.stack(whole, configMap("other", "one")))
	w.stop()
	w.drop("v1/configmaps/./inventory." + lost + "." + w.agent)
	w.start()
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: lost, Revision: w.seq}, {StackID: whole, Revision: w.seq}})
	w.reports.awaitRemoved(t, lost)
	w.reports.awaitRemoved(t, whole)
	if u := w.get("v1/configmaps/./it"); u == nil || u.GetLabels()[cluster.LabelStack] != lost {
		t.Fatalf("what nobody knows of is %v, want it there as it was", u)
	}
	got := w.reports.removal(lost)
	for _, want := range []string{"removed nothing: no inventory was found in namespace agent-of-" + w.namespace, "objects labelled brokkr.io/stack=" + lost + " may remain", "kubectl"} {
		if !strings.Contains(got.Message, want) {
			t.Errorf("it says %q, want it with %q", got.Message, want)
		}
	}
	if r := w.reports.removal(whole); r.Message != "" {
		t.Errorf("of one that left nothing it says %q", r.Message)
	}
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: lost, Revision: w.seq}})
	w.eventually("the removal to be told again", func() bool { return w.reports.removal(lost).Revision == w.seq })
	if r := w.reports.removal(lost); r.Message != got.Message {
		t.Errorf("told again it says %q", r.Message)
	}
}

// A stack that was refused before anything of it was written leaves nothing, and nothing is said of what may be left. One of which something was
// written before its inventory was lost may leave it, whatever was refused afterwards.
func TestTheRemovalOfARefusedStackIsNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, written := uuid.NewString(), uuid.NewString()
	refused := func(stack string) {
		t.Helper()
		s := w.stack(stack, "apiVersion: nowhere.example/v1\nkind: Unknown\nmetadata: {name: it}\n")
		w.engine.Desired([]wire.Stack{s}, nil)
		w.reports.await(t, stack, func(a wire.Applied) bool { return a.Phase == "failed" && a.SequenceID == s.SequenceID })
	}
	remove := func(stack string) string {
		t.Helper()
		w.seq++
		w.engine.Desired(nil, []wire.Removed{{StackID: stack, Revision: w.seq}})
		w.eventually("the removal", func() bool { return w.reports.removal(stack).Revision == w.seq })
		return w.reports.removal(stack).Message
	}
	w.start()
	refused(id)
	if said := remove(id); said != "" {
		t.Errorf("of one that was refused it says %q", said)
	}
	w.apply(w.stack(id, configMap("it", "one")))
	if said := remove(id); said != "" {
		t.Errorf("of one that was there it says %q", said)
	}
	refused(id)
	if said := remove(id); said != "" {
		t.Errorf("of one that was refused after it had been there it says %q", said)
	}
	w.apply(w.stack(written, configMap("left", "one")))
	w.drop("v1/configmaps/./inventory." + written + "." + w.agent)
	refused(written)
	if said := remove(written); !strings.Contains(said, "no inventory was found") || w.get("v1/configmaps/./left") == nil {
		t.Errorf("of one whose inventory was lost it says %q, and %v is there", said, w.get("v1/configmaps/./left"))
	}
}

func TestARemovalThatIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "one")))
	w.remove(id)
	w.apply(w.stack(id, configMap("it", "two")))
	if w.value("v1/configmaps/./it") != "two" {
		t.Error("it is not back")
	}
	// The old tombstone, told again, is of the past.
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: 2}})
	w.apply(w.stack(uuid.NewString(), configMap("another", "x")))
	if w.value("v1/configmaps/./it") != "two" {
		t.Error("an old tombstone removed it")
	}
}

func TestABrokerThatWentBackIsObeyed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, other := uuid.NewString(), uuid.NewString()
	w.seq = 1000
	s := w.stack(id, configMap("it", "one"))
	w.apply(s, w.stack(other, configMap("other", "one")))
	w.remove(other)
	w.seq = 10 // its database was restored
	w.engine.Forget()
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: 11}})
	w.reports.awaitRemoved(t, id)
	again := w.stack(other, configMap("other", "two"))
	w.apply(again)
	if w.get("v1/configmaps/./it") != nil || w.value("v1/configmaps/./other") != "two" {
		t.Error("what the broker wants now was taken for old")
	}
}

// A worker that waits must not turn in circles, whatever was left to look at when the stack was removed.
func TestAWaitingRemovalCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, finalizers: [example.com/hold]}\n"+configMap("other", "x")+application))
	for i := range 10 { // some of it is held back
		w.patch("v1/configmaps/./other", fmt.Sprintf(`{"data":{"key":"theirs %d"}}`, i))
	}
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "removing" })
	before := w.engine.Rounds()
	time.Sleep(2 * time.Second)
	if n := w.engine.Rounds() - before; n > 50 {
		t.Errorf("%d rounds in two seconds", n)
	}
	w.patch("v1/configmaps/./it", `{"metadata":{"finalizers":null}}`)
	w.reports.awaitRemoved(t, id)
	before = w.engine.Rounds()
	time.Sleep(time.Second)
	if n := w.engine.Rounds() - before; n > 20 {
		t.Errorf("%d rounds in a second after the end", n)
	}
}

// A stack of which a new process knows only that it is to go, and whose inventory cannot be read, is not reported on: the broker
// refuses a report without a deployment object, and everything else that is told beside it.
func TestNothingIsToldWithoutADeploymentObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"))
	w.stop()
	inventory := "v1/configmaps/" + w.namespace + "/inventory." + id + "." + w.agent
	whole, err := json.Marshal(map[string]any{"data": w.get(inventory).Object["data"]})
	if err != nil {
		t.Fatal(err)
	}
	w.patch(inventory, `{"data":{"inventory.json":"{"}}`)
	w.start()
	asked := w.wire.asked.Load()
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.eventually("it has asked for the inventory, and waits before it asks again", func() bool {
		n := w.wire.asked.Load()
		time.Sleep(500 * time.Millisecond)
		return n > asked && w.wire.asked.Load() == n
	})
	w.patch(inventory, string(whole))
	w.reports.awaitRemoved(t, id)
	for _, a := range w.reports.all(id) {
		if a.DeploymentObjectID == "" {
			t.Errorf("told %+v", a)
		}
	}
	w.eventually("the object goes", func() bool { return w.get("v1/configmaps/"+w.namespace+"/one") == nil })
}
