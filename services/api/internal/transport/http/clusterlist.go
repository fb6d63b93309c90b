package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// clusterSummaryJSON is a cluster in a list; what is not known is null.
type clusterSummaryJSON struct {
	AgentID          agent.ID                `json:"agent_id"`
	AgentName        string                  `json:"agent_name"`
	ClusterName      string                  `json:"cluster_name"`
	AgentStatus      agent.Status            `json:"agent_status"`
	Reachability     cluster.Reachability    `json:"reachability"`
	UnreachableSince *time.Time              `json:"unreachable_since"`
	LastHeartbeat    *time.Time              `json:"last_heartbeat"`
	K8sReachable     *bool                   `json:"k8s_reachable"`
	Freshness        cluster.Freshness       `json:"freshness"`
	ReportedAt       *time.Time              `json:"status_reported_at"`
	Version          *string                 `json:"kubernetes_version"`
	Nodes            *int32                  `json:"nodes"`
	ReadyNodes       *int32                  `json:"ready_nodes"`
	Architectures    []string                `json:"architectures"`
	Allocatable      *resourcesJSON          `json:"allocatable"`
	Requested        *resourcesJSON          `json:"requested"`
	Available        *resourcesJSON          `json:"available"`
	Unknown          map[cluster.Part]string `json:"unknown"`
	Taints           []cluster.Taint         `json:"taints"`
	Cordon           *cluster.Cordon         `json:"cordon"`
	Drain            *cluster.Drain          `json:"drain"`
	Assigned         int64                   `json:"assigned_stacks"`
	Pending          int64                   `json:"pending_object_count"`
	Failing          int64                   `json:"health_failing"`
	Degraded         int64                   `json:"health_degraded"`
}

func clusterSummaryOf(c app.ClusterSummary) clusterSummaryJSON {
	k, heard := c.Known, c.Agent.Liveness.LastHeartbeat != nil
	out := clusterSummaryJSON{
		AgentID: c.Agent.ID, AgentName: c.Agent.Name, ClusterName: c.Agent.ClusterName, AgentStatus: c.Agent.Status,
		Reachability: k.Reachability(heard), UnreachableSince: k.UnreachableSince, LastHeartbeat: c.Agent.Liveness.LastHeartbeat,
		K8sReachable: c.Agent.Liveness.K8sReachable, Freshness: k.Freshness(), ReportedAt: k.ReportedAt,
		Architectures: []string{}, Unknown: map[cluster.Part]string{}, Taints: each(k.Taints, func(t cluster.Taint) cluster.Taint { return t }),
		Cordon: k.Cordon, Drain: k.Drain,
		Assigned: c.Fleet.Assigned, Pending: c.Fleet.PendingObjects, Failing: c.Fleet.HealthFailing, Degraded: c.Fleet.HealthDegraded,
	}
	if k.ReportedAt == nil {
		return out
	}
	s := k.Status
	if len(s.Unknown) > 0 {
		out.Unknown = s.Unknown
	}
	if s.Knows(cluster.PartVersion) {
		out.Version = &s.KubernetesVersion
	}
	if s.Knows(cluster.PartNodes) {
		out.Nodes, out.ReadyNodes, out.Allocatable = &s.Nodes, &s.ReadyNodes, &s.Allocatable
		out.Architectures = append(out.Architectures, s.Architectures...)
	}
	if s.Knows(cluster.PartRequested) {
		out.Requested = &s.Requested
	}
	if out.Allocatable != nil && out.Requested != nil {
		free := s.Available()
		out.Available = &free
	}
	return out
}

func clusterListRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_clusters", "/clusters", view(Admin), app.ClusterList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[app.ClusterSummary], error) {
			return a.ListClusters(ctx, who(ctx), q)
		}, clusterSummaryOf),
	}
}
