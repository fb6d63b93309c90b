// Command brokkr-fleetsim simulates fleets of agents. `bench` measures a control plane under them, see docs/benchmarks;
// `run` speaks for agents of a broker that is there already.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/colliery-io/brokkr/test/fleetsim/internal/bench"
	"github.com/colliery-io/brokkr/test/fleetsim/internal/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "brokkr-fleetsim:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, getenv func(string) string, out, progress io.Writer) error {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch verb {
	case "bench":
		return measure(ctx, args[1:], getenv, out, progress)
	case "run":
		return live(ctx, args[1:], out, progress)
	case "compare":
		return compare(args[1:], out)
	default:
		return fmt.Errorf("usage: brokkr-fleetsim bench|run|compare [flags]; there is no %q", verb)
	}
}

func life(fs *flag.FlagSet) *fleet.Life {
	l := &fleet.Life{}
	fs.DurationVar(&l.Wait, "wait", 0, "how long a sync parks; 0: as long as it may, 55 s")
	fs.DurationVar(&l.ThinkMin, "think-min", 20*time.Millisecond, "least time to apply a manifest")
	fs.DurationVar(&l.ThinkMax, "think-max", 200*time.Millisecond, "longest time to apply a manifest")
	fs.Float64Var(&l.FailShare, "fail", 0, "share of applications that fail and are tried again")
	return l
}

func measure(ctx context.Context, args []string, getenv func(string) string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(progress)
	l := life(fs)
	o := bench.Options{Postgres: getenv("BROKKR_TEST_POSTGRES"), Redis: getenv("BROKKR_TEST_REDIS"), Log: progress}
	o.Kubeconfig, _, _ = strings.Cut(getenv("BROKKR_TEST_KUBECONFIGS"), ",")
	rows := fs.String("rows", "", fmt.Sprintf("rows to measure, with commas; empty: all of %v", bench.Rows()))
	fs.Float64Var(&o.Scale, "scale", 1, "of the targets' sizes")
	fs.Uint64Var(&o.Seed, "seed", 1, "of all chance")
	fs.StringVar(&o.Programs, "programs", "bin", "folder of the programs")
	fs.BoolVar(&o.AllInOne, "all-in-one", false, "brokkr-broker instead of three processes")
	fs.StringVar(&o.Profiles, "profiles", "", "folder for CPU profiles of each process in the first 8 seconds of each row")
	to := fs.String("out", "", "folder for fleet.json and fleet.md; empty: none is written")
	if err := fs.Parse(args); err != nil {
		return err //nolint:wrapcheck // it says everything
	}
	if o.Postgres == "" || o.Redis == "" {
		return errors.New("BROKKR_TEST_POSTGRES and BROKKR_TEST_REDIS do not say where the servers are: make bench-fleet starts them")
	}
	if o.Scale <= 0 || o.Scale > 1 {
		return fmt.Errorf("the scale is %v, not above 0 and at most 1", o.Scale)
	}
	for row := range strings.SplitSeq(*rows, ",") {
		if row = strings.TrimSpace(row); row != "" {
			o.Rows = append(o.Rows, row)
		}
	}
	for _, folder := range []string{o.Profiles, *to} {
		if folder == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // profiles and figures are nobody's secret
			return fmt.Errorf("make the folder for the results: %w", err)
		}
	}
	o.Life, o.Command = *l, "brokkr-fleetsim bench "+strings.Join(args, " ")
	report, err := bench.Run(ctx, o)
	report.Print(out)
	if *to != "" && len(report.Results) > 0 {
		err = errors.Join(err, report.Write(*to))
	}
	return err
}

// compare tells how two reports differ, such as those of two architectures.
func compare(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: brokkr-fleetsim compare FIRST/fleet.json SECOND/fleet.json")
	}
	first, err := bench.Read(args[0])
	if err != nil {
		return err //nolint:wrapcheck // it says everything
	}
	second, err := bench.Read(args[1])
	if err != nil {
		return err //nolint:wrapcheck // it says everything
	}
	return bench.Compare(out, first, second) //nolint:wrapcheck // it says everything
}

// live speaks for agents until it is interrupted, and says each ten seconds how they are.
func live(ctx context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	fs.SetOutput(progress)
	l := life(fs)
	c := fleet.Config{}
	fs.StringVar(&c.Gateway, "gateway", "http://127.0.0.1:3000", "URL of the gateway")
	fs.Uint64Var(&c.Seed, "seed", 1, "of all chance")
	fs.DurationVar(&c.Ramp, "ramp", 0, "over which the first syncs are spread")
	fs.BoolVar(&l.Status, "status", true, "clusters tell their status")
	keys := fs.String("agents", "", `file with the agents: [{"id": "...", "name": "...", "pak": "..."}]`)
	storm := fs.Duration("storm", 0, "how often a share of the connections breaks at one moment; 0: never")
	share := fs.Float64("storm-share", 0.5, "of the connections")
	if err := fs.Parse(args); err != nil {
		return err //nolint:wrapcheck // it says everything
	}
	text, err := os.ReadFile(*keys)
	if err != nil {
		return fmt.Errorf("read the agents (--agents): %w", err)
	}
	if err := json.Unmarshal(text, &c.Agents); err != nil {
		return fmt.Errorf("read the agents of %s: %w", *keys, err)
	}
	c.Life = *l
	f, err := fleet.New(c)
	if err != nil {
		return err //nolint:wrapcheck // it says everything
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	every := time.NewTicker(10 * time.Second)
	defer every.Stop()
	var storms <-chan time.Time
	if *storm > 0 {
		t := time.NewTicker(*storm)
		defer t.Stop()
		storms = t.C
	}
	for number := uint64(1); ; {
		select {
		case <-done:
			return nil
		case <-storms:
			fmt.Fprintf(out, "storm %d: %d connections broken\n", number, f.Storm(number, *share))
			number++
		case <-every.C:
			n := &f.Counts
			fmt.Fprintf(out, "%d agents: %d syncs, %d with news, %d reports, %d manifests, %d connections, %d failures; late by p50 %s, p99 %s, max %s\n", len(c.Agents), n.Syncs.Load(),
				n.News.Load(), n.Reports.Load(), n.Manifests.Load(), n.Connects.Load(), n.Failures.Load(), f.Late.Quantile(0.5), f.Late.Quantile(0.99), f.Late.Max())
			if err := f.Err(); err != nil {
				fmt.Fprintf(out, "  the last failure: %v\n", err)
			}
		}
	}
}
