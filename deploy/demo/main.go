// Command demo shows Brokkr at work on two real Kubernetes API servers: a stack is published, travels, is changed, broken
// by hand and repaired. demo.sh compiles it together with everything that it starts.
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
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
		if len(o.kubeconfigs) != 2 {
			return fmt.Errorf("KUBECONFIGS names %d kubeconfigs; the demo needs two, separated by a comma", len(o.kubeconfigs))
		}
	}
	o.stay = !truthy(os.Getenv("CI")) && !truthy(os.Getenv("DEMO_EXIT"))

	d, err := newDemo(o)
	if err != nil {
		return err
	}
	err = d.tell(ctx)
	if err == nil && o.stay {
		d.invite()
		select {
		case <-ctx.Done():
			fmt.Println()
		case err = <-d.procs.failed:
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err != nil {
		d.procs.showLogs()
	}
	return errors.Join(err, d.end(context.WithoutCancel(ctx)))
}

func truthy(s string) bool { return s != "" && s != "0" && !strings.EqualFold(s, "false") }
