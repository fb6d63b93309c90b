package stacktemplate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/tera"
)

const (
	maxSchema = 64 << 10 // bytes
	maxWeight = 20_000
)

func invalidSchema(format string, args ...any) *fault.Error {
	return fault.Newf(fault.Invalid, "invalid_parameters_schema", "the parameters' schema: "+format, args...)
}

// closed refuses every reference to another document.
type closed struct{}

func (closed) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is another document, and none is loaded", url)
}

// sized is a regular expression that is bounded (tera.Pattern), with what matching costs.
type sized struct {
	jsonschema.Regexp
	size int
}

func bounded(pattern string) (jsonschema.Regexp, error) {
	re, size, err := tera.Pattern(pattern)
	if err != nil {
		return nil, err
	}
	return &sized{Regexp: re, size: size}, nil
}

// compileSchema returns a schema and its weight.
func compileSchema(text string) (*jsonschema.Schema, int, error) {
	if len(text) > maxSchema {
		return nil, 0, invalidSchema("it has %d bytes, more than %d", len(text), maxSchema)
	}
	doc, err := decodeJSON([]byte(text))
	if err != nil {
		return nil, 0, invalidSchema("it is no JSON: %s", err)
	}
	nodes := 0
	if doc, err = native(doc, "", 0, &nodes); err != nil {
		return nil, 0, invalidSchema("%s", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closed{})
	c.UseRegexpEngine(bounded)
	const url = "https://brokkr.invalid/parameters"
	if err := c.AddResource(url, doc); err != nil {
		return nil, 0, invalidSchema("%s", short(err))
	}
	s, err := c.Compile(url)
	if err != nil {
		return nil, 0, invalidSchema("%s", short(err))
	}
	w := weigher{known: map[*jsonschema.Schema]int{}}
	weight := w.weigh(s)
	if w.refused != "" {
		return nil, 0, invalidSchema("%s", w.refused)
	}
	return s, weight, nil
}

func short(err error) string {
	var refers *jsonschema.LoadURLError
	if errors.As(err, &refers) {
		return "it refers to " + refers.URL + "; only references within the schema (#/...) are followed"
	}
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) && invalid.Err != nil {
		err = invalid.Err
	}
	text := []rune(strings.ReplaceAll(err.Error(), "https://brokkr.invalid/parameters", ""))
	if len(text) > 500 {
		return string(text[:500]) + "..."
	}
	return string(text)
}

// weigher counts how many checks a schema makes of one value, with every reference written out: what checking a value
// costs is at most that times the size of the value. A schema that refers to itself has no such number and is refused.
type weigher struct {
	known   map[*jsonschema.Schema]int // 0: on the way
	refused string
}

func (w *weigher) weigh(s *jsonschema.Schema) int {
	if s == nil || w.refused != "" {
		return 0
	}
	if n, seen := w.known[s]; seen {
		if n == 0 {
			w.refused = "it refers to itself; parameters of unlimited depth are not supported"
		}
		return n
	}
	if s.DynamicRef != nil || s.RecursiveRef != nil {
		w.refused = "$dynamicRef and $recursiveRef are not supported"
		return 0
	}
	w.known[s] = 0
	n := 1 + len(s.Required) + own(s)
	for _, part := range parts(s) {
		if n += w.weigh(part); n > maxWeight && w.refused == "" {
			w.refused = "it makes more checks than are allowed, with its references written out"
		}
	}
	w.known[s] = n
	return n
}

// own is what a schema's values and regular expressions weigh.
func own(s *jsonschema.Schema) int {
	n := 0
	if s.Const != nil {
		n += size(*s.Const)
	}
	if s.Enum != nil {
		for _, v := range s.Enum.Values {
			n += size(v)
		}
	}
	if re, ok := s.Pattern.(*sized); ok {
		n += 1 + re.size/8
	}
	for p := range s.PatternProperties {
		if re, ok := p.(*sized); ok {
			n += 1 + re.size/8
		}
	}
	return n
}

func size(v any) int {
	switch v := v.(type) {
	case []any:
		n := 1
		for _, item := range v {
			n += size(item)
		}
		return n
	case map[string]any:
		n := 1
		for _, item := range v {
			n += size(item)
		}
		return n
	default:
		return 1
	}
}

// parts returns the schemas that a schema applies.
func parts(s *jsonschema.Schema) []*jsonschema.Schema {
	out := []*jsonschema.Schema{
		s.Ref, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		out = append(out, list...)
	}
	for _, v := range s.Properties {
		out = append(out, v)
	}
	for _, v := range s.PatternProperties {
		out = append(out, v)
	}
	for _, v := range s.DependentSchemas {
		out = append(out, v)
	}
	for _, v := range s.Dependencies {
		if dep, ok := v.(*jsonschema.Schema); ok {
			out = append(out, dep)
		}
	}
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			out = append(out, v)
		case []*jsonschema.Schema:
			out = append(out, v...)
		}
	}
	return out
}
