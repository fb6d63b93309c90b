package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

func parse(t *testing.T, text string) []bundle.Object {
	t.Helper()
	objects, err := bundle.Parse([]byte(text), bundle.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestPrepareOrdersByRankAndKey(t *testing.T) {
	t.Parallel()
	objects := parse(t, `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}}
---
{apiVersion: x.io/v1, kind: Widget, metadata: {name: w}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: s}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: r}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: s}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: net}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ns}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.x.io}}
`)
	d, err := plan.Prepare(agentID, stack("a", wire.Policy{}), objects, mappings(objects), plan.Scope{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, o := range d.Objects {
		got = append(got, o.Key.String())
		if o.Document != len(objects)-i && o.Rank != plan.RankWorkload {
			t.Errorf("%s is of document %d, want %d", o.Key, o.Document, len(objects)-i)
		}
	}
	want := []string{
		"CustomResourceDefinition.apiextensions.k8s.io widgets.x.io", "Namespace ns", "PriorityClass.scheduling.k8s.io p",
		"NetworkPolicy.networking.k8s.io shop/net", "ServiceAccount shop/s", "ClusterRole.rbac.authorization.k8s.io r",
		"RoleBinding.rbac.authorization.k8s.io shop/r", "Secret shop/s", "PersistentVolumeClaim shop/p", "Service shop/s",
		"Deployment.apps shop/a", "Deployment.apps shop/b", "Widget.x.io shop/w",
		"ValidatingWebhookConfiguration.admissionregistration.k8s.io w",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	at := cluster.Target{Mapping: d.Objects[10].Mapping, Namespace: namespace, Name: "a"}
	if d.Objects[10].Target() != at {
		t.Errorf("target %+v, want %+v", d.Objects[10].Target(), at)
	}
}

func TestRanksOfKinds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]plan.Rank{
		"StorageClass.storage.k8s.io":                  plan.RankClass,
		"RuntimeClass.node.k8s.io":                     plan.RankClass,
		"IngressClass.networking.k8s.io":               plan.RankClass,
		"GatewayClass.gateway.networking.k8s.io":       plan.RankClass,
		"Ingress.networking.k8s.io":                    plan.RankRest,
		"HTTPRoute.gateway.networking.k8s.io":          plan.RankRest,
		"ResourceQuota":                                plan.RankLimit,
		"LimitRange":                                   plan.RankLimit,
		"Role.rbac.authorization.k8s.io":               plan.RankRole,
		"ClusterRoleBinding.rbac.authorization.k8s.io": plan.RankBinding,
		"ConfigMap":                           plan.RankConfig,
		"PersistentVolume":                    plan.RankStorage,
		"Endpoints":                           plan.RankService,
		"Pod":                                 plan.RankWorkload,
		"CronJob.batch":                       plan.RankWorkload,
		"HorizontalPodAutoscaler.autoscaling": plan.RankRest,
		"Event":                               plan.RankRest,
		"APIService.apiregistration.k8s.io":   plan.RankWebhook,
	} {
		if got := plan.RankOf(schema.ParseGroupKind(text)); got != want {
			t.Errorf("rank of %s is %d, want %d", text, got, want)
		}
	}
}

func TestPrepareGivesManifestsTheirForm(t *testing.T) {
	t.Parallel()
	objects := parse(t, `
apiVersion: v1
kind: Secret
metadata:
  name: s
  annotations: {team: shop, brokkr.io/owner-id: another}
  labels: {app: web}
  uid: "1"
  resourceVersion: "7"
  generation: 3
  creationTimestamp: null
  managedFields: []
  selfLink: /x
  ownerReferences: [{apiVersion: v1, kind: Node, name: n, uid: u}]
data: {a: YQ==, both: b2xk}
stringData: {both: new, b: text}
---
apiVersion: v1
kind: Namespace
metadata: {name: ns, namespace: nonsense}
status: {phase: Active}
`)
	d, err := plan.Prepare(agentID, stack("a", wire.Policy{}), objects, mappings(objects), plan.Scope{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	stamps := map[string]any{cluster.AnnotationStack: stackID, cluster.AnnotationChecksum: "sum-a", cluster.AnnotationObject: "object-a", cluster.AnnotationOwner: agentID}
	label := map[string]any{cluster.LabelStack: stackID}
	with := func(m map[string]any, k string, v any) map[string]any {
		out := map[string]any{k: v}
		for k, v := range m {
			out[k] = v
		}
		return out
	}
	want := []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "ns", "annotations": stamps, "labels": label}},
		{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": namespace,
			"annotations": with(stamps, "team", "shop"), "labels": with(label, "app", "web")},
			"data": map[string]any{"a": "YQ==", "both": "bmV3", "b": "dGV4dA=="}},
	}
	for i, o := range d.Objects {
		if diff := cmp.Diff(want[i], o.Manifest.Object); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.Key, diff)
		}
	}
}

