package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func configMap(name, value string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

const application = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
`

func TestLifeOfAStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	first := w.stack(id, application+configMap("settings", "one"))
	w.apply(first)
	w.reports.await(t, id, isHealthy)

	d := w.get("apps/v1/deployments/./web")
	a := d.GetAnnotations()
	if a[cluster.AnnotationStack] != id || a[cluster.AnnotationChecksum] != first.Checksum || a[cluster.AnnotationObject] != first.DeploymentObjectID ||
		a[cluster.AnnotationOwner] != w.agent || d.GetLabels()[cluster.LabelStack] != id {
		t.Errorf("the deployment is not stamped: %v %v", a, d.GetLabels())
	}

	// A restart writes nothing.
	before := w.wire.writes.Load()
	w.restart()
	told := len(w.reports.all(id))
	w.engine.Desired([]wire.Stack{first}, nil)
	w.eventually("a report after the restart", func() bool { return len(w.reports.all(id)) > told })
	w.reports.await(t, id, isHealthy)
	if n := w.wire.writes.Load() - before; n != 0 {
		t.Errorf("the restart made %d writes: %v", n, w.wire.lines[before:])
	}

	// A new revision changes and prunes.
	second := w.stack(id, strings.Replace(application, "web:1", "web:2", 1)+configMap("other", "two"))
	w.apply(second)
	w.eventually("the old config map to go", func() bool { return w.get("v1/configmaps/./settings") == nil })
	if w.get("v1/configmaps/./other") == nil {
		t.Error("the new config map is not there")
	}

	w.remove(id)
	for _, path := range []string{"apps/v1/deployments/./web", "v1/services/./web", "autoscaling/v2/horizontalpodautoscalers/./web",
		"policy/v1/poddisruptionbudgets/./web", "v1/configmaps/./other", "v1/configmaps/./inventory." + id + "." + w.agent} {
		if w.get(path) != nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func TestHealthIsToldWheneverItChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, id := "g"+uuid.NewString()[:8]+".example.com", uuid.NewString()
	t.Cleanup(func() { w.drop("apiextensions.k8s.io/v1/customresourcedefinitions//gadgets." + group) })
	w.apply(w.stack(id, definition(group)+gadget(group, "one")))
	w.reports.await(t, id, isHealthy)
	writes := w.wire.writes.Load()
	for range 3 {
		w.status(group+"/v1/gadgets/./one", "False", "its wheel is off")
		w.reports.await(t, id, func(a wire.Applied) bool {
			return a.Phase == "applied" && a.Health != "healthy" && strings.Contains(a.Message, "its wheel is off")
		})
		w.status(group+"/v1/gadgets/./one", "True", "")
		w.reports.await(t, id, isHealthy)
	}
	if n := w.wire.writes.Load() - writes; n != 0 {
		t.Errorf("%d writes though only its status changed: %v", n, w.wire.lines[writes:])
	}
}
