package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func agentCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":       agentRoundTrip,
		"unknown is not found":            agentUnknown,
		"name and cluster are unique":     agentNames,
		"an update is compare-and-set":    agentUpdate,
		"one of many updates wins":        agentUpdateRace,
		"a list is by name, then cluster": agentList,
		"scopes":                          agentScopes,
		"a deletion takes all of it":      agentDelete,
	}
}

func agentRoundTrip(w *world) {
	a := w.newAgent("edge")
	a.Status = agent.Inactive
	wantNone(w.T, "insert", w.Agents().Insert(w.ctx, a))
	got := w.seeAgent(a.ID)
	if got.Version <= 0 {
		w.Fatalf("version: got %d, want a positive one", got.Version)
	}
	a.Version = got.Version
	wantSame(w.T, "agent", got, a)
	named, err := w.Agents().ByName(w.ctx, a.Name, a.ClusterName)
	wantNone(w.T, "by name", err)
	wantSame(w.T, "agent by name", named, a)
}

func agentUnknown(w *world) {
	a := w.newAgent("nobody")
	_, err := w.Agents().Get(w.ctx, everything, a.ID)
	wantCode(w.T, "get", err, fault.NotFound, "agent_not_found")
	_, err = w.Agents().ByName(w.ctx, a.Name, a.ClusterName)
	wantCode(w.T, "by name", err, fault.NotFound, "agent_not_found")
	wantCode(w.T, "update", w.Agents().Update(w.ctx, a), fault.NotFound, "agent_not_found")
	wantCode(w.T, "delete", w.Agents().Delete(w.ctx, a.ID, w.at), fault.NotFound, "agent_not_found")
}

func agentNames(w *world) {
	a := w.agent("edge")
	same := w.newAgent("edge")
	wantCode(w.T, "insert again", w.Agents().Insert(w.ctx, same), fault.Conflict, "unique_violation")
	same.ClusterName = "elsewhere"
	wantNone(w.T, "insert in another cluster", w.Agents().Insert(w.ctx, same))
	same = w.seeAgent(same.ID)
	same.ClusterName = a.ClusterName
	wantCode(w.T, "rename", w.Agents().Update(w.ctx, same), fault.Conflict, "unique_violation")
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, a.ID, w.at))
	wantNone(w.T, "rename after the deletion", w.Agents().Update(w.ctx, same))
	wantOneWinner(w.T, "insert", race(8, func(int) error { return w.Agents().Insert(w.ctx, w.newAgent("racer")) }))
}

func agentUpdate(w *world) {
	a := w.agent("edge")
	change := a
	change.Name, change.ClusterName, change.Status, change.UpdatedAt = "edge2", "north", agent.Inactive, w.at.Add(time.Minute)
	want := change
	beat := w.at
	change.CreatedAt, change.Liveness.LastHeartbeat = w.at.Add(time.Hour), &beat
	wantNone(w.T, "update", w.Agents().Update(w.ctx, change))
	got := w.seeAgent(a.ID)
	wantGrown(w.T, "version", a.Version, got.Version)
	want.Version = got.Version
	wantSame(w.T, "agent", got, want)
	wantKind(w.T, "update with the old version", w.Agents().Update(w.ctx, change), fault.Conflict)
	wantSame(w.T, "agent after the stale update", w.seeAgent(a.ID), want)
}

func agentUpdateRace(w *world) {
	a := w.agent("edge")
	wantOneWinner(w.T, "update", race(8, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error { return tx.Agents().Update(ctx, a) })
	}))
}

func agentList(w *world) {
	for _, n := range [][2]string{{"b", "x"}, {"B", "x"}, {"a", "z"}, {"a", "Y"}, {"a-1", "x"}, {"a_", "x"}} {
		a := w.newAgent(n[0])
		a.ClusterName = n[1]
		wantNone(w.T, "insert", w.Agents().Insert(w.ctx, a))
	}
	list, err := w.Agents().List(w.ctx, everything)
	wantNone(w.T, "list", err)
	var got []string
	for _, a := range list {
		got = append(got, a.Name+"/"+a.ClusterName)
	}
	wantSame(w.T, "list", got, []string{"B/x", "a/Y", "a/z", "a-1/x", "a_/x", "b/x"})
}

