package monitoring

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Defined is a metric that code tells.
type Defined struct {
	Name, Kind, Help string // kind: counter, gauge or histogram
	Labels           []string
	Group            string // whose it is: one of Groups
}

// Groups are whose metrics there are, in the order in which they are listed.
func Groups() []string { return []string{"api", "gateway", "scheduler", "agent", shared} }

const shared = "several"

// Code reads the metrics from the source below root, sorted by group and name: options of client_golang and the short forms of
// gateway, telemetry and pools. What is named in another way is not found.
func Code(root string) ([]Defined, error) {
	var out []Defined
	for _, dir := range []string{"pkg", "services", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			out = append(out, inFile(file, group(filepath.ToSlash(path)))...)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the metrics of %s: %w", dir, err)
		}
	}
	for server, title := range map[string]string{"database": "PostgreSQL", "redis": "Redis"} { // package process makes both by one function
		name := "brokkr_" + server + "_"
		out = append(out,
			Defined{name + "connections", "gauge", "Connections to " + title + " by state.", []string{"state"}, shared},
			Defined{name + "connections_max", "gauge", "Connections to " + title + " that this process may have.", nil, shared},
			Defined{name + "connection_waits_total", "counter", "Calls that had to wait for a connection to " + title + ".", nil, shared},
			Defined{name + "connection_wait_seconds_total", "counter", "Seconds that calls have waited for a connection to " + title + ".", nil, shared})
	}
	slices.SortFunc(out, func(a, b Defined) int {
		return cmp.Or(cmp.Compare(slices.Index(Groups(), a.Group), slices.Index(Groups(), b.Group)), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

func group(path string) string {
	for _, g := range Groups() {
		if strings.Contains(path, "services/"+g+"/") {
			return g
		}
	}
	return shared
}

func inFile(file *ast.File, group string) (out []Defined) {
	add := func(d Defined) {
		if strings.HasPrefix(d.Name, "brokkr_") {
			d.Group = group
			out = append(out, d)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name, args := called(call), call.Args
		switch {
		case name == "CountBy" && len(args) > 3:
			add(Defined{Name: text(args[1]), Kind: "counter", Help: text(args[2]), Labels: []string{text(args[3]), "service"}})
		case name == "counters" && len(args) == 3 && group == "gateway":
			add(Defined{Name: "brokkr_gateway_" + text(args[0]), Kind: "counter", Help: text(args[1]), Labels: []string{text(args[2])}})
		case name == "gauge" && len(args) == 3 && group == "gateway":
			add(Defined{Name: "brokkr_gateway_" + text(args[0]), Kind: "gauge", Help: text(args[1])})
		default:
			if opts, ok := args[0].(*ast.CompositeLit); ok && strings.HasPrefix(name, "New") {
				d := fromOptions(opts)
				if len(args) > 1 {
					d.Labels = append(d.Labels, list(args[1])...)
				}
				add(d)
			}
		}
		return true
	})
	return out
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// fromOptions reads prometheus.CounterOpts{...} and its like; the name is empty for anything else, and for a name that is no literal.
func fromOptions(lit *ast.CompositeLit) (d Defined) {
	of, ok := lit.Type.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(of.Sel.Name, "Opts") {
		return d
	}
	d.Kind = strings.ToLower(strings.TrimSuffix(of.Sel.Name, "Opts"))
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, _ := kv.Key.(*ast.Ident)
		switch {
		case key == nil:
		case key.Name == "Name":
			d.Name = text(kv.Value)
		case key.Name == "Help":
			d.Help = text(kv.Value)
		case key.Name == "ConstLabels":
			d.Labels = list(kv.Value)
		}
	}
	return d
}

// list is what literals hold: the texts of a slice, the keys of a map.
func list(e ast.Expr) (out []string) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			e = kv.Key
		}
		out = append(out, text(e))
	}
	return out
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// Reference is docs/metrics.md: every metric, by whose it is.
func Reference(metrics []Defined) []byte {
	titles := map[string]string{"api": "API", "gateway": "Gateway", "scheduler": "Scheduler", "agent": "Agent", shared: "Of several processes"}
	var out strings.Builder
	out.WriteString(`# Metrics

<!-- Made by ` + "`make monitoring`" + ` from the code; do not edit. -->

Every metric of ours, by the process that tells it; the all-in-one broker tells those of api, gateway and scheduler. Beside them each process has
` + "`go_*` and `process_*`" + `. Where to look, dashboards and alerts: [monitoring.md](monitoring.md). Histograms have ` + "`_bucket`, `_sum` and `_count`" + `.
`)
	for _, g := range Groups() {
		fmt.Fprintf(&out, "\n## %s\n\n| metric | kind | labels | |\n|---|---|---|---|\n", titles[g])
		for _, m := range metrics {
			if m.Group != g {
				continue
			}
			labels := make([]string, 0, len(m.Labels))
			for _, l := range m.Labels {
				labels = append(labels, "`"+l+"`")
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(labels, ", "), strings.ReplaceAll(m.Help, "|", `\|`))
		}
	}
	return []byte(out.String())
}
