package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

type planOptions struct {
	path, policy, stack     string
	cluster                 string
	labels, unlabels        []string
	annotations, unannotate []string
	taints, untaints        []string
	cordon, uncordon        bool
	drain, lost             bool
	out                     output
}

// changes reports whether a cluster would be another one.
func (o *planOptions) changes() bool {
	return len(o.labels)+len(o.unlabels)+len(o.annotations)+len(o.unannotate)+len(o.taints)+len(o.untaints) > 0 || o.cordon || o.uncordon || o.drain || o.lost
}

func (a *app) plan() *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use: "plan {-f POLICY | --policy POLICY --stack STACK | --cluster CLUSTER CHANGE...}", Short: "Tell what a change of a policy or of a cluster would come to; nothing is written",
		Long: `Tells which stacks would gain or lose which clusters, and why. With -f a policy that is stored would say what the file says; brokkr policy
apply --plan ID then stores it only as long as the plan is true. So do brokkr agent label and annotate, taint, cordon, uncordon and drain
with --plan ID, each with a plan of just that change. With --policy and --stack a policy would be attached to a stack. With
--cluster a cluster (by its name, or its agent's name or id) would have other labels, annotations or taints, be cordoned or drained, or be
lost.`,
		Example: `  brokkr plan -f web-eu.yaml
  brokkr plan --policy web-eu --stack web
  brokkr plan --cluster edge-7 --drain
  brokkr plan --cluster edge-7 --label prod --taint maintenance:Evict
  brokkr plan --cluster edge-7 --lost`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := 0
			for _, part := range []bool{o.path != "", o.policy != "" || o.stack != "", o.cluster != "" || o.changes()} {
				if part {
					given++
				}
			}
			if given != 1 || (o.policy == "") != (o.stack == "") || (o.cluster != "") != o.changes() {
				return usagef(cmd, "say what would change: -f POLICY, or --policy POLICY with --stack STACK, or --cluster CLUSTER with --label, --unlabel, --annotation, --unannotate, --taint, --untaint, --cordon, --uncordon, --drain or --lost")
			}
			if _, err := o.out.format(cmd); err != nil {
				return err
			}
			return a.runPlan(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.path, "filename", "f", "", "the policy, YAML or JSON, or - for standard input")
	f.StringVar(&o.policy, "policy", "", "a stored policy, by name or id, that would be attached to --stack")
	f.StringVar(&o.stack, "stack", "", "the stack, by name or id")
	f.StringVar(&o.cluster, "cluster", "", "the cluster that would be another, by its name, or its agent's name or id")
	f.StringVar(&o.cluster, "agent", "", "the same as --cluster")
	f.StringArrayVar(&o.labels, "label", nil, "it would have this label (repeatable)")
	f.StringArrayVar(&o.unlabels, "unlabel", nil, "it would not have this label (repeatable)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "it would have this annotation, key=value (repeatable)")
	f.StringArrayVar(&o.unannotate, "unannotate", nil, "it would have no annotation with this key (repeatable)")
	f.StringArrayVar(&o.taints, "taint", nil, "it would have this taint, key=value:effect (repeatable)")
	f.StringArrayVar(&o.untaints, "untaint", nil, "it would have no taint with this key (repeatable)")
	f.BoolVar(&o.cordon, "cordon", false, "nothing new would come to it")
	f.BoolVar(&o.uncordon, "uncordon", false, "stacks would come to it again; its drain would end")
	f.BoolVar(&o.drain, "drain", false, "it would be drained")
	f.BoolVar(&o.lost, "lost", false, "it would be silent for long")
	for flag, complete := range map[string]cobra.CompletionFunc{"policy": a.completePolicies, "stack": a.completeStacks, "cluster": a.completeClusters} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the only error is that the flag does not exist
	}
	_ = f.MarkHidden("agent") // see above
	o.out.flag(cmd)
	return cmd
}

