package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	claim      = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop}}"
	shop       = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"
	definition = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.x.io}, spec: {group: x.io, names: {kind: Widget, plural: widgets}}}"
	widget     = "{apiVersion: x.io/v1, kind: Widget, metadata: {name: w, namespace: shop}}"
)

// stamped is a live object of the stack.
func stamped(t *testing.T, text, uid string) *unstructured.Unstructured {
	t.Helper()
	u := object(t, text)
	u.SetUID(types.UID(uid))
	stampAs(u, stackID, agentID)
	return u
}

func TestFates(t *testing.T) {
	t.Parallel()
	annotate := func(k, v string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			a := u.GetAnnotations()
			a[k] = v
			u.SetAnnotations(a)
		}
	}
	unannotate := func(keys ...string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			a := u.GetAnnotations()
			for _, k := range keys {
				delete(a, k)
			}
			u.SetAnnotations(a)
		}
	}
	deleting := func(u *unstructured.Unstructured) {
		now := metav1.Unix(1_700_000_000, 0)
		u.SetDeletionTimestamp(&now)
	}
	for name, tc := range map[string]struct {
		text   string // "" is a config map
		change func(*unstructured.Unstructured)
		gone   bool
		entry  cluster.Entry
		policy wire.Policy
		fate   plan.Fate
		why    string
	}{
		"by default":                      {fate: plan.Delete},
		"policy says delete":              {policy: wire.Policy{Prune: "delete"}, fate: plan.Delete},
		"gone":                            {gone: true, fate: plan.Gone},
		"policy says orphan":              {policy: wire.Policy{Prune: "orphan"}, fate: plan.Release, why: "the stack's treatment is prune: orphan"},
		"a policy of later agents":        {policy: wire.Policy{Prune: "archive"}, fate: plan.Release, why: "the stack's treatment is prune: archive"},
		"never, says the object":          {change: annotate(cluster.AnnotationPrune, "never"), fate: plan.Release, why: "its annotation brokkr.io/prune is never"},
		"the object says something else":  {change: annotate(cluster.AnnotationPrune, "always"), fate: plan.Delete},
		"adopted":                         {entry: cluster.Entry{Adopted: true}, fate: plan.Release, why: "it was there before the stack"},
		"says that it was adopted":        {change: annotate(cluster.AnnotationAdopted, "true"), fate: plan.Release, why: "it was there before the stack"},
		"says it, and policy says prune":  {change: annotate(cluster.AnnotationAdopted, "true"), policy: wire.Policy{PruneAdopted: true}, fate: plan.Delete},
		"adopted, policy says prune":      {entry: cluster.Entry{Adopted: true}, policy: wire.Policy{PruneAdopted: true}, fate: plan.Delete},
		"a claim":                         {text: claim, fate: plan.Release, why: "objects of this kind are kept unless the stack's treatment says prune_protected"},
		"a definition":                    {text: definition, fate: plan.Release, why: "objects of this kind are kept unless the stack's treatment says prune_protected"},
		"a claim, policy says prune":      {text: claim, policy: wire.Policy{PruneProtected: true}, fate: plan.Delete},
		"an adopted claim stays":          {text: claim, entry: cluster.Entry{Adopted: true}, policy: wire.Policy{PruneProtected: true}, fate: plan.Release, why: "it was there before the stack"},
		"a namespace with nothing in it":  {text: shop, fate: plan.Delete},
		"being deleted":                   {change: deleting, fate: plan.Await},
		"a claim being deleted":           {text: claim, change: deleting, fate: plan.Release, why: "objects of this kind are kept unless the stack's treatment says prune_protected"},
		"another stack's":                 {change: annotate(cluster.AnnotationStack, "stack-2"), fate: plan.Foreign},
		"another stack's, being deleted":  {change: func(u *unstructured.Unstructured) { annotate(cluster.AnnotationStack, "stack-2")(u); deleting(u) }, fate: plan.Foreign},
		"another agent's":                 {change: annotate(cluster.AnnotationOwner, "agent-2"), fate: plan.Foreign},
		"of an agent that wrote no owner": {change: unannotate(cluster.AnnotationOwner), fate: plan.Delete},
		"without its annotations":         {change: unannotate(cluster.AnnotationStack, cluster.AnnotationOwner), fate: plan.Delete},
		"without any stamps": {change: func(u *unstructured.Unstructured) {
			u.SetAnnotations(nil)
			u.SetLabels(nil)
		}, fate: plan.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.text == "" {
				tc.text = config
			}
			u := stamped(t, tc.text, "uid-7")
			if tc.change != nil {
				tc.change(u)
			}
			tc.entry.Key, tc.entry.UID = keyOf(u), "uid-7"
			live := map[cluster.Key]*unstructured.Unstructured{tc.entry.Key: u}
			want := plan.Removal{Entry: tc.entry, UID: "uid-7", Rank: plan.RankOf(tc.entry.Key.GroupKind()), Fate: tc.fate, Why: tc.why}
			if tc.gone {
				live, want.UID = nil, ""
			}
			got := plan.Removals(agentID, stackID, tc.policy, []cluster.Entry{tc.entry}, live)
			if diff := cmp.Diff([]plan.Removal{want}, got); diff != "" {
				t.Errorf("removals (-want +got):\n%s", diff)
			}
		})
	}
}

