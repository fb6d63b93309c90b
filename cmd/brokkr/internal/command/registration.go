package command

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) registration() *cobra.Command {
	cmd := &cobra.Command{Use: "registration", Short: "Give and take back the consent between agents and generators"}
	cmd.AddCommand(
		a.consent("approve AGENT GENERATOR", "Let an agent take a generator's stacks", approveRegistration),
		a.consent("revoke AGENT GENERATOR", "End that an agent takes a generator's stacks; what it runs of them is removed", revokeRegistration),
	)
	return group(cmd)
}

// consentChange changes the consent and says what happened.
type consentChange func(ctx context.Context, c *client.Client, generator, agent string) (string, error)

func (a *app) consent(use, short string, change consentChange) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly("AGENT", "GENERATOR"), ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findGenerator(ctx, c, args[1])
			if err != nil {
				return err
			}
			n, err := asker(ctx, c, args[0])
			if err != nil {
				return err
			}
			done, err := change(ctx, c, g.ID, n.ID)
			if err != nil {
				return err
			}
			a.said("registration/%s/%s %s", n.Name, g.Name, done)
			return nil
		},
	}
}

// asker returns the agent of a registration. A generator may not see an agent that has only asked, so that an id must
// do without the agent's name.
func asker(ctx context.Context, c *client.Client, ref string) (client.Agent, error) {
	found, err := findAgents(ctx, c, ref)
	if err != nil {
		return client.Agent{}, err
	}
	if len(found) == 0 && isID(ref) {
		return client.Agent{ID: ref, Name: ref}, nil
	}
	n, err := one("agent", ref, found, func(a client.Agent) string { return "agent " + a.ID + " of cluster " + a.ClusterName })
	if len(found) == 0 {
		err = hint(err, "brokkr get registrations -o wide shows the ids of agents that ask; brokkr get agents those that you can see")
	}
	return n, err
}

func approveRegistration(ctx context.Context, c *client.Client, generator, agent string) (string, error) {
	_, err := c.Approve(ctx, generator, agent)
	if err == nil {
		return "approved", nil
	}
	if !client.IsStatus(err, http.StatusNotFound) {
		return "", err
	}
	// The agent has not asked. An admin can register it all the same.
	if _, rerr := c.Register(ctx, generator, agent); rerr != nil {
		if client.IsStatus(rerr, http.StatusForbidden) {
			return "", hint(fmt.Errorf("the agent has not asked for this registration: %w", err), "an admin can approve it without being asked")
		}
		return "", rerr
	}
	return "made and approved", nil
}

func revokeRegistration(ctx context.Context, c *client.Client, generator, agent string) (string, error) {
	return "revoked", c.Revoke(ctx, generator, agent)
}
