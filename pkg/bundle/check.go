package bundle

import (
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const maxListNesting = 4

// add checks the object m, which was read from n, and keeps it; the items of a list are added instead of the list.
func (d *document) add(n *yaml.Node, m map[string]any, nesting int) error {
	where := d.at(n)
	if items, ok := d.items(m); ok {
		return d.addItems(n, items, nesting)
	}
	meta, err := d.identity(n, m)
	if err != nil {
		return err
	}
	for _, field := range []string{"labels", "annotations"} {
		if err := d.stringMap(n, meta, field); err != nil {
			return err
		}
	}
	o := Object{Document: where.document, Line: where.line, Unstructured: &unstructured.Unstructured{Object: m}}
	if first, dup := d.seen[o.Key()]; dup {
		return where.errorf("%s appears twice: first in document %d, line %d", o.Key(), first.Document, first.Line)
	}
	if len(d.objects) >= d.limits.Documents {
		return where.errorf("the bundle has more than %d objects", d.limits.Documents)
	}
	d.seen[o.Key()] = o
	d.objects = append(d.objects, o)
	return nil
}

// items returns the items of a list: kind List, or a typed list such as ConfigMapList, which has no name of its own.
func (d *document) items(m map[string]any) ([]any, bool) {
	kind, _ := m["kind"].(string)
	items, isSlice := m["items"].([]any)
	if kind == "List" {
		return items, isSlice || m["items"] == nil
	}
	if !isSlice || !strings.HasSuffix(kind, "List") {
		return nil, false
	}
	meta, _ := m["metadata"].(map[string]any)
	return items, meta["name"] == nil
}

func (d *document) addItems(n *yaml.Node, items []any, nesting int) error {
	if nesting >= maxListNesting {
		return d.at(n).errorf("lists are nested deeper than %d levels", maxListNesting)
	}
	node := child(n, "items")
	for i, item := range items {
		at := n
		if node != nil && node.Kind == yaml.SequenceNode && i < len(node.Content) {
			at = node.Content[i]
		}
		m, ok := item.(map[string]any)
		if !ok {
			return d.at(at).errorf("item %d of the list is not a Kubernetes object", i+1)
		}
		if err := d.add(at, m, nesting+1); err != nil {
			return err
		}
	}
	return nil
}

// identity checks apiVersion, kind, name and namespace, and returns the metadata.
func (d *document) identity(n *yaml.Node, m map[string]any) (map[string]any, error) {
	where := d.at(n)
	apiVersion, ok := m["apiVersion"].(string)
	if !ok || apiVersion == "" {
		return nil, where.errorf("apiVersion is missing")
	}
	if gv, err := schema.ParseGroupVersion(apiVersion); err != nil || gv.Version == "" {
		return nil, d.field(n, "apiVersion").errorf("apiVersion %q is not <group>/<version> or <version>", apiVersion)
	}
	kind, ok := m["kind"].(string)
	if !ok || kind == "" {
		return nil, where.errorf("kind is missing")
	}
	meta, ok := m["metadata"].(map[string]any)
	if !ok {
		return nil, where.errorf("metadata is missing (%s)", kind)
	}
	at := d.field(n, "metadata")
	name, ok := meta["name"].(string)
	if !ok || name == "" {
		if g, _ := meta["generateName"].(string); g != "" {
			return nil, at.errorf("metadata.generateName cannot be used (%s): each apply would create one more object; give it a metadata.name", kind)
		}
		if meta["name"] != nil && !ok {
			return nil, at.errorf("metadata.name is not text (%s): put it in quotes", kind)
		}
		return nil, at.errorf("metadata.name is missing (%s)", kind)
	}
	if msgs := content.IsPathSegmentName(name); len(msgs) > 0 {
		return nil, at.errorf("metadata.name %q %s (%s)", name, msgs[0], kind)
	}
	switch ns := meta["namespace"].(type) {
	case nil:
		delete(meta, "namespace")
	case string:
		if msgs := content.IsPathSegmentName(ns); len(msgs) > 0 {
			return nil, at.errorf("metadata.namespace %q %s (%s %s)", ns, msgs[0], kind, name)
		}
	default:
		return nil, at.errorf("metadata.namespace is not text (%s %s): put it in quotes", kind, name)
	}
	return meta, nil
}

// stringMap makes sure that labels or annotations are what they must be: unstructured accessors would otherwise
// drop all of them without a word. An empty field, which templates like to leave, is taken out.
func (d *document) stringMap(n *yaml.Node, meta map[string]any, field string) error {
	if v, have := meta[field]; have && v == nil {
		delete(meta, field)
		return nil
	} else if !have {
		return nil
	}
	node := child(child(n, "metadata"), field)
	if node == nil {
		node = n
	}
	m, ok := meta[field].(map[string]any)
	if !ok {
		return d.at(node).errorf("metadata.%s is not a mapping", field)
	}
	for k, v := range m {
		if _, ok := v.(string); !ok {
			return d.field(node, k).errorf("the value of metadata.%s[%q] is not text: put it in quotes", field, k)
		}
	}
	return nil
}

// field returns the place of a key of mapping n, or of n itself.
func (d *document) field(n *yaml.Node, key string) place {
	n = resolve(n)
	for i := 0; n != nil && i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return d.at(n.Content[i])
		}
	}
	return d.at(n)
}

// child returns the value of a key of mapping n, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
