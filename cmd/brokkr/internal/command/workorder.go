package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

func (a *app) workOrder() *cobra.Command {
	cmd := &cobra.Command{
		Use: "workorder", Aliases: []string{"work-order"}, Short: "Order work that is done once, in one cluster, and see what became of it",
		Long: `A work order is done once, by one of the agents that it is for: a migration, a backup, an image build.

  brokkr workorder create -f migrate.yaml --label prod --wait
  brokkr workorder list
  brokkr workorder log --failed`,
	}
	cmd.AddCommand(a.workOrderCreate(), a.workOrderList(), a.workOrderGet(), a.workOrderDelete(), a.workOrderLog(), a.workOrderWait())
	return group(cmd)
}

type workOrderOptions struct {
	manifests                   manifestsOptions
	kind                        string
	agents, labels, annotations []string
	retries                     int
	backoff, limit, timeout     time.Duration
	wait                        bool
	out                         output
}

func (a *app) workOrderCreate() *cobra.Command {
	o := &workOrderOptions{}
	cmd := &cobra.Command{
		Use:   "create -f PATH (--agent AGENT | --label LABEL | --annotation KEY=VALUE)...",
		Short: "Order work",
		Long: `Orders that the manifests are applied once, by one agent, and waited for. Every agent that is named, or carries one of the labels or
annotations, may take the order; the first one does.`,
		Example: `  brokkr workorder create -f migrate.yaml --label prod
  brokkr workorder create -f build.yaml --type build --agent edge-1 --wait`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runWorkOrderCreate(cmd, o) },
	}
	f := cmd.Flags()
	o.manifests.flags(cmd, " (required)", "")
	f.StringVar(&o.kind, "type", workorder.TypeCustom, "custom, build, or a word that agents of your own know")
	f.StringArrayVar(&o.agents, "agent", nil, "agent, by name or id, that may take it (repeatable)")
	f.StringArrayVar(&o.labels, "label", nil, "label of agents that may take it (repeatable)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "annotation key=value of agents that may take it (repeatable)")
	f.IntVar(&o.retries, "max-retries", 0, "how often a failure is tried again (default: 3)")
	f.DurationVar(&o.backoff, "backoff", 0, "wait before the first retry; each further one is twice as long (default: 1m)")
	f.DurationVar(&o.limit, "claim-timeout", 0, "how long an attempt may take (default: 1h)")
	f.BoolVar(&o.wait, "wait", false, "wait until it is finished; exit with 1 if it failed")
	f.DurationVar(&o.timeout, "timeout", 0, "with --wait, give up after this time; 0 waits for ever")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runWorkOrderCreate(cmd *cobra.Command, o *workOrderOptions) error {
	switch {
	case o.manifests.path == "":
		return usagef(cmd, "name the manifests with -f")
	case len(o.agents)+len(o.labels)+len(o.annotations) == 0:
		return usagef(cmd, "say whom it is for: --agent, --label or --annotation")
	case o.backoff%time.Second != 0 || o.limit%time.Second != 0:
		return usagef(cmd, "--backoff and --claim-timeout are whole seconds")
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
	annotations, err := annotationsOf(cmd, o.annotations)
	if err != nil {
		return err
	}
	b, err := a.manifests(cmd, &o.manifests, "")
	if err != nil {
		return err
	}
	n := client.NewWorkOrder{WorkType: o.kind, YAMLContent: string(b.Content), Targeting: &client.WorkOrderTargeting{Labels: o.labels, Annotations: annotations}}
	if cmd.Flags().Changed("max-retries") {
		n.MaxRetries = &o.retries
	}
	if cmd.Flags().Changed("backoff") {
		s := int64(o.backoff / time.Second)
		n.BackoffSeconds = &s
	}
	if cmd.Flags().Changed("claim-timeout") {
		s := int64(o.limit / time.Second)
		n.ClaimTimeoutSeconds = &s
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	for _, ref := range o.agents {
		v, err := findAgent(cmd.Context(), c, ref)
		if err != nil {
			return err
		}
		n.Targeting.AgentIDs = append(n.Targeting.AgentIDs, v.ID)
	}
	made, err := c.CreateWorkOrder(cmd.Context(), n)
	if err != nil {
		return fmt.Errorf("order work: %w", err)
	}
	if !o.wait {
		return a.show(cmd, &o.out, view{data: made, names: []string{"workorder/" + made.ID}, table: func(w io.Writer, _ bool) error {
			_, err := fmt.Fprintf(w, "workorder/%s created (%s)\n", made.ID, made.WorkType)
			return err
		}})
	}
	a.progress("workorder/%s created (%s)", made.ID, made.WorkType)
	return a.awaitWorkOrder(cmd, c, made.ID, o.timeout, &o.out)
}

func (a *app) workOrderList() *cobra.Command {
	var o output
	l := &listing{orders: sortsOf(workorder.List()), filters: []*filter{
		wordFilter("status", "status", "only orders that are", strings.ToUpper, workorder.Statuses()...), {flag: "type", param: "work_type", help: "only orders of this type"},
		agentFilter("only orders that are claimed by this"),
	}}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the orders that are not finished", Args: atMost(0),
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
			chosen, err := c.WorkOrdersBy(cmd.Context(), q)
			if err != nil {
				return fmt.Errorf("list work orders: %w", err)
			}
			names, err := agentNames(cmd.Context(), c)
			if err != nil {
				return fmt.Errorf("list agents: %w", err)
			}
			v := a.workOrderView(chosen.Items, chosen.Items, names, &o)
			v.rest = chosen.Rest
			return a.show(cmd, &o, a.orNothing(q, v))
		},
	}
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

func (a *app) workOrderView(data any, list []client.WorkOrder, names book, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("ID", "TYPE", "STATUS", "AGENT", "RETRIES", "NEXT TRY", "AGE", "LAST ERROR")}
	for _, w := range list {
		v.names = append(v.names, "workorder/"+w.ID)
		lastError := ""
		if w.LastError != nil {
			lastError = *w.LastError
		}
		g.Add(render.Texts(w.ID, w.WorkType, strings.ToLower(w.Status), agentOr(names, w.ClaimedBy), strconv.Itoa(w.RetryCount)+"/"+strconv.Itoa(w.MaxRetries),
			a.when(w.NextRetryAfter), render.Age(a.env.Now(), &w.CreatedAt), orNone(lastError))...)
	}
	v.table = a.grid(g, o, "no work orders that are not finished; brokkr workorder log shows the others")
	return v
}

func agentOr(names book, id *string) string {
	switch {
	case id == nil:
		return render.None
	case names[*id] != "":
		return names[*id]
	default:
		return *id
	}
}

func (a *app) workOrderGet() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show an order, finished or not", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isID(args[0]) {
				return usagef(cmd, "%q is not the id of a work order", args[0])
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			open, done, err := lookWorkOrder(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			names, err := agentNames(cmd.Context(), c)
			if err != nil {
				return fmt.Errorf("list agents: %w", err)
			}
			if done != nil {
				return a.show(cmd, &o, a.workOrderLogView(done, []client.WorkOrderLog{*done}, names, &o))
			}
			return a.show(cmd, &o, a.workOrderView(open, []client.WorkOrder{*open}, names, &o))
		},
	}
	o.flag(cmd)
	return cmd
}

