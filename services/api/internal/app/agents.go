package app

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

func noAgent(id agent.ID) error {
	return fault.Newf(fault.NotFound, "agent_not_found", "agent %s is not there", id)
}

// self refuses principals that are neither of the platform nor this agent, as if the agent did not exist.
func self(p tenancy.Principal, id agent.ID) error {
	if p.IsStaff() || p.IsAgent(id) {
		return nil
	}
	return noAgent(id)
}

// ListAgents returns a page of the agents that p sees: all for an admin, those registered with it for a generator.
func (a *App) ListAgents(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[agent.Agent], error) {
	if p.Role == tenancy.RoleGenerator {
		if err := a.notSystem(ctx, p); err != nil {
			return page.Page[agent.Agent]{}, err
		}
	}
	out, err := a.Store.Agents().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[agent.Agent]{}, fmt.Errorf("list agents: %w", err)
	}
	return out, nil
}

// notSystem refuses the generator that is no tenant.
func (a *App) notSystem(ctx context.Context, p tenancy.Principal) error {
	g, err := a.Store.Generators().Get(ctx, tenancy.ScopeOf(p), p.Generator)
	if err != nil {
		return fmt.Errorf("get generator %s: %w", p.Generator, err)
	}
	if g.System {
		return fault.New(fault.Forbidden, "system_generator_not_a_tenant", "the system generator is not a tenant and has no agents of its own")
	}
	return nil
}

// GetAgent returns an agent to an admin or to itself.
func (a *App) GetAgent(ctx context.Context, p tenancy.Principal, id agent.ID) (agent.Agent, error) {
	if err := self(p, id); err != nil {
		return agent.Agent{}, err
	}
	v, err := a.Store.Agents().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return agent.Agent{}, fmt.Errorf("get agent: %w", err)
	}
	return v, nil
}

// FindAgent returns the agent with this name in this cluster to an admin or to itself. An agent that asks for
// another name than its own is told which name its key belongs to.
func (a *App) FindAgent(ctx context.Context, p tenancy.Principal, name, cluster string) (agent.Agent, error) {
	if name == "" || cluster == "" {
		return agent.Agent{}, fault.New(fault.Invalid, "name_and_cluster_required", "the query parameters name and cluster_name are both required")
	}
	if p.Role == tenancy.RoleAgent {
		own, err := a.Store.Agents().Get(ctx, tenancy.ScopeOf(p), p.Agent)
		if err != nil {
			return agent.Agent{}, fmt.Errorf("get agent: %w", err)
		}
		if own.Name != name || own.ClusterName != cluster {
			return agent.Agent{}, fault.Newf(fault.NotFound, "agent_not_found",
				"agent %q in cluster %q is not yours: this PAK belongs to agent %q in cluster %q", name, cluster, own.Name, own.ClusterName)
		}
		return own, nil
	}
	v, err := a.Store.Agents().ByName(ctx, name, cluster)
	if err != nil {
		return agent.Agent{}, fmt.Errorf("find agent: %w", err)
	}
	return v, nil
}

// AgentTag is the state of an agent that a change may be made conditional on; what heartbeats say is not part of it.
func AgentTag(v agent.Agent) string {
	return precondition.State(v.ID, v.Name, v.ClusterName, v.Status, v.UpdatedAt)
}

// NewAgent is what an admin says of a new agent.
type NewAgent struct {
	Name        string
	ClusterName string
	Status      string // empty: INACTIVE
	Generators  []string
	Labels      []string
	Annotations map[string]string
}

func (n NewAgent) check() (agent.Status, error) {
	if err := tenancy.CheckName("invalid_agent", "the agent's name", n.Name); err != nil {
		return "", err
	}
	if err := tenancy.CheckName("invalid_agent", "the cluster's name", n.ClusterName); err != nil {
		return "", err
	}
	for _, l := range n.Labels {
		if err := agent.CheckLabel(l); err != nil {
			return "", err
		}
	}
	for k, v := range n.Annotations {
		if err := stack.CheckAnnotation(k, v); err != nil {
			return "", err
		}
	}
	if n.Status == "" {
		return agent.Inactive, nil
	}
	return agent.ParseStatus(n.Status)
}

