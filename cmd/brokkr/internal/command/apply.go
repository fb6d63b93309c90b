package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

// adminGenerator owns what an admin creates without naming a generator.
const adminGenerator = "admin-generator"

type applyOptions struct {
	manifests   manifestsOptions
	stack       string
	generator   string
	description string
	labels      []string
	annotations []string
	targets     []string
	pairs       map[string]string
	treatment   treatmentFlags
	wait        waitOptions
	waitFor     bool
	dryRun      bool
	out         output
}

// applied is the outcome of an apply, as data.
type applied struct {
	Stack              string         `json:"stack"`
	StackID            string         `json:"stack_id,omitempty"`
	GeneratorID        string         `json:"generator_id,omitempty"`
	Outcome            client.Outcome `json:"outcome"`
	DryRun             bool           `json:"dry_run,omitempty"`
	DeploymentObjectID string         `json:"deployment_object_id,omitempty"`
	SequenceID         int64          `json:"sequence_id,omitempty"`
	Checksum           string         `json:"checksum"`
	Objects            int            `json:"objects"`
}

func (a *app) apply() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f PATH --stack NAME",
		Short: "Make manifests the desired state of a stack",
		Long: `Makes a bundle of manifests the desired state of a stack, and creates the stack if it does not exist. PATH is a file,
a folder (its *.yaml and *.yml files, by name, not those in folders below), a folder with a kustomization.yaml or a Helm chart
(both built here, from local files only; a chart's hooks are left out), or - for standard input. Everything is checked before
anything is sent.

Labels, annotations and targets say where the stack goes; they are added, never removed (brokkr stack label NAME LABEL-).
Applying the same bundle again changes nothing. How agents treat the objects is said by --prune, --adopt, --drift and the like, before
anything is published; what is not said stays (brokkr stack treat NAME).`,
		Example: `  brokkr apply -f ./manifests --stack hello --label prod --wait
  brokkr apply -f ./overlays/eu --stack hello --annotation region=eu --dry-run
  brokkr apply -f ./chart --stack web --namespace web --values prod.yaml --set replicas=3
  jsonnet -y web.jsonnet | brokkr apply -f - --stack web --target edge-1`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runApply(cmd, o) },
	}
	f := cmd.Flags()
	o.manifests.flags(cmd, " (required)", " (default: the name of the stack)")
	f.StringVar(&o.stack, "stack", "", "name or id of the stack (required)")
	f.StringVar(&o.generator, "generator", "", "name or id of the generator that owns the stack; for admins, who own nothing themselves (default "+adminGenerator+")")
	f.StringVar(&o.description, "description", "", "description of the stack, if it is created")
	f.StringArrayVar(&o.labels, "label", nil, "label to add to the stack (repeatable)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "annotation key=value to add to the stack (repeatable)")
	f.StringArrayVar(&o.targets, "target", nil, "agent, by name or id, that is to run the stack whatever its labels (repeatable)")
	o.treatment.flags(cmd)
	f.BoolVar(&o.waitFor, "wait", false, "wait until the stack is healthy in every cluster that is to run it, and its rollout, if there is one, completed")
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and say what would change; change nothing")
	o.wait.flags(cmd, "with --wait, ")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runApply(cmd *cobra.Command, o *applyOptions) error {
	var err error
	switch {
	case o.manifests.path == "":
		return usagef(cmd, "say what to apply with -f")
	case o.stack == "":
		return usagef(cmd, "name the stack with --stack")
	case o.dryRun && o.waitFor:
		return usagef(cmd, "--dry-run and --wait exclude each other")
	}
	if _, err := o.out.format(cmd); err != nil {
		return err
	}
	if err := o.manifests.check(cmd); err != nil {
		return err
	}
	if err := parseLabels(cmd, o.labels); err != nil {
		return err
	}
	if o.pairs, err = annotationsOf(cmd, o.annotations); err != nil {
		return err
	}
	if err := o.treatment.check(); err != nil {
		return err
	}
	b, err := a.manifests(cmd, &o.manifests, o.stack)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	return a.applyBundle(cmd, c, o, b)
}

func (a *app) applyBundle(cmd *cobra.Command, c *client.Client, o *applyOptions, b client.Bundle) error {
	ctx := cmd.Context()
	owner, err := a.owner(ctx, c, o)
	if err != nil {
		return err
	}
	agents := make([]client.Agent, 0, len(o.targets))
	for _, t := range o.targets {
		g, err := findAgent(ctx, c, t)
		if err != nil {
			return err
		}
		agents = append(agents, g)
	}
	if o.dryRun {
		found, err := findStacks(ctx, c, o.stack, owner)
		if err != nil {
			return err
		}
		if len(found) == 0 && isID(o.stack) {
			return fmt.Errorf("stack %s not found", o.stack)
		}
		return a.dryRun(cmd, c, o, b, found)
	}
	s, err := ensureStack(ctx, c, o, owner)
	if err != nil {
		return err
	}
	if o.treatment.given() {
		done, changed, err := treat(ctx, c, s, &o.treatment, false)
		if err != nil {
			return err
		}
		if changed {
			a.progress("stack/%s is now treated: %s", s.Name, treatmentText(done.Treatment))
		}
	}
	return a.publish(cmd, c, o, b, s, agents)
}

// ensureStack returns the stack to apply to. One that is named by its id must be there.
func ensureStack(ctx context.Context, c *client.Client, o *applyOptions, owner string) (client.Stack, error) {
	if isID(o.stack) {
		s, err := c.Stack(ctx, o.stack)
		if client.IsStatus(err, http.StatusNotFound) {
			err = fmt.Errorf("stack %s not found", o.stack)
		}
		return s, err
	}
	n := client.NewStack{Name: o.stack, GeneratorID: owner}
	if o.description != "" {
		n.Description = &o.description
	}
	return c.EnsureStack(ctx, n)
}

// owner returns the id of the generator in whose name the stack is looked up and created. A stack that is named by its
// id needs none.
func (a *app) owner(ctx context.Context, c *client.Client, o *applyOptions) (string, error) {
	who, err := c.Auth(ctx)
	switch {
	case err != nil:
		return "", err
	case who.Agent != nil:
		return "", hint(errors.New("the key is an agent's; agents cannot publish"), "log in with a generator's key (brokkr generator create NAME makes one)")
	case isID(o.stack):
		return "", nil
	case who.Generator != nil:
		if o.generator == "" || o.generator == *who.Generator {
			return *who.Generator, nil
		}
		self, err := c.Generator(ctx, *who.Generator)
		if err != nil {
			return "", err
		}
		if self.Name != o.generator {
			return "", hint(fmt.Errorf("the key belongs to generator %s and cannot publish for %s", self.Name, o.generator), "leave --generator out")
		}
		return self.ID, nil
	}
	ref := o.generator
	if ref == "" {
		ref = adminGenerator
	}
	g, err := findGenerator(ctx, c, ref)
	if err != nil && o.generator == "" {
		err = hint(err, "name the generator that owns the stack: --generator NAME")
	}
	return g.ID, err
}

func (a *app) publish(cmd *cobra.Command, c *client.Client, o *applyOptions, b client.Bundle, s client.Stack, agents []client.Agent) error {
	ctx := cmd.Context()
	moved, err := place(ctx, c, o, s, agents)
	if err != nil {
		return err
	}
	done, err := c.PublishBundle(ctx, s, b)
	if err != nil {
		var unsure *client.UnsureError
		if errors.As(err, &unsure) {
			err = hint(err, "the same command again: it publishes only what is not there yet")
		}
		return err
	}
	result := applied{Stack: s.Name, StackID: s.ID, GeneratorID: s.GeneratorID, Outcome: done.Outcome, Checksum: b.Checksum(),
		Objects: len(b.Objects), DeploymentObjectID: done.Object.ID, SequenceID: done.Object.SequenceID}
	if err := a.show(cmd, &o.out, view{data: result, names: []string{"stack/" + s.Name}, table: func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintf(w, "stack/%s %s (sequence %d, %s)\n", s.Name, result.Outcome, result.SequenceID, count(len(b.Objects), "object"))
		return err
	}}); err != nil {
		return err
	}
	if !o.waitFor {
		return nil
	}
	if moved && done.Outcome == client.Unchanged {
		o.wait.settle = settleTime
	}
	return a.waitHealthy(ctx, c, s, done.Object, o.wait)
}

// settleTime is how long a good status must stand when the stack's placement was just changed without a new object: there
// is no other sign that the scheduler has seen the change.
const settleTime = 2 * time.Second

// place adds labels, annotations and targets, and reports whether one of them is new.
func place(ctx context.Context, c *client.Client, o *applyOptions, s client.Stack, agents []client.Agent) (bool, error) {
	moved, err := c.Mark(ctx, s, client.Marks{Labels: o.labels, Annotations: o.pairs})
	if err != nil {
		var other *client.AnnotationError
		if errors.As(err, &other) {
			err = hint(err, "brokkr stack annotate %s %s=%s --overwrite", s.Name, other.Key, other.Want)
		}
		return moved, err
	}
	for _, g := range agents {
		fresh, err := c.AddTarget(ctx, g.ID, s.ID)
		if err != nil {
			err = fmt.Errorf("target agent %s: %w", g.Name, err)
			if client.IsCode(err, "agent_not_registered") {
				err = hint(err, "brokkr registration approve %s %s, then apply again", g.Name, s.GeneratorID)
			}
			return moved, err
		}
		moved = moved || fresh
	}
	return moved, nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