func TestPrepareLeavesBadSecretsToTheServer(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"data is a list":       "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: [a], stringData: {a: b}}",
		"a value is a number":  "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: 1}}",
		"stringData is a list": "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: [a]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepare(t, stack("a", wire.Policy{}), object(t, text))
			if _, ok := d.Objects[0].Manifest.Object["stringData"]; !ok {
				t.Errorf("stringData was swallowed: %v", d.Objects[0].Manifest.Object)
			}
		})
	}
	d := prepare(t, stack("a", wire.Policy{}), object(t, "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: null, stringData: {a: b}}"))
	if got, _, _ := unstructured.NestedString(d.Objects[0].Manifest.Object, "data", "a"); got != "Yg==" {
		t.Errorf("data.a is %q, want it encoded", got)
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	cm := func(name, namespace string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + ", namespace: " + namespace + "}}\n---\n"
	}
	many := ""
	for range 25 {
		many += cm("c"+strings.Repeat("x", strings.Count(many, "---")), "other")
	}
	for name, tc := range map[string]struct {
		text string
		only bool
		kind fault.Kind
		code string
		says []string
	}{
		"the same object after its namespace is filled in": {cm("a", "") + cm("a", namespace), false, fault.Invalid, bundle.Code,
			[]string{"document 2, line 3", "ConfigMap shop/a appears twice", "document 1, line 1"}},
		"another namespace": {cm("a", "") + cm("b", "other"), true, fault.Refused, "outside_namespace", []string{"confined to namespace shop", ": ConfigMap other/b"}},
		"no namespace":      {"{apiVersion: v1, kind: Namespace, metadata: {name: shop}}", true, fault.Refused, "outside_namespace", []string{"Namespace shop"}},
		"a lot":             {many, true, fault.Refused, "outside_namespace", []string{"ConfigMap other/c, ", "and 5 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := parse(t, tc.text)
			_, err := plan.Prepare(agentID, stack("a", wire.Policy{}), objects, mappings(objects), plan.Scope{Namespace: namespace, Only: tc.only})
			if !fault.Is(err, tc.kind) || fault.CodeOf(err) != tc.code {
				t.Fatalf("error %v, want %s %s", err, tc.kind, tc.code)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
		})
	}
	if _, err := plan.Prepare(agentID, stack("a", wire.Policy{}), parse(t, cm("a", "")), nil, plan.Scope{Namespace: namespace}); err == nil {
		t.Error("a kind without mapping was taken")
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.x.io}
spec:
  group: x.io
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions: [{name: v1, served: true}, {name: v1beta1, served: false}, {served: true}, {name: v2, served: true}, text]
`
	namespaced := []cluster.Mapping{
		{Kind: schema.GroupVersionKind{Group: "x.io", Version: "v1", Kind: "Widget"}, Resource: schema.GroupVersionResource{Group: "x.io", Version: "v1", Resource: "widgets"}, Namespaced: true},
		{Kind: schema.GroupVersionKind{Group: "x.io", Version: "v2", Kind: "Widget"}, Resource: schema.GroupVersionResource{Group: "x.io", Version: "v2", Resource: "widgets"}, Namespaced: true},
	}
	global := []cluster.Mapping{namespaced[0], namespaced[1]}
	global[0].Namespaced, global[1].Namespaced = false, false
	for name, tc := range map[string]struct {
		text string
		want []cluster.Mapping
	}{
		"namespaced":       {crd, namespaced},
		"of the cluster":   {strings.Replace(crd, "Namespaced", "Cluster", 1), global},
		"without a plural": {strings.Replace(crd, ", plural: widgets", "", 1), nil},
		"without a group":  {strings.Replace(crd, "group: x.io", "", 1), nil},
		"without versions": {crd[:strings.Index(crd, "  versions")], nil},
		"another kind":     {strings.Replace(crd, "kind: CustomResourceDefinition", "kind: Other", 1), nil},
		"another group":    {strings.Replace(crd, "apiextensions.k8s.io/v1", "apiextensions.x.io/v1", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, plan.Definitions(object(t, tc.text))); diff != "" {
				t.Errorf("mappings (-want +got):\n%s", diff)
			}
		})
	}
}

// What the agent keeps for itself in its namespace is in no bundle; the same names elsewhere are anybody's.
func TestTheAgentsOwnObjectsAreNobodyElses(t *testing.T) {
	t.Parallel()
	const inventory = "inventory.0b6a3f5e-3f0e-4a6e-9a52-0d3a4f5f6a7b.0b6a3f5e-3f0e-4a6e-9a52-0d3a4f5f6a7c"
	manifest := func(apiVersion, kind, name, more string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {namespace: NS, name: %s%s}\n", apiVersion, kind, name, more)
	}
	for reason, tc := range map[string]struct {
		yaml string
		kept bool
	}{
		"the Secret with its key":             {manifest("v1", "Secret", "brokkr-agent-edge", ""), true},
		"an inventory, by its name":           {manifest("v1", "ConfigMap", inventory, ""), true},
		"an inventory, by its label":          {manifest("v1", "ConfigMap", "any", ", labels: {brokkr.io/inventory: x}"), true},
		"facts of the cluster":                {manifest("v1", "ConfigMap", "any", `, annotations: {brokkr.io/facts: "true"}`), true},
		"its lease":                           {manifest("coordination.k8s.io/v1", "Lease", "brokkr-agent-x", ""), true},
		"another Secret":                      {manifest("v1", "Secret", "app", ""), false},
		"a ConfigMap that begins like one":    {manifest("v1", "ConfigMap", "inventory.yaml", ""), false},
		"a Lease of somebody else's election": {manifest("coordination.k8s.io/v1", "Lease", "app", ""), false},
	} {
		for where, kept := range map[string]bool{"home": tc.kept, "elsewhere": false} {
			objects := parse(t, strings.Replace(tc.yaml, "NS", where, 1))
			_, err := plan.Prepare(agentID, stack("a", wire.Policy{}), objects, mappings(objects), plan.Scope{Namespace: namespace, Home: "home", KeySecret: "brokkr-agent-edge"})
			if refused := fault.CodeOf(err) == "reserved_object"; refused != kept || (!kept && err != nil) {
				t.Errorf("%s in %s: got %v, want refused %v", reason, where, err, kept)
			}
		}
	}
}

// By the agent's own rights nothing goes into protected namespaces, nor are they themselves anybody's; as a service account it is for the API server to say.
func TestProtectedNamespacesAreNobodys(t *testing.T) {
	t.Parallel()
	for reason, tc := range map[string]struct {
		yaml    string
		as      string
		refused bool
	}{
		"a Pod with the accounts of the system": {yaml: "apiVersion: v1\nkind: Pod\nmetadata: {namespace: kube-system, name: x}\n", refused: true},
		"a Secret beside the broker's":          {yaml: "apiVersion: v1\nkind: Secret\nmetadata: {namespace: home, name: brokkr-broker-keys}\n", refused: true},
		"the namespace itself":                  {yaml: "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n", refused: true},
		"as an account":                         {yaml: "apiVersion: v1\nkind: Pod\nmetadata: {namespace: kube-system, name: x}\n", as: "ops/deployer"},
		"another namespace":                     {yaml: "apiVersion: v1\nkind: Pod\nmetadata: {namespace: kube-systems, name: x}\n"},
		"one that only is called so":            {yaml: "apiVersion: v1\nkind: Secret\nmetadata: {namespace: shop, name: kube-system}\n"},
		"one that names no namespace":           {yaml: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n"},
	} {
		objects := parse(t, tc.yaml)
		_, err := plan.Prepare(agentID, stack("a", wire.Policy{ServiceAccount: tc.as}), objects, mappings(objects), plan.Scope{Namespace: namespace, Home: "home", Protected: []string{"kube-system", "home"}})
		if refused := fault.CodeOf(err) == "protected_namespace"; refused != tc.refused || (!tc.refused && err != nil) {
			t.Errorf("%s: got %v, want refused %v", reason, err, tc.refused)
		}
		if tc.refused && (!strings.Contains(err.Error(), "agent.protected_namespaces (kube-system, home)") || !strings.Contains(err.Error(), objects[0].GetName())) {
			t.Errorf("%s: %v does not say what, and how it is lifted", reason, err)
		}
	}
}
