package helmchart

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"

	"github.com/colliery-io/brokkr/pkg/misfit"
)

const (
	schemaFile = "values.schema.json"
	schemaURL  = "https://brokkr.invalid/" + schemaFile // so that errors of the compiler can be told in our words
)

// values returns what is given besides the chart's own values, by Helm's rules of precedence.
func (o Options) values() (map[string]any, error) {
	out := map[string]any{}
	for _, file := range o.ValueFiles {
		if strings.Contains(file, "://") {
			return nil, fmt.Errorf("the values %s lie elsewhere; brokkr reads local files only: fetch them first", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the values: %w", err)
		}
		more, err := loader.LoadValues(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("read the values %s: %w", file, err)
		}
		out = loader.MergeMaps(out, more)
	}
	for _, s := range o.Set {
		if err := strvals.ParseInto(s, out); err != nil {
			key, _, _ := strings.Cut(s, "=")
			return nil, fmt.Errorf("set the value of %q: the values given before it have something of another kind there", key)
		}
	}
	return out, nil
}

// fit checks the values of a chart and of what it depends on against their schemas, each with what is its own.
func fit(ch *chart.Chart, values any) error {
	var table map[string]any
	switch v := values.(type) {
	case common.Values:
		table = v
	case map[string]any:
		table = v
	default:
		return fmt.Errorf("the values of %s are no table of keys and values", ch.ChartFullPath())
	}
	if ch.Schema != nil {
		if err := fitSchema(table, ch.Schema); err != nil {
			return fmt.Errorf("%s: %w", path.Join(ch.ChartFullPath(), schemaFile), err)
		}
	}
	for _, d := range ch.Dependencies() {
		if table[d.Name()] == nil {
			continue
		}
		if err := fit(d, table[d.Name()]); err != nil {
			return err
		}
	}
	return nil
}

func fitSchema(values map[string]any, text []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closed{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return fmt.Errorf("it cannot be read: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
	}
	schema, err := c.Compile(schemaURL)
	if err != nil {
		var refers *jsonschema.LoadURLError
		if errors.As(err, &refers) {
			return fmt.Errorf("it refers to %s, which is not fetched; put that into the schema itself", strings.TrimPrefix(refers.URL, "https://brokkr.invalid/"))
		}
		return fmt.Errorf("it is no schema: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
	}
	err = schema.Validate(values)
	if err == nil {
		return nil
	}
	problems, ok := misfit.List(err, keys)
	if !ok {
		return fmt.Errorf("the values cannot be checked: %w", err)
	}
	return fmt.Errorf("the values do not fit: %s", strings.Join(problems, "; "))
}

// closed refuses to load anything: a schema says all by itself.
type closed struct{}

func (closed) Load(string) (any, error) { return nil, errors.New("it is not fetched") }

// keys writes where a value is, as --set has it.
func keys(path []string) string {
	if len(path) == 0 {
		return "at the top"
	}
	return strings.Join(path, ".")
}
