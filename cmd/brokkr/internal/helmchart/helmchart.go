// Package helmchart renders a Helm chart to a bundle, with Helm's own engine and as `helm template` does: without a cluster and
// without a network. It exists so that a chart is published like any other manifests: the same chart and values are always the same
// bytes, and what depends on the clock or on chance is refused, because such a stack would change with every look at it.
package helmchart

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"

	"github.com/colliery-io/brokkr/pkg/client"
)

// File is the name of the file that makes a folder a chart.
const File = "Chart.yaml"

// DefaultKubeVersion is the version of Kubernetes that charts are rendered for: that of the client library which Helm is built with.
const DefaultKubeVersion = "1.37.0"

// Options are what a rendering depends on besides the chart.
type Options struct {
	Release     string
	Namespace   string   // `.Release.Namespace`; empty means "default"
	ValueFiles  []string // later ones win
	Set         []string // key=value, as with Helm; these win over files
	KubeVersion string   // empty means DefaultKubeVersion
	APIVersions []string // besides those of the client library, as group/version or group/version/Kind
}

// Rendered is what became of a chart.
type Rendered struct {
	Bundle  client.Bundle
	Notices []string // what whoever asked must know, such as what was left out
}

// Check finds what is wrong with options before there is a chart.
func (o Options) Check() error {
	if o.KubeVersion != "" {
		if _, err := common.ParseKubeVersion(o.KubeVersion); err != nil {
			return fmt.Errorf("%q is no version of Kubernetes, such as %s", o.KubeVersion, DefaultKubeVersion)
		}
	}
	for _, s := range o.Set {
		if err := strvals.ParseInto(s, map[string]any{}); err != nil {
			key, _, _ := strings.Cut(s, "=")
			return fmt.Errorf("the value of %q cannot be set: write key=value, as for Helm's --set", key) // Helm's words repeat the value
		}
	}
	return nil
}

// Render renders the chart in dir. Hooks are not part of the bundle, nor are notes; definitions in crds/ come first, then the
// manifests in the order in which Helm installs their kinds. Errors name the file of the chart and the place in it.
func Render(dir string, o Options) (Rendered, error) {
	if err := chartutil.ValidateReleaseName(o.Release); err != nil {
		return Rendered{}, fmt.Errorf("%q cannot be the name of a release: at most 53 lower-case letters, digits, - and .; give another one with --release", o.Release)
	}
	ch, err := load(dir)
	if err != nil {
		return Rendered{}, err
	}
	if err := installable(dir, ch); err != nil {
		return Rendered{}, err
	}
	caps, err := o.capabilities()
	if err != nil {
		return Rendered{}, err
	}
	if want := ch.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.String()) {
		return Rendered{}, fmt.Errorf("%s: the chart wants Kubernetes %s and is rendered for %s; say what your clusters run with --kube-version",
			path.Join(dir, File), want, caps.KubeVersion.Version)
	}
	given, err := o.values()
	if err != nil {
		return Rendered{}, err
	}
	if err := chartutil.ProcessDependencies(ch, given); err != nil {
		return Rendered{}, fmt.Errorf("%s: find the values of its dependencies: %w", dir, err)
	}
	parts, hooks, err := o.render(dir, ch, given, caps)
	if err != nil {
		return Rendered{}, err
	}
	out, err := o.bundle(dir, parts, hooks)
	if err == nil && ch.Metadata.Deprecated {
		out.Notices = append(out.Notices, fmt.Sprintf("the chart %s is deprecated, as its %s says", ch.Name(), File))
	}
	return out, err
}

// installable refuses charts that render to nothing or to a part of what they should.
func installable(dir string, ch *chart.Chart) error {
	file := path.Join(dir, File)
	if v := ch.Metadata.APIVersion; v != chart.APIVersionV1 && v != chart.APIVersionV2 {
		return fmt.Errorf("%s: charts of apiVersion %q are not known here, only %s and %s", file, v, chart.APIVersionV1, chart.APIVersionV2)
	}
	if ch.Metadata.Type == "library" {
		return fmt.Errorf("%s: %s is a library chart, which has no manifests of its own; apply a chart that depends on it", file, ch.Name())
	}
	return complete(dir, file, ch)
}

