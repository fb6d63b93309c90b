package command

import (
	"context"

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
	cmd.AddCommand(label, annotate, a.stackTreat(), a.deleteStack("delete NAME|ID"))
	return group(cmd)
}
