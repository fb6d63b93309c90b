package monitoring_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

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

func code(t *testing.T) []monitoring.Defined {
	t.Helper()
	out, err := monitoring.Code(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryQueryAsksForAMetricThatExists(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, m := range code(t) {
		have[m.Name] = true
	}
	for _, m := range monitoring.Metrics() {
		if !have[m] {
			t.Errorf("%s is asked for by a dashboard or a rule, and no code has it", m)
		}
	}
	if !slices.Contains(monitoring.Metrics(), "brokkr_gateway_parked_syncs") {
		t.Error("the names are not found in the queries")
	}
}

// What nobody looks at need not be measured.
func TestEveryMetricIsOnADashboardOrInARule(t *testing.T) {
	t.Parallel()
	asked := monitoring.Metrics()
	for _, m := range code(t) {
		if !slices.Contains(asked, m.Name) {
			t.Errorf("%s is on no dashboard and in no rule", m.Name)
		}
	}
}

// A panel shows the way to traces where its histogram has one, and there alone; that the histograms have one is seen by test/e2e.
func TestExemplarsAreShownWhereThereAreAny(t *testing.T) {
	t.Parallel()
	shown := 0
	for _, d := range monitoring.Dashboards() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				traced := slices.ContainsFunc(p.Queries, func(q monitoring.Query) bool {
					return slices.ContainsFunc(monitoring.Traced(), func(name string) bool { return strings.Contains(q.Expr, name+"_bucket") })
				})
				if p.Exemplars != traced && (p.Exemplars || p.Unit == "s") {
					t.Errorf("%s, %s: exemplars %v, want %v", d.Title, p.Title, p.Exemplars, traced)
				}
				if p.Exemplars {
					shown++
				}
			}
		}
	}
	if shown < 6 {
		t.Errorf("only %d panels show exemplars", shown)
	}
}

func TestMetricsAreNamedAndExplained(t *testing.T) {
	t.Parallel()
	all := code(t)
	if len(all) < 80 {
		t.Fatalf("found only %d metrics", len(all))
	}
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.Name] {
			t.Errorf("%s is made twice", m.Name)
		}
		seen[m.Name] = true
		if !regexp.MustCompile(`^[A-Z0-9].*\.$`).MatchString(m.Help) {
			t.Errorf("%s is explained by %q, which is no sentence", m.Name, m.Help)
		}
		total, unit := strings.HasSuffix(m.Name, "_total"), strings.HasSuffix(m.Name, "_seconds") || strings.HasSuffix(m.Name, "_bytes")
		if total != (m.Kind == "counter") || m.Kind == "histogram" && !unit {
			t.Errorf("%s is a %s", m.Name, m.Kind)
		}
		if slices.Contains(m.Labels, "") {
			t.Errorf("%s has a label that is not read: %q", m.Name, m.Labels)
		}
	}
}

// A name that is put together in some new way would be in no list.
func TestEveryNameInTheCodeIsAMetricOrKnown(t *testing.T) {
	t.Parallel()
	known := map[string]string{
		"brokkr_": "the prefix of keys and of pools", "brokkr_gateway_": "the prefix of the gateway's", "brokkr_whsec_": "the prefix of secrets of webhooks",
		"brokkr_outbox": "a channel", "brokkr_credentials": "a channel", "brokkr_work": "a channel", "brokkr_webhooks": "a channel",
		"brokkr_agents": "a channel",
	}
	for _, m := range code(t) {
		known[m.Name] = m.Help
	}
	for _, dir := range []string{"pkg", "services", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`"(brokkr_[a-z_]*)"`).FindAllSubmatch(text, -1) {
				if known[string(m[1])] == "" {
					t.Errorf("%s: %s", path, m[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReferenceIsOfTheCode(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, monitoring.Reference(code(t))) {
		t.Error("docs/metrics.md does not list the metrics of the code: make monitoring")
	}
}

// The tests of promtool see each alert fire, and each not.
func TestEveryAlertIsTried(t *testing.T) {
	t.Parallel()
	alerts, err := monitoring.Alerts()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus", "tests", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
			Expressions []struct {
				Text string `json:"expr"`
				Want []any  `json:"exp_samples"`
			} `json:"promql_expr_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	note := func(name string, want []any) {
		fires[name] = fires[name] || len(want) > 0
		quiet[name] = quiet[name] || len(want) == 0
	}
	selects := regexp.MustCompile(`alertname="(\w+)"`)
	for _, c := range tests.Tests {
		for _, a := range c.Alerts {
			note(a.Name, a.Want)
		}
		for _, e := range c.Expressions {
			if m := selects.FindStringSubmatch(e.Text); m != nil {
				note(m[1], e.Want)
				if strings.Contains(e.Text, " by ") { // of several instances, some are quiet
					note(m[1], nil)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^ *(?:- )?alert: (\S+)$`).FindAllSubmatch(alerts, -1) {
		if name := string(m[1]); !fires[name] || !quiet[name] {
			t.Errorf("%s is seen firing: %v, quiet: %v", name, fires[name], quiet[name])
		}
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
