package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Result is one row of the targets, measured.
type Result struct {
	Row    string  `json:"row"`
	What   string  `json:"what"`
	Scale  string  `json:"scale"`  // how large it was in this run
	Target string  `json:"target"` // at full size
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Limit  float64 `json:"limit"` // of Value
	Floor  bool    `json:"floor"` // Limit is the least, not the most
	Full   bool    `json:"full"`  // the run had the size that the target is for
	Ratio  Ratio   `json:"ratio"`

	Times   *Times             `json:"times_ms,omitempty"`
	Details map[string]float64 `json:"details,omitempty"`
	Seconds float64            `json:"seconds"`                // that were measured
	CPU     map[string]float64 `json:"cpu_seconds"`            // by process
	Peak    map[string]float64 `json:"peak_rss_mib"`           // by process, since it started
	Wire    map[string]int64   `json:"agent_bytes,omitempty"`  // between agents and gateway, headers included
	Rates   Rates              `json:"machine_at_that_moment"` // measured just before
	Seed    uint64             `json:"seed"`
	Run     Start              `json:"run"` // that measured it
}

// Start is where and when a run began.
type Start struct {
	At    time.Time `json:"at"`
	Go    string    `json:"go"`
	Cores int       `json:"cores"`
	Load  string    `json:"load_average"` // of the machine; above its cores, others worked on it too
}

// Ratio is to something that was measured in the same run.
type Ratio struct {
	Value float64 `json:"value"`
	To    string  `json:"to"`
}

// Times are quantiles in milliseconds.
type Times struct {
	N                  int
	P50, P90, P99, Max float64
}

// Met reports whether the value is within its limit.
func (r Result) Met() bool {
	if r.Floor {
		return r.Value >= r.Limit
	}
	return r.Value <= r.Limit
}

// Report is a run.
type Report struct {
	Command string   `json:"command"`
	Results []Result `json:"results"`

	start Start
}

func newReport(command string) Report {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	return Report{Command: command, start: Start{At: time.Now().UTC().Truncate(time.Second), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Load: strings.TrimSpace(string(load))}}
}

// minutes are the load averages over one, five and fifteen minutes.
func (s Start) minutes() string {
	parts := strings.Fields(s.Load)
	return strings.Join(parts[:min(3, len(parts))], " ")
}

// Merge returns r with the rows of an older report that r does not have, in order.
func (r Report) merge(old Report) Report {
	for _, o := range old.Results {
		if !slices.ContainsFunc(r.Results, func(n Result) bool { return n.Row == o.Row }) {
			r.Results = append(r.Results, o)
		}
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int {
		if len(a.Row) != len(b.Row) {
			return len(a.Row) - len(b.Row)
		}
		return strings.Compare(a.Row, b.Row)
	})
	return r
}

// Print writes a table for a person.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d cores, load average %s at the beginning\n", r.start.At.Format(time.RFC3339), r.start.Go, r.start.Cores, r.start.Load)
	for _, x := range r.Results {
		met := "met"
		switch {
		case !x.Full:
			met = "smaller than the target's size, not judged"
		case !x.Met():
			met = "NOT met"
		}
		fmt.Fprintf(w, "\nrow %s: %s (%s; seed %d)\n  %s: %s %s; target %s: %s\n  ratio: %.3g %s\n", x.Row, x.What, x.Scale, x.Seed, "measured", number(x.Value), x.Unit, x.Target, met, x.Ratio.Value, x.Ratio.To)
		if t := x.Times; t != nil {
			fmt.Fprintf(w, "  times of %d: p50 %s ms, p90 %s ms, p99 %s ms, max %s ms\n", t.N, number(t.P50), number(t.P90), number(t.P99), number(t.Max))
		}
		if len(x.Details) > 0 {
			fmt.Fprintf(w, "  %s\n", list(x.Details, ""))
		}
		fmt.Fprintf(w, "  CPU in %.1f s: %s\n  peak RSS: %s\n", x.Seconds, list(x.CPU, " s"), list(x.Peak, " MiB"))
		if len(x.Wire) > 0 {
			fmt.Fprintf(w, "  between agents and gateway: %d bytes to the agents, %d from them\n", x.Wire["in"], x.Wire["out"])
		}
		fmt.Fprintf(w, "  the machine at that moment: %.0f SELECT 1/s, %.0f single inserts/s, %.0f bare requests/s\n", x.Rates.Selects, x.Rates.Commits, x.Rates.Bare)
	}
}

func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.3g", x)
	}
}

func list(m map[string]float64, unit string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+" "+number(m[k])+unit)
	}
	return strings.Join(parts, ", ")
}

const markdownHead = `# The fleet

` + "`make bench-fleet`" + ` starts the api, a gateway and a scheduler as processes of their own on a private PostgreSQL that syncs to disk and a private Redis,
registers agents through the API and lets ` + "`brokkr-fleetsim`" + ` speak for them: the real sync protocol, one connection an agent, no Kubernetes
behind it. Row 16 alone is about the agent's own program, on a Kubernetes API server that is started for it. Everything, load included, runs on one machine. ` + "`ROWS=5,8`" + ` takes some rows, ` + "`SCALE=0.1`" + ` a tenth of the size, ` + "`SEED=7`" + ` another seed.
Times differ from machine to machine, and with what else runs there (load average), so each value stands beside a ratio to something
measured in the same minute. [fleet.json](fleet.json) has it all: quantiles, CPU seconds and peak memory of every process, bytes, calibration.

`

// markdown is the short table.
func (r Report) markdown() string {
	var b strings.Builder
	b.WriteString(markdownHead)
	b.WriteString("| row | what | size | measured | target | ratio | p50 / p90 / p99 / max, ms | CPU, s | broker's peak RSS, MiB | run: begun, load average then, cores |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, x := range r.Results {
		target := x.Target
		if x.Full && !x.Met() {
			target += ", **not met**"
		}
		if !x.Full {
			target += " (at full size)"
		}
		quantiles := "-"
		if t := x.Times; t != nil {
			quantiles = fmt.Sprintf("%s / %s / %s / %s", number(t.P50), number(t.P90), number(t.P99), number(t.Max))
		}
		cpu, peak := 0.0, 0.0
		for _, v := range x.CPU {
			cpu += v
		}
		for name, v := range x.Peak {
			if name != "fleetsim" {
				peak += v
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s %s | %s | %.3g %s | %s | %s in %s s | %s | %s, %s, %d |\n", x.Row, x.What, x.Scale, number(x.Value), x.Unit, target, x.Ratio.Value, x.Ratio.To,
			quantiles, number(cpu), number(x.Seconds), number(peak), x.Run.At.Format("2006-01-02 15:04 MST"), x.Run.minutes(), x.Run.Cores)
	}
	return b.String()
}

// Write stores fleet.json and fleet.md in a folder; rows that were not measured now stay as they were there.
func (r Report) Write(dir string) error {
	path := filepath.Join(dir, "fleet.json")
	var old Report
	if text, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(text, &old); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	all := r.merge(old)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // it is for everybody
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fleet.md"), []byte(all.markdown()), 0o644); err != nil { //nolint:gosec // it is for everybody
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
