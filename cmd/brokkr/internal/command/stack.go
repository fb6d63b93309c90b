package command

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) stack() *cobra.Command {
	cmd := &cobra.Command{Use: "stack", Short: "Change the labels and annotations by which a stack finds its clusters, and how it is treated there"}
	find := func(ctx context.Context, c *client.Client, ref string) (marked, error) {
		s, err := findStack(ctx, c, ref)
		return stackMarks(c, s), err
	}
	label, annotate := a.labelCommand("stack", find), a.annotateCommand("stack", find)
	label.ValidArgsFunction, annotate.ValidArgsFunction = a.completeStacks, a.completeStacks
	cmd.AddCommand(label, annotate, a.stackTreat(), a.deleteStack("delete NAME|ID"), a.stackRestore())
	return group(cmd)
}

func (a *app) stackRestore() *cobra.Command {
	var wait bool
	o := waitOptions{settle: settleTime}
	cmd := &cobra.Command{
		Use: "restore NAME|ID", Short: "Take the deletion of a stack back", Args: exactly("NAME|ID"),
		Long: `Takes the deletion of a stack back: labels, annotations, targets, policy and deployment objects are as they were. Clusters that have
not removed it yet keep it, those that have get it again. brokkr get stacks --deleted lists what can be restored; a name does where only one of these has it.
What a stack had is kept for a week after its deletion (scheduler.keep_deleted_stacks), and as long as a cluster has not removed it.`,
		Example: "  brokkr get stacks --deleted\n  brokkr stack restore 33333333-3333-4333-8333-333333333333 --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			id, err := deletedStackID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			s, err := c.RestoreStack(cmd.Context(), id)
			if err != nil {
				return restoreHint(err)
			}
			a.said("stack/%s restored", s.Name)
			if !wait {
				return nil
			}
			return a.waitRestored(cmd.Context(), c, s, o)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its newest object is healthy in every cluster")
	o.flags(cmd, "with --wait, ")
	return cmd
}

// waitRestored waits until the newest object of a stack is healthy. One that nothing was ever published to has nothing to wait for.
func (a *app) waitRestored(ctx context.Context, c *client.Client, s client.Stack, o waitOptions) error {
	objects, err := c.Objects(ctx, s.ID)
	if err != nil || len(objects) == 0 || objects[0].IsDeletionMarker {
		return err
	}
	return a.waitHealthy(ctx, c, s, objects[0], o)
}

func restoreHint(err error) error {
	switch {
	case client.IsStatus(err, http.StatusNotFound):
		return hint(err, "it was never there, or was deleted too long ago: what it had is gone; publish it anew with brokkr apply")
	case client.IsStatus(err, http.StatusConflict):
		return hint(err, "another stack has its name by now: delete that one, or give it another name, and try again")
	default:
		return err
	}
}
