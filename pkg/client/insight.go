package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// FleetRecord is one agent at a glance: what was measured.
type FleetRecord struct {
	AgentID               string     `json:"agent_id"`
	Name                  string     `json:"name"`
	ClusterName           string     `json:"cluster_name"`
	Status                string     `json:"status"`
	Connected             bool       `json:"ws_connected"`
	ConnectedSince        *time.Time `json:"connected_since"`
	LastHeartbeat         *time.Time `json:"last_heartbeat"`
	HeartbeatAgeSeconds   *int64     `json:"heartbeat_age_seconds"`
	PendingObjects        int64      `json:"pending_object_count"`
	PendingWorkOrders     int64      `json:"pending_work_orders"`
	ClaimedWorkOrders     int64      `json:"claimed_work_orders"`
	LastEventAt           *time.Time `json:"last_event_at"`
	SecondsSinceLastEvent *int64     `json:"seconds_since_last_event"`
	HealthFailing         int64      `json:"health_failing"`
	HealthDegraded        int64      `json:"health_degraded"`
	K8sReachable          *bool      `json:"k8s_reachable"`
	K8sAPILatencyMS       *int64     `json:"k8s_api_latency_ms"`
}

// FleetStatus is one agent at a glance with its latest events.
type FleetStatus struct {
	Record       FleetRecord `json:"record"`
	RecentEvents []Event     `json:"recent_events"`
}

// Diagnostic is a question to an agent about a deployment object.
type Diagnostic struct {
	ID                 string     `json:"id"`
	AgentID            string     `json:"agent_id"`
	DeploymentObjectID string     `json:"deployment_object_id"`
	Status             string     `json:"status"` // pending | claimed | completed | expired
	RequestedBy        *string    `json:"requested_by"`
	CreatedAt          time.Time  `json:"created_at"`
	ClaimedAt          *time.Time `json:"claimed_at"`
	CompletedAt        *time.Time `json:"completed_at"`
	ExpiresAt          time.Time  `json:"expires_at"`
}

// DiagnosticResult is its answer: texts that are JSON documents.
type DiagnosticResult struct {
	PodStatuses string    `json:"pod_statuses"`
	Events      string    `json:"events"`
	LogTails    *string   `json:"log_tails"`
	CollectedAt time.Time `json:"collected_at"`
}

// Answered is a question with its answer, if there is one yet.
type Answered struct {
	Request Diagnostic        `json:"request"`
	Result  *DiagnosticResult `json:"result,omitempty"`
}

// Fleet lists every agent at a glance; of one generator's agents if that is named.
func (c *Client) Fleet(ctx context.Context, generator string) ([]FleetRecord, error) {
	var query url.Values
	if generator != "" {
		query = url.Values{"pak_id": {generator}}
	}
	return list[FleetRecord](ctx, c, "/fleet", query)
}

// FleetStatus returns one agent at a glance with its latest events.
func (c *Client) FleetStatus(ctx context.Context, agent string) (FleetStatus, error) {
	return get[FleetStatus](ctx, c, "/agents/"+seg(agent)+"/fleet-status")
}

// Diagnose asks an agent about a deployment object. The answer comes later: Diagnostic.
func (c *Client) Diagnose(ctx context.Context, object, agent, by string) (Diagnostic, error) {
	body := map[string]string{"agent_id": agent}
	if by != "" {
		body["requested_by"] = by
	}
	var d Diagnostic
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/deployment-objects/" + seg(object) + "/diagnostics", body: body}, &d)
	return d, err
}

// Diagnostic returns a question with its answer, if there is one yet.
func (c *Client) Diagnostic(ctx context.Context, id string) (Answered, error) {
	return get[Answered](ctx, c, "/diagnostics/"+seg(id))
}

// Probed is what a process endpoint of the broker answered.
type Probed struct {
	Status int
	Body   []byte
	Date   time.Time // the server's clock, in seconds; zero if it does not say
	Took   time.Duration
}

// maxProbe bounds what is read of a process endpoint, in bytes.
const maxProbe = 1 << 20

// Probe asks a process endpoint (/healthz, /readyz, /health) once, without a credential; any status is an answer.
func (c *Client) Probe(ctx context.Context, path string) (Probed, error) {
	if c.o.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.RequestTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+path, nil)
	if err != nil {
		return Probed{}, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	began := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return Probed{}, c.unreachable(call{method: http.MethodGet}, err)
	}
	defer func() { _ = res.Body.Close() }()
	out := Probed{Status: res.StatusCode}
	out.Date, _ = http.ParseTime(res.Header.Get("Date")) // zero if it is none
	if out.Body, err = io.ReadAll(io.LimitReader(res.Body, maxProbe)); err != nil {
		return Probed{}, c.unreachable(call{method: http.MethodGet}, err)
	}
	out.Took = time.Since(began)
	return out, nil
}

// Component is a part of a broker's health.
type Component struct {
	Name      string `json:"name"`
	Status    string `json:"status"` // ok | failing
	Required  bool   `json:"required"`
	Error     string `json:"error,omitempty"`
	LastError string `json:"last_error,omitempty"`
}

// Components reads the parts out of what /health answered.
func (p Probed) Components() ([]Component, error) {
	var body struct {
		Components []Component `json:"components"`
	}
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return nil, fmt.Errorf("read the health: %w", err)
	}
	return body.Components, nil
}
