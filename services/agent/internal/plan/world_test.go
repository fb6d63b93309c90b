package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	agentID   = "agent-1"
	stackID   = "stack-1"
	namespace = "shop"
)

// object reads one manifest as a client of the API server would.
func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("bad YAML: %v\n%s", err, text)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatalf("bad object: %v\n%s", err, text)
	}
	return u
}

func keyOf(u *unstructured.Unstructured) cluster.Key {
	return bundle.Object{Unstructured: u}.Key()
}

// stack returns an assignment of a bundle; what is the bundle's name.
func stack(what string, p wire.Policy) wire.Stack {
	return wire.Stack{StackID: stackID, StackName: "web", DeploymentObjectID: "object-" + what, SequenceID: 1, Checksum: "sum-" + what, Policy: p}
}

// clusterScoped are kinds of these tests that have no namespace.
func clusterScoped(kind string) bool {
	return slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass", "ValidatingWebhookConfiguration"}, kind)
}

func mappings(objects []bundle.Object) map[schema.GroupVersionKind]cluster.Mapping {
	m := map[schema.GroupVersionKind]cluster.Mapping{}
	for _, o := range objects {
		k := o.GroupVersionKind()
		m[k] = cluster.Mapping{Kind: k, Resource: k.GroupVersion().WithResource(strings.ToLower(k.Kind) + "s"), Namespaced: !clusterScoped(k.Kind)}
	}
	return m
}

// prepare makes Desired of manifests, each one a document.
func prepare(t testing.TB, s wire.Stack, manifests ...*unstructured.Unstructured) plan.Desired {
	t.Helper()
	objects := make([]bundle.Object, len(manifests))
	for i, u := range manifests {
		objects[i] = bundle.Object{Document: i + 1, Line: 10 * i, Unstructured: u.DeepCopy()}
	}
	d, err := plan.Prepare(agentID, s, objects, mappings(objects), plan.Scope{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// model is a cluster with server-side apply for fields of mappings: enough to see whether a plan holds. Lists are values.
type model struct {
	objects map[cluster.Key]*thing
	made    int
}

type thing struct {
	uid, version string
	fields       map[string]leaf // by JSON pointer
	api          string
	finalizing   bool
}

type leaf struct {
	value  any
	owners []string
}

func newModel() *model { return &model{objects: map[cluster.Key]*thing{}} }

func (m *model) clone() *model {
	c := &model{objects: map[cluster.Key]*thing{}, made: m.made}
	for k, o := range m.objects {
		n := *o
		n.fields = maps.Clone(o.fields)
		c.objects[k] = &n
	}
	return c
}

// write changes fields as a manager: by apply it also gives up the fields that u has not.
func (m *model) write(manager string, u *unstructured.Unstructured, apply bool) {
	k := keyOf(u)
	o := m.objects[k]
	m.made++
	if o == nil {
		o = &thing{uid: fmt.Sprintf("uid-%d", m.made), fields: map[string]leaf{}, api: u.GetAPIVersion()}
		m.objects[k] = o
	}
	o.version = fmt.Sprint(m.made)
	given := map[string]any{}
	leaves("", u.Object, given)
	for path, v := range given {
		old := o.fields[path]
		owners := []string{manager}
		if fmt.Sprint(old.value) == fmt.Sprint(v) {
			owners = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(old.owners), manager))))
		}
		o.fields[path] = leaf{v, owners}
	}
	for path, l := range o.fields {
		if _, ok := given[path]; ok || !apply || !slices.Contains(l.owners, manager) {
			continue
		}
		if l.owners = slices.DeleteFunc(slices.Clone(l.owners), func(s string) bool { return s == manager }); len(l.owners) == 0 {
			delete(o.fields, path)
			continue
		}
		o.fields[path] = l
	}
}

