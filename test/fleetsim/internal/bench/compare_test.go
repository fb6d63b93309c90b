package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func measured(goos string, rows ...Result) Report {
	for n := range rows {
		rows[n].Scale, rows[n].Seed = "10 agents", 1
		rows[n].Run = Start{At: time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), Go: "go1.26 linux/" + goos, Cores: 4, Load: "0.10 0.20 0.30 1/99 7"}
		rows[n].CPU = map[string]float64{"api": 1, "fleetsim": 2}
		rows[n].Peak = map[string]float64{"api": 100, "fleetsim": 900}
	}
	return Report{Results: rows}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	a := measured("amd64", Result{Row: "5", What: "decisions", Value: 500, Unit: "decisions/s", Floor: true}, Result{Row: "8", What: "rollout", Value: 10, Unit: "s", Times: &Times{P99: 20}},
		Result{Row: "13", What: "lines", Value: 1, Unit: "lines/s", Floor: true})
	b := measured("arm64", Result{Row: "5", What: "decisions", Value: 250, Unit: "decisions/s", Floor: true}, Result{Row: "8", What: "rollout", Value: 5, Unit: "s", Times: &Times{P99: 12}},
		Result{Row: "14", What: "deliveries", Value: 1, Unit: "deliveries/s"})
	var out bytes.Buffer
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"first: go1.26 linux/amd64, 4 cores, load average 0.10 0.20 0.30 at 2026-11-01 10:00 UTC\nsecond: go1.26 linux/arm64, 4 cores,",
		"| 5 | decisions | 10 agents | 500 decisions/s | 250 decisions/s | x 0.5, slower | - / - | 3 / 3 | 100 / 100 |\n",
		"| 8 | rollout | 10 agents | 10.0 s | 5 s | x 0.5, faster | 20.0 / 12.0 | 3 / 3 | 100 / 100 |\n",
		"not compared: row 13: only the first has it", "not compared: row 14: only the second has it",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant %q", out.String(), want)
		}
	}
	if strings.Count(out.String(), "linux/amd64") != 1 {
		t.Errorf("a machine is told more than once:\n%s", out.String())
	}
}

// What was not measured alike is not compared, and two reports without anything in common are an error.
func TestCompareUnlike(t *testing.T) {
	t.Parallel()
	a, b := measured("amd64", Result{Row: "5", Value: 500, Unit: "/s"}), measured("arm64", Result{Row: "5", Value: 500, Unit: "/s"})
	b.Results[0].Seed = 2
	err := Compare(&bytes.Buffer{}, a, b)
	if err == nil || !strings.Contains(err.Error(), "no row in common") || !strings.Contains(err.Error(), "seed 2") {
		t.Errorf("another seed: %v", err)
	}
	b.Results[0].Seed, b.Results[0].Scale = 1, "1000 agents"
	if err := Compare(&bytes.Buffer{}, a, b); err == nil || !strings.Contains(err.Error(), "1000 agents") {
		t.Errorf("another size: %v", err)
	}
	b.Results[0].Scale, b.Results[0].Value = "10 agents", 0
	if err := Compare(&bytes.Buffer{}, a, b); err == nil || !strings.Contains(err.Error(), "no value") {
		t.Errorf("no value: %v", err)
	}
	if _, err := Read(t.TempDir() + "/none.json"); err == nil {
		t.Error("a report that is not there was read")
	}
	dir := t.TempDir()
	a.Results[0].What = "decisions"
	if err := a.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(dir + "/fleet.json"); err != nil || len(got.Results) != 1 || got.Results[0].Run.Cores != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
}
