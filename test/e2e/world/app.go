package world

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// App is a small application: ConfigMap, Deployment, Service, HorizontalPodAutoscaler, PodDisruptionBudget, all of one name.
type App struct {
	Name, Namespace string
	Text            string // in the ConfigMap
	Replicas        int    // 1 to 5
	NoService       bool
	Phase           string // what the pods do that are made for this Text; default: they run
}

// Phases of an App.
const (
	PhaseRun     = "run"
	PhasePending = "pending"   // until Cluster.LetRun
	PhaseBroken  = "imagepull" // for ever
)

// phaseAnnotation tells the simulated nodes what a pod does; it may change while the pod lives.
const phaseAnnotation = "kubecluster/phase"

// AppKinds are the kinds of an App.
func AppKinds() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{ConfigMaps, Services, Deployments, Autoscalers, Budgets}
}

// Bundle is the application as manifests.
func (a App) Bundle() string {
	var b strings.Builder
	annotations, deadline := "", 600 // seconds, the cluster's default
	if a.Phase == PhaseBroken {
		deadline = 3 // the former pod serves on: only then it counts as failed
	}
	if a.Phase != "" {
		annotations = fmt.Sprintf(", annotations: {%s: %s, text: %q}", phaseAnnotation, a.Phase, a.Text)
	}
	part := func(s string) {
		fmt.Fprint(&b, "---\n", strings.NewReplacer("ANNOTATIONS", annotations, "DEADLINE", fmt.Sprint(deadline), "NAMESPACE", a.Namespace, "NAME", a.Name, "TEXT", a.Text, "REPLICAS", fmt.Sprint(a.Replicas)).Replace(s))
	}
	part(`apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: NAME}}
`)
	part(`apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  minReplicas: 1
  maxReplicas: 5
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}
`)
	part(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  replicas: REPLICAS
  progressDeadlineSeconds: DEADLINE
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}ANNOTATIONS}
    spec:
      containers:
      - name: app
        image: example.test/app:1
        resources: {requests: {cpu: 10m, memory: 16Mi}}
        envFrom: [{configMapRef: {name: NAME}}]
`)
	if !a.NoService {
		part(`apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 80, targetPort: 8080}]
`)
	}
	part(ConfigMap("NAMESPACE", "NAME", "TEXT"))
	return b.String()
}

// ConfigMap is the manifest of a ConfigMap with one value, text.
func ConfigMap(namespace, name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {text: %q}\n", name, namespace, text)
}

// Runs returns nil if the cluster runs the application as it is.
func (a App) Runs(c *Cluster) error {
	text, err := c.Data(a.Name, "text")
	if err != nil {
		return err
	}
	errs := []error{want("text of "+a.Name+" in "+c.Name, text, a.Text)}
	d, err := c.Get(Deployments, a.Name)
	if err != nil {
		return err
	}
	replicas, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
	available, _, _ := unstructured.NestedInt64(d.Object, "status", "availableReplicas")
	errs = append(errs, want("replicas of "+a.Name+" in "+c.Name, replicas, int64(a.Replicas)), want("available replicas", available, int64(a.Replicas)))
	kinds := []schema.GroupVersionResource{Autoscalers, Budgets}
	if !a.NoService {
		kinds = append(kinds, Services)
	}
	for _, k := range kinds {
		_, err := c.Get(k, a.Name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Absent returns nil if the cluster has nothing of the application.
func (a App) Absent(c *Cluster) error {
	var errs []error
	for _, k := range AppKinds() {
		errs = append(errs, c.Gone(k, a.Name))
	}
	return errors.Join(errs...)
}
