package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	demoStack      = "hello" // and the name of the sample's objects
	demoLabel      = "demo"
	canaryLabel    = "canary"
	namespace      = "brokkr-demo"       // of the sample
	agentNamespace = "brokkr-demo-agent" // of the agents' inventories, leases and facts
	madeByLabel    = "app.kubernetes.io/part-of"
	madeByDemo     = "brokkr-demo"
	exampleDir     = "deploy/examples/hello"
	policyFile     = "deploy/demo/policy.yaml"
	brokerPort     = 3000
	clusterCount   = 3
	leastClusters  = 2
	answerLimit    = 20 * time.Second // of a cluster
	removalLimit   = 2 * time.Minute  // of a namespace
	changeLimit    = 3 * time.Minute  // of what an agent has to do; images may have to be pulled
)

// site is what the demo says of a cluster: labels and annotation by which policies find it, and a fact that its owner states.
type site struct {
	name, region, price string
	labels              []string
}

func sites() []site {
	return []site{
		{name: "east", region: "east", price: "1", labels: []string{demoLabel, canaryLabel}},
		{name: "west", region: "west", price: "2", labels: []string{demoLabel}},
		{name: "north", region: "west", price: "9", labels: []string{demoLabel}},
	}
}

// What the sample's page says at first, after the change, and after the sabotage.
const (
	firstPage  = "Hello from Brokkr"
	secondPage = "Good news from Brokkr"
	thirdPage  = "Better news from Brokkr"
	brokenPage = "Broken news from Brokkr"
	wrongPage  = "Nothing to see here"
)

// demo is one run: a folder that holds everything, processes, clusters, and the admin's way in.
type demo struct {
	options
	dir      string
	procs    *procs
	clusters []*cluster
	url      string
	pak      string
	started  time.Time
	release  context.CancelFunc // ends the claim on the namespaces
}

func newDemo(o options) (*demo, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", o.bin, err)
	}
	o.bin = bin
	dir, err := os.MkdirTemp("", "brokkr-demo-")
	if err != nil {
		return nil, fmt.Errorf("make the demo's folder: %w", err)
	}
	// Started by root, PostgreSQL runs as another user, who has to pass through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the demo's folder: %w", err)
	}
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of logs: %w", err)
	}
	return &demo{options: o, dir: dir, procs: newProcs(logs), started: time.Now(), release: func() {}}, nil
}

// clusterCount is how many clusters the demo has, booted or not.
func (d *demo) clusterCount() int {
	if d.ownClusters {
		return len(d.kubeconfigs)
	}
	return clusterCount
}

// say tells the person at the terminal what happens.
func say(format string, args ...any) {
	fmt.Printf("\033[1m==\033[0m "+format+"\n", args...)
}

// env is what the command line and a person's shell need to reach this broker.
func (d *demo) env() []string {
	return []string{"BROKKR_URL=" + d.url, "BROKKR_PAK=" + d.pak, "XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config")}
}

// cli shows a command as one would type it in the demo's folder, and runs it.
func (d *demo) cli(ctx context.Context, args ...string) error {
	_, err := d.shown(ctx, args...)
	return err
}

// refused is cli for a command that has to end badly, and to say this.
func (d *demo) refused(ctx context.Context, says string, args ...string) error {
	out, err := d.shown(ctx, args...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("brokkr %s: it ended well, and should not", strings.Join(args, " "))
	case !errors.As(err, &exit):
		return err
	case !strings.Contains(out, says):
		return fmt.Errorf("%w, and does not say %q", err, says)
	}
	return nil
}

func (d *demo) shown(ctx context.Context, args ...string) (string, error) {
	fmt.Printf("\n   $ brokkr %s\n", strings.Join(args, " "))
	out, err := d.output(ctx, args...)
	indent(out)
	if err != nil {
		return out, fmt.Errorf("brokkr %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func indent(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		fmt.Println("   " + line)
	}
	fmt.Println()
}

func (d *demo) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "brokkr"), args...)
	cmd.Dir = d.dir
	cmd.Env = append(unsettled(os.Environ()), d.env()...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// end takes everything away: the processes, the demo's namespaces in clusters that are not its own, the folder.
func (d *demo) end(ctx context.Context) error {
	say("cleaning up")
	errs := []error{d.procs.stop()} // first the agents: they would put back what is taken away
	d.release()
	if d.ownClusters {
		for _, c := range d.clusters {
			errs = append(errs, c.removeNamespaces(ctx))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}
