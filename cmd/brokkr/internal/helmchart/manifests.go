package helmchart

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/client"
)

const hookAnnotation = "helm.sh/hook"

// manifest is one document of a rendered file.
type manifest struct {
	file string // as Helm calls it: CHART/templates/...
	text string
	kind string
	name string
	hook string // what the annotation says; empty for what is part of the bundle
}

func (m manifest) String() string { return m.kind + "/" + m.name }

// assort reads the definitions of a chart and its rendered files. Definitions come first, the rest in Helm's order; hooks apart.
func assort(ch *chart.Chart, files map[string]string) (parts, hooks []manifest, err error) {
	definitions := map[string]string{}
	for _, crd := range ch.CRDObjects() {
		definitions[crd.Filename] = string(crd.File.Data)
	}
	parts, err = manifests(definitions)
	if err != nil {
		return nil, nil, err
	}
	for i := range parts {
		parts[i].hook = "" // Helm knows no hooks there
	}
	rest, err := manifests(files)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(rest, byKind)
	for _, m := range rest {
		if m.hook != "" {
			hooks = append(hooks, m)
		} else {
			parts = append(parts, m)
		}
	}
	return parts, hooks, nil
}

// byKind is the order in which Helm installs. Kinds that it does not know come last, by their names.
func byKind(a, b manifest) int {
	rank := func(kind string) int {
		if i := slices.Index(releaseutil.InstallOrder, kind); i >= 0 {
			return i
		}
		return len(releaseutil.InstallOrder)
	}
	if c := cmp.Compare(rank(a.kind), rank(b.kind)); c != 0 {
		return c
	}
	return cmp.Compare(a.kind, b.kind)
}

// bundle makes a bundle of manifests.
func (o Options) bundle(dir string, manifests, hooks []manifest) (out Rendered, err error) {
	parts := make([]client.Part, 0, len(manifests))
	for _, m := range manifests {
		parts = append(parts, client.Part{Name: m.file + ", as rendered", Text: "# Source: " + m.file + "\n" + m.text})
	}
	left := make([]string, 0, len(hooks))
	for _, m := range hooks {
		left = append(left, fmt.Sprintf("%s (%s)", m, m.hook))
	}
	if len(left) > 0 {
		out.Notices = append(out.Notices, "left out, because hooks and tests of Helm are no part of a stack: "+strings.Join(left, ", "))
	}
	out.Bundle, err = client.NewBundle(dir, parts...)
	if errors.Is(err, client.ErrNoObjects) && len(left) > 0 {
		err = fmt.Errorf("the chart renders to hooks alone (%s), which are no part of a stack: %w", strings.Join(left, ", "), err)
	}
	if err != nil {
		return Rendered{}, err
	}
	if homeless := o.homeless(out.Bundle.Objects); len(homeless) > 0 {
		out.Notices = append(out.Notices, fmt.Sprintf("these name no namespace and go to default, not to %s: %s; `namespace: {{ .Release.Namespace }}` in their templates places them",
			o.Namespace, strings.Join(homeless, ", ")))
	}
	return out, nil
}

// homeless returns the objects of a namespace that Helm would place and a bundle does not.
func (o Options) homeless(objects []bundle.Object) []string {
	if o.Namespace == "" || o.Namespace == "default" {
		return nil
	}
	var out []string
	for _, m := range objects {
		if namespaced, known := openapi.IsNamespaceScoped(kyaml.TypeMeta{APIVersion: m.APIVersion(), Kind: m.Kind()}); known && namespaced && m.Namespace() == "" {
			out = append(out, m.Kind()+"/"+m.Name())
		}
	}
	return out
}

// manifests splits files, by their names, into documents. It refuses what could be no part of a bundle, with the document and line in
// the rendered file.
func manifests(files map[string]string) ([]manifest, error) {
	var out []manifest
	for _, file := range slices.Sorted(maps.Keys(files)) {
		var checked strings.Builder // the file without its hooks, but each line in its place
		for i, text := range documents(files[file]) {
			m, empty := describe(file, text)
			if i > 0 {
				checked.WriteString("---")
			}
			if m.hook != "" {
				checked.WriteString(strings.Repeat("\n", strings.Count(text, "\n")))
			} else {
				checked.WriteString(text)
			}
			if !empty {
				out = append(out, m)
			}
		}
		if _, err := bundle.Parse([]byte(checked.String()), bundle.DefaultLimits()); err != nil {
			return nil, fmt.Errorf("%s, as rendered: %w", file, err)
		}
	}
	return out, nil
}

// separator is where Helm splits documents, more generously than YAML: templates that trim too much leave `---apiVersion: v1`.
func separator() *regexp.Regexp { return regexp.MustCompile(`(?m)^---[ \t]*`) }

// documents splits a file; each but the first begins behind its separator, on a line of its own.
func documents(text string) []string {
	out := separator().Split(text, -1)
	for i, d := range out {
		if i > 0 && !strings.HasPrefix(d, "\n") && !strings.HasPrefix(d, "\r\n") {
			out[i] = "\n" + d
		}
	}
	return out
}

// describe reads what decides where a document goes. What it cannot read is left to the check of the whole file.
func describe(file, text string) (m manifest, empty bool) {
	m = manifest{file: file, text: strings.TrimSpace(text)}
	var content any
	if err := yaml.Unmarshal([]byte(text), &content); err == nil && content == nil {
		return m, true
	}
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name         string         `json:"name"`
			GenerateName string         `json:"generateName"`
			Annotations  map[string]any `json:"annotations"`
		} `json:"metadata"`
	}
	if yaml.Unmarshal([]byte(text), &head) != nil {
		return m, false
	}
	m.kind, m.name = head.Kind, head.Metadata.Name
	if m.name == "" {
		m.name = head.Metadata.GenerateName
	}
	m.hook, _ = head.Metadata.Annotations[hookAnnotation].(string)
	return m, false
}
