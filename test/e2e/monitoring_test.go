package e2e

import (
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/monitoring"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// quiet are metrics that have no series before what they count has happened once, which here it does not.
var quiet = map[string]bool{
	"brokkr_agent_drift_total": true, "brokkr_gateway_telemetry_total": true, "brokkr_gateway_frames_total": true,
	"brokkr_tls_certificate_ends_timestamp_seconds": true, // of processes with certificates
}

// What dashboards and rules ask for is what processes tell: a Prometheus scrapes all of them, every metric is there, every
// query is one that Prometheus understands, every rule can be evaluated, and nothing is alarmed about in a healthy system.
func TestPrometheusFindsWhatDashboardsAndRulesAskFor(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	deploy, err := filepath.Abs(filepath.Join("..", "..", "deploy", "prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	p := world.StartPrometheus(t, w.Services(), filepath.Join(deploy, "recording.yaml"), filepath.Join(deploy, "alerts.yaml"))
	s := w.Tenant.NewStack(t, "watched", world.All)
	w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, w.App("watched", "one", 1).Bundle()), w.Agents...)

	world.Eventually(t, world.Patience, "every process is scraped", func() error {
		n, err := p.Query("up == 1")
		if err == nil && n != len(w.Services()) {
			err = fmt.Errorf("%d of %d", n, len(w.Services()))
		}
		return err
	})
	for _, m := range monitoring.Metrics() {
		if quiet[m] {
			continue
		}
		world.Eventually(t, world.Patience, m, func() error {
			n, err := p.Query(fmt.Sprintf(`{__name__=~"%s(_bucket)?"}`, m))
			if err == nil && n == 0 {
				err = fmt.Errorf("no process tells it")
			}
			return err
		})
	}
	for _, q := range monitoring.Queries() {
		if _, err := p.Query(q); err != nil {
			t.Errorf("%s\n%v", q, err)
		}
	}
	wantTraces(t, p, w.Traces)
	wantRulesThatWork(t, p)
	wantKnownMetrics(t, w.Services())
}

// From each histogram that dashboards lead to traces from, an exemplar leads to a trace that the collector has.
func wantTraces(t *testing.T, p *world.Prometheus, traces *world.Collector) {
	t.Helper()
	for _, m := range monitoring.Traced() {
		world.Eventually(t, world.Patience, "an exemplar of "+m, func() error {
			var series []struct {
				Exemplars []struct {
					Labels struct {
						TraceID string `json:"trace_id"`
					}
				}
			}
			now := time.Now()
			if err := p.Get("/api/v1/query_exemplars", url.Values{"query": {m + "_bucket"}, "start": {fmt.Sprint(now.Add(-time.Hour).Unix())}, "end": {fmt.Sprint(now.Unix() + 60)}}, &series); err != nil {
				return err
			}
			n := 0
			for _, s := range series {
				for _, e := range s.Exemplars {
					n++
					if of, _ := traces.Trace(e.Labels.TraceID); len(of) > 0 {
						return nil
					}
				}
			}
			return fmt.Errorf("%d exemplars, and none of a trace that there is", n)
		})
	}
}

// Of ours processes tell nothing that docs/metrics.md does not list, and promtool finds nothing to object to in how they tell it.
func wantKnownMetrics(t *testing.T, services []*world.Service) {
	t.Helper()
	list, err := monitoring.Code(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, m := range list {
		kinds[m.Name] = m.Kind
	}
	seen := map[string]bool{}
	for _, s := range services {
		text, err := s.Exposition()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (brokkr_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
			seen[m[1]] = true
			if kinds[m[1]] != m[2] {
				t.Errorf("%s tells the %s %s; docs/metrics.md lists it as %q", s.Name, m[2], m[1], kinds[m[1]])
			}
		}
		check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s.Name, err, out)
		}
	}
	if len(seen) < len(list)-len(quiet) {
		t.Errorf("of %d metrics processes tell only %d", len(list), len(seen))
	}
}

func wantRulesThatWork(t *testing.T, p *world.Prometheus) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError, State string
			}
		}
	}
	world.Eventually(t, world.Patience, "every rule is evaluated", func() error {
		if err := p.Get("/api/v1/rules", url.Values{}, &rules); err != nil {
			return err
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		return nil
	})
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			if r.State == "firing" {
				t.Errorf("%s fires in a healthy system", r.Name)
			}
		}
	}
	if n < 50 {
		t.Errorf("Prometheus has %d rules", n)
	}
}

// The alerts' own tests, with series made up for them.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		world.Missing(t, "the program promtool is not installed (tools/install-deps.sh --tests)")
	}
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join("..", "..", "deploy", "prometheus", "tests", "alerts.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
