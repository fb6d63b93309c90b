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
	group, kind := names(u)
	plural, scope := text(u, "spec", "names", "plural"), text(u, "spec", "scope")
	raw, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "versions") // schemas are large
	versions, _ := raw.([]any)
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
		out = append(out, cluster.Mapping{Kind: gv.WithKind(kind), Resource: gv.WithResource(plural), Namespaced: scope == "Namespaced"})
	}
	return out
}

// names returns the group and kind that a definition defines.
func names(u *unstructured.Unstructured) (group, kind string) {
	return text(u, "spec", "group"), text(u, "spec", "names", "kind")
}

// text returns a string of an object; empty if there is none.
func text(u *unstructured.Unstructured, fields ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, fields...)
	return s
}
