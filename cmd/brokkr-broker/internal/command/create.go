package command

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

func (a *app) create() *cobra.Command {
	cmd := &cobra.Command{Use: "create", Short: "Create a stack, an agent or a generator directly in the database", Args: cobra.NoArgs}
	cmd.AddCommand(a.createStack(), a.createAgent(), a.createGenerator())
	return cmd
}

// required marks flags without which the command makes no sense.
func required(cmd *cobra.Command, names ...string) *cobra.Command {
	for _, n := range names {
		cobra.CheckErr(cmd.MarkFlagRequired(n)) // fails only for a flag that does not exist
	}
	return cmd
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *app) createStack() *cobra.Command {
	var n api.NewStack
	var description string
	cmd := &cobra.Command{
		Use:     "stack --name NAME",
		Short:   "Create a stack",
		Example: `  brokkr-broker create stack --name my-stack --description "My first stack"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.Description = optional(description)
			return a.onStore(cmd, "create stack "+n.Name, func(ctx context.Context, store ports.Store) error {
				s, err := api.CreateStack(ctx, store, time.Now, n)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "stack %s created: %s\n\nNext, give it content and a label by which clusters are matched:\n\n    brokkr apply -f ./manifests --stack %s --label prod\n",
					s.Name, s.ID, s.Name)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Name, "name", "", "name, unique within the generator")
	f.StringVar(&description, "description", "", "what it is for")
	f.StringVar(&n.Generator, "generator", tenancy.AdminGenerator, "name or id of the generator that owns it")
	return required(cmd, "name")
}

func (a *app) createAgent() *cobra.Command {
	n := api.NewAgent{}
	var inactive bool
	cmd := &cobra.Command{
		Use:     "agent --name NAME --cluster-name CLUSTER",
		Short:   "Create an agent and print its PAK",
		Example: `  brokkr-broker create agent --name production-agent --cluster-name production`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.Status = string(agent.Active)
			if inactive {
				n.Status = string(agent.Inactive)
			}
			s, err := a.settings()
			if err != nil {
				return err
			}
			return a.onStore(cmd, "create agent "+n.Name, func(ctx context.Context, store ports.Store) error {
				v, key, err := api.CreateAgent(ctx, store, time.Now, rand.Reader, n)
				if err != nil {
					return err
				}
				return agentCreated(cmd.OutOrStdout(), v, n.Generators, key.Reveal(), address(s.Broker.Cert != "", s.Broker.Addr))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Name, "name", "", "name, unique within the cluster's name")
	f.StringVar(&n.ClusterName, "cluster-name", "", "name of its cluster")
	f.StringArrayVar(&n.Generators, "generator", []string{tenancy.AdminGenerator}, "name or id of a generator whose stacks it may get; repeatable")
	f.StringArrayVar(&n.Labels, "label", nil, "label by which stacks are matched; repeatable")
	f.BoolVar(&inactive, "inactive", false, "let it wait until it is activated")
	return required(cmd, "name", "cluster-name")
}

func agentCreated(out io.Writer, v agent.Agent, generators []string, key, url string) error {
	state := "active"
	if v.Status != agent.Active {
		state = "inactive, it applies nothing until it is activated"
	}
	_, err := fmt.Fprintf(out, `agent %s of cluster %s created: %s (%s; gets stacks of %v)

Its PAK, shown this once:

    %s

Next, where KUBECONFIG leads to the cluster, or in the cluster:

    export BROKKR__AGENT__PAK=%s
    export BROKKR__AGENT__BROKER_URL=%s
    brokkr-agent start

`, v.Name, v.ClusterName, v.ID, state, generators, key, key, url)
	return err
}

func (a *app) createGenerator() *cobra.Command {
	var n api.NewGenerator
	var description, policy string
	cmd := &cobra.Command{
		Use:   "generator --name NAME",
		Short: "Create a generator and print its PAK",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.Description, n.RegistrationPolicy = optional(description), tenancy.RegistrationPolicy(policy)
			if !n.RegistrationPolicy.Valid() {
				return fmt.Errorf("--registration-policy is %q, not open, approval or closed", policy)
			}
			return a.onStore(cmd, "create generator "+n.Name, func(ctx context.Context, store ports.Store) error {
				g, key, err := api.CreateGenerator(ctx, store, time.Now, rand.Reader, n)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "generator %s created: %s\n\nIts PAK, shown this once:\n\n    %s\n", g.Name, g.ID, key.Reveal())
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Name, "name", "", "name, unique")
	f.StringVar(&description, "description", "", "what it is for")
	f.StringVar(&policy, "registration-policy", string(tenancy.PolicyApproval), "what an agent's own request for registration needs: open, approval or closed")
	return required(cmd, "name")
}
