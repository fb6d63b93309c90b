// Command kubecluster runs real Kubernetes control planes for tests and demos: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler compiled from their Go modules into this one binary, with simulated nodes
// in place of kubelets. It needs no container runtime and downloads nothing when it runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on /metrics, as upstream's binaries have
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
)

const usage = `usage:
  kubecluster up   --dir D [--count K] [--port P] [--nodes N] [--detached]
                   boot K control planes and stay in the foreground; D/cN/kubeconfig leads to the Nth
  kubecluster kill --dir D --name c1
                   kill -9 one cluster's process (or "etcd"); "up" starts it again
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "kubecluster:", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return flag.ErrHelp
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch args[0] {
	case "up":
		return runUp(ctx, args[1:])
	case "kill":
		return runKill(args[1:])
	case "etcd": // started by up
		return runEtcdCommand(ctx, args[1:])
	case "cluster": // started by up
		return runClusterCommand(ctx, args[1:])
	default:
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("unknown command %q", args[0])
	}
}
