package bundle

import (
	"encoding/base64"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// document converts the nodes of one document to JSON values: map[string]any, []any, string, bool, int64, float64, nil.
type document struct {
	*parser
	offset int // lines of the bundle before the section that the nodes were read from
	inside map[*yaml.Node]bool
}

func (d *document) at(n *yaml.Node) place {
	return place{d.documents, max(1, n.Line+d.offset)}
}

func (d *document) value(n *yaml.Node, depth int, aliased bool) (any, error) {
	if depth > d.limits.Depth {
		return nil, d.at(n).errorf("the document is nested deeper than %d levels", d.limits.Depth)
	}
	if aliased {
		d.aliasBudget -= nodeCost + len(n.Value)
		if d.aliasBudget < 0 {
			return nil, d.at(n).errorf("aliases expand to too much text")
		}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return d.alias(n, depth)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.value(c, depth+1, aliased)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return d.mapping(n, depth, aliased)
	case yaml.ScalarNode:
		return d.scalar(n)
	default:
		return nil, d.at(n).errorf("an element of an unknown kind")
	}
}

func (d *document) alias(n *yaml.Node, depth int) (any, error) {
	target := n.Alias
	if target == nil || d.inside[target] {
		return nil, d.at(n).errorf("alias %q contains itself", n.Value)
	}
	if d.inside == nil {
		d.inside = map[*yaml.Node]bool{}
	}
	d.inside[target] = true
	defer delete(d.inside, target)
	return d.value(target, depth, true)
}

func (d *document) mapping(n *yaml.Node, depth int, aliased bool) (any, error) {
	out := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		key, err := d.key(k)
		if err != nil {
			return nil, err
		}
		if first, dup := lines[key]; dup {
			return nil, d.at(k).errorf("key %q appears twice in one mapping (first in line %d)", key, first)
		}
		lines[key] = d.at(k).line
		if out[key], err = d.value(v, depth+1, aliased); err != nil {
			return nil, err
		}
	}
	for _, m := range merges {
		if err := d.merge(out, m, depth, aliased); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge adds what a merge key (`<<`) brings; what is there already wins.
func (d *document) merge(into map[string]any, n *yaml.Node, depth int, aliased bool) error {
	v, err := d.value(n, depth+1, aliased)
	if err != nil {
		return err
	}
	sources, ok := v.([]any)
	if !ok {
		sources = []any{v}
	}
	for _, s := range sources {
		m, ok := s.(map[string]any)
		if !ok {
			return d.at(n).errorf("a merge key (<<) must refer to a mapping")
		}
		for k, val := range m {
			if _, have := into[k]; !have {
				into[k] = val
			}
		}
	}
	return nil
}

func (d *document) key(k *yaml.Node) (string, error) {
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode {
		return "", d.at(k).errorf("a key must be a plain value")
	}
	switch k.ShortTag() {
	case "!!null":
		return "", d.at(k).errorf("a key is empty")
	case "!!int":
		v, err := d.scalar(k)
		if err != nil {
			return "", err
		}
		if i, ok := v.(int64); ok {
			return strconv.FormatInt(i, 10), nil
		}
	}
	return k.Value, nil
}

func (d *document) scalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str":
		if b, ok := oldBool(n); ok {
			return b, nil
		}
		return n.Value, nil
	case "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, d.at(n).errorf("a value does not fit its tag %s", tag)
		}
		return d.number(n, v)
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(n.Value)
		if err != nil {
			return nil, d.at(n).errorf("a value tagged !!binary is not base64")
		}
		return string(b), nil
	default:
		return nil, d.at(n).errorf("tag %s is not supported", n.Tag)
	}
}

func (d *document) number(n *yaml.Node, v any) (any, error) {
	switch x := v.(type) {
	case bool:
		return x, nil
	case int:
		return int64(x), nil
	case int64:
		return x, nil
	case uint64:
		if x <= math.MaxInt64 {
			return int64(x), nil
		}
		return float64(x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, d.at(n).errorf("a number is infinite or not a number, which JSON cannot hold")
		}
		return x, nil
	default:
		return nil, d.at(n).errorf("a value does not fit its tag %s", n.ShortTag())
	}
}

// oldBool reads the plain words that are booleans in YAML 1.1, which kubectl and the Kubernetes API machinery
// follow: a manifest means the same here as there.
func oldBool(n *yaml.Node) (value, ok bool) {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return false, false
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	default:
		return false, false
	}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
