// Package bench measures a whole control plane under simulated agents: it starts the product's processes, loads fixtures
// through the API, and reads what came of it at the agents, in PostgreSQL and in the processes' own accounts.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/test/fleetsim/internal/fleet"
)

// Options of a run.
type Options struct {
	Postgres string   // URL of a database of a superuser; databases are made beside it
	Redis    string   // redis:// URL
	Programs string   // folder with brokkr-api, brokkr-gateway, brokkr-scheduler; or brokkr-broker; and brokkr-agent for row 16
	AllInOne bool     // one process instead of three
	Rows     []string // of speed.md's targets; empty: all that there are
	Scale    float64  // of the targets' sizes
	Seed     uint64
	Life     fleet.Life // of agents that apply something
	Profiles string     // folder for CPU profiles of each process in the first seconds of each row; empty: none
	Command  string     // that made the run, for the report
	Log      io.Writer  // progress

	Kubeconfig string // of an API server for a real agent, row 16; empty: none
}

// group is rows that share a control plane and a fixture.
type group struct {
	name string
	rows []string
	run  func(ctx context.Context, r *run) error
}

func groups() []group {
	return []group{
		{"decisions", []string{"5", "6", "7"}, decisions},
		{"rollouts", []string{"8"}, rollouts},
		{"1,000 agents", []string{"2", "9", "12"}, thousand},
		{"10,000 agents", []string{"3", "10"}, tenThousand},
		{"telemetry", []string{"13"}, telemetry},
		{"webhooks", []string{"14"}, webhooks},
		{"an agent", []string{"16"}, agentFootprint},
		{"lists", []string{"18"}, lists},
	}
}

// Rows are all that can be measured.
func Rows() []string {
	var out []string
	for _, g := range groups() {
		out = append(out, g.rows...)
	}
	return out
}

// run is a group on its stage.
type run struct {
	*stage
	results *[]Result
}

// wants reports whether the row is to be measured.
func (r *run) wants(row string) bool { return len(r.o.Rows) == 0 || slices.Contains(r.o.Rows, row) }

// sized is n in this run's scale, at least few.
func (r *run) sized(n, few int) int { return max(int(float64(n)*r.o.Scale), min(few, n)) }

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.o.Log, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// add keeps a result; the first ones are there if a later row fails.
func (r *run) add(x Result) {
	r.say("row %s: %s %s (target %s at full size)", x.Row, number(x.Value), x.Unit, x.Target)
	*r.results = append(*r.results, x)
}

// Run measures. What it has measured comes back with an error, too.
func Run(ctx context.Context, o Options) (report Report, err error) {
	report = newReport(o.Command)
	defer func() {
		for i := range report.Results {
			report.Results[i].Run = report.start
		}
	}()
	for _, row := range o.Rows {
		if !slices.Contains(Rows(), row) {
			return report, fmt.Errorf("there is no row %q: there are %v", row, Rows())
		}
	}
	if o.AllInOne && slices.ContainsFunc([]string{"6", "7"}, (&run{stage: &stage{o: o}}).wants) {
		return report, errors.New("rows 6 and 7 start the scheduler anew, which needs a process of its own")
	}
	dir, err := os.MkdirTemp("", "brokkr-fleetsim-")
	if err != nil {
		return report, fmt.Errorf("make a temporary folder: %w", err)
	}
	for _, g := range groups() {
		if len(o.Rows) > 0 && !slices.ContainsFunc(g.rows, func(row string) bool { return slices.Contains(o.Rows, row) }) {
			continue
		}
		if err := runGroup(ctx, o, dir, g, &report.Results); err != nil {
			return report, fmt.Errorf("%s: %w (logs of the processes are in %s)", g.name, err, dir)
		}
	}
	return report, os.RemoveAll(dir)
}

func runGroup(ctx context.Context, o Options, dir string, g group, results *[]Result) (err error) {
	r := &run{results: results}
	// Agents of the fixtures are silent while others are measured, and receivers of webhooks are here.
	r.stage, err = newStage(ctx, o, dir, "BROKKR__SCHEDULER__UNREACHABLE_AFTER=1h", "BROKKR__WEBHOOKS__ALLOW_NETWORKS=127.0.0.0/8")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return g.run(ctx, r)
}
