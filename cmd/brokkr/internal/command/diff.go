package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

type diffOptions struct {
	manifests       manifestsOptions
	stack, from, to string
	out             output
}

func (a *app) diff() *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff --stack NAME {-f PATH | --from REVISION --to REVISION}",
		Short: "Show what applying manifests would change, or what makes one revision of another",
		Long: `With -f: shows what applying manifests would change against the newest revision of a stack, and in which clusters. The broker checks
and compares; nothing is written. PATH is what it is for brokkr apply. With --from and --to: shows what makes one revision of the stack of
another; a revision is the id of a deployment object or its sequence.

Manifests are compared as data: comments, notation and order make no difference. Values of Secrets never show, only that they
differ.

The exit status is 0 without a difference, 1 with one, and 2 if it could not be found out.`,
		Example: `  brokkr diff -f ./manifests --stack hello
  brokkr diff -f ./chart --stack web --values prod.yaml
  brokkr diff --stack hello --from 41 --to 57 -o json`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			differs, err := a.runDiff(cmd, o)
			var usage *usageError
			switch {
			case errors.As(err, &usage):
				return err
			case err != nil:
				return &exitError{error: err, status: ExitTrouble}
			case differs:
				return &exitError{status: ExitDiffers}
			}
			return nil
		},
	}
	f := cmd.Flags()
	o.manifests.flags(cmd, "", " (default: the name of the stack)")
	f.StringVar(&o.stack, "stack", "", "name or id of the stack (required)")
	f.StringVar(&o.from, "from", "", "the earlier revision, by sequence or id")
	f.StringVar(&o.to, "to", "", "the later revision, by sequence or id")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runDiff(cmd *cobra.Command, o *diffOptions) (bool, error) {
	switch {
	case o.stack == "":
		return false, usagef(cmd, "name the stack with --stack")
	case o.manifests.path != "" && (o.from != "" || o.to != ""):
		return false, usagef(cmd, "-f and --from or --to exclude each other")
	case o.manifests.path == "" && (o.from == "" || o.to == ""):
		return false, usagef(cmd, "say what to compare: -f PATH, or --from and --to")
	}
	if _, err := o.out.format(cmd); err != nil {
		return false, err
	}
	if err := o.manifests.check(cmd); err != nil {
		return false, err
	}
	for _, ref := range []string{o.from, o.to} {
		if _, err := strconv.ParseInt(ref, 10, 64); ref != "" && err != nil && !isID(ref) {
			return false, usagef(cmd, "%q is neither a sequence nor the id of a deployment object", ref)
		}
	}
	var b client.Bundle
	if o.manifests.path != "" {
		var err error
		if b, err = a.manifests(cmd, &o.manifests, o.stack); err != nil {
			return false, err
		}
	}
	c, err := a.connect()
	if err != nil {
		return false, err
	}
	s, err := findStack(cmd.Context(), c, o.stack)
	if err != nil {
		return false, err
	}
	if o.manifests.path != "" {
		return a.diffBundle(cmd, c, s, b, o)
	}
	return a.diffRevisions(cmd, c, s, o)
}

func (a *app) diffBundle(cmd *cobra.Command, c *client.Client, s client.Stack, b client.Bundle, o *diffOptions) (bool, error) {
	p, err := c.PreviewBundle(cmd.Context(), s.ID, b)
	if err != nil {
		return false, fmt.Errorf("ask what would change in stack %s: %w", s.Name, err)
	}
	a.warnings(p.Warnings)
	base := "nothing was published yet"
	if p.Base != nil {
		base = "from " + revisionText(*p.Base)
	}
	return len(p.Changes) > 0, a.show(cmd, &o.out, view{data: p, names: changedNames(p.Changes), table: func(w io.Writer, wide bool) error {
		if err := a.writeChanges(w, p.Changes); err != nil {
			return err
		}
		if err := a.writeMoves(w, p.Clusters, p.Hold, s.Name, wide, o.out.bare); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "stack/%s: %s (%s)\n", s.Name, tally(p.Changes, p.Unchanged)+notCompared(p.Masked), base)
		return err
	}})
}

func (a *app) diffRevisions(cmd *cobra.Command, c *client.Client, s client.Stack, o *diffOptions) (bool, error) {
	from, err := revision(cmd.Context(), c, s, o.from)
	if err != nil {
		return false, err
	}
	to, err := revision(cmd.Context(), c, s, o.to)
	if err != nil {
		return false, err
	}
	d, err := c.DiffObjects(cmd.Context(), from, to)
	if err != nil {
		return false, fmt.Errorf("compare revisions %s and %s of stack %s: %w", o.from, o.to, s.Name, err)
	}
	if d.StackID != s.ID {
		return false, fmt.Errorf("the revisions are not of stack %s but of %s", s.Name, d.StackID)
	}
	return len(d.Changes) > 0, a.show(cmd, &o.out, view{data: d, names: changedNames(d.Changes), table: func(w io.Writer, _ bool) error {
		if err := a.writeChanges(w, d.Changes); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "stack/%s: %s (from %s to %s)\n", s.Name, tally(d.Changes, d.Unchanged)+notCompared(d.Masked), revisionText(d.From), revisionText(d.To))
		return err
	}})
}

// revision returns the id of a deployment object that is named by its id or its sequence.
func revision(ctx context.Context, c *client.Client, s client.Stack, ref string) (string, error) {
	if isID(ref) {
		return strings.ToLower(ref), nil
	}
	sequence, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		return "", fmt.Errorf("read the sequence %q: %w", ref, err)
	}
	o, found, err := c.ObjectAt(ctx, s.ID, sequence)
	if err != nil {
		return "", fmt.Errorf("look for revision %d of stack %s: %w", sequence, s.Name, err)
	}
	if !found {
		return "", hint(fmt.Errorf("stack %s has no revision with the sequence %d", s.Name, sequence), "brokkr get objects %s lists its revisions", s.Name)
	}
	return o.ID, nil
}

func revisionText(o client.ComparedObject) string {
	text := fmt.Sprintf("sequence %d", o.SequenceID)
	if o.IsDeletionMarker {
		text += ", a deletion marker"
	}
	return text
}

// tally counts changes by their kind.
func tally(changes []client.ManifestChange, unchanged int) string {
	n := map[string]int{}
	for _, c := range changes {
		n[c.Change]++
	}
	if len(changes) == 0 {
		return fmt.Sprintf("no difference, %d unchanged", unchanged)
	}
	return fmt.Sprintf("%d added, %d changed, %d removed, %d unchanged", n["added"], n["changed"], n["removed"], unchanged)
}

func changedNames(changes []client.ManifestChange) []string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Kind + "/" + c.Name
	}
	return names
}

// notCompared says of how many Secrets the values were not compared, because the caller may not know them.
func notCompared(secrets int) string {
	if secrets == 0 {
		return ""
	}
	return ", " + count(secrets, "Secret") + " not compared"
}