func agentScopes(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	approved, pending, stranger := w.agent("approved"), w.agent("pending"), w.agent("stranger")
	w.consent(approved.ID, g.ID, tenancy.RegistrationApproved)
	w.consent(pending.ID, g.ID, tenancy.RegistrationPending)
	cases := map[string]struct {
		scope tenancy.Scope
		sees  []agent.ID
	}{
		"all":               {everything, []agent.ID{approved.ID, pending.ID, stranger.ID}},
		"a generator":       {tenancy.Scope{Generator: g.ID}, []agent.ID{approved.ID}},
		"another generator": {tenancy.Scope{Generator: h.ID}, nil},
		"an agent":          {tenancy.Scope{Agent: pending.ID}, []agent.ID{pending.ID}},
		"nothing":           {tenancy.Scope{}, nil},
	}
	for name, c := range cases {
		sees := map[agent.ID]bool{}
		for _, id := range c.sees {
			sees[id] = true
		}
		list, err := w.Agents().List(w.ctx, c.scope)
		wantNone(w.T, "list", err)
		listed := map[agent.ID]bool{}
		for _, a := range list {
			listed[a.ID] = true
		}
		wantSame(w.T, "list in the scope of "+name, listed, sees)
		for _, id := range []agent.ID{approved.ID, pending.ID, stranger.ID} {
			_, err := w.Agents().Get(w.ctx, c.scope, id)
			if sees[id] {
				wantNone(w.T, "get in the scope of "+name, err)
			} else {
				wantCode(w.T, "get in the scope of "+name, err, fault.NotFound, "agent_not_found")
			}
		}
	}
}

func agentDelete(w *world) {
	p := w.place(2)
	a, other := p.agents[0], p.agents[1]
	w.label(a.ID, "prod")
	wantNone(w.T, "annotate", w.Agents().AddAnnotation(w.ctx, agent.Annotation{ID: newID[agent.AnnotationID](), Agent: a.ID, Key: "k", Value: "v"}))
	w.target(a.ID, p.stack.ID)
	_, err := w.Reports().Record(w.ctx, a.ID, w.at, []delivery.Report{w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy)})
	wantNone(w.T, "record", err)

	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, a.ID, w.at))
	_, err = w.Agents().Get(w.ctx, everything, a.ID)
	wantKind(w.T, "get", err, fault.NotFound)
	wantKind(w.T, "delete again", w.Agents().Delete(w.ctx, a.ID, w.at), fault.NotFound)
	wantKind(w.T, "update", w.Agents().Update(w.ctx, a), fault.NotFound)
	wantKind(w.T, "label", w.Agents().AddLabel(w.ctx, agent.Label{ID: newID[agent.LabelID](), Agent: a.ID, Label: "late"}), fault.NotFound)

	labels, err := w.Agents().Labels(w.ctx, a.ID)
	wantNone(w.T, "labels", err)
	annotations, err := w.Agents().Annotations(w.ctx, a.ID)
	wantNone(w.T, "annotations", err)
	targets, err := w.Agents().Targets(w.ctx, a.ID)
	wantNone(w.T, "targets", err)
	registrations, err := w.Registrations().OfAgent(w.ctx, a.ID)
	wantNone(w.T, "registrations", err)
	_, held := w.held(a.ID)
	if n := len(labels) + len(annotations) + len(targets) + len(registrations) + len(held); n != 0 {
		w.Fatalf("left of the agent: %v %v %v %v %v, want nothing", labels, annotations, targets, registrations, held)
	}
	list, err := w.Assignments().OfStack(w.ctx, p.stack.ID)
	wantNone(w.T, "assignments of the stack", err)
	if len(list) != 1 || list[0].Agent != other.ID {
		w.Fatalf("assignments of the stack: got %v, want the other agent's", list)
	}
	prior, err := w.Facts().Prior(w.ctx, nil)
	wantNone(w.T, "prior", err)
	if _, there := prior[p.stack.ID][a.ID]; there || len(prior[p.stack.ID]) != 1 {
		w.Fatalf("prior: got %v, want the other agent's only", prior)
	}
	w.agent(a.Name)
}