// lookWorkOrder returns the order as it is, or what became of it.
func lookWorkOrder(ctx context.Context, c *client.Client, id string) (*client.WorkOrder, *client.WorkOrderLog, error) {
	open, err := c.WorkOrder(ctx, id)
	if err == nil {
		return &open, nil, nil
	}
	if !client.IsStatus(err, http.StatusNotFound) {
		return nil, nil, fmt.Errorf("get work order %s: %w", id, err)
	}
	done, err := c.FinishedWorkOrder(ctx, id)
	if client.IsStatus(err, http.StatusNotFound) {
		return nil, nil, hint(fmt.Errorf("work order %q not found: it was deleted, or its log has ended", id), "brokkr workorder list, or brokkr workorder log")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("get what became of work order %s: %w", id, err)
	}
	return nil, &done, nil
}

func (a *app) workOrderDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Take an order back; an agent that is at it stops, and removes what it has made", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isID(args[0]) {
				return usagef(cmd, "%q is not the id of a work order", args[0])
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := a.sure(cmd, &deleteOptions{yes: yes}, fmt.Sprintf("Delete workorder/%s?", args[0])); err != nil {
				return err
			}
			if err := c.DeleteWorkOrder(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("delete work order %s: %w", args[0], err)
			}
			a.said("workorder/%s deleted", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
