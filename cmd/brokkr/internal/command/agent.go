package command

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) agent() *cobra.Command {
	cmd := &cobra.Command{Use: "agent", Short: "Create agents and manage their keys, marks and targets"}
	var plan string
	find := func(ctx context.Context, c *client.Client, ref string) (marked, error) {
		g, err := findAgent(ctx, c, ref)
		return agentMarks(under(c, plan), g), err
	}
	label, annotate := a.labelCommand("agent", find), a.annotateCommand("agent", find)
	label.ValidArgsFunction, annotate.ValidArgsFunction = a.completeAgents, a.completeAgents
	for _, c := range []*cobra.Command{label, annotate} {
		mark := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if plan != "" && (len(args) != 2 || cmd.Flags().Changed("overwrite")) {
				return usagef(cmd, "--plan is of one change: name one label or annotation, without --overwrite")
			}
			return outdated(mark(cmd, args))
		}
		planFlag(c, &plan)
	}
	cmd.AddCommand(a.agentCreate(), a.agentRotate(), label, annotate,
		a.agentStatus("activate", "Let an agent take stacks", statusActive),
		a.agentStatus("deactivate", "Stop an agent from taking changes; what it runs stays as it is", statusInactive),
		a.agentTarget(), a.deleteAgent("delete NAME|ID"))
	return group(cmd)
}

type agentCreateOptions struct {
	name, cluster, brokerURL string
	labels, annotations      []string
	generators               []string
	activate                 bool
	out                      output
}

func (a *app) agentCreate() *cobra.Command {
	o := &agentCreateOptions{}
	cmd := &cobra.Command{
		Use:   "create --name NAME --cluster-name CLUSTER",
		Short: "Create an agent, show its key once and the command that starts it",
		Long: `Creates the agent for one cluster and shows its key (PAK) once, with the command that starts it. The agent takes stacks
of the generators that are named with --generator (without it: of what admins apply), and runs those that share one of its
labels or annotations.`,
		Example: `  brokkr agent create --name edge-1 --cluster-name edge-1 --label prod --generator ci
  brokkr agent create --name edge-1 --cluster-name edge-1 -o json | jq -r .pak`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if o.name != "" && o.name != args[0] {
					return usagef(cmd, "two names are given: %q and %q", args[0], o.name)
				}
				o.name = args[0]
			}
			return a.runAgentCreate(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "name of the agent (required)")
	f.StringVar(&o.cluster, "cluster-name", "", "name of its cluster (required)")
	f.StringArrayVar(&o.labels, "label", nil, "label (repeatable)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "annotation key=value (repeatable)")
	f.StringArrayVar(&o.generators, "generator", []string{adminGenerator}, "generator, by name or id, whose stacks the agent takes (repeatable)")
	f.BoolVar(&o.activate, "activate", true, "let the agent take stacks at once")
	f.StringVar(&o.brokerURL, "broker-url", "", "the broker's URL as the cluster sees it, for the command that is shown (default: the one in use)")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runAgentCreate(cmd *cobra.Command, o *agentCreateOptions) error {
	switch {
	case o.name == "":
		return usagef(cmd, "name the agent with --name")
	case o.cluster == "":
		return usagef(cmd, "name the agent's cluster with --cluster-name")
	}
	if _, err := o.out.format(cmd); err != nil {
		return err
	}
	if err := parseLabels(cmd, o.labels); err != nil {
		return err
	}
	annotations, err := annotationsOf(cmd, o.annotations)
	if err != nil {
		return err
	}
	n := client.NewAgent{Name: o.name, ClusterName: o.cluster, Labels: o.labels, Annotations: annotations, Status: pick(o.activate, statusActive, statusInactive)}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if o.brokerURL, err = agentsBroker(cmd, c, o.brokerURL); err != nil {
		return err
	}
	if n.GeneratorIDs, err = generatorIDs(cmd.Context(), c, o.generators); err != nil {
		return err
	}
	made, err := c.CreateAgent(cmd.Context(), n)
	if err != nil {
		return fmt.Errorf("create agent %s: %w", o.name, err)
	}
	return a.showAgentPAK(cmd, &o.out, made, o.brokerURL, "created")
}

// showAgentPAK shows a key for the only time, with the exact next command.
func (a *app) showAgentPAK(cmd *cobra.Command, o *output, made client.AgentPAK, brokerURL, done string) error {
	if f, err := o.format(cmd); err == nil && f == render.Name {
		a.progress("PAK (shown once): %s", made.PAK)
	}
	trust := ""
	if a.settings.CAFile != "" && strings.HasPrefix(brokerURL, "https://") {
		trust = " BROKKR__AGENT__CA_FILE=" + a.settings.CAFile
	}
	err := a.show(cmd, o, view{data: made, names: []string{"agent/" + made.Agent.Name}, table: func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintf(w, `agent/%s %s (%s, id %s)
PAK (shown once): %s

start it in cluster %s:
  BROKKR__AGENT__PAK=%s BROKKR__AGENT__BROKER_URL=%s%s brokkr-agent start
`, made.Agent.Name, done, made.Agent.Status, made.Agent.ID, made.PAK, made.Agent.ClusterName, made.PAK, brokerURL, trust)
		return err
	}})
	if err != nil {
		return err
	}
	if u, perr := url.Parse(brokerURL); perr == nil && isLoopback(u.Hostname()) {
		a.progress("note: %s is this machine only; for an agent in a pod give its address with --broker-url", brokerURL)
	}
	if made.Agent.Status != statusActive {
		a.progress("note: the agent is %s and gets no stacks: brokkr agent activate %s", made.Agent.Status, made.Agent.Name)
	}
	return nil
}

func (a *app) agentRotate() *cobra.Command {
	var o output
	var grace time.Duration
	var brokerURL string
	cmd := &cobra.Command{
		Use:               "rotate NAME|ID",
		Short:             "Give an agent a new key; the old one ends at once, or after --grace",
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrace(cmd, grace); err != nil {
				return err
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if brokerURL, err = agentsBroker(cmd, c, brokerURL); err != nil {
				return err
			}
			g, err := findAgent(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			made, err := c.RotateAgent(cmd.Context(), g.ID, grace)
			if err != nil {
				return rotateError(err, "agent "+g.Name)
			}
			return a.showAgentPAK(cmd, &o, made, brokerURL, "has a new key")
		},
	}
	cmd.Flags().StringVar(&brokerURL, "broker-url", "", "the broker's URL as the cluster sees it (default: the one in use)")
	graceFlag(cmd, &grace)
	o.flag(cmd)
	return cmd
}

func rotateError(err error, what string) error {
	if client.IsTemporary(err) {
		return hint(fmt.Errorf("rotate the key of %s: %w; its old key may have ended", what, err), "rotate again")
	}
	return fmt.Errorf("rotate the key of %s: %w", what, err)
}

func (a *app) agentStatus(use, short, status string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME|ID", Short: short, Args: exactly("NAME|ID"), ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findAgent(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			after, err := c.SetAgentStatus(cmd.Context(), g.ID, status)
			if err != nil {
				return err
			}
			a.said("agent/%s is %s%s", after.Name, after.Status, pick(g.Status == after.Status, " as before", ""))
			return nil
		},
	}
}

