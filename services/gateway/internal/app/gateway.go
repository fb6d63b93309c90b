// Package app holds the gateway's use cases: what agents ask and report.
package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/gateway/internal/beat"
	"github.com/colliery-io/brokkr/services/gateway/internal/bundle"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
	"github.com/colliery-io/brokkr/services/gateway/internal/intake"
	"github.com/colliery-io/brokkr/services/gateway/internal/roster"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
	"github.com/colliery-io/brokkr/services/gateway/internal/target"
)

// rechecks that may ask the store at a time, so that a new connection to it does not meet the whole fleet at once
const rechecks = 16

// Gateway has one method a use case. It is safe for concurrent use. All fields of Parts are required.
type Gateway struct {
	Parts
	recheck chan struct{}
	objects objectCache
	told    told
	dup     duplicates
}

// Parts is what a Gateway works with.
type Parts struct {
	Store      ports.Store
	Hub        *hub.Hub
	Beats      *beat.Buffer
	Roster     *roster.Roster
	Targets    *target.Reader
	Bundles    *bundle.Cache
	Intake     *intake.Intake
	Sockets    *sockets.Registry
	Deliveries *turn.Turns // of target states with their contents
	Metrics    *Metrics
	Tracer     trace.Tracer
	Log        *slog.Logger
	Now        func() time.Time
}

// New returns a gateway of these parts.
func New(p Parts) *Gateway {
	return &Gateway{
		Parts: p, recheck: make(chan struct{}, rechecks),
		objects: objectCache{known: map[stack.ObjectID]stack.Object{}},
		told:    told{at: map[toldKey]struct{}{}},
		dup:     duplicates{logged: map[agent.ID]time.Time{}},
	}
}

// Caller is who makes a request; Again authenticates it once more, which costs nothing while nothing was revoked.
type Caller struct {
	tenancy.Principal
	Again func(ctx context.Context) (tenancy.Principal, error)
}

// self returns the agent id of the path if the caller is that agent.
func self(p tenancy.Principal, text string) (agent.ID, error) {
	a, err := id.Parse[agent.ID]("agent id", text)
	if err != nil {
		return "", err
	}
	if p.Role != tenancy.RoleAgent {
		return "", fault.New(fault.Forbidden, "agent_pak_required", "this needs the PAK of the agent itself")
	}
	if !p.IsAgent(a) {
		return "", fault.New(fault.Forbidden, "agent_pak_mismatch", "the PAK belongs to another agent")
	}
	return a, nil
}

// selfOrStaff is self, but lets the platform's own act for any live agent, as far as the route admits their role.
func (g *Gateway) selfOrStaff(ctx context.Context, p tenancy.Principal, text string) (agent.ID, error) {
	if !p.IsStaff() {
		return self(p, text)
	}
	a, err := id.Parse[agent.ID]("agent id", text)
	if err != nil {
		return "", err
	}
	if _, err := g.Store.Agents().Get(ctx, tenancy.Everything(), a); err != nil {
		return "", err
	}
	return a, nil
}

// worker is selfOrStaff for an agent that takes part: an inactive one is given nothing and is not heard, but that it lives. What it
// was given before it may still end (results of work orders, diagnostics and webhooks), so that nobody does it twice.
func (g *Gateway) worker(ctx context.Context, p tenancy.Principal, agentID string) (agent.ID, error) {
	a, err := g.selfOrStaff(ctx, p, agentID)
	if err != nil {
		return "", err
	}
	if p.IsAgent(a) {
		err = g.Roster.Check(ctx, a)
	}
	return a, err
}

// Heartbeat notes that the agent lives. It is stored within seconds, not before the answer.
func (g *Gateway) Heartbeat(_ context.Context, p tenancy.Principal, agentID string, reachable *bool, latencyMS *int32) error {
	a, err := self(p, agentID)
	if err != nil {
		return err
	}
	g.beat(a, "", reachable, latencyMS)
	return nil
}

func (g *Gateway) beat(a agent.ID, boot string, reachable *bool, latencyMS *int32) {
	g.Beats.Add(agent.Heartbeat{Agent: a, Boot: boot, At: g.Now().UTC(), K8sReachable: reachable, K8sLatencyMS: latencyMS})
}

// Manifest returns the bundle with the checksum if an assignment of the calling agent refers to it; else NotFound.
func (g *Gateway) Manifest(ctx context.Context, p tenancy.Principal, sum string) (bundle.Bundle, error) {
	if p.Role != tenancy.RoleAgent {
		return bundle.Bundle{}, fault.New(fault.Forbidden, "agent_pak_required", "manifests are served to agents")
	}
	none := fault.New(fault.NotFound, "manifest_not_found", "no assignment of this agent refers to such a manifest")
	if !isChecksum(sum) {
		return bundle.Bundle{}, none
	}
	if err := g.Roster.Check(ctx, p.Agent); err != nil {
		return bundle.Bundle{}, err
	}
	refers, err := g.Store.Assignments().Refers(ctx, p.Agent, stack.Checksum(sum))
	if err != nil {
		return bundle.Bundle{}, err
	}
	if !refers {
		// The agent was told of it, so its target state has changed since and the signal was lost.
		g.Hub.Doubt(p.Agent)
		return bundle.Bundle{}, none
	}
	return g.Bundles.Get(ctx, stack.Checksum(sum))
}

func isChecksum(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// duplicates limits how often one agent's second process is logged.
type duplicates struct {
	mu     sync.Mutex
	logged map[agent.ID]time.Time
}

const (
	logDuplicateEvery = 10 * time.Minute
	maxLogged         = 10_000
)

func (d *duplicates) shouldLog(a agent.ID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, ok := d.logged[a]; ok && now.Sub(last) < logDuplicateEvery {
		return false
	}
	if len(d.logged) >= maxLogged {
		clear(d.logged)
	}
	d.logged[a] = now
	return true
}
