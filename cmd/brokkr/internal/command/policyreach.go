package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// reach is what a policy is attached to, or detached from.
type reach struct{ stack, label string }

func (r *reach) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.stack, "stack", "", "a stack, by name or id")
	cmd.Flags().StringVar(&r.label, "label", "", "every stack with this label")
}

func (r *reach) check(cmd *cobra.Command) error {
	if (r.stack == "") == (r.label == "") {
		return usagef(cmd, "say what it is about: --stack or --label")
	}
	return nil
}

func (a *app) policyAttach() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "attach POLICY {--stack STACK | --label LABEL}", Short: "Let a policy decide about a stack, or about every stack with a label", Args: exactly("POLICY"),
		ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			p, err := findPolicy(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if r.label != "" {
				after, err := c.AttachPolicyLabel(cmd.Context(), p.ID, r.label)
				if err != nil {
					return cycleHint(fmt.Errorf("attach %s to the label %s: %w", policyName(p), r.label, err))
				}
				a.warnings(after.Warnings)
				a.said("%s attached to the label %s", policyName(p), r.label)
				return nil
			}
			s, err := findStack(cmd.Context(), c, r.stack)
			if err != nil {
				return err
			}
			after, err := c.AttachPolicy(cmd.Context(), s.ID, p.ID)
			if err != nil {
				return cycleHint(fmt.Errorf("attach %s to stack %s: %w", policyName(p), s.Name, err))
			}
			a.warnings(after.Warnings)
			a.said("%s attached to stack/%s", policyName(p), s.Name)
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func (a *app) policyDetach() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "detach {--stack STACK | POLICY --label LABEL}", Short: "Let a policy no longer decide about a stack, or about every stack with a label", Args: atMost(1),
		ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(cmd); err != nil {
				return err
			}
			if (r.label != "") != (len(args) == 1) {
				return usagef(cmd, "a stack has one policy, so name the stack alone; with --label name the policy too")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if r.label != "" {
				p, err := findPolicy(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				if err := c.DetachPolicyLabel(cmd.Context(), p.ID, r.label); err != nil {
					return cycleHint(fmt.Errorf("detach %s from the label %s: %w", policyName(p), r.label, err))
				}
				a.said("%s detached from the label %s", policyName(p), r.label)
				return nil
			}
			s, err := findStack(cmd.Context(), c, r.stack)
			if err != nil {
				return err
			}
			if err := c.DetachPolicy(cmd.Context(), s.ID); err != nil {
				return cycleHint(fmt.Errorf("detach the policy of stack %s: %w", s.Name, err))
			}
			a.said("stack/%s: its policy is detached", s.Name)
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

// fieldDiff is a field of a document that differs.
type fieldDiff struct {
	Path string `json:"path"`
	From any    `json:"from,omitempty"`
	To   any    `json:"to,omitempty"`
}

func (a *app) policyDiff() *cobra.Command {
	var o output
	var path string
	var from, to int
	cmd := &cobra.Command{
		Use: "diff {-f FILE | POLICY --from REVISION [--to REVISION]}", Short: "Show what applying a policy would change, or what differs between revisions",
		Long: `With -f: shows how a file differs from the newest revision of the policy that it names. With --from: how one revision differs from
another, or from the newest. The exit status is 0 without a difference, 1 with one, and 2 if it could not be found out.`,
		Args: atMost(1), ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (path == "") == (len(args) == 0), path != "" && (from != 0 || to != 0), path == "" && from < 1, to < 0:
				return usagef(cmd, "say what to compare: -f FILE, or POLICY --from REVISION")
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			name, fields, err := a.comparePolicy(cmd.Context(), path, args, from, to)
			if err != nil {
				return &exitError{error: err, status: ExitTrouble}
			}
			v := view{data: fields, table: func(w io.Writer, _ bool) error { return writeFields(w, name, fields) }}
			for _, f := range fields {
				v.names = append(v.names, f.Path)
			}
			if err := a.show(cmd, &o, v); err != nil {
				return &exitError{error: err, status: ExitTrouble}
			}
			if len(fields) > 0 {
				return &exitError{status: ExitDiffers}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "filename", "f", "", "the policy, YAML or JSON, or - for standard input")
	cmd.Flags().IntVar(&from, "from", 0, "the earlier revision")
	cmd.Flags().IntVar(&to, "to", 0, "the later revision; the newest if it is left out")
	o.flag(cmd)
	return cmd
}

func (a *app) comparePolicy(ctx context.Context, path string, args []string, from, to int) (string, []fieldDiff, error) {
	var name string
	var is json.RawMessage
	if path != "" {
		var err error
		if name, is, err = a.policyFile(path); err != nil {
			return "", nil, err
		}
	} else {
		name = args[0]
	}
	c, err := a.connect()
	if err != nil {
		return "", nil, err
	}
	found, err := findPolicies(ctx, c, name, "")
	if err != nil {
		return "", nil, err
	}
	if path != "" && len(found) == 0 { // it would be new
		return name, diffDocuments(nil, is), nil
	}
	p, err := findPolicy(ctx, c, name)
	if err != nil {
		return "", nil, err
	}
	was := p.Document
	if path == "" {
		is = p.Document
		if was, err = revisionDocument(ctx, c, p, from); err != nil {
			return "", nil, err
		}
		if to > 0 {
			is, err = revisionDocument(ctx, c, p, to)
		}
	}
	return p.Name, diffDocuments(was, is), err
}

func revisionDocument(ctx context.Context, c *client.Client, p client.Policy, n int) (json.RawMessage, error) {
	r, err := c.PolicyRevision(ctx, p.ID, n)
	if err != nil {
		return nil, fmt.Errorf("get revision %d of %s: %w", n, policyName(p), err)
	}
	return r.Document, nil
}

// diffDocuments returns the fields that differ, by path. A document of the broker lacks fields that ask for nothing, so
// empty ones do not count.
func diffDocuments(was, is json.RawMessage) []fieldDiff {
	a, b := map[string]any{}, map[string]any{}
	flattenJSON("", was, a)
	flattenJSON("", is, b)
	out := []fieldDiff{}
	for _, path := range slices.Sorted(maps.Keys(union(a, b))) {
		if x, y := a[path], b[path]; x != y {
			out = append(out, fieldDiff{Path: path, From: x, To: y})
		}
	}
	return out
}

func union(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// flattenJSON puts the leaves of a document into out, by path.
func flattenJSON(path string, text json.RawMessage, out map[string]any) {
	var fields map[string]json.RawMessage
	var items []json.RawMessage
	switch {
	case len(text) == 0 || string(text) == "null":
	case json.Unmarshal(text, &fields) == nil:
		for k, v := range fields {
			sub := k
			if path != "" {
				sub = path + "." + k
			}
			flattenJSON(sub, v, out)
		}
	case json.Unmarshal(text, &items) == nil:
		for i, v := range items {
			flattenJSON(path+"["+strconv.Itoa(i)+"]", v, out)
		}
	default:
		var v any
		if json.Unmarshal(text, &v) == nil {
			out[path] = v
		}
	}
}

func writeFields(w io.Writer, name string, fields []fieldDiff) error {
	var errs []error
	line := func(sign, path string, v any) {
		text, err := json.Marshal(v)
		_, werr := fmt.Fprintf(w, "%s %s: %s\n", sign, render.Clean(path), render.Clean(string(text)))
		errs = append(errs, err, werr)
	}
	for _, f := range fields {
		if f.From != nil {
			line("-", f.Path, f.From)
		}
		if f.To != nil {
			line("+", f.Path, f.To)
		}
	}
	text := count(len(fields), "field") + " differ"
	switch len(fields) {
	case 0:
		text = "no difference"
	case 1:
		text = "1 field differs"
	}
	_, err := fmt.Fprintf(w, "policy/%s: %s\n", render.Clean(name), text)
	return errors.Join(append(errs, err)...)
}
