package stacktemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/misfit"
)

const (
	maxParameters = 256 << 10  // bytes
	maxNesting    = 32         // of parameters, and of a schema's text
	maxWork       = 20_000_000 // a schema's weight times the parameters' size
)

func invalidParameters(format string, args ...any) *fault.Error {
	text := fmt.Sprintf(format, args...)
	return fault.New(fault.Invalid, "invalid_parameters", "the parameters: "+text).With("validation_errors", []string{text})
}

// decodeParameters returns the parameters as values of the template's language, and how many there are, large strings more.
func decodeParameters(raw json.RawMessage) (map[string]any, int, error) {
	if len(raw) > maxParameters {
		return nil, 0, invalidParameters("they have %d bytes, more than %d", len(raw), maxParameters)
	}
	if s := bytes.TrimSpace(raw); len(s) == 0 || string(s) == "null" {
		return map[string]any{}, 1, nil
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, 0, invalidParameters("they are no JSON: %s", err)
	}
	if _, object := v.(map[string]any); !object {
		return nil, 0, invalidParameters("they are no object: {\"name\": value, ...} is expected")
	}
	nodes := 0
	v, err = native(v, "", 0, &nodes)
	if err != nil {
		return nil, 0, invalidParameters("%s", err)
	}
	values, _ := v.(map[string]any)
	return values, nodes, nil
}

func decodeJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, plain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the end")
	}
	return v, nil
}

// plain is a decoder's message without what was read.
func plain(err error) error {
	var e *json.SyntaxError
	switch {
	case errors.As(err, &e):
		return fmt.Errorf("something is wrong at byte %d", e.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	default:
		return errors.New("it cannot be read")
	}
}

// native turns numbers into those of the language, and refuses what would not stay what it is.
func native(v any, at string, depth int, nodes *int) (any, error) {
	*nodes++
	if depth > maxNesting {
		return nil, fmt.Errorf("%s: nested deeper than %d levels", at, maxNesting)
	}
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) || !strings.ContainsAny(v.String(), ".eE") {
			return nil, fmt.Errorf("%s: the number is larger than a number can be", at)
		}
		return f, nil
	case string:
		*nodes += len(v) / 16
		return v, nil
	case []any:
		for i, item := range v {
			out, err := native(item, fmt.Sprintf("%s/%d", at, i), depth+1, nodes)
			if err != nil {
				return nil, err
			}
			v[i] = out
		}
		return v, nil
	case map[string]any:
		for k, item := range v {
			*nodes += len(k) / 16
			out, err := native(item, at+"/"+k, depth+1, nodes)
			if err != nil {
				return nil, err
			}
			v[k] = out
		}
		return v, nil
	default:
		return v, nil
	}
}

// fits checks parameters against the schema.
func (t *Template) fits(values map[string]any, nodes int) error {
	if t.weight*nodes > maxWork {
		return invalidParameters("they are too many for this schema")
	}
	err := t.schema.Validate(values)
	if err == nil {
		return nil
	}
	problems, ok := misfit.List(err, func(path []string) string { return "/" + strings.Join(path, "/") })
	if !ok {
		return invalidParameters("they cannot be checked")
	}
	return fault.Newf(fault.Invalid, "invalid_parameters", "the parameters do not fit the template's schema: %s", problems[0]).
		With("validation_errors", problems)
}
