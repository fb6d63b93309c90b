package plan

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Definitions returns how the kinds that a custom resource definition defines are going to be served; nothing for other
// objects, and for definitions that say too little.
func Definitions(u *unstructured.Unstructured) []cluster.Mapping {
	if !IsDefinition(u.GroupVersionKind().GroupKind()) {
		return nil
	}
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(u.Object, fields...)
		return s
	}
	group, kind, plural := text("spec", "group"), text("spec", "names", "kind"), text("spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	if group == "" || kind == "" || plural == "" {
		return nil
	}
	var out []cluster.Mapping
	for _, v := range versions {
		m, _ := v.(map[string]any)
		name, _ := m["name"].(string)
		if served, _ := m["served"].(bool); name == "" || !served {
			continue
		}
		gv := schema.GroupVersion{Group: group, Version: name}
		out = append(out, cluster.Mapping{Kind: gv.WithKind(kind), Resource: gv.WithResource(plural), Namespaced: text("spec", "scope") == "Namespaced"})
	}
	return out
}
