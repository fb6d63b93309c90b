package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Bounds of a document as text.
const (
	MaxSize  = 256 << 10 // bytes
	maxDepth = 32
	maxNodes = 20_000
)

// node is a document as it was written, with the line of each part, before it is known what the parts mean.
type node struct {
	kind  kind
	text  string // of a scalar
	line  int
	keys  []string // of a mapping, beside items
	items []node
}

type kind uint8

const (
	isNull kind = iota
	isString
	isNumber
	isBool
	isList
	isMap
)

func (k kind) String() string {
	return [...]string{"nothing", "a text", "a number", "true or false", "a list", "a mapping"}[k]
}

// builder counts what it builds, so that a small text cannot become a large tree.
type builder struct {
	left     int
	problems []Problem
}

func (b *builder) fail(line int, path, format string, args ...any) {
	b.problems = append(b.problems, Problem{Path: path, Line: line, Severity: Error, Message: fmt.Sprintf(format, args...)})
}

// read returns the tree of a text that is JSON if it begins with a brace, else YAML. It is complete only without problems.
func read(text []byte) (node, []Problem) {
	b := &builder{left: maxNodes}
	if len(text) > MaxSize {
		b.fail(0, "", "the document has %d bytes, more than %d", len(text), MaxSize)
		return node{}, b.problems
	}
	var n node
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		n = b.fromJSON(text)
	} else {
		n = b.fromYAML(text)
	}
	return n, b.problems
}

func (b *builder) fromYAML(text []byte) node {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			b.fail(1, "", "the document is empty")
			return node{}
		}
		b.fail(0, "", "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return node{}
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		b.fail(0, "", "there is more than one document")
		return node{}
	}
	if len(doc.Content) != 1 {
		b.fail(1, "", "the document is empty")
		return node{}
	}
	return b.yamlNode(doc.Content[0], "", 0)
}

func (b *builder) yamlNode(y *yaml.Node, path string, depth int) node {
	n := node{line: y.Line}
	if !b.room(y.Line, path, depth) {
		return n
	}
	if y.Anchor != "" {
		b.fail(y.Line, path, "anchors and aliases are not read")
		return n
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.text = y.Value
		switch y.ShortTag() {
		case "!!null":
			n.kind = isNull
		case "!!bool":
			n.kind = isBool
		case "!!int", "!!float":
			n.kind = isNumber
		case "!!str", "!!timestamp":
			n.kind = isString
		default:
			b.fail(y.Line, path, "the tag %s is not read", y.Tag)
		}
	case yaml.SequenceNode:
		n.kind = isList
		for i, c := range y.Content {
			n.items = append(n.items, b.yamlNode(c, index(path, i), depth+1))
		}
	case yaml.MappingNode:
		n.kind = isMap
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
				b.fail(key.Line, path, "a key must be a text")
				continue
			}
			b.entry(&n, key.Value, key.Line, path, func(at string) node { return b.yamlNode(y.Content[i+1], at, depth+1) })
		}
	case yaml.AliasNode, yaml.DocumentNode:
		b.fail(y.Line, path, "anchors and aliases are not read")
	default:
		b.fail(y.Line, path, "this is not read")
	}
	return n
}

// entry adds a key with what value reads; a key that is there already is a problem.
func (b *builder) entry(n *node, key string, line int, path string, value func(at string) node) {
	at := join(path, key)
	for _, k := range n.keys {
		if k == key {
			b.fail(line, at, "is given twice")
			return
		}
	}
	v := value(at)
	if v.line == 0 || v.kind == isList || v.kind == isMap {
		v.line = line
	}
	n.keys, n.items = append(n.keys, key), append(n.items, v)
}

func (b *builder) room(line int, path string, depth int) bool {
	if b.left--; b.left == 0 {
		b.fail(line, path, "the document has more than %d parts", maxNodes)
	}
	if depth == maxDepth {
		b.fail(line, path, "the document is nested deeper than %d levels", maxDepth)
	}
	return b.left > 0 && depth < maxDepth
}

func (b *builder) fromJSON(text []byte) node {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	line := func() int { return 1 + bytes.Count(text[:dec.InputOffset()], []byte("\n")) }
	n, err := b.jsonNode(dec, line, "", 0)
	if err == nil {
		if _, err = dec.Token(); err == nil {
			err = errors.New("there is something after the document")
		} else if errors.Is(err, io.EOF) {
			return n
		}
	}
	if len(b.problems) == 0 {
		b.fail(line(), "", "not JSON: %s", err)
	}
	return n
}

func (b *builder) jsonNode(dec *json.Decoder, line func() int, path string, depth int) (node, error) {
	t, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	n := node{line: line()}
	if err != nil {
		return n, err
	}
	if !b.room(n.line, path, depth) {
		return n, errTooLarge
	}
	switch v := t.(type) {
	case nil:
	case bool:
		n.kind, n.text = isBool, fmt.Sprint(v)
	case json.Number:
		n.kind, n.text = isNumber, v.String()
	case string:
		n.kind, n.text = isString, v
	case json.Delim:
		n.kind = isMap
		if v == '[' {
			n.kind = isList
		}
		for i := 0; dec.More(); i++ {
			if n.kind == isList {
				item, err := b.jsonNode(dec, line, index(path, i), depth+1)
				if err != nil {
					return n, err
				}
				n.items = append(n.items, item)
				continue
			}
			k, err := dec.Token()
			if err != nil {
				return n, err
			}
			key, _ := k.(string) // a decoder returns nothing else here
			var failed error
			at := line()
			b.entry(&n, key, at, path, func(p string) node {
				var item node
				item, failed = b.jsonNode(dec, line, p, depth+1)
				return item
			})
			if failed != nil {
				return n, failed
			}
			if len(b.problems) > 0 {
				return n, errTooLarge
			}
		}
		if _, err := dec.Token(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// errTooLarge ends the reading of a tree whose problem is noted already.
var errTooLarge = errors.New("see the problems") //nolint:gochecknoglobals // a sentinel

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func join(path, key string) string {
	if strings.ContainsAny(key, ".[] ") {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// raw returns the tree as JSON, keys in the order in which they were written.
func (n node) raw(out *bytes.Buffer) {
	quote := func(s string) {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s) // a string and a buffer do not fail
		out.Truncate(out.Len() - 1)
	}
	switch n.kind {
	case isNull:
		out.WriteString("null")
	case isBool:
		out.WriteString(strings.ToLower(n.text))
	case isNumber:
		if json.Valid([]byte(n.text)) {
			out.WriteString(n.text)
		} else {
			quote(n.text)
		}
	case isString:
		quote(n.text)
	case isList:
		out.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				out.WriteByte(',')
			}
			item.raw(out)
		}
		out.WriteByte(']')
	case isMap:
		out.WriteByte('{')
		for i, item := range n.items {
			if i > 0 {
				out.WriteByte(',')
			}
			quote(n.keys[i])
			out.WriteByte(':')
			item.raw(out)
		}
		out.WriteByte('}')
	}
}
