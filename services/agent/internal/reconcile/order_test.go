package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// definition is a CRD of a kind that is the test's own.
func definition(group string) string {
	return fmt.Sprintf(`---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`, group)
}

func gadget(group, name string) string {
	return fmt.Sprintf("---\napiVersion: %s/v1\nkind: Gadget\nmetadata: {name: %s}\nspec: {size: 1}\n", group, name)
}

func TestDefinitionsNamespacesAndWhatNeedsThemInOneBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, ns, id := "g"+uuid.NewString()[:8]+".example.com", "u-"+uuid.NewString()[:8], uuid.NewString()
	t.Cleanup(func() { w.drop("apiextensions.k8s.io/v1/customresourcedefinitions//gadgets." + group) })
	// The last things first: order is the agent's business.
	text := gadget(group, "one") +
		fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: %[1]s}\nspec:\n  serviceAccountName: runner\n  containers: [{name: c, image: \"registry.example/c:1\"}]\n"+
			"---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: runner, namespace: %[1]s}\n"+
			"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %[1]s}\n", ns) +
		definition(group)
	s := w.stack(id, text, wire.Policy{PruneProtected: true})
	w.apply(s)
	w.reports.await(t, id, isHealthy)
	if w.get(group+"/v1/gadgets/./one") == nil || w.get("v1/pods/"+ns+"/p") == nil {
		t.Fatal("not everything is there")
	}
	for _, a := range w.reports.all(id) {
		if a.Phase == "failed" {
			t.Errorf("a failure was reported on the way: %s", a.Message)
		}
	}
	w.remove(id)
	if w.get("apiextensions.k8s.io/v1/customresourcedefinitions//gadgets."+group) != nil || w.get("v1/namespaces//"+ns) != nil {
		t.Error("the definition or the namespace is still there")
	}
}

func TestADefinitionOutlivesItsStackUnlessTheStackSaysOtherwise(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, id := "g"+uuid.NewString()[:8]+".example.com", uuid.NewString()
	crd := "apiextensions.k8s.io/v1/customresourcedefinitions//gadgets." + group
	t.Cleanup(func() { w.drop(crd) })
	w.apply(w.stack(id, definition(group)+gadget(group, "one")))
	w.remove(id)
	if u := w.get(crd); u == nil || u.GetLabels()["brokkr.io/stack"] != "" {
		t.Errorf("the definition should be there and nobody's: %v", u)
	}
	if w.get(group+"/v1/gadgets/./one") != nil {
		t.Error("the gadget is still there")
	}
}

func TestNothingIsWrittenIfSomethingIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	bad := configMap("good", "x") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 80}]}\n"
	w.engine.Desired([]wire.Stack{w.stack(id, bad)}, nil)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
	for _, part := range []string{"validate", "Service", "Bad_Name", "attempt 1", "next try in"} {
		if !strings.Contains(r.Message, part) {
			t.Errorf("the message does not say %q: %s", part, r.Message)
		}
	}
	if n := w.wire.writes.Load(); n != 0 {
		t.Errorf("%d writes: %v", n, w.wire.lines)
	}
	w.apply(w.stack(id, configMap("good", "x"))) // the fix is not held up
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.only = true })
	for name, c := range map[string]struct{ text, want string }{
		"kind":      {gadget("nobody.example.com", "x"), "document 1, line 2: the cluster does not have the kind Gadget"},
		"scope":     {"apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n", "confined to namespace " + w.namespace + ", and the bundle needs more: Namespace"},
		"yaml":      {"apiVersion: v1\nkind: [\n", "parse: "},
		"empty":     {"# nothing\n", "the bundle has no objects; nothing was changed"},
		"namespace": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: elsewhere}\n", "ConfigMap elsewhere/x"},
	} {
		t.Run(name, func(t *testing.T) {
			id := uuid.NewString()
			w.engine.Desired([]wire.Stack{w.stack(id, c.text)}, nil)
			r := w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
			if !strings.Contains(r.Message, c.want) {
				t.Errorf("got %q, want it to say %q", r.Message, c.want)
			}
		})
	}
}
