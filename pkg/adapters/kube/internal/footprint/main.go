// Command footprint shows how much memory a program uses that has nothing but the adapter: after it has asked the cluster
// what it serves, and with watches on many objects. Benchmarks start it; it never ships.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path")
	stack := flag.String("stack", "", "id of the stack whose objects are watched")
	objects := flag.Int64("objects", 0, "how many there are")
	flag.Parse()
	if err := run(*kubeconfig, *stack, *objects); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, stack string, objects int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cfg, err := kube.Config(kube.Access{Kubeconfig: kubeconfig})
	if err != nil {
		return err
	}
	c, err := kube.New(cfg, kube.Options{Agent: "footprint", Namespace: "default", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := c.Probe(ctx); err != nil {
		return err
	}
	var inUse []cluster.Mapping
	for _, kind := range kinds() {
		m, err := c.Mapping(ctx, kind)
		if err != nil {
			return err
		}
		inUse = append(inUse, m)
	}
	report("idle")

	var seen atomic.Int64
	all := make(chan struct{})
	w := c.Watches(func(ch cluster.Change) {
		if ch.Stack == stack && seen.Add(1) == objects {
			close(all)
		}
	})
	w.Use(stack, inUse)
	go func() { _ = w.Run(ctx) }() // fails never
	select {
	case <-all:
	case <-ctx.Done():
		return fmt.Errorf("saw %d objects of %d", seen.Load(), objects)
	}
	report("watching")
	return nil
}

// kinds are those of a usual application.
func kinds() []schema.GroupVersionKind {
	core := schema.GroupVersion{Version: "v1"}
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	rbac := schema.GroupVersion{Group: "rbac.authorization.k8s.io", Version: "v1"}
	return []schema.GroupVersionKind{
		core.WithKind("Namespace"), core.WithKind("ConfigMap"), core.WithKind("Secret"), core.WithKind("Service"), core.WithKind("ServiceAccount"),
		apps.WithKind("Deployment"), apps.WithKind("StatefulSet"), rbac.WithKind("Role"), rbac.WithKind("RoleBinding"),
		{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	}
}

// report writes a phase, what is resident, the most that was, and what stays when all garbage is given back; in KiB.
func report(phase string) {
	rss, peak := resident()
	debug.FreeOSMemory()
	kept, _ := resident()
	fmt.Fprintln(os.Stdout, phase, rss, peak, kept)
}

func resident() (rss, peak int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &rss)
		_, _ = fmt.Sscanf(line, "VmHWM: %d", &peak)
	}
	return rss, peak
}
