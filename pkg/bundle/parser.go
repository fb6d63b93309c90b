package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxStructure bounds the characters of one section that can begin a node, so that a small text cannot
	// become gigabytes of nodes.
	maxStructure = 4 << 20
	// maxAliasCost bounds what aliases may add to a bundle, in bytes of text plus nodeCost for each node.
	maxAliasCost = 4 << 20
	nodeCost     = 64
)

type parser struct {
	limits      Limits
	documents   int
	aliasBudget int
	objects     []Object
	seen        map[Key]Object
}

func (p *parser) section(s section) error {
	if n := structure(s.text); n > maxStructure {
		return place{p.documents + 1, s.line}.errorf("the document has too many elements")
	}
	trimmed := bytes.TrimSpace(s.text)
	if len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		if err := p.count(s.line); err != nil {
			return err
		}
		n, err := p.jsonNodes(s)
		if err != nil {
			return err
		}
		return p.document(n, s)
	}
	dec := yaml.NewDecoder(bytes.NewReader(s.text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if cerr := p.count(s.line); cerr != nil {
			return cerr
		}
		if err != nil {
			return p.syntax(err, s)
		}
		if err := p.document(&n, s); err != nil {
			return err
		}
	}
}

func (p *parser) count(line int) error {
	p.documents++
	if p.documents > p.limits.Documents {
		return place{p.documents, line}.errorf("the bundle has more than %d documents", p.limits.Documents)
	}
	return nil
}

func (p *parser) document(n *yaml.Node, s section) error {
	if n.Kind == yaml.DocumentNode {
		if len(n.Content) == 0 {
			return nil
		}
		n = n.Content[0]
	}
	if n.Kind == 0 || isNull(n) {
		return nil
	}
	d := document{parser: p, offset: s.line - 1}
	if n.Kind != yaml.MappingNode {
		return d.at(n).errorf("the document is %s, not a Kubernetes object", describe(n))
	}
	v, err := d.value(n, 0, false)
	if err != nil {
		return err
	}
	m, _ := v.(map[string]any)
	return d.add(n, m, 0)
}

// structure counts the characters that can begin a node of YAML or JSON: an upper bound for the nodes of text.
func structure(text []byte) int {
	n := 0
	for _, c := range text {
		switch c {
		case '\n', ',', '[', '{', ':', '-', '?', '*':
			n++
		}
	}
	return n
}

// maxLocated is the size up to which the place of a syntax error is searched.
const maxLocated = 512 << 10

// yamlLine finds the line that the YAML library puts at the beginning of its messages.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// syntax turns an error of the YAML library into one that names the line where reading fails. The library names the
// line where the surrounding element began instead, often far above; so the place is searched: it is the
// last line of the shortest beginning of the section that fails in the same way.
func (p *parser) syntax(err error, s section) error {
	line, msg := yamlProblem(err)
	if len(s.text) <= maxLocated {
		ends := lineEnds(s.text)
		line = 1 + sort.Search(len(ends)-1, func(i int) bool {
			_, m := yamlProblem(yamlError(s.text[:ends[i]]))
			return m == msg
		})
	}
	return place{p.documents, s.line + line - 1}.errorf("YAML syntax: %s", msg)
}

// yamlProblem splits an error of the YAML library into line and message.
func yamlProblem(err error) (int, string) {
	if err == nil {
		return 1, ""
	}
	line, msg := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		if n, convErr := strconv.Atoi(m[1]); convErr == nil {
			line = n
		}
		msg = msg[len(m[0]):]
	}
	return line, strings.TrimPrefix(msg, "yaml: ")
}

// yamlError returns the first error of reading text, or nil.
func yamlError(text []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// lineEnds returns the offsets after each line of text.
func lineEnds(text []byte) []int {
	var ends []int
	for i, c := range text {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] != len(text) {
		ends = append(ends, len(text))
	}
	return ends
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a plain value"
	case yaml.AliasNode:
		return "an alias"
	default:
		return "not a mapping"
	}
}
