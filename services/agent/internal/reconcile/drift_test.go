package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func (w *world) value(path string) string {
	w.t.Helper()
	u := w.get(path)
	if u == nil {
		return ""
	}
	v, _, _ := unstructured.NestedString(u.Object, "data", "key")
	return v
}

func TestDriftIsCorrected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")+application))
	for name, c := range map[string]struct {
		path, patch string
		ok          func() bool
	}{
		"a value": {"v1/configmaps/./it", `{"data":{"key":"theirs"}}`, func() bool { return w.value("v1/configmaps/./it") == "ours" }},
		"a stamp": {"apps/v1/deployments/./web", `{"metadata":{"annotations":{"` + cluster.AnnotationOwner + `":null}}}`,
			func() bool {
				return w.get("apps/v1/deployments/./web").GetAnnotations()[cluster.AnnotationOwner] == w.agent
			}},
		"the label": {"v1/services/./web", `{"metadata":{"labels":{"` + cluster.LabelStack + `":null}}}`,
			func() bool { return w.get("v1/services/./web").GetLabels()[cluster.LabelStack] == id }},
		"a number": {"apps/v1/deployments/./web", `{"spec":{"replicas":5}}`, func() bool {
			n, _, _ := unstructured.NestedInt64(w.get("apps/v1/deployments/./web").Object, "spec", "replicas")
			return n == 2
		}},
	} {
		w.patch(c.path, c.patch)
		w.eventually(name+" to be corrected", c.ok)
	}
	was := w.get("v1/configmaps/./it").GetUID()
	w.drop("v1/configmaps/./it")
	w.eventually("the config map to be made again", func() bool { u := w.get("v1/configmaps/./it"); return u != nil && u.GetUID() != was })
	w.reports.await(t, id, isHealthy)
	// What the stack does not name is nobody's drift.
	w.patch("v1/configmaps/./it", `{"data":{"more":"x"}}`)
	time.Sleep(500 * time.Millisecond)
	if more, _, _ := unstructured.NestedString(w.get("v1/configmaps/./it").Object, "data", "more"); more != "x" {
		t.Error("a field that the stack does not name was taken out")
	}
	w.remove(id)
}

func TestDriftIsReportedOnlyIfThePolicySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	s := w.stack(id, configMap("it", "ours"), wire.Policy{Drift: "report"})
	w.apply(s)
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "differs in /data/key, set by somebody") })
	if r.Phase != "applied" {
		t.Errorf("phase is %s", r.Phase)
	}
	if w.value("v1/configmaps/./it") != "theirs" {
		t.Error("it was corrected")
	}
	w.patch("v1/configmaps/./it", `{"data":{"key":"ours"}}`)
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Message == "" })
	// A new revision is no drift: it is applied over.
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.apply(w.stack(id, configMap("it", "new"), wire.Policy{Drift: "report"}))
	if w.value("v1/configmaps/./it") != "new" {
		t.Error("the new revision was not applied")
	}
	w.remove(id)
}

func TestIgnoredFieldsBelongToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	replicas := func() int64 {
		n, _, _ := unstructured.NestedInt64(w.get("apps/v1/deployments/./web").Object, "spec", "replicas")
		return n
	}
	p := wire.Policy{IgnorePaths: []string{"/spec/replicas"}}
	w.apply(w.stack(id, application, p))
	w.patch("apps/v1/deployments/./web", `{"spec":{"replicas":3}}`)
	w.patch("apps/v1/deployments/./web", `{"spec":{"minReadySeconds":7}}`) // not named by the stack
	w.patch("apps/v1/deployments/./web", `{"metadata":{"labels":{"`+cluster.LabelStack+`":null}}}`)
	w.eventually("the label to come back", func() bool { return w.get("apps/v1/deployments/./web").GetLabels()[cluster.LabelStack] == id })
	if replicas() != 3 {
		t.Errorf("replicas are %d, want the 3 that somebody else set: %v", replicas(), w.get("apps/v1/deployments/./web").GetManagedFields())
	}
	w.apply(w.stack(id, strings.Replace(application, "web:1", "web:2", 1), p))
	if replicas() != 3 {
		t.Errorf("replicas are %d after an update, want 3", replicas())
	}
	w.remove(id)
}

func TestAFightIsBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")))
	for i := range 5 {
		w.patch("v1/configmaps/./it", fmt.Sprintf(`{"data":{"key":"theirs %d"}}`, i))
		w.eventually("a correction", func() bool { return w.value("v1/configmaps/./it") == "ours" })
	}
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs at last"}}`)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "contested: ") })
	if r.Health != "degraded" || !strings.Contains(r.Message, "/data/key, set by somebody") {
		t.Errorf("got %s %q, want it degraded, with field and manager", r.Health, r.Message)
	}
	if w.value("v1/configmaps/./it") != "theirs at last" {
		t.Error("the fight goes on")
	}
	w.apply(w.stack(id, configMap("it", "new"))) // a new revision is none of the fight
	if w.value("v1/configmaps/./it") != "new" {
		t.Error("the new revision was not applied")
	}
	w.remove(id)
}

