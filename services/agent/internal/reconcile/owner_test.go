package reconcile_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestAnotherStacksObjectIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := uuid.NewString(), uuid.NewString()
	first := w.stack(one, configMap("shared", "one"))
	w.apply(first)
	w.engine.Desired([]wire.Stack{first, w.stack(two, configMap("shared", "two")+configMap("own", "two"))}, nil)
	r := w.reports.await(t, two, func(a wire.Applied) bool { return a.Phase == "failed" })
	if !strings.Contains(r.Message, "owned_by stack "+one) || !strings.Contains(r.Message, "shared") {
		t.Errorf("the message does not name the owner: %s", r.Message)
	}
	if w.get("v1/configmaps/./own") != nil {
		t.Error("a part of the bundle was applied")
	}
	w.remove(two)
	if u := w.get("v1/configmaps/./shared"); u == nil || u.GetLabels()[cluster.LabelStack] != one {
		t.Errorf("the first stack's object suffered: %v", u)
	}
}

func TestAnotherAgentsObjectIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.create("v1/configmaps/./theirs", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
		"annotations": map[string]any{cluster.AnnotationStack: id, cluster.AnnotationOwner: "another"},
		"labels":      map[string]any{cluster.LabelStack: id},
	}})
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("theirs", "mine"))}, nil)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
	if !strings.Contains(r.Message, "owned_by agent another") {
		t.Errorf("the message does not name the owner: %s", r.Message)
	}
}

func TestAdoption(t *testing.T) {
	t.Parallel()
	there := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"key": "theirs", "extra": "kept"}}
	for _, c := range []struct {
		name   string
		policy wire.Policy
		text   string
		failed string
		stays  bool // after the removal
	}{
		{name: "by default", text: configMap("it", "ours"), stays: true},
		{name: "prune adopted", policy: wire.Policy{PruneAdopted: true}, text: configMap("it", "ours")},
		{name: "never", policy: wire.Policy{Adopt: "never"}, text: configMap("it", "ours"), failed: "not_adopted", stays: true},
		{name: "if no diff, and there is one", policy: wire.Policy{Adopt: "if_no_diff"}, text: configMap("it", "ours"), failed: "/data/key", stays: true},
		{name: "if no diff, and there is none", policy: wire.Policy{Adopt: "if_no_diff"}, text: configMap("it", "theirs"), stays: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			w.create("v1/configmaps/./it", map[string]any{"apiVersion": there["apiVersion"], "kind": there["kind"],
				"data": map[string]any{"key": "theirs", "extra": "kept"}})
			if c.failed != "" {
				w.engine.Desired([]wire.Stack{w.stack(id, c.text, c.policy)}, nil)
				r := w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
				if !strings.Contains(r.Message, c.failed) {
					t.Errorf("got %q, want it to say %q", r.Message, c.failed)
				}
				if w.wire.writes.Load() != 0 {
					t.Errorf("it was written all the same: %v", w.wire.lines)
				}
			} else {
				r := w.apply(w.stack(id, c.text, c.policy))
				if !strings.Contains(r.Message, "adopted: ConfigMap") {
					t.Errorf("the adoption is not reported: %q", r.Message)
				}
				if v := w.get("v1/configmaps/./it").Object["data"].(map[string]any)["extra"]; v != "kept" {
					t.Errorf("extra is %v: a field that the stack does not name was changed", v)
				}
			}
			w.remove(id)
			u := w.get("v1/configmaps/./it")
			if (u != nil) != c.stays {
				t.Fatalf("after the removal it is %v, want there: %v", u, c.stays)
			}
			if u != nil && (u.GetLabels()[cluster.LabelStack] != "" || u.GetAnnotations()[cluster.AnnotationOwner] != "") {
				t.Errorf("it is stamped still: %v", u.Object["metadata"])
			}
		})
	}
}

// What was there before a stack stays when the stack goes, also when its inventory was lost or it was made anew, with its
// stamps, by somebody else.
func TestWhatWasAdoptedStaysAdopted(t *testing.T) {
	t.Parallel()
	const path = "v1/configmaps/./it"
	for name, happens := range map[string]func(*world, string){
		"the inventory is lost": func(w *world, id string) { w.drop("v1/configmaps/./inventory." + id + "." + w.agent) },
		"it is replaced by force": func(w *world, _ string) {
			u := w.get(path)
			w.drop(path)
			for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields"} {
				unstructured.RemoveNestedField(u.Object, "metadata", field)
			}
			w.create(path, u.Object)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			w.create(path, map[string]any{"apiVersion": "v1", "kind": "ConfigMap"})
			first := w.stack(id, configMap("it", "one"))
			w.apply(first)
			if u := w.get(path); u.GetAnnotations()[cluster.AnnotationAdopted] != "true" {
				t.Errorf("it does not say that it was adopted: %v", u.GetAnnotations())
			}
			w.stop()
			writes := w.wire.writes.Load()
			w.start()
			w.apply(first)
			if n := w.wire.writes.Load() - writes; n != 0 {
				t.Errorf("a restart writes %d times: %v", n, w.wire.lines)
			}
			w.stop()
			happens(w, id)
			w.start()
			r := w.apply(w.stack(id, configMap("it", "two")))
			if !strings.Contains(r.Message, "adopted: ConfigMap") {
				t.Errorf("the adoption is not reported any more: %q", r.Message)
			}
			w.remove(id)
			u := w.get(path)
			if u == nil {
				t.Fatal("it went with the stack")
			}
			if a := u.GetAnnotations(); a[cluster.AnnotationAdopted] != "" || a[cluster.AnnotationStack] != "" {
				t.Errorf("it is stamped still: %v", a)
			}
		})
	}
}