// changed is what the options say of a cluster.
func (o *planOptions) changed(cmd *cobra.Command) (client.PlannedAgent, error) {
	out := client.PlannedAgent{AddLabels: o.labels, RemoveLabels: o.unlabels, RemoveAnnotations: o.unannotate, RemoveTaints: o.untaints,
		Cordon: o.cordon, Uncordon: o.uncordon, Drain: o.drain, Lost: o.lost}
	if err := parseLabels(cmd, o.labels); err != nil {
		return out, err
	}
	pairs, err := parseAnnotations(cmd, o.annotations)
	if err != nil {
		return out, err
	}
	for _, p := range pairs {
		if out.SetAnnotations == nil {
			out.SetAnnotations = map[string]string{}
		}
		out.SetAnnotations[p.key] = p.value
	}
	for _, text := range o.taints {
		t, err := parseTaint(text)
		if err == nil && t.remove {
			err = errors.New("name a taint that would go with --untaint KEY")
		}
		if err != nil {
			return out, usagef(cmd, "taint %q: %v", text, err)
		}
		out.AddTaints = append(out.AddTaints, client.PlannedTaint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return out, nil
}

func (a *app) runPlan(cmd *cobra.Command, o *planOptions) error {
	changed, err := o.changed(cmd)
	if err != nil {
		return err
	}
	name, document := o.policy, []byte(nil)
	if o.path != "" {
		if name, document, err = a.policyFile(o.path); err != nil {
			return err
		}
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	q, err := planRequest(cmd.Context(), c, o, name, document, changed)
	if err != nil {
		return err
	}
	plan, err := c.Plan(cmd.Context(), q)
	if err != nil {
		return cycleHint(fmt.Errorf("plan the change: %w", err))
	}
	a.warnings(plan.Warnings)
	v := view{data: plan, table: func(w io.Writer, _ bool) error { return writePlan(w, plan) }}
	for _, s := range plan.Stacks {
		v.names = append(v.names, "stack/"+s.StackName)
	}
	return a.show(cmd, &o.out, v)
}

// planRequest finds what the options name.
func planRequest(ctx context.Context, c *client.Client, o *planOptions, name string, document []byte, changed client.PlannedAgent) (client.PlanRequest, error) {
	if name == "" {
		v, err := findCluster(ctx, c, o.cluster)
		changed.AgentID = v.ID
		return client.PlanRequest{Agents: []client.PlannedAgent{changed}}, err
	}
	p, err := findPolicy(ctx, c, name)
	if err != nil || document != nil {
		return client.PlanRequest{Policy: &client.PlannedPolicy{PolicyID: p.ID, Document: document}}, err
	}
	s, err := findStack(ctx, c, o.stack)
	return client.PlanRequest{Attach: &client.PlannedAttachment{StackID: s.ID, PolicyID: p.ID}}, err
}

// planFlag is --plan of a command that changes one cluster.
func planFlag(cmd *cobra.Command, plan *string) {
	cmd.Flags().StringVar(plan, "plan", "", "do it only if it still comes to what this plan says (brokkr plan --cluster); a plan is of one change")
}

// under is c, or c under a plan.
func under(c *client.Client, plan string) *client.Client {
	if plan == "" {
		return c
	}
	return c.Under(plan)
}

// outdated says what to do about a plan that is not true any more.
func outdated(err error) error {
	if client.IsCode(err, "plan_outdated") {
		return hint(err, "brokkr plan --cluster CLUSTER with just this change tells what it would come to now")
	}
	return err
}

func writePlan(w io.Writer, p client.Plan) error {
	text := ""
	line := func(format string, args ...any) { text += fmt.Sprintf(format, args...) + "\n" }
	for _, s := range p.Stacks {
		line("stack/%s: gains %d, loses %d, stays in %d", render.Clean(s.StackName), len(s.Gains), len(s.Loses), s.Stays)
		for _, c := range s.Gains {
			line("  + %s (agent %s): %s", render.Clean(c.ClusterName), render.Clean(c.AgentName), render.Clean(c.Reason))
		}
		for _, c := range s.Loses {
			line("  - %s (agent %s): %s", render.Clean(c.ClusterName), render.Clean(c.AgentName), render.Clean(c.Reason))
		}
		if s.Hold != nil {
			line("  the removals would wait %s: %s", waits(s.Hold), render.Clean(s.Hold.Reason))
		}
		if s.Unmet != nil {
			line("  %d of %d wanted: %s", s.Unmet.Picked, s.Unmet.Wanted, render.Clean(s.Unmet.Reason))
		}
	}
	line("%s would change, %d stay as they are; plan %s", count(len(p.Stacks), "stack"), p.Unchanged, render.Clean(p.ID))
	_, err := io.WriteString(w, text)
	return err
}
