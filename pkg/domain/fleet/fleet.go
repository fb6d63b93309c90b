// Package fleet is what an operator sees of each agent at a glance: what was measured, and no verdict on it.
package fleet

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Record is the state of one live agent.
type Record struct {
	Agent       agent.ID
	Name        string
	ClusterName string
	Status      agent.Status

	ConnectedSince *time.Time // of its live channel; nil: it has none
	LastHeartbeat  *time.Time
	K8sReachable   *bool
	K8sLatencyMS   *int32

	Assigned          int64 // stacks
	PendingObjects    int64 // assignments and removals that the agent has not reported as done
	PendingWorkOrders int64
	ClaimedWorkOrders int64
	HealthFailing     int64 // assignments whose published health is failing
	HealthDegraded    int64 // and those where it is degraded
	LastEventAt       *time.Time
}

// View is a record as it is shown at one moment: FleetAgentRecord of the v1 contract.
type View struct {
	Agent                 agent.ID     `json:"agent_id"`
	Name                  string       `json:"name"`
	ClusterName           string       `json:"cluster_name"`
	Status                agent.Status `json:"status"`
	Connected             bool         `json:"ws_connected"`
	ConnectedSince        *time.Time   `json:"connected_since"`
	LastHeartbeat         *time.Time   `json:"last_heartbeat"`
	HeartbeatAgeSeconds   *int64       `json:"heartbeat_age_seconds"`
	PendingObjects        int64        `json:"pending_object_count"`
	PendingWorkOrders     int64        `json:"pending_work_orders"`
	ClaimedWorkOrders     int64        `json:"claimed_work_orders"`
	LastEventAt           *time.Time   `json:"last_event_at"`
	SecondsSinceLastEvent *int64       `json:"seconds_since_last_event"`
	HealthFailing         int64        `json:"health_failing"`
	HealthDegraded        int64        `json:"health_degraded"`
	K8sReachable          *bool        `json:"k8s_reachable"`
	K8sLatencyMS          *int32       `json:"k8s_api_latency_ms"`
}

// At returns the record as it is shown at now.
func (r Record) At(now time.Time) View {
	return View{
		Agent: r.Agent, Name: r.Name, ClusterName: r.ClusterName, Status: r.Status,
		Connected: r.ConnectedSince != nil, ConnectedSince: utc(r.ConnectedSince),
		LastHeartbeat: utc(r.LastHeartbeat), HeartbeatAgeSeconds: age(r.LastHeartbeat, now),
		PendingObjects: r.PendingObjects, PendingWorkOrders: r.PendingWorkOrders, ClaimedWorkOrders: r.ClaimedWorkOrders,
		LastEventAt: utc(r.LastEventAt), SecondsSinceLastEvent: age(r.LastEventAt, now),
		HealthFailing: r.HealthFailing, HealthDegraded: r.HealthDegraded, K8sReachable: r.K8sReachable, K8sLatencyMS: r.K8sLatencyMS,
	}
}

// age is how many whole seconds ago at was, never negative; nil if it never was.
func age(at *time.Time, now time.Time) *int64 {
	if at == nil {
		return nil
	}
	n := max(int64(now.Sub(*at)/time.Second), 0)
	return &n
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	u := at.UTC()
	return &u
}