// complete makes sure that what a chart depends on lies in its charts/, in a version that it wants.
func complete(dir, file string, ch *chart.Chart) error {
	for _, want := range ch.Metadata.Dependencies {
		var found []string
		for _, have := range ch.Dependencies() {
			if have.Name() == want.Name {
				found = append(found, have.Metadata.Version)
			}
		}
		switch fits := func(v string) bool { return chartutil.IsCompatibleRange(want.Version, v) }; {
		case len(found) == 0:
			return fmt.Errorf("%s: the chart depends on %s %s, which is not in its charts/; fetch it first: helm dependency build %s", file, want.Name, want.Version, dir)
		case !slices.ContainsFunc(found, fits):
			return fmt.Errorf("%s: the chart depends on %s %s, but its charts/ holds %s; fetch it anew: helm dependency update %s",
				file, want.Name, want.Version, strings.Join(found, ", "), dir)
		}
	}
	for _, d := range ch.Dependencies() {
		if err := complete(dir, path.Join(dir, strings.TrimPrefix(d.ChartFullPath(), ch.Root().Name()+"/"), File), d); err != nil {
			return err
		}
	}
	return nil
}

// capabilities returns what templates are told of the cluster, the same on every machine.
func (o Options) capabilities() (*common.Capabilities, error) {
	version := o.KubeVersion
	if version == "" {
		version = DefaultKubeVersion
	}
	kube, err := common.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("read the version of Kubernetes %q: %w", version, err)
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = *kube
	caps.APIVersions = append(slices.Sorted(slices.Values(caps.APIVersions)), o.APIVersions...)
	caps.HelmVersion.GitCommit, caps.HelmVersion.GitTreeState, caps.HelmVersion.GoVersion = "", "", ""
	caps.HelmVersion.KubeClientVersion = "v" + DefaultKubeVersion
	return caps, nil
}

// render executes the templates, twice, in worlds that share nothing but the chart and its values, and returns the manifests and the
// hooks. Manifests that differ are refused.
func (o Options) render(dir string, ch *chart.Chart, given map[string]any, caps *common.Capabilities) (parts, hooks []manifest, err error) {
	release := common.ReleaseOptions{Name: o.Release, Namespace: o.Namespace, Revision: 1, IsInstall: true}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	for i, w := range worlds() {
		values, err := util.ToRenderValuesWithSchemaValidation(ch, given, release, caps, true)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: put its values together: %w", dir, err)
		}
		if i == 0 {
			if err := fit(ch, values["Values"]); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", dir, err)
			}
		}
		files, err := engine.Engine{CustomTemplateFuncs: w.functions()}.RenderWithContext(context.Background(), ch, values) // it would end look-ups in a cluster alone
		if err != nil {
			return nil, nil, fmt.Errorf("render the chart %s: %w", dir, err)
		}
		for name := range files {
			if path.Base(name) == "NOTES.txt" { // rendered, because charts check their values in it
				delete(files, name)
			}
		}
		again, left, err := assort(ch, files)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			parts, hooks = again, left
		} else if err := settled(parts, again); err != nil {
			return nil, nil, err
		}
	}
	return parts, hooks, nil
}

// settled refuses manifests that came out differently.
func settled(a, b []manifest) error {
	for i := range max(len(a), len(b)) {
		var m, n manifest
		if i < len(a) {
			m = a[i]
		}
		if i < len(b) {
			n = b[i]
		}
		if m == n {
			continue
		}
		line := 1
		for x, y := strings.Split(m.text, "\n"), strings.Split(n.text, "\n"); line <= min(len(x), len(y)) && x[line-1] == y[line-1]; {
			line++
		}
		if m.file == "" {
			m = n
		}
		return fmt.Errorf("%s: line %d of %s is something else each time, by a function such as now, randAlphaNum, uuidv4, genCA or htpasswd, "+
			"so the stack would never be unchanged; give the value with --values or --set", m.file, line, m)
	}
	return nil
}