func (a *app) agentTarget() *cobra.Command {
	return &cobra.Command{
		Use:               "target AGENT STACK... [STACK-...]",
		Short:             "Pin stacks to an agent whatever their labels, unpin those with a dash behind",
		ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "name an agent and at least one stack")
			}
			add, drop := splitDash(args[1:])
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findAgent(ctx, c, args[0])
			if err != nil {
				return err
			}
			for _, ref := range append(add, drop...) {
				s, err := findStack(ctx, c, ref)
				if err != nil {
					return err
				}
				if isIn(drop, ref) {
					if err := c.RemoveTarget(ctx, g.ID, s.ID); err != nil {
						return err
					}
					a.said("stack/%s is no longer pinned to agent/%s", s.Name, g.Name)
					continue
				}
				fresh, err := c.AddTarget(ctx, g.ID, s.ID)
				if client.IsCode(err, "agent_not_registered") {
					err = hint(err, "brokkr registration approve %s %s", g.Name, s.GeneratorID)
				}
				if err != nil {
					return err
				}
				a.said("stack/%s %s agent/%s", s.Name, pick(fresh, "is pinned to", "was pinned already to"), g.Name)
			}
			return nil
		},
	}
}

func isIn(all []string, s string) bool {
	for _, v := range all {
		if v == s {
			return true
		}
	}
	return false
}

// said writes the outcome of a change to standard output.
func (a *app) said(format string, args ...any) {
	_, _ = fmt.Fprintln(a.env.Out, strings.TrimRight(fmt.Sprintf(format, args...), "\n")) // the change has happened all the same
}

// agentsBroker returns where an agent is to look for the broker: given, or where c does.
func agentsBroker(cmd *cobra.Command, c *client.Client, given string) (string, error) {
	if given == "" {
		return c.URL(), nil
	}
	if _, err := client.ParseURL(given); err != nil {
		return "", usagef(cmd, "--broker-url: %v", err)
	}
	return given, nil
}
