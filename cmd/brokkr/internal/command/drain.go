package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

type drainOptions struct {
	client.DrainOptions
	wait, cancel bool
	timeout      time.Duration
	plan         string
	out          output
}

func (a *app) drain() *cobra.Command {
	o := &drainOptions{}
	cmd := &cobra.Command{
		Use: "drain CLUSTER", Short: "Empty a cluster, a few stacks at a time; with --dry-run tell what would go where",
		Long: `Cordons a cluster and moves what is there. With --budget so many stacks are on their way at a time: the next one goes only when those
before it have left, and are applied and healthy where they came instead. --dry-run tells what would go where and what would have
nowhere to go, and changes nothing. Asking again changes budget and reason of a drain that runs. --cancel ends it and leaves the
cordon (brokkr uncordon ends both); what has gone comes back only where placement wants it.`,
		Example: `  brokkr drain edge-7 --dry-run
  brokkr drain edge-7 --plan 0123456789abcdef
  brokkr drain edge-7 --budget 2 --reason "new disks" --wait
  brokkr drain edge-7 --cancel`,
		Args: exactly("CLUSTER"), ValidArgsFunction: a.completeClusters,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.Budget < 0:
				return usagef(cmd, "--budget must not be negative; 0 is all at once")
			case o.cancel && (o.wait || o.DryRun || o.Budget != 0 || o.Reason != "" || o.plan != ""):
				return usagef(cmd, "--cancel takes no other option")
			case o.DryRun && o.plan != "":
				return usagef(cmd, "--dry-run makes a plan, and takes none")
			case o.DryRun && o.wait:
				return usagef(cmd, "--dry-run changes nothing, so there is nothing to wait for")
			}
			if _, err := o.out.format(cmd); err != nil {
				return err
			}
			return a.onCluster(cmd, args[0], func(c *client.Client, v client.Agent) error {
				switch {
				case o.cancel:
					return a.endDrain(cmd.Context(), c, v)
				case o.DryRun:
					return a.drainPlan(cmd, c, v, o)
				default:
					return a.runDrain(cmd, c, v, o)
				}
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Budget, "budget", 0, "stacks on their way at a time; 0: all at once")
	f.StringVar(&o.Reason, "reason", "", "why, for those who wonder later")
	f.BoolVar(&o.DryRun, "dry-run", false, "tell what would go where, and change nothing")
	f.BoolVar(&o.wait, "wait", false, "wait until the cluster is empty")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "with --wait: give up after this time; 0 waits for ever. The drain goes on")
	f.BoolVar(&o.cancel, "cancel", false, "end the drain; the cluster stays cordoned")
	planFlag(cmd, &o.plan)
	o.out.flag(cmd)
	return cmd
}

func (a *app) endDrain(ctx context.Context, c *client.Client, v client.Agent) error {
	err := c.EndDrain(ctx, v.ID)
	if client.IsCode(err, "drain_not_found") {
		return fmt.Errorf("cluster %s is not being drained", v.ClusterName)
	}
	if err == nil {
		a.said("cluster/%s: its drain is ended; it stays cordoned until brokkr uncordon %s", v.ClusterName, v.ClusterName)
	}
	return err
}

func (a *app) runDrain(cmd *cobra.Command, c *client.Client, v client.Agent, o *drainOptions) error {
	k, err := under(c, o.plan).Drain(cmd.Context(), v.ID, o.DrainOptions)
	if err != nil {
		return outdated(err)
	}
	if o.wait {
		if k, err = a.waitDrained(cmd.Context(), c, k, o.timeout); err != nil {
			return err
		}
	}
	return a.show(cmd, &o.out, view{data: k, names: []string{"cluster/" + k.ClusterName}, table: func(w io.Writer, _ bool) error {
		if k.Drain != nil && k.Drain.Done {
			_, err := fmt.Fprintf(w, "cluster/%s drained: nothing is left there\n", k.ClusterName)
			return err
		}
		f := &fields{w: w}
		f.text("cluster/%s drains%s", k.ClusterName, pick(o.Budget == 0, "", fmt.Sprintf(", at most %s at a time", count(o.Budget, "stack"))))
		writeDrain(f, k, a.env.Now())
		f.text("see brokkr describe cluster %s; brokkr drain %s --cancel ends it", k.ClusterName, k.ClusterName)
		return f.err
	}})
}

// writeDrain tells how far a drain is.
func writeDrain(f *fields, k client.Cluster, now time.Time) {
	d := k.Drain
	if d == nil {
		f.text("  none")
		return
	}
	f.text("  %s", render.Clean("since "+when(now, &d.Since)+byWhom(d.By, d.Reason)))
	f.text("  %s", drainState(*d))
	for _, s := range d.Stacks {
		f.text("  stack/%s: %s, %s", render.Clean(s.StackName), drainedState(s), elsewhere(s))
	}
}

func drainState(d client.Drain) string {
	if d.Done {
		return "done: nothing is left"
	}
	return fmt.Sprintf("%d on their way, %d waiting for their turn%s", d.Moving, d.Waiting, pick(d.Budget == 0, "", fmt.Sprintf(" (budget %d)", d.Budget)))
}

func drainedState(s client.DrainedStack) string {
	switch s.State {
	case stateRemoving:
		return "is being removed"
	case "released":
		return "must go"
	default:
		return "waits for its turn"
	}
}

func elsewhere(s client.DrainedStack) string {
	if s.Elsewhere == 0 {
		return "nowhere else yet"
	}
	return "in " + count(s.Elsewhere, "other cluster")
}

