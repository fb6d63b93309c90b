package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tell runs the demo from nothing to a broker and two clusters at work.
func (d *demo) tell(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.setUp, d.publish, d.change, d.sabotage, d.measureAll} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) setUp(ctx context.Context) error {
	if !d.ownClusters {
		say("booting two Kubernetes clusters (their nodes are simulated, everything else is real)")
		paths, err := d.bootClusters(ctx)
		if err != nil {
			return err
		}
		d.kubeconfigs = paths
	}
	for i, name := range []string{"east", "west"} {
		c, err := newCluster(name, d.kubeconfigs[i])
		if err != nil {
			return err
		}
		d.clusters = append(d.clusters, c)
	}
	say("starting the broker with a private PostgreSQL in %s", filepath.Join(d.dir, "state"))
	if err := d.startBroker(ctx); err != nil {
		return err
	}
	if err := d.writeEnv(); err != nil {
		return err
	}
	say("the broker serves on %s; creating and starting an agent for each cluster", d.url)
	for _, c := range d.clusters {
		if err := d.startAgent(ctx, c); err != nil {
			return err
		}
	}
	return d.cli(ctx, "get", "agents")
}

func (d *demo) publish(ctx context.Context) error {
	say("publishing %s: one command, every cluster whose agent shares the label %q", exampleDir, demoLabel)
	if err := d.cli(ctx, "apply", "-f", exampleDir, "--stack", demoStack, "--label", demoLabel, "--wait"); err != nil {
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
	changed := filepath.Join(d.dir, "hello-changed")
	if err := rewrite(exampleDir, changed, firstPage, secondPage); err != nil {
		return err
	}
	say("changing it: the page says %q now", secondPage)
	if err := d.cli(ctx, "apply", "-f", changed, "--stack", demoStack, "--wait"); err != nil {
		return err
	}
	for _, c := range d.clusters {
		if err := d.expectPage(ctx, c); err != nil {
			return err
		}
		say("%s has the new page", c.name)
	}
	return nil
}

// rewrite copies the manifests with one text replaced.
func rewrite(from, to, old, text string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	files, err := filepath.Glob(filepath.Join(to, "*.yaml"))
	if err != nil {
		return fmt.Errorf("list %s: %w", to, err)
	}
	changed := false
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("change the sample: %w", err)
		}
		if !strings.Contains(string(b), old) {
			continue
		}
		changed = true
		if err := os.WriteFile(f, []byte(strings.ReplaceAll(string(b), old, text)), 0o600); err != nil {
			return fmt.Errorf("change the sample: %w", err)
		}
	}
	if !changed {
		return fmt.Errorf("%q is nowhere in %s", old, from)
	}
	return nil
}

func (d *demo) expectPage(ctx context.Context, c *cluster) error {
	return d.procs.until(ctx, time.Minute, "the new page in "+c.name, func(ctx context.Context) (bool, error) {
		page, err := c.page(ctx)
		return strings.Contains(page, secondPage), err
	})
}

// sabotage breaks the sample behind Brokkr's back, twice, and waits for the repairs.
func (d *demo) sabotage(ctx context.Context) error {
	c := d.clusters[1]
	say("breaking it by hand in %s, as `kubectl edit configmap/%s` would: the page says %q", c.name, demoStack, wrongPage)
	start := time.Now()
	if err := c.deface(ctx); err != nil {
		return err
	}
	if err := d.expectPage(ctx, c); err != nil {
		return err
	}
	say("the agent has put the page right after %s", time.Since(start).Round(time.Millisecond))

	say("and once more, as `kubectl delete deployment/%s` would", demoStack)
	start = time.Now()
	gone, err := c.deleteDeployment(ctx)
	if err != nil {
		return err
	}
	err = d.procs.until(ctx, time.Minute, "the Deployment again in "+c.name, func(ctx context.Context) (bool, error) {
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
	say("how fast is it? Publishing a ConfigMap again and again, watching both API servers")
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
   source %s
   brokkr status %s --watch
   brokkr describe stack %s
   brokkr apply -f %s --stack %s --wait
   brokkr delete stack %s --wait
   kubectl --kubeconfig $EAST get all
   tail -f %s
`, filepath.Join(d.dir, "env"), demoStack, demoStack, exampleDir, demoStack, demoStack, filepath.Join(d.procs.dir, "*.log"))
	fmt.Println()
}