// CreateAgent makes an agent with its labels, annotations and approved registrations, and returns its key, which is
// never shown again. A name that exists in the cluster is a Conflict.
func (a *App) CreateAgent(ctx context.Context, n NewAgent) (agent.Agent, pak.PAK, error) {
	status, err := n.check()
	if err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	var out agent.Agent
	var key pak.PAK
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if out, key, err = a.makeAgent(ctx, tx, n, status); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.AgentCreated, string(out.ID), nil, agentState(out)).With("name", out.Name))
	})
	if err != nil {
		return agent.Agent{}, pak.PAK{}, fmt.Errorf("create agent: %w", err)
	}
	return out, key, nil
}

// makeAgent is CreateAgent in a transaction, without the entry in the audit log.
func (a *App) makeAgent(ctx context.Context, tx ports.Repositories, n NewAgent, status agent.Status) (agent.Agent, pak.PAK, error) {
	at := a.now()
	v := agent.Agent{ID: agent.ID(newID()), Name: n.Name, ClusterName: n.ClusterName, Status: status, Version: 1, CreatedAt: at, UpdatedAt: at}
	if err := tx.Agents().Insert(ctx, v); err != nil {
		return agent.Agent{}, pak.PAK{}, fmt.Errorf("insert agent: %w", err)
	}
	_, key, err := a.credential(ctx, tx, agentCredential(v))
	if err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	if err := describeAgent(ctx, tx, v.ID, n); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	if err := a.registerNew(ctx, tx, v.ID, n.Generators); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	if err := tx.Outbox().Append(ctx, a.agentEvent(ctx, event.AgentRegistered, v.ID, at, map[string]any{
		"agent_id": v.ID, "name": v.Name, "cluster_name": v.ClusterName, "status": v.Status, "created_at": at,
	})); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	v, err = tx.Agents().Get(ctx, tenancy.Everything(), v.ID)
	return v, key, err
}

func agentCredential(v agent.Agent) tenancy.Credential {
	return tenancy.Credential{Name: v.Name + "@" + v.ClusterName, Role: tenancy.RoleAgent, Agent: v.ID}
}

func describeAgent(ctx context.Context, tx ports.Repositories, id agent.ID, n NewAgent) error {
	seen := map[string]bool{}
	for _, l := range n.Labels {
		if seen[l] {
			continue
		}
		seen[l] = true
		if err := tx.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(newID()), Agent: id, Label: l}); err != nil {
			return fmt.Errorf("add label: %w", err)
		}
	}
	for k, v := range n.Annotations {
		if err := tx.Agents().AddAnnotation(ctx, agent.Annotation{ID: agent.AnnotationID(newID()), Agent: id, Key: k, Value: v}); err != nil {
			return fmt.Errorf("add annotation: %w", err)
		}
	}
	return nil
}

// registerNew gives a new agent the consent of the system generator and of those that the admin named.
func (a *App) registerNew(ctx context.Context, tx ports.Repositories, id agent.ID, generators []string) error {
	at, done := a.now(), map[tenancy.GeneratorID]bool{}
	add := func(g tenancy.GeneratorID) error {
		if done[g] {
			return nil
		}
		done[g] = true
		return tx.Registrations().Insert(ctx, tenancy.Registration{
			ID: tenancy.RegistrationID(newID()), Agent: id, Generator: g, State: tenancy.RegistrationApproved, RegisteredAt: at,
		})
	}
	for _, name := range generators {
		g, err := a.namedGenerator(ctx, tx, name)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
			return fault.Newf(fault.Invalid, "invalid_generator_id", "generator %q is not there", name).Because(err)
		}
		if err != nil {
			return fmt.Errorf("get generator: %w", err)
		}
		if err := add(g.ID); err != nil {
			return fmt.Errorf("register with generator %s: %w", g.ID, err)
		}
	}
	sys, err := tx.Generators().ByName(ctx, tenancy.SystemGenerator)
	if fault.Is(err, fault.NotFound) {
		return nil // a store that was never bootstrapped has no system generator to consent
	}
	if err != nil {
		return fmt.Errorf("get the system generator: %w", err)
	}
	if err := add(sys.ID); err != nil {
		return fmt.Errorf("register with the system generator: %w", err)
	}
	return nil
}

// AgentChange is a partial update of an agent; what is nil stays.
type AgentChange struct {
	Name        *string
	ClusterName *string
	Status      *string
}

