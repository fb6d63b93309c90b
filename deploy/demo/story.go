package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// tell runs the demo from nothing to a broker and its clusters at work.
func (d *demo) tell(ctx context.Context) error {
	steps := []func(context.Context) error{d.setUp, d.publish, d.change, d.sabotage, d.measureAll}
	if d.clusterCount() == clusterCount {
		steps = append(steps, d.place, d.rollOut, d.rollBack, d.drain)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if d.clusterCount() < clusterCount {
		say("left out, for want of a third cluster: a policy that refuses a cluster, a rollout that turns back, a drain (KUBECONFIGS=a,b,c)")
	}
	return nil
}

func (d *demo) setUp(ctx context.Context) error {
	if err := d.openClusters(ctx); err != nil {
		return err
	}
	say("starting the broker with a private PostgreSQL in %s", filepath.Join(d.dir, "state"))
	if err := d.startBroker(ctx); err != nil {
		return err
	}
	if err := d.writeEnv(); err != nil {
		return err
	}
	say("the broker serves on %s; creating and starting an agent for each cluster", d.url)
	for i := range d.clusters {
		if err := d.startAgent(ctx, i); err != nil {
			return err
		}
	}
	return d.cli(ctx, "get", "agents")
}

// openClusters boots clusters, or reaches those that were given, and makes the demo's namespaces in them.
func (d *demo) openClusters(ctx context.Context) error {
	if !d.ownClusters {
		say("booting three Kubernetes clusters (their nodes are simulated, everything else is real)")
		paths, err := d.bootClusters(ctx)
		if err != nil {
			return err
		}
		d.kubeconfigs = paths
	}
	seen := map[types.UID]*cluster{}
	for i, path := range d.kubeconfigs {
		c, err := newCluster(sites()[i].name, path)
		if err != nil {
			return err
		}
		uid, err := c.identity(ctx)
		if err != nil {
			return err
		}
		if other := seen[uid]; other != nil {
			return fmt.Errorf("the kubeconfigs %s and %s lead to the same cluster; the demo needs different ones", other.kubeconfig, c.kubeconfig)
		}
		seen[uid] = c
		d.clusters = append(d.clusters, c)
	}
	// When all answer: nothing is removed or made in any unless the demo can begin.
	if err := d.clear(ctx); err != nil {
		return err
	}
	// Also while it ends, which takes a while, the namespaces are this run's.
	alive, release := context.WithCancel(context.WithoutCancel(ctx))
	d.release = release
	run := newRun(d.started)
	for i, c := range d.clusters {
		if err := c.makeNamespaces(ctx, alive, run, d.procs.fail); err != nil {
			return err
		}
		if err := c.state(ctx, "prices", map[string]any{"price": sites()[i].price}); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) publish(ctx context.Context) error {
	dir, err := d.manifests("hello-1")
	if err != nil {
		return err
	}
	say("publishing %s: one command, every cluster whose agent shares the label %q", exampleDir, demoLabel)
	if err := d.cli(ctx, "apply", "-f", dir, "--stack", demoStack, "--label", demoLabel, "--wait"); err != nil {
		return err
	}
	say("where it went")
	if err := d.cli(ctx, "status", demoStack); err != nil {
		return err
	}
	say("and why")
	return d.cli(ctx, "placement", demoStack)
}

// change publishes the sample with another page.
func (d *demo) change(ctx context.Context) error {
	dir, err := d.manifests("hello-2", firstPage, secondPage)
	if err != nil {
		return err
	}
	say("changing it: the page says %q now", secondPage)
	if err := d.cli(ctx, "apply", "-f", dir, "--stack", demoStack, "--wait"); err != nil {
		return err
	}
	for _, c := range d.clusters {
		if err := d.expectPage(ctx, c, secondPage); err != nil {
			return err
		}
		say("%s has the new page", c.name)
	}
	return nil
}

// sabotage breaks the sample behind Brokkr's back, twice, and waits for the repairs.
func (d *demo) sabotage(ctx context.Context) error {
	c := d.clusters[1]
	say("breaking it by hand in %s, as `kubectl edit configmap/%s` would: the page says %q", c.name, demoStack, wrongPage)
	start := time.Now()
	if err := c.deface(ctx); err != nil {
		return err
	}
	if err := d.expectPage(ctx, c, secondPage); err != nil {
		return err
	}
	say("the agent has put the page right after %s", time.Since(start).Round(time.Millisecond))

	say("and once more, as `kubectl delete deployment/%s` would", demoStack)
	start = time.Now()
	gone, err := c.deleteDeployment(ctx)
	if err != nil {
		return err
	}
	err = d.procs.until(ctx, changeLimit, "the Deployment again in "+c.name, func(ctx context.Context) (bool, error) {
		uid, err := c.deploymentUID(ctx)
		return uid != "" && uid != gone, err
	})
	if err != nil {
		return err
	}
	say("the agent has made the Deployment anew after %s", time.Since(start).Round(time.Millisecond))
	return d.cli(ctx, "status", demoStack)
}

func (d *demo) measureAll(ctx context.Context) error {
	say("how fast is it? Publishing a ConfigMap again and again, watching all API servers")
	return d.measure(ctx)
}

// writeEnv leaves a file for the shell of whoever wants to try more.
func (d *demo) writeEnv() error {
	var b strings.Builder
	fmt.Fprintf(&b, "export PATH=%s:$PATH\n", d.bin)
	for _, kv := range d.env() {
		fmt.Fprintf(&b, "export %s\n", kv)
	}
	for _, c := range d.clusters {
		fmt.Fprintf(&b, "export %s=%s\n", strings.ToUpper(c.name), c.kubeconfig)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "env"), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write the shell's environment: %w", err)
	}
	return nil
}

// invite says what can be tried while everything runs.
func (d *demo) invite() {
	say("ready after %s. Everything stays up until Ctrl-C. In another terminal:", time.Since(d.started).Round(time.Second))
	fmt.Printf(`
   cd %s && source env
   brokkr status %s --watch
   brokkr describe stack %s
   brokkr explain %s
   brokkr apply -f hello-1 --stack %s --wait
   brokkr delete stack %s --wait
   kubectl --kubeconfig $EAST --namespace %s get all
   tail -f logs/*.log
`, d.dir, demoStack, demoStack, demoStack, demoStack, demoStack, namespace)
	fmt.Println()
}
