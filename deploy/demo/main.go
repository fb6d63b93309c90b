// Command demo shows Brokkr at work on three real Kubernetes API servers: a stack is published, travels, is changed, broken
// by hand and repaired; a policy places it, a rollout fails and turns back, a cluster is drained. demo.sh compiles it together with everything
// that it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// interrupted is the exit code after a signal that came before the end of the story.
const interrupted = 130

var errInterrupted = errors.New("interrupted before its end")

func main() {
	// A terminal that is closed ends the demo as Ctrl-C does: its processes do not hear of it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
	}
	switch {
	case errors.Is(err, errInterrupted):
		os.Exit(interrupted)
	case err != nil:
		os.Exit(1)
	}
}

// options of the demo; see demo.sh for the environment that it takes.
type options struct {
	bin         string // folder of the programs
	kubecluster string // the test control planes' program; empty with clusters of the user's own
	kubeconfigs []string
	ownClusters bool
	stay        bool
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flag.StringVar(&o.kubecluster, "kubecluster", "", "program of the test control planes")
	flag.Parse()
	if list := os.Getenv("KUBECONFIGS"); list != "" {
		o.kubeconfigs, o.ownClusters = strings.Split(list, ","), true
		if n := len(o.kubeconfigs); n < leastClusters || n > clusterCount {
			return fmt.Errorf("KUBECONFIGS names %d kubeconfigs; the demo takes three, or two and leaves something out: KUBECONFIGS=a,b,c make demo", n)
		}
	}
	o.stay = !truthy(os.Getenv("CI")) && !truthy(os.Getenv("DEMO_EXIT"))

	d, err := newDemo(o)
	if err != nil {
		return err
	}
	err = d.tell(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Println()
		return errors.Join(errInterrupted, d.end(context.WithoutCancel(ctx)))
	case err == nil && o.stay:
		d.invite()
		select {
		case <-ctx.Done():
			fmt.Println()
		case err = <-d.procs.failed:
		}
	}
	if err != nil {
		d.procs.showLogs()
	}
	return errors.Join(err, d.end(context.WithoutCancel(ctx)))
}

func truthy(s string) bool { return s != "" && s != "0" && !strings.EqualFold(s, "false") }
