package kube_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/ssa"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// bundle is what the judge and the adapter look at. Its values are written as people do, not as the API server has them.
const bundle = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, labels: {mine: "1"}, annotations: {mine: "1"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
      - name: main
        image: nginx:1
        ports: [{containerPort: 80}]
        env: [{name: ONE, value: "1"}, {name: TWO, value: "2"}]
        resources: {requests: {cpu: "1000m", memory: 1024Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: a, labels: {mine: "1"}}
spec: {selector: {app: a}, ports: [{port: 80, name: web}, {port: 443, name: tls}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {mine: "1"}}
data: {one: "1", two: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: a, labels: {mine: "1"}}
stringData: {one: "1"}
data: {two: Mg==}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a, labels: {mine: "1"}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, labels: {mine: "1"}}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: a, labels: {mine: "1"}}
spec:
  schedule: "0 0 * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: nginx}]}}}}
`

// trial has one object and both opinions on it.
type trial struct {
	*world
	judge   *ssa.ResourceManager
	mapping cluster.Mapping
	desired *unstructured.Unstructured
}

// drifted is the adapter's opinion: whether a dry run of an apply would change what is there.
func (x *trial) drifted() bool {
	x.Helper()
	live, err := x.c.Get(x.Context(), "", cluster.Target{Mapping: x.mapping, Namespace: x.namespace, Name: x.desired.GetName()})
	if fault.Is(err, fault.NotFound) {
		return true
	}
	if err != nil {
		x.Fatalf("get: %v", err)
	}
	would, err := x.c.Apply(x.Context(), "", x.mapping, x.desired, true)
	if err != nil {
		x.Fatalf("dry run: %v", err)
	}
	return !reflect.DeepEqual(written(live), written(would))
}

// written is an object without what the API server keeps by itself.
func written(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	for _, name := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	unstructured.RemoveNestedField(u.Object, "status")
	return u.Object
}

func (x *trial) live() dynamic.ResourceInterface {
	return x.admin.Resource(x.mapping.Resource).Namespace(x.namespace)
}

// want fails unless both have the opinion that is wanted.
func (x *trial) want(what string, drifted bool) {
	x.Helper()
	if got := x.drifted(); got != drifted {
		x.Errorf("%s: the adapter says drifted %v, want %v", what, got, drifted)
	}
	entry, _, _, err := x.judge.Diff(x.Context(), x.desired.DeepCopy(), ssa.DefaultDiffOptions())
	if err != nil {
		x.Fatalf("%s: the judge fails: %v", what, err)
	}
	if got := entry.Action != ssa.UnchangedAction; got != drifted {
		x.Errorf("%s: the judge says %s, want drifted %v", what, entry.Action, drifted)
	}
}

func (x *trial) apply() {
	x.Helper()
	if _, err := x.c.Apply(x.Context(), "", x.mapping, x.desired, false); err != nil {
		x.Fatalf("apply: %v", err)
	}
	x.settle()
}

// settle waits for the controller of a Deployment, which writes to what two looks have to find alike.
func (x *trial) settle() {
	x.Helper()
	if x.mapping.Kind != deployment {
		return
	}
	await(x, "the controller has done its part", func() bool {
		u, err := x.live().Get(x.Context(), x.desired.GetName(), metav1.GetOptions{})
		if err != nil {
			x.Fatal(err)
		}
		seen, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration") // absent: 0
		return seen == u.GetGeneration()
	})
}

// edit changes the object by somebody else's hand.
func (x *trial) edit(patch string) {
	x.Helper()
	if _, err := x.live().Patch(x.Context(), x.desired.GetName(), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		x.Fatalf("edit %s: %v", patch, err)
	}
	x.settle()
}

// edits are what others do to an object, by kind ("": to all), and whether that is drift.
func edits() map[string]map[string]bool {
	return map[string]map[string]bool{
		"": {
			`{"metadata":{"labels":{"mine":"2"}}}`:        true,
			`{"metadata":{"labels":{"mine":null}}}`:       true,
			`{"metadata":{"labels":{"theirs":"1"}}}`:      false,
			`{"metadata":{"annotations":{"theirs":"1"}}}`: false,
		},
		"Deployment": {
			`{"spec":{"replicas":1}}`:                    true,
			`{"spec":{"paused":true}}`:                   false, // a field that the bundle does not name
			`{"metadata":{"annotations":{"mine":null}}}`: true,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"nginx:2"}]}}}}`:                        true,
			`{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"nginx:1"}]}}}}`:                        false,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"ONE","value":"9"}]}]}}}}`:       true,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"ONE","$patch":"delete"}]}]}}}}`: true,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"THREE","value":"3"}]}]}}}}`:     false,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"1"}}}]}}}}`:     false,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"2"}}}]}}}}`:     true,
			`{"spec":{"template":{"spec":{"containers":[{"name":"main","resources":{"limits":{"cpu":"2"}}}]}}}}`:       false,
		},
		"Service": {
			`{"spec":{"ports":[{"port":80,"targetPort":8080}]}}`: false,
			`{"spec":{"ports":[{"port":443,"name":"https"}]}}`:   true,
			`{"spec":{"selector":{"app":"b"}}}`:                  true,
		},
		"ConfigMap":     {`{"data":{"one":"2"}}`: true, `{"data":{"two":null}}`: true, `{"data":{"three":"3"}}`: false, `{"binaryData":{"b":"AA=="}}`: false},
		"Secret":        {`{"data":{"one":"Mg=="}}`: true, `{"data":{"two":null}}`: true, `{"data":{"three":"Mw=="}}`: false},
		"Role":          {`{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","delete"]}]}`: true},
		"NetworkPolicy": {`{"spec":{"policyTypes":["Egress"]}}`: true, `{"spec":{"podSelector":{"matchLabels":{"a":"b"}}}}`: true},
		"CronJob":       {`{"spec":{"suspend":false}}`: true, `{"spec":{"timeZone":"Etc/UTC"}}`: false},
	}
}

