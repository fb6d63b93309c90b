package app

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// parseStatus reads what an agent says of its cluster; nil if it says nothing.
func parseStatus(text json.RawMessage) (*cluster.Status, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var s cluster.Status
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fault.New(fault.Invalid, "invalid_cluster_status", "status is not that of a cluster").Because(err)
	}
	s, err := s.Normal()
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// tellCluster stores the status, and tells placement only if it differs from the one before.
func (g *Gateway) tellCluster(ctx context.Context, tx ports.Repositories, a agent.ID, s cluster.Status, at time.Time) error {
	changed, err := tx.Clusters().Report(ctx, a, s, at)
	if err != nil || !changed {
		return err
	}
	return tx.Outbox().Append(ctx, event.Event{
		ID: uuid.NewString(), Type: event.AgentChanged, Agent: a, At: at, Data: map[string]any{"agent_id": string(a), "change": "status"},
	})
}
