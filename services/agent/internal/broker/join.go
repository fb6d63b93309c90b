package broker

import (
	"context"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

// JoinRequest is how an agent asks for an identity.
type JoinRequest struct {
	Token       string `json:"token"`
	Name        string `json:"name"`
	ClusterName string `json:"cluster_name"`
	Claim       string `json:"claim"` // the same in each attempt of one join
}

// Join makes an agent by a join token and returns its key. It needs no key itself. Forbidden: the token is not accepted;
// Conflict: an agent of this name and cluster exists that did not join by this token and claim, or has used its key already.
func (c *Client) Join(ctx context.Context, req JoinRequest) (agent.ID, string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out struct {
		Agent struct {
			ID string `json:"id"`
		} `json:"agent"`
		PAK string `json:"pak"`
	}
	err := c.call(ctx, http.MethodPost, "/api/v1/agents/join", req, &out, maxErrorBytes)
	if fault.Is(err, fault.NotFound) {
		return "", "", fault.Newf(fault.NotFound, "joins_not_served", "nothing at %s takes joins: name the api, or a gateway with gateway.proxy_admin, by BROKKR__AGENT__BROKER_URL", c.URL())
	}
	if err != nil {
		return "", "", err
	}
	if _, err := pak.Parse(out.PAK); err != nil || !id.Valid(out.Agent.ID) {
		return "", "", c.foreign("what came")
	}
	return agent.ID(out.Agent.ID), out.PAK, nil
}