// TestJudgeAgrees compares the adapter's dry runs with those of Flux's library.
func TestJudgeAgrees(t *testing.T) {
	t.Parallel()
	for _, text := range strings.Split(bundle, "\n---\n") {
		var desired map[string]any
		if err := yaml.Unmarshal([]byte(text), &desired); err != nil {
			t.Fatal(err)
		}
		kind := schema.FromAPIVersionAndKind(desired["apiVersion"].(string), desired["kind"].(string))
		t.Run(kind.Kind, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, &unstructured.Unstructured{Object: desired})
			x.want("absent", true)
			x.apply()
			x.want("just applied", false)
			for _, of := range []string{"", kind.Kind} {
				for patch, drift := range edits()[of] {
					x.edit(patch)
					x.want(patch, drift)
					x.apply()
					x.want("after "+patch+" and another apply", false)
				}
			}
			// What the stack gives up is drift, too, until it is applied.
			labels := x.desired.GetLabels()
			x.desired.SetLabels(map[string]string{"mine": "3"})
			x.want("another label desired", true)
			x.desired.SetLabels(nil)
			x.want("no label desired", true)
			x.apply()
			x.want("no label applied", false)
			x.desired.SetLabels(labels)
			x.want("a label desired again", true)
			if _, err := x.judge.Apply(t.Context(), x.desired.DeepCopy(), ssa.DefaultApplyOptions()); err != nil {
				t.Fatalf("the judge's apply: %v", err)
			}
			x.want("applied by the judge", false)
			if err := x.live().Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			x.want("deleted by somebody", true)
		})
	}
}

func newTrial(t *testing.T, desired *unstructured.Unstructured) *trial {
	t.Helper()
	w := newWorld(t)
	desired.SetNamespace(w.namespace)
	c, err := client.New(w.config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &trial{
		world: w, mapping: w.mapping(desired.GroupVersionKind()), desired: desired,
		judge: ssa.NewResourceManager(c, nil, ssa.Owner{Field: cluster.FieldManager, Group: "brokkr.io"}),
	}
}
