package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

func (a *app) workOrderLog() *cobra.Command {
	var o output
	l := &listing{orders: sortsOf(workorder.LogList()), limit: 100, filters: []*filter{
		{flag: "type", param: "work_type", help: "only orders of this type"}, agentFilter("only orders that were last had by this"),
		{flag: "succeeded", param: "success", set: "true", help: "only orders that succeeded"}, {flag: "failed", param: "success", set: "false", help: "only orders that failed"},
	}}
	cmd := &cobra.Command{
		Use: "log", Short: "List finished orders, newest first", Args: atMost(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.read(cmd, args); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			q, err := l.choice(cmd.Context(), c)
			if err != nil {
				return err
			}
			chosen, err := c.WorkOrderLogBy(cmd.Context(), q)
			if err != nil {
				return fmt.Errorf("list the log of work orders: %w", err)
			}
			names, err := agentNames(cmd.Context(), c)
			if err != nil {
				return fmt.Errorf("list agents: %w", err)
			}
			v := a.workOrderLogView(chosen.Items, chosen.Items, names, &o)
			v.rest = chosen.Rest
			return a.show(cmd, &o, a.orNothing(q, v))
		},
	}
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

func (a *app) workOrderLogView(data any, list []client.WorkOrderLog, names book, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("ID", "TYPE", "RESULT", "AGENT", "RETRIES", "FINISHED", "MESSAGE")}
	for _, w := range list {
		v.names = append(v.names, "workorder/"+w.ID)
		g.Add(render.Texts(w.ID, w.WorkType, pick(w.Success, "succeeded", "failed"), agentOr(names, w.ClaimedBy), fmt.Sprint(w.RetriesAttempted), a.when(&w.CompletedAt), orNone(workOrderMessage(w)))...)
	}
	v.table = a.grid(g, o, "no finished work orders")
	return v
}

func workOrderMessage(w client.WorkOrderLog) string {
	if w.ResultMessage == nil {
		return ""
	}
	return *w.ResultMessage
}

func (a *app) workOrderWait() *cobra.Command {
	var o output
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait ID", Short: "Wait until an order is finished; exit with 1 if it failed or was deleted", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isID(args[0]) {
				return usagef(cmd, "%q is not the id of a work order", args[0])
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			return a.awaitWorkOrder(cmd, c, args[0], timeout, &o)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time; 0 waits for ever")
	o.flag(cmd)
	return cmd
}

// awaitWorkOrder looks until the order is finished, tells what changes, and shows what became of it. A broker that is away is waited for.
func (a *app) awaitWorkOrder(cmd *cobra.Command, c *client.Client, id string, timeout time.Duration, o *output) error {
	ctx := cmd.Context()
	errTimeout := errors.New("time is over")
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	names, err := agentNames(ctx, c)
	if err != nil {
		return fmt.Errorf("list agents: %w", err)
	}
	said := ""
	tell := func(line string) {
		if line != said {
			said = line
			a.progress("%s", line)
		}
	}
	for {
		open, done, err := lookWorkOrder(ctx, c, id)
		switch {
		case errors.Is(context.Cause(ctx), errTimeout):
			return hint(fmt.Errorf("work order %s is not finished after %s: %s", id, timeout, cmp.Or(said, "nothing is known")), "brokkr workorder get %s", id)
		case err != nil && client.IsTemporary(err):
			tell("the broker is away; waiting: " + err.Error())
		case err != nil:
			return err
		case done != nil:
			if err := a.show(cmd, o, a.workOrderLogView(done, []client.WorkOrderLog{*done}, names, o)); err != nil {
				return err
			}
			if !done.Success {
				return fmt.Errorf("work order %s failed: %s", id, render.Clean(workOrderMessage(*done)))
			}
			return nil
		default:
			tell(workOrderLine(*open, names))
		}
		select {
		case <-ctx.Done():
		case <-time.After(a.env.Poll):
		}
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout) {
			return context.Cause(ctx)
		}
	}
}

func workOrderLine(w client.WorkOrder, names book) string {
	line := strings.ToLower(w.Status)
	if w.ClaimedBy != nil {
		line += " by agent " + agentOr(names, w.ClaimedBy)
	}
	if w.LastError != nil {
		line += fmt.Sprintf(", retry %d of %d: %s", w.RetryCount, w.MaxRetries, *w.LastError)
	}
	return render.Clean(line)
}