func fates(removals []plan.Removal) (order []string, whys map[string]string) {
	whys = map[string]string{}
	for _, r := range removals {
		order = append(order, r.Entry.Key.Kind+" "+string(r.Fate))
		if r.Why != "" {
			whys[r.Entry.Key.Kind] = r.Why
		}
	}
	return order, whys
}

func TestRemovalsTakeTheReverseOrder(t *testing.T) {
	t.Parallel()
	live := map[cluster.Key]*unstructured.Unstructured{}
	var entries []cluster.Entry
	for _, text := range []string{definition, shop, config, widget,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}",
		"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}",
		"{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: web}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: web, namespace: shop}}",
	} {
		u := stamped(t, text, "uid-"+text[:20])
		live[keyOf(u)] = u
		entries = append(entries, entry(keyOf(u), string(u.GetUID())))
	}
	got, _ := fates(plan.Removals(agentID, stackID, wire.Policy{PruneProtected: true}, entries, live))
	want := []string{"ValidatingWebhookConfiguration delete", "Widget delete", "Deployment delete", "Service delete",
		"ConfigMap delete", "Role delete", "Namespace delete", "CustomResourceDefinition delete"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestContainersStayForWhatStaysInThem(t *testing.T) {
	t.Parallel()
	foreign := func(u *unstructured.Unstructured) { stampAs(u, "stack-2", "agent-2") }
	for name, tc := range map[string]struct {
		in     string
		change func(*unstructured.Unstructured)
		want   []string
		why    string
	}{
		"a claim that is kept":         {in: claim, want: []string{"PersistentVolumeClaim release", "Namespace release"}, why: "PersistentVolumeClaim shop/data stays, which would go with it"},
		"what another stack took":      {in: config, change: foreign, want: []string{"ConfigMap foreign", "Namespace release"}, why: "ConfigMap shop/c stays, which would go with it"},
		"what goes":                    {in: config, want: []string{"ConfigMap delete", "Namespace delete"}},
		"what is in another namespace": {in: "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: other}}", want: []string{"PersistentVolumeClaim release", "Namespace delete"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns, in := stamped(t, shop, "uid-1"), stamped(t, tc.in, "uid-2")
			if tc.change != nil {
				tc.change(in)
			}
			got, whys := fates(plan.Removals(agentID, stackID, wire.Policy{}, []cluster.Entry{entry(keyOf(ns), "uid-1"), entry(keyOf(in), "uid-2")},
				map[cluster.Key]*unstructured.Unstructured{keyOf(ns): ns, keyOf(in): in}))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
			if whys["Namespace"] != tc.why {
				t.Errorf("the namespace stays because %q, want %q", whys["Namespace"], tc.why)
			}
		})
	}
}

func TestPruneKeepsWhatTheStackNeeds(t *testing.T) {
	t.Parallel()
	all := wire.Policy{PruneProtected: true, PruneAdopted: true}
	for name, tc := range map[string]struct {
		wanted  []string
		stale   []string
		uid     string // of the wanted object
		partial bool
		want    []string
	}{
		"nothing is wanted of it":              {[]string{config}, []string{claim}, "uid-c", false, []string{"PersistentVolumeClaim delete"}},
		"only some objects were looked at":     {[]string{config}, []string{claim}, "uid-c", true, nil},
		"a namespace of wanted objects":        {[]string{config}, []string{shop}, "uid-c", false, []string{"Namespace release"}},
		"a definition of wanted objects":       {[]string{widget}, []string{definition}, "uid-c", false, []string{"CustomResourceDefinition release"}},
		"a definition of nothing wanted":       {[]string{config}, []string{definition}, "uid-c", false, []string{"CustomResourceDefinition delete"}},
		"the same object in another API group": {[]string{"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: w, namespace: shop}}"}, []string{"{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: w, namespace: shop}}"}, "uid-0", false, []string{"Ingress gone"}},
		"a namesake in another API group":      {[]string{"{apiVersion: a.io/v1, kind: Ingress, metadata: {name: w, namespace: shop}}"}, []string{"{apiVersion: b.io/v1beta1, kind: Ingress, metadata: {name: w, namespace: shop}}"}, "uid-c", false, []string{"Ingress delete"}},
	} {
		for _, looked := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var manifests []*unstructured.Unstructured
				inv := applied()
				o := plan.Observed{Objects: map[cluster.Key]plan.Observation{}, Stale: map[cluster.Key]*unstructured.Unstructured{}, Partial: tc.partial}
				for _, text := range tc.wanted {
					manifests = append(manifests, object(t, text))
					u := stamped(t, text, tc.uid)
					if looked {
						o.Objects[keyOf(u)] = plan.Observation{Live: u, Payload: u, Would: u}
					}
					inv.Entries = append(inv.Entries, entry(keyOf(u), tc.uid))
				}
				if looked {
					inv.Entries = nil // then the objects themselves say who they are
				}
				for _, text := range tc.stale {
					u := stamped(t, text, "uid-0")
					o.Stale[keyOf(u)] = u
					inv.Entries = append(inv.Entries, entry(keyOf(u), "uid-0"))
				}
				o.Inventory = inv
				got, whys := fates(plan.Diff(prepare(t, stack("a", all), manifests...), o).Prune)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("fates (-want +got):\n%s", diff)
				}
				for kind, why := range whys {
					if why != "objects of the stack depend on it" {
						t.Errorf("%s stays because %q", kind, why)
					}
				}
			})
		}
	}
}
