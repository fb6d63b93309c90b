package monitoring

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Files returns every file that is made, by its path below deploy.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, d := range Dashboards() {
		content, err := d.JSON()
		if err != nil {
			return nil, err
		}
		out[path.Join("grafana", d.UID+".json")] = content
	}
	for name, of := range map[string]func() ([]byte, error){"recording.yaml": Recording, "alerts.yaml": Alerts} {
		content, err := of()
		if err != nil {
			return nil, err
		}
		out[path.Join("prometheus", name)] = content
	}
	return out, nil
}

// Queries returns every query of the dashboards with the variables as they are when nothing is selected: what Grafana would
// ask, over the last minute.
func Queries() []string {
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	var out []string
	for _, d := range Dashboards() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					out = append(out, variables.Replace(expand(q.Expr)))
				}
			}
		}
	}
	return out
}

// Metrics returns the names of the product's own metrics that dashboards and rules ask for, sorted, histograms without
// their suffixes.
func Metrics() []string {
	var text strings.Builder
	for _, q := range Queries() {
		fmt.Fprintln(&text, q)
	}
	for _, o := range Objectives() {
		fmt.Fprintln(&text, o.Bad, o.All)
	}
	for _, c := range Causes() {
		fmt.Fprintln(&text, c.Expr)
	}
	var out []string
	for _, name := range regexp.MustCompile(`brokkr_[a-z0-9_]+`).FindAllString(text.String(), -1) {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			name = strings.TrimSuffix(name, suffix)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
