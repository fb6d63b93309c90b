package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// pair is an annotation.
type pair struct{ key, value string }

func parseLabels(cmd *cobra.Command, labels []string) error {
	for _, l := range labels {
		if err := stack.CheckLabel(l); err != nil {
			return usagef(cmd, "label %q: %s", l, plain(err))
		}
	}
	return nil
}

func parseAnnotations(cmd *cobra.Command, texts []string) ([]pair, error) {
	pairs := make([]pair, 0, len(texts))
	seen := map[string]bool{}
	for _, t := range texts {
		key, value, ok := strings.Cut(t, "=")
		if !ok {
			return nil, usagef(cmd, "annotation %q must be key=value", t)
		}
		if err := stack.CheckAnnotation(key, value); err != nil {
			return nil, usagef(cmd, "annotation %q: %s", t, plain(err))
		}
		if seen[key] {
			return nil, usagef(cmd, "annotation %q is given twice", key)
		}
		seen[key] = true
		pairs = append(pairs, pair{key, value})
	}
	return pairs, nil
}

// annotationsOf returns annotations that were given as key=value; nil if there are none.
func annotationsOf(cmd *cobra.Command, texts []string) (map[string]string, error) {
	pairs, err := parseAnnotations(cmd, texts)
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	out := make(map[string]string, len(pairs))
	for _, p := range pairs {
		out[p.key] = p.value
	}
	return out, nil
}

// marked is what can carry labels and annotations: an agent or a stack.
type marked struct {
	what        string // kind/name
	labels      func(context.Context, string) ([]client.Label, error)
	addLabel    func(ctx context.Context, id, label string) (bool, error)
	dropLabel   func(ctx context.Context, id, label string) error
	annotations func(context.Context, string) ([]client.Annotation, error)
	annotate    func(ctx context.Context, id, key, value string) (bool, error)
	dropKey     func(ctx context.Context, id, key string) error
	id          string
}

func stackMarks(c *client.Client, s client.Stack) marked {
	return marked{"stack/" + s.Name, c.StackLabels, c.AddStackLabel, c.RemoveStackLabel,
		c.StackAnnotations, c.AddStackAnnotation, c.RemoveStackAnnotation, s.ID}
}

func agentMarks(c *client.Client, g client.Agent) marked {
	return marked{"agent/" + g.Name, c.AgentLabels, c.AddAgentLabel, c.RemoveAgentLabel,
		c.AgentAnnotations, c.AddAgentAnnotation, c.RemoveAgentAnnotation, g.ID}
}

// find resolves the name of something that can carry marks.
type find func(ctx context.Context, c *client.Client, ref string) (marked, error)

// labelCommand adds labels and, with a dash behind them, removes them.
func (a *app) labelCommand(kind string, find find) *cobra.Command {
	return &cobra.Command{
		Use:     fmt.Sprintf("label %s LABEL... [LABEL-...]", strings.ToUpper(kind)),
		Short:   fmt.Sprintf("Add labels to %s %s, remove those with a dash behind", article(kind), kind),
		Example: fmt.Sprintf("  brokkr %s label NAME prod eu-west old-", kind),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "name %s %s and at least one label", article(kind), kind)
			}
			add, drop := splitDash(args[1:])
			if err := parseLabels(cmd, append(add, drop...)); err != nil {
				return err
			}
			return a.withMarked(cmd, find, args[0], func(ctx context.Context, m marked) error {
				for _, l := range add {
					fresh, err := m.addLabel(ctx, m.id, l)
					if err != nil {
						return err
					}
					a.said("%s label %s %s", m.what, l, pick(fresh, "added", "was there already"))
				}
				for _, l := range drop {
					if err := m.dropLabel(ctx, m.id, l); err != nil {
						return err
					}
					a.said("%s label %s removed", m.what, l)
				}
				return nil
			})
		},
	}
}

// annotateCommand sets annotations and, with a dash behind their key, removes them.
func (a *app) annotateCommand(kind string, find find) *cobra.Command {
	var overwrite bool
	cmd := &cobra.Command{
		Use:     fmt.Sprintf("annotate %s KEY=VALUE... [KEY-...]", strings.ToUpper(kind)),
		Short:   fmt.Sprintf("Annotate %s %s, remove keys with a dash behind", article(kind), kind),
		Example: fmt.Sprintf("  brokkr %s annotate NAME region=eu-west tier-", kind),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "name %s %s and at least one annotation", article(kind), kind)
			}
			var sets, drop []string
			for _, t := range args[1:] {
				if key, ok := strings.CutSuffix(t, "-"); ok && !strings.Contains(t, "=") {
					drop = append(drop, key)
				} else {
					sets = append(sets, t)
				}
			}
			pairs, err := parseAnnotations(cmd, sets)
			if err != nil {
				return err
			}
			return a.withMarked(cmd, find, args[0], func(ctx context.Context, m marked) error {
				for _, p := range pairs {
					if err := a.annotate(ctx, m, p, overwrite); err != nil {
						return err
					}
				}
				for _, key := range drop {
					if err := m.dropKey(ctx, m.id, key); err != nil {
						return err
					}
					a.said("%s annotation %s removed", m.what, key)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "change values that are set already; for a moment the key is unset")
	return cmd
}

func (a *app) withMarked(cmd *cobra.Command, find find, ref string, do func(context.Context, marked) error) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	m, err := find(cmd.Context(), c, ref)
	if err != nil {
		return err
	}
	return do(cmd.Context(), m)
}

// annotate sets one annotation. A key that has another value is an error unless overwrite.
func (a *app) annotate(ctx context.Context, m marked, p pair, overwrite bool) error {
	fresh, err := m.annotate(ctx, m.id, p.key, p.value)
	if err != nil {
		return err
	}
	if fresh {
		a.said("%s annotation %s=%s added", m.what, p.key, p.value)
		return nil
	}
	old, err := valueOf(ctx, m, p.key)
	if err != nil {
		return err
	}
	if old == p.value {
		a.said("%s annotation %s=%s was there already", m.what, p.key, p.value)
		return nil
	}
	if !overwrite {
		kind, name, _ := strings.Cut(m.what, "/")
		return hint(fmt.Errorf("%s already has the annotation %s=%s", m.what, p.key, old),
			"brokkr %s annotate %s %s=%s --overwrite", kind, name, p.key, p.value)
	}
	if err := m.dropKey(ctx, m.id, p.key); err != nil {
		return err
	}
	if _, err := m.annotate(ctx, m.id, p.key, p.value); err != nil {
		return fmt.Errorf("the annotation %s=%s was removed, but its new value could not be set: %w", p.key, old, err)
	}
	a.said("%s annotation %s changed from %s to %s", m.what, p.key, old, p.value)
	return nil
}

func valueOf(ctx context.Context, m marked, key string) (string, error) {
	all, err := m.annotations(ctx, m.id)
	if err != nil {
		return "", err
	}
	for _, n := range all {
		if n.Key == key {
			return n.Value, nil
		}
	}
	return "", nil
}

func splitDash(args []string) (add, drop []string) {
	for _, l := range args {
		if name, ok := strings.CutSuffix(l, "-"); ok {
			drop = append(drop, name)
		} else {
			add = append(add, l)
		}
	}
	return add, drop
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an"
	}
	return "a"
}