// UpdateAgent changes name, cluster name and status of an agent, by an admin or itself. It cannot activate itself: being
// inactive is how others keep it out.
func (a *App) UpdateAgent(ctx context.Context, p tenancy.Principal, id agent.ID, ch AgentChange) (agent.Agent, error) {
	if err := self(p, id); err != nil {
		return agent.Agent{}, err
	}
	var out agent.Agent
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Agent(ctx, id); err != nil {
			return err
		}
		v, err := tx.Agents().Get(ctx, tenancy.ScopeOf(p), id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, AgentTag(v)); err != nil {
			return err
		}
		before := v
		if err := ch.apply(&v); err != nil {
			return err
		}
		if p.IsAgent(id) && before.Status != agent.Active && v.Status == agent.Active {
			return fault.New(fault.Forbidden, "admin_required", "an agent that was set inactive is activated by an admin, not by itself")
		}
		if err := a.did(ctx, tx, audit.Did(audit.AgentUpdated, string(id), agentState(before), agentState(v))); err != nil {
			return err
		}
		if v == before {
			out = v
			return nil
		}
		v.UpdatedAt = a.now()
		if err := tx.Agents().Update(ctx, v); err != nil {
			return err
		}
		if err := tx.Outbox().Append(ctx, a.agentEvent(ctx, event.AgentChanged, id, v.UpdatedAt, map[string]any{
			"agent_id": id, "name": v.Name, "cluster_name": v.ClusterName, "status": v.Status,
		})); err != nil {
			return err
		}
		out, err = tx.Agents().Get(ctx, tenancy.Everything(), id)
		return err
	})
	if err != nil {
		return agent.Agent{}, fmt.Errorf("update agent: %w", err)
	}
	return out, nil
}

func (ch AgentChange) apply(v *agent.Agent) error {
	if ch.Name != nil {
		if err := tenancy.CheckName("invalid_agent", "the agent's name", *ch.Name); err != nil {
			return err
		}
		v.Name = *ch.Name
	}
	if ch.ClusterName != nil {
		if err := tenancy.CheckName("invalid_agent", "the cluster's name", *ch.ClusterName); err != nil {
			return err
		}
		v.ClusterName = *ch.ClusterName
	}
	if ch.Status != nil {
		s, err := agent.ParseStatus(*ch.Status)
		if err != nil {
			return err
		}
		v.Status = s
	}
	return nil
}

// DeleteAgent soft-deletes an agent and ends its keys. Nothing is removed from its cluster.
func (a *App) DeleteAgent(ctx context.Context, id agent.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Agent(ctx, id); err != nil {
			return err
		}
		v, err := tx.Agents().Get(ctx, tenancy.Everything(), id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, AgentTag(v)); err != nil {
			return err
		}
		at := a.now()
		if err := a.did(ctx, tx, audit.Did(audit.AgentDeleted, string(id), agentState(v), nil).With("name", v.Name)); err != nil {
			return err
		}
		if err := tx.Agents().Delete(ctx, id, at); err != nil {
			return err
		}
		if _, err := tx.Credentials().Revoke(ctx, tenancy.RoleAgent, "", id, at); err != nil {
			return fmt.Errorf("revoke its credentials: %w", err)
		}
		return tx.Outbox().Append(ctx, a.agentEvent(ctx, event.AgentDeregistered, id, at, map[string]any{"agent_id": id, "deleted_at": at}))
	})
	if err != nil {
		return fmt.Errorf("delete agent: %w", err)
	}
	return nil
}

// RotateAgent gives the agent a new key, by staff or itself; the former ones end after the overlap (0: at once). By itself it gets none
// that outlives the one that it asks with.
func (a *App) RotateAgent(ctx context.Context, p tenancy.Principal, id agent.ID, overlap time.Duration) (agent.Agent, pak.PAK, error) {
	if err := self(p, id); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	if err := tenancy.CheckGrace(overlap); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	var out agent.Agent
	var key pak.PAK
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if out, err = tx.Agents().Get(ctx, tenancy.ScopeOf(p), id); err != nil {
			return err
		}
		key, err = a.rotate(ctx, tx, agentCredential(out), overlap)
		return err
	})
	if err != nil {
		return agent.Agent{}, pak.PAK{}, fmt.Errorf("rotate the agent's PAK: %w", err)
	}
	return out, key, nil
}

// AgentStacks returns a page of the stacks that are assigned to the agent.
func (a *App) AgentStacks(ctx context.Context, p tenancy.Principal, id agent.ID, q page.Query) (page.Page[stack.Stack], error) {
	if _, err := a.GetAgent(ctx, p, id); err != nil {
		return page.Page[stack.Stack]{}, err
	}
	out, err := a.Store.Stacks().Page(ctx, tenancy.Scope{Agent: id}, q)
	if err != nil {
		return out, fmt.Errorf("list the agent's stacks: %w", err)
	}
	return out, nil
}