// Who fights over one field has a truce for that field, not for the object.
func TestAContestedFieldKeepsNoOtherFromBeingCorrected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	const it = "v1/configmaps/./it"
	at := func(key string) string {
		v, _, _ := unstructured.NestedString(w.get(it).Object, "data", key)
		return v
	}
	w.apply(w.stack(id, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\ndata: {key: ours, other: ours}\n"))
	for i := range 5 {
		w.patch(it, fmt.Sprintf(`{"data":{"key":"theirs %d"}}`, i))
		w.eventually("a correction", func() bool { return at("key") == "ours" })
	}
	w.patch(it, `{"data":{"key":"theirs at last"}}`)
	w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "contested: ") })
	w.patch(it, `{"data":{"other":"theirs"}}`)
	w.eventually("the other field to be corrected", func() bool { return at("other") == "ours" })
	if at("key") != "theirs at last" {
		t.Errorf("the fight goes on: %q", at("key"))
	}
	w.patch(it, `{"data":{"key":"theirs again","other":null}}`)
	w.eventually("the other field to come back", func() bool { return at("other") == "ours" })
	if at("key") != "theirs again" {
		t.Errorf("the fight goes on: %q", at("key"))
	}
	r := w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "/data/key, set by somebody") })
	if r.Health != "degraded" || strings.Contains(r.Message, "/data/other") {
		t.Errorf("got %s %q, want it degraded, with the contested field alone", r.Health, r.Message)
	}
	w.remove(id)
}

func TestAnUnchangedResyncWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.resync = 200 * time.Millisecond })
	id := uuid.NewString()
	w.apply(w.stack(id, application+configMap("it", "ours")))
	w.reports.await(t, id, isHealthy)
	before, looks := w.wire.writes.Load(), w.wire.reads.Load()
	w.eventually("many resyncs", func() bool { return w.wire.reads.Load() > looks+50 })
	if n := w.wire.writes.Load() - before; n != 0 {
		t.Errorf("%d writes: %v", n, w.wire.lines[before:])
	}
	w.remove(id)
}

func TestAJobThatHasRunIsNotRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.resync = 200 * time.Millisecond })
	id := uuid.NewString()
	w.apply(w.stack(id, `---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  ttlSecondsAfterFinished: 1
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: main}]}}
`+configMap("it", "ours")))
	w.reports.await(t, id, isHealthy)
	w.eventually("the job to be taken away", func() bool { return w.get("batch/v1/jobs/./once") == nil })
	before, looks := w.wire.writes.Load(), w.wire.reads.Load()
	w.eventually("some resyncs", func() bool { return w.wire.reads.Load() > looks+20 })
	if n := w.wire.writes.Load() - before; n != 0 || w.get("batch/v1/jobs/./once") != nil {
		t.Errorf("%d writes: %v", n, w.wire.lines[before:])
	}
	if r := w.reports.last(id); !isHealthy(r) {
		t.Errorf("got %s %s %q, want it healthy", r.Phase, r.Health, r.Message)
	}
	w.remove(id)
}

func TestWhatSomebodyPutInItsPlaceIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.resync = 200 * time.Millisecond })
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours"), wire.Policy{Adopt: "never", Drift: "report"}))
	w.drop("v1/configmaps/./it")
	w.create("v1/configmaps/./it", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"key": "theirs"}})
	w.reports.await(t, id, func(a wire.Applied) bool {
		return strings.Contains(a.Message, "not_adopted") && strings.Contains(a.Message, "attempt 3")
	})
	if v := w.value("v1/configmaps/./it"); v != "theirs" {
		t.Errorf("it was changed to %q", v)
	}
	w.remove(id)
	if w.get("v1/configmaps/./it") == nil {
		t.Error("it went with the stack")
	}
}

func TestAnObjectThatIsDeletedAgainAndAgainIsContested(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")))
	for range 5 {
		was := w.get("v1/configmaps/./it").GetUID()
		w.drop("v1/configmaps/./it")
		w.eventually("the config map to be made again", func() bool { u := w.get("v1/configmaps/./it"); return u != nil && u.GetUID() != was })
	}
	w.drop("v1/configmaps/./it")
	r := w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "it is deleted again and again") })
	if r.Health != "degraded" {
		t.Errorf("health is %s", r.Health)
	}
}

func TestAMissingObjectIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours"), wire.Policy{Drift: "report"}))
	w.drop("v1/configmaps/./it")
	w.reports.await(t, id, func(a wire.Applied) bool {
		return strings.Contains(a.Message, "(is missing; the stack's treatment is to report it only)")
	})
}
