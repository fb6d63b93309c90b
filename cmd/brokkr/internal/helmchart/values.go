package helmchart

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

const (
	schemaFile  = "values.schema.json"
	schemaURL   = "https://brokkr.invalid/" + schemaFile // so that errors of the compiler can be told in our words
	maxProblems = 20
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
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return fmt.Errorf("the values cannot be checked: %w", err)
	}
	var problems []string
	collect(e, message.NewPrinter(language.English), &problems)
	slices.Sort(problems)
	problems = slices.Compact(problems)
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("the values do not fit: %s", strings.Join(problems, "; "))
}

// closed refuses to load anything: a schema says all by itself.
type closed struct{}

func (closed) Load(string) (any, error) { return nil, errors.New("it is not fetched") }

// collect lists the leaves of a validation error, each as "key.of.value: what is wrong".
func collect(e *jsonschema.ValidationError, p *message.Printer, out *[]string) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			collect(cause, p, out)
		}
		return
	}
	where := strings.Join(e.InstanceLocation, ".")
	if where == "" {
		where = "at the top"
	}
	*out = append(*out, where+": "+problem(e.ErrorKind, p))
}

// problem says what is wrong without the value that is: it may be a secret.
func problem(k jsonschema.ErrorKind, p *message.Printer) string {
	switch k := k.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", k.Want)
	case *kind.Format:
		return fmt.Sprintf("is no valid %s", k.Want)
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum, *kind.MultipleOf:
		_, want, _ := strings.Cut(k.LocalizedString(p), "want ")
		return fmt.Sprintf("%s: want %s", strings.Join(k.KeywordPath(), "/"), want)
	default:
		return k.LocalizedString(p)
	}
}
