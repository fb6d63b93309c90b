package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) waitFor() *cobra.Command {
	var o waitOptions
	var goal string
	cmd := &cobra.Command{
		Use:   "wait STACK",
		Short: "Wait until a stack is healthy, applied or removed",
		Long: `Waits until every cluster that is to run the stack's newest revision has come so far:

  --for=healthy    it is applied and healthy (the default)
  --for=applied    it is applied, whatever its health
  --for=removed    no cluster has the stack any more (name a deleted stack by its id)
  --for=health=X   it is applied and its health is X: healthy, progressing, degraded, failing or unknown

Where a rollout takes it to the clusters wave by wave, healthy waits until the rollout is completed, soaking and approvals included
(give it a --timeout), and applied until all clusters have been given it; another health is that of the clusters that have it.

Exits with 1 when the time is over, when a cluster fails for longer than --fail-after, or when something newer is published meanwhile.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			reached, err := goalOf(cmd, goal)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if goal == "removed" {
				id, err := stackRef(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				return a.waitGone(cmd.Context(), c, client.Stack{ID: id, Name: args[0]}, o.timeout)
			}
			s, err := findStack(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.waitNewest(cmd.Context(), c, s, o, goal, reached)
		},
	}
	cmd.Flags().StringVar(&goal, "for", healthHealthy, "healthy, applied, removed or health=HEALTH")
	o.flags(cmd, "")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions( // the only error is that the flag does not exist
		[]string{"healthy", "applied", "removed", "health=healthy", "health=progressing", "health=degraded", "health=failing"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// goalOf returns what a cluster that has applied the newest revision must be.
func goalOf(cmd *cobra.Command, goal string) (func(client.ClusterStatus) bool, error) {
	if goal == phaseApplied || goal == "removed" {
		return func(client.ClusterStatus) bool { return true }, nil
	}
	health, named := strings.CutPrefix(goal, "health=")
	if !slices.Contains([]string{"healthy", "progressing", "degraded", "failing", "unknown"}, health) || (!named && goal != healthHealthy) {
		return nil, usagef(cmd, "--for=%s is not known; use healthy, applied, removed or health=HEALTH", goal)
	}
	return func(c client.ClusterStatus) bool { return c.Health == health }, nil
}

// waitNewest waits until the newest revision has come so far everywhere.
func (a *app) waitNewest(ctx context.Context, c *client.Client, s client.Stack, o waitOptions, goal string, reached func(client.ClusterStatus) bool) error {
	st, err := c.Status(ctx, s.ID)
	if err != nil {
		return err
	}
	if st.DeploymentObjectID == nil || st.SequenceID == nil || st.PublishedAt == nil {
		return hint(fmt.Errorf("nothing is published in stack %s", s.Name), "brokkr apply -f PATH --stack %s", s.Name)
	}
	if goal == "health=failing" {
		o.failAfter = 0 // it is what is waited for
	}
	newest := client.Object{ID: *st.DeploymentObjectID, SequenceID: *st.SequenceID, CreatedAt: *st.PublishedAt}
	return a.waitUntil(ctx, c, s, newest, o, goal, reached)
}