// What the agent itself makes in place of what it had adopted is the stack's.
func TestWhatIsMadeInPlaceOfAnAdoptedOneIsTheStacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	const path = "v1/configmaps/./it"
	w.create(path, map[string]any{"apiVersion": "v1", "kind": "ConfigMap"})
	w.apply(w.stack(id, configMap("it", "one")))
	w.drop(path)
	w.eventually("it to be made anew", func() bool { return w.get(path) != nil })
	w.apply(w.stack(id, configMap("it", "two")))
	if u := w.get(path); u.GetAnnotations()[cluster.AnnotationAdopted] != "" {
		t.Errorf("it says that it was adopted: %v", u.GetAnnotations())
	}
	w.remove(id)
	if w.get(path) != nil {
		t.Error("it stayed when the stack went")
	}
}

func TestTwoStacksThatWantTheSameObjectAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.stack(uuid.NewString(), configMap("it", "one")), w.stack(uuid.NewString(), configMap("it", "two"))
	w.engine.Desired([]wire.Stack{one, two}, nil)
	phases := func() string { return w.reports.last(one.StackID).Phase + " " + w.reports.last(two.StackID).Phase }
	w.eventually("one to have it and one to fail", func() bool { p := phases(); return p == "applied failed" || p == "failed applied" })
	owner, loser := one.StackID, two.StackID
	if phases() == "failed applied" {
		owner, loser = loser, owner
	}
	if got := w.get("v1/configmaps/./it").GetLabels()[cluster.LabelStack]; got != owner {
		t.Errorf("the object is of %s, but %s was told to have it", got, owner)
	}
	w.remove(loser)
	if w.get("v1/configmaps/./it") == nil {
		t.Error("the loser's removal took it away")
	}
}

// The larger bundle has looked at the object when it was not there, and comes to it when the smaller one has made it.
func TestAnObjectThatAppearsBetweenLookAndWriteIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b strings.Builder
	for i := range 150 {
		b.WriteString(configMap(fmt.Sprintf("a-%d", i), "big"))
	}
	small, big := w.stack(uuid.NewString(), configMap("it", "small")), w.stack(uuid.NewString(), b.String()+configMap("it", "big"))
	w.engine.Desired([]wire.Stack{small, big}, nil)
	w.reports.await(t, small.StackID, isHealthy)
	w.reports.await(t, big.StackID, func(a wire.Applied) bool {
		return a.Phase == "failed" && strings.Contains(a.Message, "owned_by stack "+small.StackID)
	})
	if got := w.value("v1/configmaps/./it"); got != "small" || !isHealthy(w.reports.last(small.StackID)) {
		t.Errorf("the object says %q, and the small stack %+v", got, w.reports.last(small.StackID))
	}
}

// What somebody else makes in the moment between the last look and the write is not overwritten.
func TestWhatIsMadeInTheMomentOfTheWriteIsNotOverwritten(t *testing.T) {
	t.Parallel()
	const path = "v1/configmaps/./it"
	for name, c := range map[string]struct {
		adopt string
		data  map[string]any
		said  string
		value string
		stays bool // when the stack goes
	}{
		"and is not adopted":           {adopt: "never", data: map[string]any{"key": "theirs"}, said: "not_adopted", value: "theirs", stays: true},
		"and is adopted":               {data: map[string]any{"key": "theirs"}, said: "adopted: ConfigMap", value: "ours", stays: true},
		"and is adopted as it was":     {data: map[string]any{"more": "theirs"}, said: "adopted: ConfigMap", value: "ours", stays: true},
		"and nobody makes it but ours": {value: "ours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			var once sync.Once
			hold := func(r *http.Request) {
				if c.data != nil && r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") == "" && strings.HasSuffix(r.URL.Path, "/configmaps/it") {
					once.Do(func() { w.create(path, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": c.data}) })
				}
			}
			w.wire.before.Store(&hold)
			w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "ours"), wire.Policy{Adopt: c.adopt})}, nil)
			r := w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" || a.Phase == "applied" })
			if !strings.Contains(r.Message, c.said) || (c.adopt == "never") != (r.Phase == "failed") {
				t.Errorf("the report is %s %q, want it to say %q", r.Phase, r.Message, c.said)
			}
			if v := w.value(path); v != c.value {
				t.Errorf("the value is %q, want %q", v, c.value)
			}
			if more := c.data["more"]; more != nil && w.get(path).Object["data"].(map[string]any)["more"] != more {
				t.Error("what they have in it is gone")
			}
			w.remove(id)
			if u := w.get(path); (u != nil) != c.stays {
				t.Errorf("after the removal it is there: %v, want %v", u != nil, c.stays)
			}
		})
	}
}
