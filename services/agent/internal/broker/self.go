package broker

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Agent is what the broker knows of an agent.
type Agent struct {
	Name          string     `json:"name"`
	ClusterName   string     `json:"cluster_name"`
	Status        string     `json:"status"`
	LastHeartbeat *time.Time `json:"last_heartbeat"`
	K8sReachable  *bool      `json:"k8s_reachable"`
}

// Silent is how long ago the agent was heard of last; 0 if that is now, or the clocks differ.
func (a Agent) Silent(now time.Time) time.Duration {
	if a.LastHeartbeat == nil {
		return 0
	}
	return max(now.Sub(*a.LastHeartbeat), 0)
}

// Agent returns what the broker knows of the agent whose key this is.
func (c *Client) Agent(ctx context.Context, id agent.ID) (Agent, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out Agent
	if err := c.call(ctx, http.MethodGet, "/api/v1/agents/"+url.PathEscape(string(id)), nil, &out, maxErrorBytes); err != nil {
		return Agent{}, err
	}
	if out.Name == "" || out.Status == "" {
		return Agent{}, c.foreign("what came")
	}
	return out, nil
}
