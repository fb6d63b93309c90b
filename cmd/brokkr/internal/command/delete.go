package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) delete() *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete a stack, an agent or a generator"}
	cmd.AddCommand(a.deleteStack("stack NAME|ID"), a.deleteAgent("agent NAME|ID"), a.deleteGenerator("generator NAME|ID"))
	return group(cmd)
}

type deleteOptions struct {
	yes, wait bool
	timeout   time.Duration
}

func (o *deleteOptions) flags(cmd *cobra.Command, wait string) {
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.wait, "wait", false, wait)
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "with --wait, give up after this time; 0 waits for ever")
}

// sure asks, unless --yes was given. Without a terminal nobody can answer, so that --yes is needed.
func (a *app) sure(cmd *cobra.Command, o *deleteOptions, question string) error {
	if o.yes {
		return nil
	}
	if !a.env.Terminal.In {
		return usagef(cmd, "%s Say --yes: there is no terminal to ask on", question)
	}
	_, _ = fmt.Fprintf(a.env.Err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.env.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return errors.New("nothing was deleted")
	}
}

func (a *app) deleteStack(use string) *cobra.Command {
	o := &deleteOptions{}
	cmd := &cobra.Command{
		Use:               use,
		Short:             "Delete a stack and remove it from every cluster",
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, err := findStack(ctx, c, args[0])
			if err != nil {
				return err
			}
			if !o.yes {
				st, err := c.Status(ctx, s.ID)
				if err != nil {
					return err
				}
				if err := a.sure(cmd, o, fmt.Sprintf("Delete stack/%s and remove it from %s?", s.Name, clustersOf(st))); err != nil {
					return err
				}
			}
			if err := c.DeleteStack(ctx, s.ID); err != nil {
				return err
			}
			a.said("stack/%s deleted", s.Name)
			a.progress("to take it back: brokkr stack restore %s", s.ID)
			if !o.wait {
				return nil
			}
			return a.waitGone(ctx, c, s, o.timeout)
		},
	}
	o.flags(cmd, "wait until every cluster has removed it")
	return cmd
}

func clustersOf(st client.StackStatus) string {
	if len(st.Clusters) == 0 {
		return "no cluster (none runs it)"
	}
	names := make([]string, len(st.Clusters))
	for i, c := range st.Clusters {
		names[i] = render.Clean(c.ClusterName)
	}
	return fmt.Sprintf("%s (%s)", count(len(names), "cluster"), strings.Join(names, ", "))
}

func (a *app) deleteAgent(use string) *cobra.Command {
	o := &deleteOptions{}
	cmd := &cobra.Command{
		Use:               use,
		Short:             "Delete an agent and end its key; what its cluster runs stays there",
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findAgent(ctx, c, args[0])
			if err != nil {
				return err
			}
			if err := a.sure(cmd, o, fmt.Sprintf("Delete agent/%s? What cluster %s runs stays there, and nothing manages it any more.", g.Name, render.Clean(g.ClusterName))); err != nil {
				return err
			}
			if err := c.DeleteAgent(ctx, g.ID); err != nil {
				return err
			}
			a.said("agent/%s deleted", g.Name)
			if !o.wait {
				return nil
			}
			return a.waitUnknown(ctx, c, g, o.timeout)
		},
	}
	o.flags(cmd, "wait until the broker no longer knows it")
	return cmd
}

// waitUnknown waits until the broker answers that there is no such agent.
func (a *app) waitUnknown(ctx context.Context, c *client.Client, g client.Agent, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("agent %s is still known after %s", g.Name, timeout))
		defer cancel()
	}
	for {
		_, err := c.Agent(ctx, g.ID)
		if client.IsStatus(err, http.StatusNotFound) {
			return nil
		}
		if err != nil && (ctx.Err() != nil || !client.IsTemporary(err)) {
			return err
		}
		if err := a.pause(ctx); err != nil {
			return err
		}
	}
}

func (a *app) deleteGenerator(use string) *cobra.Command {
	o := &deleteOptions{}
	cmd := &cobra.Command{
		Use:               use,
		Short:             "Delete a generator with all its stacks and end its key",
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeGenerators,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findGenerator(ctx, c, args[0])
			if err != nil {
				return err
			}
			stacks, err := c.Stacks(ctx, "")
			if err != nil {
				return err
			}
			stacks = only(stacks, func(s client.Stack) bool { return s.GeneratorID == g.ID })
			if err := a.sure(cmd, o, fmt.Sprintf("Delete generator/%s with %s and remove them from every cluster?", g.Name, stackList(stacks))); err != nil {
				return err
			}
			if err := c.DeleteGenerator(ctx, g.ID); err != nil {
				return err
			}
			a.said("generator/%s deleted", g.Name)
			if !o.wait {
				return nil
			}
			return a.waitAllGone(ctx, c, stacks, o.timeout)
		},
	}
	o.flags(cmd, "wait until every cluster has removed its stacks")
	return cmd
}

func stackList(stacks []client.Stack) string {
	if len(stacks) == 0 {
		return "no stacks"
	}
	names := make([]string, len(stacks))
	for i, s := range stacks {
		names[i] = s.Name
	}
	return fmt.Sprintf("%s (%s)", count(len(stacks), "stack"), strings.Join(names, ", "))
}

// waitAllGone waits for one stack after the other; timeout is for all of them together.
func (a *app) waitAllGone(ctx context.Context, c *client.Client, stacks []client.Stack, timeout time.Duration) error {
	start := a.env.Now()
	for _, s := range stacks {
		left := timeout
		if timeout > 0 {
			left = max(timeout-a.env.Now().Sub(start), time.Millisecond)
		}
		err := a.waitGone(ctx, c, s, left)
		if client.IsStatus(err, http.StatusUnauthorized) {
			return hint(err, "a generator that deletes itself cannot look on; an admin can")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
