package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// The clusters by the parts that they play: see sites.
const (
	canaryCluster = 0 // east
	otherCluster  = 1 // west: it is drained in the end
	dearCluster   = 2 // north: refused, until it is cheap
)

// place attaches a policy, which takes the sample from the cluster that it refuses.
func (d *demo) place(ctx context.Context) error {
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return fmt.Errorf("read the policy: %w", err)
	}
	name := filepath.Base(policyFile)
	if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o600); err != nil {
		return fmt.Errorf("copy the policy: %w", err)
	}
	say("so far labels decided. A policy says it more exactly (%s):", policyFile)
	fmt.Println()
	indent(string(text))
	if err := d.cli(ctx, "policy", "apply", "-f", name); err != nil {
		return err
	}
	if err := d.cli(ctx, "policy", "attach", demoStack, "--stack", demoStack); err != nil {
		return err
	}
	refused := d.clusters[dearCluster]
	if err := d.expectGone(ctx, refused); err != nil {
		return err
	}
	say("%s has lost it. Why?", refused.name)
	return d.cli(ctx, "explain", demoStack, refused.name)
}

func (d *demo) expectGone(ctx context.Context, c *cluster) error {
	return d.procs.until(ctx, changeLimit, "the sample gone from "+c.name, func(ctx context.Context) (bool, error) {
		uid, err := c.deploymentUID(ctx)
		return uid == "", err
	})
}

// rollOut publishes a good revision, which goes to the canary and then to the others.
func (d *demo) rollOut(ctx context.Context) error {
	dir, err := d.manifests("hello-3", firstPage, thirdPage)
	if err != nil {
		return err
	}
	say("from now on a revision goes to the canary, %s, and to the others when it has been healthy there for a while", d.clusters[canaryCluster].name)
	if err := d.cli(ctx, "apply", "-f", dir, "--stack", demoStack, "--wait"); err != nil {
		return err
	}
	return d.cli(ctx, "rollout", "status", demoStack)
}

// rollBack publishes one that fails in the canary.
func (d *demo) rollBack(ctx context.Context) error {
	dir, err := d.broken("hello-4")
	if err != nil {
		return err
	}
	canary, other := d.clusters[canaryCluster], d.clusters[otherCluster]
	before, err := other.written(ctx)
	if err != nil {
		return err
	}
	say("and one whose image is misspelt, %s: it cannot be pulled", misspeltImage)
	if err := d.refused(ctx, "rolled_back", "apply", "-f", dir, "--stack", demoStack, "--wait"); err != nil {
		return err
	}
	say("what happened")
	if err := d.cli(ctx, "rollout", "history", demoStack); err != nil {
		return err
	}
	if err := d.expectPage(ctx, canary, thirdPage); err != nil {
		return err
	}
	after, err := other.written(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("%s has seen the broken revision: its page was written (version %s, %s before)", other.name, after, before)
	}
	say("%s is back at the last good revision by itself, and %s has never seen the broken one", canary.name, other.name)
	return nil
}

// drain makes the dear cluster cheap, and then moves the sample there.
func (d *demo) drain(ctx context.Context) error {
	dear, leaving := d.clusters[dearCluster], d.clusters[otherCluster]
	const price = "3"
	say("the owner of %s lowers its price to %s, in a ConfigMap of that cluster: %s fits now, but two are enough", dear.name, price, dear.name)
	if err := dear.state(ctx, "prices", map[string]any{"price": price}); err != nil {
		return err
	}
	fits := regexp.MustCompile(`"gains":\s*\[\s*\{`)
	err := d.procs.until(ctx, changeLimit, dear.name+" is known to be cheap", func(ctx context.Context) (bool, error) {
		out, err := d.output(ctx, "plan", "--agent", leaving.name, "--drain", "-o", "json")
		return fits.MatchString(out), err
	})
	if err != nil {
		return err
	}
	say("%s needs maintenance. What would come of draining it?", leaving.name)
	if err := d.cli(ctx, "drain", leaving.name, "--dry-run"); err != nil {
		return err
	}
	say("then so be it")
	if err := d.cli(ctx, "drain", leaving.name, "--reason", "maintenance", "--wait"); err != nil {
		return err
	}
	if err := d.expectPage(ctx, dear, thirdPage); err != nil {
		return err
	}
	if err := d.expectGone(ctx, leaving); err != nil {
		return err
	}
	return d.cli(ctx, "status", demoStack)
}
