package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/source"
	"github.com/colliery-io/brokkr/pkg/client"
)

// manifestsOptions name manifests and say how a chart is rendered to some.
type manifestsOptions struct {
	path  string
	chart helmchart.Options
}

// chartFlags are the options of charts alone.
func chartFlags() []string {
	return []string{"release", "namespace", "values", "set", "kube-version", "api-versions"}
}

// flags adds the options; release says which name a chart's release has by default.
func (o *manifestsOptions) flags(cmd *cobra.Command, required, release string) {
	f := cmd.Flags()
	f.StringVarP(&o.path, "filename", "f", "", "file, folder, kustomization, Helm chart, or - for standard input"+required)
	f.StringVar(&o.chart.Release, "release", "", "of a chart: the name of its release"+release)
	f.StringVar(&o.chart.Namespace, "namespace", "", "of a chart: the namespace of its release, .Release.Namespace (default default)")
	f.StringArrayVar(&o.chart.ValueFiles, "values", nil, "of a chart: file with values; later ones win (repeatable)")
	f.StringArrayVar(&o.chart.Set, "set", nil, "of a chart: value as key=value; wins over files (repeatable)")
	f.StringVar(&o.chart.KubeVersion, "kube-version", "", "of a chart: the version of Kubernetes that it is rendered for (default "+helmchart.DefaultKubeVersion+")")
	f.StringSliceVar(&o.chart.APIVersions, "api-versions", nil, "of a chart: version of an API, such as monitoring.coreos.com/v1, that clusters have besides Kubernetes' own (repeatable)")
}

// check finds what is wrong with the options themselves.
func (o *manifestsOptions) check(cmd *cobra.Command) error {
	if err := o.chart.Check(); err != nil {
		return usagef(cmd, "%s", err)
	}
	return nil
}

// manifests reads the bundle that o names, before anything is sent. Stack is what it is for, if it is for one; a chart's release is named
// like it. What was noticed on the way is told.
func (a *app) manifests(cmd *cobra.Command, o *manifestsOptions, stack string) (client.Bundle, error) {
	s := source.Options{Stdin: a.env.In, Chart: o.chart}
	for _, name := range chartFlags() {
		if cmd.Flags().Changed(name) {
			s.ForCharts = "--" + name
			break
		}
	}
	if s.Chart.Release == "" && !isID(stack) {
		s.Chart.Release = stack
	}
	m, err := source.Read(o.path, s)
	for _, n := range m.Notices {
		a.progress("%s", n)
	}
	if err == nil {
		return m.Bundle, nil
	}
	err = fmt.Errorf("nothing was sent: %w", err)
	switch {
	case errors.Is(err, client.ErrNoObjects) && stack != "":
		return m.Bundle, hint(err, "brokkr delete stack %s takes the stack away", stack)
	case errors.Is(err, source.ErrNoRelease):
		return m.Bundle, hint(err, "name it with --release")
	default:
		return m.Bundle, hint(err, "mend the manifests and try again")
	}
}
