package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// manifest is what the stack wants; live is what an API server made of it after the agent had applied it, somebody had
// scaled it, and somebody else had changed a variable and put a container before the stack's.
const (
	manifest = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {team: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: shop/web:2
        args: [serve, --quiet]
        ports: [{containerPort: 80}]
        env: [{name: MODE, value: a}, {name: MORE, value: x}]
      volumes: [{name: tmp, emptyDir: {}}]
`
	live = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: e7539c7f-489d-484a-9d7e-d23b3fe23279
  generation: 3
  resourceVersion: "397"
  creationTimestamp: "2026-11-24T02:22:48Z"
  annotations: {deployment.kubernetes.io/revision: "2", team: shop}
  managedFields:
  - manager: brokkr-controller
    operation: Apply
    apiVersion: apps/v1
    fieldsType: FieldsV1
    time: "2026-11-24T02:22:48Z"
    fieldsV1:
      f:metadata: {f:annotations: {f:team: {}}}
      f:spec:
        f:selector: {}
        f:template:
          f:metadata: {f:labels: {f:app: {}}}
          f:spec:
            f:containers:
              k:{"name":"app"}:
                .: {}
                f:args: {}
                f:env:
                  'k:{"name":"MODE"}': {.: {}, f:name: {}}
                  'k:{"name":"MORE"}': {.: {}, f:name: {}, f:value: {}}
                f:image: {}
                f:name: {}
                f:ports:
                  'k:{"containerPort":80,"protocol":"TCP"}': {.: {}, f:containerPort: {}}
            f:volumes:
              'k:{"name":"tmp"}': {.: {}, f:emptyDir: {}, f:name: {}}
  - manager: kube-controller-manager
    operation: Update
    subresource: scale
    apiVersion: apps/v1
    fieldsType: FieldsV1
    fieldsV1: {f:spec: {f:replicas: {}}}
  - manager: kube-controller-manager
    operation: Update
    subresource: status
    apiVersion: apps/v1
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:annotations: {f:deployment.kubernetes.io/revision: {}}}
      f:status: {f:replicas: {}, f:conditions: {.: {}, 'k:{"type":"Available"}': {.: {}, f:status: {}}}}
  - manager: kubectl-edit
    operation: Update
    apiVersion: apps/v1
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:finalizers: {.: {}, 'v:"shop.io/guard"': {}}}
      f:spec:
        f:template:
          f:spec:
            f:containers:
              k:{"name":"app"}:
                f:env: {'k:{"name":"MODE"}': {f:value: {}}}
              'k:{"name":"sidecar"}': {.: {}, f:image: {}, f:name: {}}
  - {manager: nobody, operation: Apply, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: {}}
  - {manager: nothing, operation: Update, apiVersion: apps/v1}
  finalizers: [shop.io/other, shop.io/guard]
spec:
  progressDeadlineSeconds: 600
  replicas: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: sidecar, image: "mesh/proxy:3", imagePullPolicy: IfNotPresent}
      - name: app
        image: shop/web:1
        imagePullPolicy: IfNotPresent
        args: [serve]
        ports: [{containerPort: 80, protocol: TCP}]
        env: [{name: MODE, value: b}, {name: MORE, value: x}]
      volumes: [{emptyDir: {sizeLimit: 1Gi}, name: tmp}]
status: {replicas: 5}
`
)

func at(t *testing.T, u *unstructured.Unstructured, fields ...any) any {
	t.Helper()
	var v any = u.Object
	for _, f := range fields {
		switch x := v.(type) {
		case map[string]any:
			v = x[f.(string)]
		case []any:
			v = x[f.(int)]
		default:
			return nil
		}
	}
	return v
}

func TestPayloadLeavesIgnoredFields(t *testing.T) {
	t.Parallel()
	container := func(fields ...any) []any {
		return append([]any{"spec", "template", "spec", "containers", 0}, fields...)
	}
	for name, tc := range map[string]struct {
		ignore string
		at     []any
		want   any
	}{
		"what an autoscaler owns is left out":            {"/spec/replicas", []any{"spec", "replicas"}, nil},
		"so is what somebody owns in a list":             {"/spec/template/spec/containers/0/env/0/value", container("env", 0), map[string]any{"name": "MODE"}},
		"what nobody else owns gets the value it has":    {"/spec/template/spec/containers/0/image", container("image"), "shop/web:1"},
		"a list that only the agent owns, too":           {"/spec/template/spec/containers/0/args", container("args"), []any{"serve"}},
		"an element of such a list":                      {"/spec/template/spec/containers/0/args/0", container("args"), []any{"serve", "--quiet"}},
		"an element by its keys":                         {"/spec/template/spec/containers/0/ports/0", container("ports", 0, "protocol"), "TCP"},
		"an element that is not there is applied":        {"/spec/template/spec/containers/0/args/1", container("args", 1), "--quiet"},
		"an element as a whole":                          {"/spec/template/spec/containers/0", container("image"), "shop/web:1"},
		"a mapping without what is not there":            {"/spec/template/spec/volumes/0/emptyDir", []any{"spec", "template", "spec", "volumes", 0, "emptyDir"}, map[string]any{}},
		"of a list in which others have elements, all":   {"/spec/template/spec/containers", container("name"), "sidecar"},
		"annotations but not the stamps":                 {"/metadata/annotations", []any{"metadata", "annotations", "brokkr.io/owner-id"}, agentID},
		"a stamp is not ignored":                         {"/metadata/annotations/brokkr.io~1owner-id", []any{"metadata", "annotations", "brokkr.io/owner-id"}, agentID},
		"nor the label":                                  {"/metadata", []any{"metadata", "labels", "brokkr.io/stack"}, stackID},
		"nor the name":                                   {"/metadata", []any{"metadata", "name"}, "web"},
		"a field that the bundle has not changes none":   {"/spec/minReadySeconds", []any{"spec", "replicas"}, int64(2)},
		"nor does a pointer to the whole":                {"", []any{"spec", "replicas"}, int64(2)},
		"nor one into a plain value":                     {"/spec/replicas/x", []any{"spec", "replicas"}, int64(2)},
		"nor one beyond the end of a list":               {"/spec/template/spec/containers/7/image", container("image"), "shop/web:2"},
		"nor one that takes a list for a mapping":        {"/spec/template/spec/containers/app/image", container("image"), "shop/web:2"},
		"nor one to a field whose parents are not there": {"/spec/strategy/type", []any{"spec", "replicas"}, int64(2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
			before := d.Objects[0].Manifest.DeepCopy()
			got := plan.Payload(d.Objects[0], object(t, live), []string{tc.ignore}, false)
			if diff := cmp.Diff(tc.want, at(t, got, tc.at...)); diff != "" {
				t.Errorf("payload at %v (-want +got):\n%s", tc.at, diff)
			}
			if diff := cmp.Diff(before, d.Objects[0].Manifest); diff != "" {
				t.Errorf("the manifest itself changed:\n%s", diff)
			}
		})
	}
}

func TestPayloadOfWholeAreas(t *testing.T) {
	t.Parallel()
	d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
	got := plan.Payload(d.Objects[0], object(t, live), []string{"/spec", "/metadata/annotations"}, false)
	want := object(t, live).Object["spec"].(map[string]any)
	for _, f := range []string{"progressDeadlineSeconds", "replicas"} {
		delete(want, f) // neither is the stack's
	}
	// The list of volumes is taken as it is, and so is that of containers.
	if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if a := got.GetAnnotations(); a["team"] != "shop" || a["deployment.kubernetes.io/revision"] != "" || len(a) != 5 {
		t.Errorf("annotations %v, want the team's and the stamps", a)
	}
}

func TestPayloadWithoutManagedFieldsGoesByName(t *testing.T) {
	t.Parallel()
	d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
	u := object(t, live)
	u.SetManagedFields(nil)
	got := plan.Payload(d.Objects[0], u, []string{"/spec/template/spec/containers/0/image", "/spec/template/spec/containers/0/ports/0", "/spec/replicas"}, false)
	if image := at(t, got, "spec", "template", "spec", "containers", 0, "image"); image != "shop/web:1" {
		t.Errorf("image %v, want that of the same container", image)
	}
	if port := at(t, got, "spec", "template", "spec", "containers", 0, "ports", 0, "protocol"); port != "TCP" {
		t.Errorf("protocol %v, want that of the first port", port)
	}
	if n := at(t, got, "spec", "replicas"); n != int64(5) {
		t.Errorf("replicas %v, want the 5 that are there", n)
	}
}

// Paths tell elements of lists by their places: where these differ from the manifest's, a field cannot be left alone by itself, and nothing is written.
func TestNothingIsLeftAloneAtAnotherPlace(t *testing.T) {
	t.Parallel()
	d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
	image := "/spec/template/spec/containers/0/image"
	for name, tt := range map[string]struct {
		before []any // containers that are there before the manifest's
		path   string
		rest   bool
	}{
		"at the same place":        {nil, image, true},
		"a proxy is before it":     {[]any{map[string]any{"name": "proxy", "image": "proxy:1"}}, image, false},
		"its own place, behind it": {[]any{map[string]any{"name": "proxy", "image": "proxy:1"}}, "/spec/template/spec/containers/1/image", false},
		"in no list":               {[]any{map[string]any{"name": "proxy", "image": "proxy:1"}}, "/spec/paused", true},
	} {
		u := object(t, live)
		containers, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		app := slices.DeleteFunc(containers, func(c any) bool { m, ok := c.(map[string]any); return !ok || m["name"] != "app" })
		if err := unstructured.SetNestedSlice(u.Object, append(tt.before, app...), "spec", "template", "spec", "containers"); err != nil {
			t.Fatal(err)
		}
		c := plan.Change{Object: d.Objects[0], Live: u, Paths: []string{tt.path, "/spec/replicas"}, Payload: d.Objects[0].Manifest}
		got, some := c.Without([]string{tt.path}, nil)
		if some != tt.rest || (some && !slices.Equal(got.Paths, []string{"/spec/replicas"})) {
			t.Errorf("%s: %t, %v; want %t", name, some, got.Paths, tt.rest)
		}
	}
}

func TestPayloadIsTheManifestIfThereIsNothingToLeave(t *testing.T) {
	t.Parallel()
	d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
	if plan.Payload(d.Objects[0], nil, []string{"/spec/replicas"}, false) != d.Objects[0].Manifest {
		t.Error("a new object does not get everything")
	}
	if plan.Payload(d.Objects[0], object(t, live), nil, false) != d.Objects[0].Manifest {
		t.Error("something was left out though nothing is ignored")
	}
}

func TestPayloadSurvivesOddities(t *testing.T) {
	t.Parallel()
	const odd = `{apiVersion: x.io/v1, kind: Widget, metadata: {name: w, namespace: shop}, spec: {items: [{name: {}, a: 1}, {id: 2, a: 1}, text]}}`
	d := prepare(t, stack("a", wire.Policy{}), object(t, odd))
	there := object(t, `
apiVersion: x.io/v1
kind: Widget
metadata:
  name: w
  namespace: shop
  managedFields:
  - manager: editor
    operation: Update
    fieldsType: FieldsV1
    fieldsV1: {f:spec: {f:items: {'k:{"id":2}': {f:a: {}}, 'k:broken': {}, 'i:0': {}, 'v:"text"': {}, '.': {}}}}
spec: {items: [plain, {id: 2, a: 9}, {name: [x], a: 3}]}
`)
	got := plan.Payload(d.Objects[0], there, []string{"/spec/items/0/a", "/spec/items/1/a", "/spec/items/2", "/spec/items/-1", "/spec/items/x", "/spec/items/9"}, false)
	want := []any{map[string]any{"name": map[string]any{}, "a": int64(1)}, map[string]any{"id": int64(2)}, map[string]any{"name": []any{"x"}, "a": int64(3)}}
	if diff := cmp.Diff(want, at(t, got, "spec", "items")); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func TestManagersOfDifferences(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(u *unstructured.Unstructured)
		paths  []string
		by     []string
	}{
		"a field of a list's element": {func(u *unstructured.Unstructured) {
			at(t, u, "spec", "template", "spec", "containers", 1, "env", 0).(map[string]any)["value"] = "a"
		}, []string{"/spec/template/spec/containers/1/env/0/value"}, []string{"kubectl-edit"}},
		"by way of a subresource": {func(u *unstructured.Unstructured) {
			u.Object["spec"].(map[string]any)["replicas"] = int64(2)
		}, []string{"/spec/replicas"}, []string{"kube-controller-manager"}},
		"of a value in a set": {func(u *unstructured.Unstructured) { u.SetFinalizers([]string{"shop.io/other", "x"}) },
			[]string{"/metadata/finalizers/1"}, []string{"kubectl-edit"}},
		"a value in a set that nobody owns": {func(u *unstructured.Unstructured) { u.SetFinalizers([]string{"x", "shop.io/guard"}) },
			[]string{"/metadata/finalizers/0"}, nil},
		"a field that only the agent owns": {func(u *unstructured.Unstructured) {
			at(t, u, "spec", "template", "spec", "containers", 1).(map[string]any)["image"] = "shop/web:2"
		}, []string{"/spec/template/spec/containers/1/image"}, nil},
		"a port, told apart by two keys": {func(u *unstructured.Unstructured) {
			at(t, u, "spec", "template", "spec", "containers", 1, "ports", 0).(map[string]any)["name"] = "http"
		}, []string{"/spec/template/spec/containers/1/ports/0/name"}, nil},
		"a list of which others have an element": {func(u *unstructured.Unstructured) {
			spec := at(t, u, "spec", "template", "spec").(map[string]any)
			spec["containers"] = spec["containers"].([]any)[1:]
		}, []string{"/spec/template/spec/containers"}, []string{"kubectl-edit"}},
		"several": {func(u *unstructured.Unstructured) {
			u.Object["spec"].(map[string]any)["replicas"] = int64(2)
			u.SetAnnotations(map[string]string{"team": "shop"})
			at(t, u, "spec", "template", "spec", "containers", 1, "env", 0).(map[string]any)["value"] = "a"
		}, []string{"/metadata/annotations/deployment.kubernetes.io~1revision", "/spec/replicas", "/spec/template/spec/containers/1/env/0/value"},
			[]string{"kube-controller-manager", "kubectl-edit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepare(t, stack("a", wire.Policy{}), object(t, manifest))
			there, would := object(t, live), object(t, live)
			stampAs(there, stackID, agentID)
			stampAs(would, stackID, agentID)
			tc.change(would)
			stampAs(would, stackID, agentID)
			set := plan.Diff(d, plan.Observed{Objects: map[cluster.Key]plan.Observation{d.Objects[0].Key: {Live: there, Payload: d.Objects[0].Manifest, Would: would}}})
			if len(set.Changes) != 1 {
				t.Fatalf("%d changes, want 1: %+v", len(set.Changes), set)
			}
			if diff := cmp.Diff(tc.paths, set.Changes[0].Paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.by, set.Changes[0].By); diff != "" {
				t.Errorf("managers (-want +got):\n%s", diff)
			}
		})
	}
}
