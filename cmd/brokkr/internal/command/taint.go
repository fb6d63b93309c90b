package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// taintChange is a taint to add, or one to remove.
type taintChange struct {
	client.Taint
	remove bool
}

func (a *app) taint() *cobra.Command {
	var overwrite bool
	var plan string
	cmd := &cobra.Command{
		Use: "taint CLUSTER KEY[=VALUE]:EFFECT... [KEY[:EFFECT]-...]", Short: "Keep stacks away from a cluster that do not tolerate it; remove taints with a dash behind",
		Long: `Adds taints to a cluster and, with a dash behind them, removes them. Key and effect name a taint. Effects:

  PreferNoPlace  other clusters are taken first
  NoPlace        nothing new comes; what is there stays
  Evict          nothing new comes, and what is there goes

A policy says with tolerations which taints do not keep its stacks away, and for how many seconds.`,
		Example: `  brokkr taint edge-7 maintenance=disks:NoPlace
  brokkr taint edge-7 gpu:Evict maintenance:NoPlace-
  brokkr taint edge-7 maintenance-`,
		ValidArgsFunction: a.completeClusters,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "name a cluster and at least one taint")
			}
			changes := make([]taintChange, len(args)-1)
			for i, text := range args[1:] {
				var err error
				if changes[i], err = parseTaint(text); err != nil {
					return usagef(cmd, "taint %q: %v", text, err)
				}
			}
			if plan != "" && len(changes) > 1 {
				return usagef(cmd, "--plan is of one change: name one taint")
			}
			return a.onCluster(cmd, args[0], func(c *client.Client, v client.Agent) error {
				return outdated(a.changeTaints(cmd.Context(), under(c, plan), v, changes, overwrite))
			})
		},
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "change the value of a taint that is there already")
	planFlag(cmd, &plan)
	return cmd
}

// parseTaint reads key=value:Effect or key:Effect, and with a dash behind key:Effect or key.
func parseTaint(text string) (taintChange, error) {
	rest, remove := strings.CutSuffix(text, "-")
	key, effect, hasEffect := strings.Cut(rest, ":")
	key, value, _ := strings.Cut(key, "=")
	t := taintChange{Taint: client.Taint{Key: key, Value: value, Effect: effect}, remove: remove}
	if strings.Contains(effect, ":") {
		return t, fmt.Errorf("a taint has no seconds: how long it is tolerated says a policy, with tolerations: [{key: %s, seconds: N}]", key)
	}
	if !hasEffect && !remove {
		return t, fmt.Errorf("it has no effect: KEY=VALUE:EFFECT with one of %s", strings.Join(effectNames(), ", "))
	}
	check := cluster.Taint{Key: key, Value: value, Effect: cluster.NoPlace}
	if hasEffect {
		e, err := cluster.ParseEffect(effect)
		if err != nil {
			return t, fmt.Errorf("the effect %q is none of %s", effect, strings.Join(effectNames(), ", "))
		}
		t.Effect, check.Effect = string(e), e
	}
	if err := check.Check(); err != nil {
		return t, fmt.Errorf("%s", plain(err))
	}
	return t, nil
}

func effectNames() []string {
	var names []string
	for _, e := range cluster.Effects() {
		names = append(names, string(e))
	}
	return names
}

func (a *app) changeTaints(ctx context.Context, c *client.Client, v client.Agent, changes []taintChange, overwrite bool) error {
	there, err := c.Taints(ctx, v.ID)
	if err != nil {
		return err
	}
	for _, x := range changes {
		var was *client.Taint
		for i, t := range there {
			if t.Key == x.Key && (t.Effect == x.Effect || x.Effect == "") {
				was = &there[i]
			}
		}
		if x.remove {
			name := x.Key + pick(x.Effect == "", "", ":"+x.Effect)
			if was == nil {
				return hint(fmt.Errorf("cluster %s has no taint %s", v.ClusterName, name), "brokkr describe cluster %s shows its taints", v.ClusterName)
			}
			if err := c.RemoveTaint(ctx, v.ID, x.Key, x.Effect); err != nil {
				return err
			}
			a.said("cluster/%s taint %s removed", v.ClusterName, name)
			continue
		}
		if was != nil && was.Value != x.Value && !overwrite {
			return hint(fmt.Errorf("cluster %s already has the taint %s", v.ClusterName, taintText(*was)), "brokkr taint %s %s --overwrite", v.ClusterName, taintText(x.Taint))
		}
		if _, err := c.SetTaint(ctx, v.ID, x.Taint); err != nil {
			return err
		}
		switch {
		case was == nil:
			a.said("cluster/%s taint %s added", v.ClusterName, taintText(x.Taint))
		case was.Value == x.Value:
			a.said("cluster/%s taint %s was there already", v.ClusterName, taintText(x.Taint))
		default:
			a.said("cluster/%s taint %s changed to %s", v.ClusterName, taintText(*was), taintText(x.Taint))
		}
	}
	return nil
}