func leaves(path string, v any, into map[string]any) {
	if m, ok := v.(map[string]any); ok && len(m) > 0 {
		for k, below := range m {
			leaves(path+"/"+strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1"), below, into)
		}
		return
	}
	switch path {
	case "/apiVersion", "/kind", "/metadata/name", "/metadata/namespace":
	default:
		into[path] = v
	}
}

func parts(path string) []string {
	out := strings.Split(path[1:], "/")
	for i := range out {
		out[i] = strings.ReplaceAll(strings.ReplaceAll(out[i], "~1", "/"), "~0", "~")
	}
	return out
}

// get returns nil if the object is not there.
func (m *model) get(k cluster.Key) *unstructured.Unstructured {
	o := m.objects[k]
	if o == nil {
		return nil
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	owned := map[string]map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(o.fields)) {
		l := o.fields[path]
		if err := unstructured.SetNestedField(u.Object, l.value, parts(path)...); err != nil {
			panic(err)
		}
		for _, manager := range l.owners {
			if owned[manager] == nil {
				owned[manager] = map[string]any{}
			}
			at := parts(path)
			for i := range at {
				at[i] = "f:" + at[i]
			}
			if err := unstructured.SetNestedMap(owned[manager], map[string]any{}, at...); err != nil {
				panic(err)
			}
		}
	}
	u.SetAPIVersion(o.api)
	u.SetKind(k.Kind)
	u.SetName(k.Name)
	u.SetNamespace(k.Namespace)
	u.SetUID(types.UID(o.uid))
	u.SetResourceVersion(o.version)
	var entries []metav1.ManagedFieldsEntry
	for _, manager := range slices.Sorted(maps.Keys(owned)) {
		raw, err := json.Marshal(owned[manager])
		if err != nil {
			panic(err)
		}
		op := metav1.ManagedFieldsOperationUpdate
		if manager == cluster.FieldManager {
			op = metav1.ManagedFieldsOperationApply
		}
		entries = append(entries, metav1.ManagedFieldsEntry{Manager: manager, Operation: op, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(raw))})
	}
	u.SetManagedFields(entries)
	if o.finalizing {
		now := metav1.Unix(1_700_000_000, 0)
		u.SetDeletionTimestamp(&now)
	}
	return u
}

// release takes the stamps off.
func (m *model) release(k cluster.Key) {
	for path := range m.objects[k].fields {
		if strings.Contains(path, "brokkr.io") {
			delete(m.objects[k].fields, path)
		}
	}
}

// observe looks at everything that a diff asks for.
func (m *model) observe(d plan.Desired, inv cluster.Inventory) plan.Observed {
	o := plan.Observed{Inventory: inv, Objects: map[cluster.Key]plan.Observation{}, Stale: map[cluster.Key]*unstructured.Unstructured{}}
	for _, obj := range d.Objects {
		seen := plan.Observation{Live: m.get(obj.Key)}
		seen.Payload = plan.Payload(obj, seen.Live, d.Stack.Policy.IgnorePaths, d.Adopts(plan.EntryOf(inv, obj.Key), seen.Live))
		if seen.Live == nil || seen.Live.GetDeletionTimestamp() == nil {
			dry := m.clone()
			dry.write(cluster.FieldManager, seen.Payload, true)
			seen.Would = dry.get(obj.Key)
		}
		o.Objects[obj.Key] = seen
	}
	for _, e := range inv.Entries {
		if u := m.get(e.Key); u != nil {
			o.Stale[e.Key] = u
		}
	}
	return o
}

// carryOut does what a change set says, and returns the inventory that is to be stored then.
func (m *model) carryOut(d plan.Desired, set plan.ChangeSet) cluster.Inventory {
	uids := map[cluster.Key]string{}
	did := map[cluster.Key]plan.Action{}
	for _, c := range set.Changes {
		m.write(cluster.FieldManager, c.Payload, true)
		did[c.Object.Key] = c.Action
	}
	for _, o := range d.Objects {
		refused := slices.ContainsFunc(set.Conflicts, func(c plan.Conflict) bool { return c.Object.Key == o.Key })
		if live := m.objects[o.Key]; live != nil && !refused {
			uids[o.Key] = live.uid
		}
	}
	var left []cluster.Entry
	for _, r := range set.Prune {
		switch r.Fate {
		case plan.Delete:
			if m.holdsOthers(r.Entry.Key) {
				m.release(r.Entry.Key) // whoever carries out a plan looks for what it cannot know of
			} else {
				m.delete(r.Entry.Key)
			}
		case plan.Release:
			m.release(r.Entry.Key)
		case plan.Await:
			left = append(left, r.Entry)
		case plan.Gone, plan.Foreign:
		}
	}
	return plan.Settled(set.Inventory, d, uids, did, left)
}

// delete takes with a namespace what is in it, and with a definition what is of its kind.
func (m *model) delete(k cluster.Key) {
	delete(m.objects, k)
	maps.DeleteFunc(m.objects, func(other cluster.Key, _ *thing) bool { return goesWith(other, k) })
}

func goesWith(k, container cluster.Key) bool {
	return (container.Kind == "Namespace" && k.Namespace == container.Name) ||
		(container.Kind == "CustomResourceDefinition" && strings.HasSuffix(container.Name, "."+k.Group))
}

// holdsOthers reports whether objects that are not the stack's would go with k.
func (m *model) holdsOthers(k cluster.Key) bool {
	for other := range m.objects {
		if s, a := plan.Owner(m.get(other)); goesWith(other, k) && (s != stackID || (a != "" && a != agentID)) {
			return true
		}
	}
	return false
}
