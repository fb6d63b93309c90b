package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

type planOptions struct {
	path, agent         string
	labels, unlabels    []string
	cordon, drain, lost bool
	out                 output
}

func (a *app) plan() *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use: "plan {-f POLICY | --agent AGENT CHANGE...}", Short: "Tell what a change of a policy or of a cluster would come to; nothing is written",
		Long: `Tells which stacks would gain or lose which clusters, and why. With -f a policy that is stored would say what the file says; brokkr policy
apply --plan ID then stores it only as long as the plan is true. With --agent a cluster would have other labels, be cordoned or
drained, or be lost.`,
		Example: `  brokkr plan -f web-eu.yaml
  brokkr plan --agent edge-7 --drain
  brokkr plan --agent edge-7 --lost`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			changes := len(o.labels)+len(o.unlabels) > 0 || o.cordon || o.drain || o.lost
			if (o.path == "") == (o.agent == "") || (o.agent != "") != changes {
				return usagef(cmd, "say what would change: -f POLICY, or --agent AGENT with --label, --unlabel, --cordon, --drain or --lost")
			}
			if _, err := o.out.format(cmd); err != nil {
				return err
			}
			return a.runPlan(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.path, "filename", "f", "", "the policy, YAML or JSON, or - for standard input")
	f.StringVar(&o.agent, "agent", "", "the agent whose cluster would be another, by name or id")
	f.StringArrayVar(&o.labels, "label", nil, "it would have this label (repeatable)")
	f.StringArrayVar(&o.unlabels, "unlabel", nil, "it would not have this label (repeatable)")
	f.BoolVar(&o.cordon, "cordon", false, "nothing new would come to it")
	f.BoolVar(&o.drain, "drain", false, "it would be drained")
	f.BoolVar(&o.lost, "lost", false, "it would be silent for long")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runPlan(cmd *cobra.Command, o *planOptions) error {
	var q client.PlanRequest
	name := ""
	if o.path != "" {
		var document []byte
		var err error
		if name, document, err = a.policyFile(o.path); err != nil {
			return err
		}
		q.Policy = &client.PlannedPolicy{Document: document}
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if q.Policy != nil {
		p, err := findPolicy(cmd.Context(), c, name)
		if err != nil {
			return err
		}
		q.Policy.PolicyID = p.ID
	} else {
		v, err := findAgent(cmd.Context(), c, o.agent)
		if err != nil {
			return err
		}
		q.Agents = []client.PlannedAgent{{AgentID: v.ID, AddLabels: o.labels, RemoveLabels: o.unlabels, Cordon: o.cordon, Drain: o.drain, Lost: o.lost}}
	}
	plan, err := c.Plan(cmd.Context(), q)
	if err != nil {
		return fmt.Errorf("plan the change: %w", err)
	}
	a.warnings(client.Policy{Warnings: plan.Warnings})
	v := view{data: plan, table: func(w io.Writer, _ bool) error { return writePlan(w, plan) }}
	for _, s := range plan.Stacks {
		v.names = append(v.names, "stack/"+s.StackName)
	}
	return a.show(cmd, &o.out, v)
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
			line("  the removals would wait for an approval: %s", render.Clean(s.Hold.Reason))
		}
		if s.Unmet != nil {
			line("  %d of %d wanted: %s", s.Unmet.Picked, s.Unmet.Wanted, render.Clean(s.Unmet.Reason))
		}
	}
	line("%s would change, %d stay as they are; plan %s", count(len(p.Stacks), "stack"), p.Unchanged, render.Clean(p.ID))
	_, err := io.WriteString(w, text)
	return err
}
