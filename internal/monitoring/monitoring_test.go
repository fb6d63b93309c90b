package monitoring_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/monitoring"
)

const root = "../.."

func TestFilesAreAsTheyAreMade(t *testing.T) {
	t.Parallel()
	files, err := monitoring.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, "deploy", name))
		if err != nil {
			t.Errorf("%v (make monitoring)", err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("deploy/%s is not what internal/monitoring makes: make monitoring", name)
		}
	}
	for _, dir := range []string{"grafana", "prometheus"} {
		list, err := os.ReadDir(filepath.Join(root, "deploy", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			made := strings.HasPrefix(e.Name(), "brokkr-") || e.Name() == "alerts.yaml" || e.Name() == "recording.yaml"
			if _, ok := files[dir+"/"+e.Name()]; made && !ok {
				t.Errorf("deploy/%s/%s is made by nothing any more: remove it", dir, e.Name())
			}
		}
	}
}

// named returns the names of metrics in the code: literals that begin with the product's name, and what the gateway's and the
// pools' short forms add to theirs.
func named(t *testing.T) []string {
	t.Helper()
	var names []string
	short := map[string]string{"counters": "brokkr_gateway_", "gauge": "brokkr_gateway_"}
	for _, dir := range []string{"pkg", "services", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if s := strings.Trim(n.Value, `"`); strings.HasPrefix(s, "brokkr_") {
						names = append(names, s)
					}
				case *ast.CallExpr:
					fun, ok := n.Fun.(*ast.Ident)
					if !ok || len(n.Args) == 0 || short[fun.Name] == "" || !strings.Contains(path, "gateway") {
						return true
					}
					if lit, ok := n.Args[0].(*ast.BasicLit); ok {
						names = append(names, short[fun.Name]+strings.Trim(lit.Value, `"`))
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range []string{"database", "redis"} {
		for _, m := range []string{"connections", "connections_max", "connection_waits_total", "connection_wait_seconds_total"} {
			names = append(names, "brokkr_"+server+"_"+m)
		}
	}
	return names
}

func TestEveryQueryAsksForAMetricThatExists(t *testing.T) {
	t.Parallel()
	have := named(t)
	for _, m := range monitoring.Metrics() {
		if !slices.Contains(have, m) {
			t.Errorf("%s is asked for by a dashboard or a rule, and no code has it", m)
		}
	}
	if !slices.Contains(monitoring.Metrics(), "brokkr_gateway_parked_syncs") {
		t.Error("the names are not found in the queries")
	}
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	alerts, err := monitoring.Alerts()
	if err != nil {
		t.Fatal(err)
	}
	runbooks, err := os.ReadFile(filepath.Join(root, "docs", "runbooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *(?:- )?alert: (\S+)$`).FindAllSubmatch(alerts, -1) {
		names[string(m[1])] = true
	}
	if len(names) < 20 {
		t.Fatalf("found %d alerts in the rules", len(names))
	}
	for name := range names {
		if !bytes.Contains(runbooks, []byte("\n## "+name+"\n")) {
			t.Errorf("docs/runbooks.md has no section %q", name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (Brokkr\S+)$`).FindAllSubmatch(runbooks, -1) {
		if !names[string(m[1])] {
			t.Errorf("docs/runbooks.md has a section %s of no alert", m[1])
		}
	}
}