// waitDrained waits until nothing is left in a cluster, and tells what changes.
func (a *app) waitDrained(ctx context.Context, c *client.Client, k client.Cluster, timeout time.Duration) (client.Cluster, error) {
	start, told, away := a.env.Now(), map[string]string{}, false
	for {
		d := k.Drain
		if d == nil {
			return k, hint(fmt.Errorf("the drain of cluster %s was ended by somebody else", k.ClusterName), "brokkr describe cluster %s", k.ClusterName)
		}
		a.tellDrain(*d, told)
		if d.Done {
			return k, nil
		}
		if timeout > 0 && a.env.Now().Sub(start) >= timeout {
			placed, err := c.AgentPlacement(ctx, k.AgentID)
			if err != nil {
				return k, err
			}
			return k, drainTimeout(k, placed, timeout)
		}
		if err := a.pause(ctx); err != nil {
			return k, err
		}
		next, err := c.Cluster(ctx, k.AgentID)
		switch {
		case err == nil:
			k, away = next, false
		case ctx.Err() != nil || !client.IsTemporary(err):
			return k, err
		case !away:
			away = true
			a.progress("the broker does not answer, still trying: %v", err)
		}
	}
}

func (a *app) tellDrain(d client.Drain, told map[string]string) {
	left := map[string]bool{}
	for _, s := range d.Stacks {
		left[s.StackID] = true
		line := drainedState(s) + ", " + elsewhere(s)
		if told[s.StackID] != line {
			told[s.StackID] = line
			a.progress("  stack/%s: %s", render.Clean(s.StackName), line)
		}
	}
	gone := 0
	for id := range told {
		if !left[id] {
			delete(told, id)
			gone++
		}
	}
	if gone > 0 {
		a.progress("  %s left, %s there", count(gone, "stack"), count(len(d.Stacks), "stack"))
	}
}

// drainTimeout says what is left and, as far as the broker knows it, what it waits for.
func drainTimeout(k client.Cluster, placed []client.PlacedStack, timeout time.Duration) error {
	blocked := map[string]string{}
	for _, s := range placed {
		blocked[s.StackID] = deref(s.BlockedOn)
	}
	var left []string
	for _, s := range k.Drain.Stacks {
		line := fmt.Sprintf("stack/%s: %s, %s", s.StackName, drainedState(s), elsewhere(s))
		if why := blocked[s.StackID]; why != "" {
			line += ": " + why
		}
		left = append(left, render.Clean(line))
	}
	err := fmt.Errorf("cluster %s is not empty after %s; the drain goes on:\n  %s", k.ClusterName, timeout, strings.Join(left, "\n  "))
	if k.Reachability != "reachable" {
		err = errors.Join(err, errors.New("  its agent is not heard, so that it can remove nothing"))
	}
	return hint(err, "brokkr explain STACK %s tells why one is still there", k.ClusterName)
}

// drainPlan is what a drain would come to.
type drainPlan struct {
	Cluster client.Cluster `json:"cluster"`
	Plan    client.Plan    `json:"plan"`
}

func (a *app) drainPlan(cmd *cobra.Command, c *client.Client, v client.Agent, o *drainOptions) error {
	k, err := c.Drain(cmd.Context(), v.ID, o.DrainOptions)
	if err != nil {
		return err
	}
	p, err := c.Plan(cmd.Context(), client.PlanRequest{Agents: []client.PlannedAgent{{AgentID: v.ID, Drain: true}}})
	if err != nil {
		return fmt.Errorf("plan the drain: %w", err)
	}
	return a.show(cmd, &o.out, view{data: drainPlan{k, p}, names: []string{"cluster/" + k.ClusterName}, table: func(w io.Writer, _ bool) error {
		return writeDrainPlan(w, k, p)
	}})
}

func writeDrainPlan(w io.Writer, k client.Cluster, p client.Plan) error {
	planned := map[string]client.PlannedStack{}
	for _, s := range p.Stacks {
		planned[s.StackID] = s
	}
	f := &fields{w: w}
	var stacks []client.DrainedStack
	if k.Drain != nil {
		stacks = k.Drain.Stacks
	}
	moves, leaves, homeless, stays := 0, 0, 0, 0
	for _, s := range stacks {
		x, changes := planned[s.StackID]
		name := render.Clean(s.StackName)
		lost := false
		for _, l := range x.Loses {
			lost = lost || l.AgentID == k.AgentID
		}
		switch {
		case s.State == stateRemoving:
			leaves++
			f.text("  stack/%s: is being removed already", name)
			continue
		case x.Hold != nil:
			stays++
			f.text("  stack/%s: its removal would wait %s: %s", name, waits(x.Hold), render.Clean(x.Hold.Reason))
		case !changes || !lost:
			stays++
			f.text("  stack/%s: would stay: brokkr explain %s %s", name, name, k.ClusterName)
			continue
		case len(x.Gains) > 0:
			moves++
			f.text("  stack/%s: would go to %s", name, clusterNamesOf(x.Gains))
		case x.Stays > 0:
			leaves++
			f.text("  stack/%s: would leave, and stay in %s", name, count(x.Stays, "other cluster"))
		default:
			homeless++
			f.text("  stack/%s: would have nowhere to go", name)
		}
		if x.Unmet != nil {
			f.text("    %d of %d wanted clusters: %s", x.Unmet.Picked, x.Unmet.Wanted, render.Clean(x.Unmet.Reason))
		}
	}
	f.text("cluster/%s: %d would move, %d leave, %d have nowhere to go, %d stay; nothing was changed; plan %s", k.ClusterName, moves, leaves, homeless, stays, render.Clean(p.ID))
	return f.err
}

func clusterNamesOf(all []client.PlannedCluster) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = render.Clean(c.ClusterName)
	}
	return strings.Join(names, ", ")
}
