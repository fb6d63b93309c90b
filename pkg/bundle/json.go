package bundle

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonNodes reads a JSON document into nodes, so that JSON has lines and duplicate keys are seen too. YAML is not
// quite a superset of JSON (surrogate pairs, tabs), therefore JSON has a reader of its own. The text is valid JSON.
func (p *parser) jsonNodes(s section) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(s.text))
	dec.UseNumber()
	r := jsonReader{dec: dec, text: s.text, line: 1, limit: p.limits.Depth}
	n, err := r.node(0)
	if err != nil {
		return nil, place{p.documents, s.line + r.line - 1}.errorf("%s", err.Error())
	}
	return n, nil
}

type jsonReader struct {
	dec   *json.Decoder
	text  []byte
	pos   int64
	line  int
	limit int
}

type tooDeep struct{}

func (tooDeep) Error() string { return "the document is nested too deeply" }

func (r *jsonReader) next() (json.Token, error) {
	t, err := r.dec.Token()
	end := r.dec.InputOffset()
	r.line += bytes.Count(r.text[r.pos:end], []byte("\n"))
	r.pos = end
	return t, err
}

func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	t, err := r.next()
	if err != nil {
		return nil, err
	}
	return r.from(t, depth)
}

func (r *jsonReader) from(t json.Token, depth int) (*yaml.Node, error) {
	// One level beyond the limit is let through, so that value() refuses it with its place.
	if depth > r.limit+1 {
		return nil, tooDeep{}
	}
	n := &yaml.Node{Line: r.line, Kind: yaml.ScalarNode}
	switch x := t.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if x == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.dec.More() {
			if n.Kind == yaml.MappingNode {
				k, err := r.node(depth + 1)
				if err != nil {
					return nil, err
				}
				n.Content = append(n.Content, k)
			}
			c, err := r.node(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		_, err := r.next()
		return n, err
	case string:
		n.Tag, n.Value, n.Style = "!!str", x, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", x.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if x {
			n.Value = "true"
		}
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}
