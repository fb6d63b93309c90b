package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/fleetsim/internal/bench"
)

// A fleet of a few agents on a real broker: a rollout in three waves, idle syncs, and a publish to some of them. Whether it is
// fast is no matter here.
func TestSmoke(t *testing.T) {
	postgres, redis := testenv.Postgres(t), testenv.NewRedisServer(t).URL()
	program := testenv.Build(t, "./cmd/brokkr-broker")
	env := map[string]string{"BROKKR_TEST_POSTGRES": postgres, "BROKKR_TEST_REDIS": redis}
	out, dir := &bytes.Buffer{}, t.TempDir()
	err := command(t.Context(), []string{"bench", "--all-in-one", "--programs", filepath.Dir(program), "--rows", "2, 8,12", "--scale", "0.01", "--think-max", "50ms", "--out", dir},
		func(name string) string { return env[name] }, out, testWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "fleet.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range report.Results {
		rows = append(rows, r.Row)
		if r.Value <= 0 || r.Full || r.Seconds <= 0 || r.Rates.Selects <= 0 || r.Wire["in"] <= 0 || r.Details["failures"] > 0 {
			t.Errorf("row %s says nothing: %+v", r.Row, r)
		}
		if r.Row == "12" && !r.Met() && r.Value > 300 {
			t.Errorf("an idle sync has %v bytes of body, want 300 at most", r.Value)
		}
	}
	if got := strings.Join(rows, " "); got != "2 8 12" {
		t.Errorf("measured rows %s, want 2 8 12", got)
	}
	if table, err := os.ReadFile(filepath.Join(dir, "fleet.md")); err != nil || strings.Count(string(table), "\n| ") != 4 {
		t.Errorf("the table has %d lines (%v), want a head and three rows:\n%s", strings.Count(string(table), "\n| "), err, table)
	}
	if !strings.Contains(out.String(), "row 8: staged rollout") {
		t.Errorf("the report for a person is\n%s", out)
	}
}

// The rows that need no simulated fleet, on a real broker: telemetry with people who watch, webhooks beside one that hangs, long lists.
func TestSmokeOfOtherRows(t *testing.T) {
	postgres, redis := testenv.Postgres(t), testenv.NewRedisServer(t).URL()
	env := map[string]string{"BROKKR_TEST_POSTGRES": postgres, "BROKKR_TEST_REDIS": redis}
	report := measured(t, env, "--programs", filepath.Dir(testenv.Build(t, "./cmd/brokkr-broker")), "--rows", "13,14,18", "--scale", "0.01")
	wanted := map[string]string{"13": "lines", "14": "calls_that_hang", "18": "stacks_ms_p99"}
	for _, r := range report.Results {
		if r.Value <= 0 || r.Full || r.Times == nil || r.Times.P50 <= 0 || r.Ratio.Value <= 0 || r.Details[wanted[r.Row]] <= 0 || r.Details["lines_lost"] != 0 || r.Details["lines_not_shown"] != 0 {
			t.Errorf("row %s says nothing, or lines were lost: %+v", r.Row, r)
		}
		delete(wanted, r.Row)
	}
	if len(wanted) != 0 {
		t.Errorf("rows %v were not measured", wanted)
	}
}

// The agent's own program on a real API server, with a few hundred objects.
func TestSmokeOfTheAgent(t *testing.T) {
	postgres, redis, kubeconfig := testenv.Postgres(t), testenv.NewRedisServer(t).URL(), testenv.Kubeconfigs(t, 1)[0]
	programs := t.TempDir()
	for _, p := range []string{"./cmd/brokkr-broker", "./services/agent/cmd/brokkr-agent"} {
		built := testenv.Build(t, p)
		if err := os.Symlink(built, filepath.Join(programs, filepath.Base(built))); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"BROKKR_TEST_POSTGRES": postgres, "BROKKR_TEST_REDIS": redis, "BROKKR_TEST_KUBECONFIGS": kubeconfig + ",/no/other"}
	report := measured(t, env, "--programs", programs, "--rows", "16", "--scale", "0.01")
	if len(report.Results) != 1 {
		t.Fatalf("report: %+v", report)
	}
	r := report.Results[0]
	for _, is := range []string{"idle_rss_mb", "idle_peak_mb", "with_objects_rss_mb"} {
		if r.Details[is] <= 0 {
			t.Errorf("%s is not measured: %+v", is, r)
		}
	}
	if r.Value <= 0 || r.Full || r.CPU["agent"] <= 0 || r.Peak["agent"] <= 0 {
		t.Errorf("row 16 says nothing: %+v", r)
	}
}

// measured runs the bench on one process and returns its report.
func measured(t *testing.T, env map[string]string, args ...string) bench.Report {
	t.Helper()
	dir := t.TempDir()
	err := command(t.Context(), append([]string{"bench", "--all-in-one", "--out", dir}, args...), func(name string) string { return env[name] }, testWriter{t}, testWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "fleet.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

type testWriter struct{ testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func TestBadUse(t *testing.T) {
	t.Parallel()
	servers := func(string) string { return "postgres://127.0.0.1:1/x" }
	for want, args := range map[string][]string{
		"usage: brokkr-fleetsim bench|run":              {"measure"},
		"make bench-fleet starts them":                  {"bench"},
		"not above 0 and at most 1":                     {"bench", "--scale", "2"},
		`there is no row "99"`:                          {"bench", "--rows", "99"},
		"rows 6 and 7 start the scheduler anew":         {"bench", "--rows", "6", "--all-in-one"},
		"read the agents (--agents)":                    {"run"},
		"usage: brokkr-fleetsim compare":                {"compare", "a"},
		"read the report no/fleet.json":                 {"compare", "no/fleet.json", "no/fleet.json"},
		"flag provided but not defined: -no-such-thing": {"run", "--no-such-thing"},
	} {
		getenv := servers
		if strings.HasPrefix(want, "make") {
			getenv = func(string) string { return "" }
		}
		err := command(t.Context(), args, getenv, testWriter{t}, testWriter{t})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}
