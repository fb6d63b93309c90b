package porttest

import (
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func factCases() map[string]func(*world) {
	return map[string]func(*world){
		"clusters":               factClusters,
		"what is known":          factKnown,
		"subjects":               factSubjects,
		"deleted stacks":         factDeleted,
		"prior":                  factPrior,
		"an empty list is empty": factNone,
		"values are copies":      factCopies,
	}
}

func (w *world) clusters(ids []agent.ID) map[agent.ID]placement.Cluster {
	w.Helper()
	list, err := w.Facts().Clusters(w.ctx, ids)
	wantNone(w.T, "clusters", err)
	out := map[agent.ID]placement.Cluster{}
	for _, c := range list {
		out[c.Agent] = c
	}
	wantSame(w.T, "clusters that are not twice there", len(out), len(list))
	return out
}

func (w *world) subjects(ids []stack.ID) map[stack.ID]placement.Subject {
	w.Helper()
	list, err := w.Facts().Subjects(w.ctx, ids)
	wantNone(w.T, "subjects", err)
	out := map[stack.ID]placement.Subject{}
	for _, s := range list {
		out[s.Stack] = s
	}
	wantSame(w.T, "subjects that are not twice there", len(out), len(list))
	return out
}

func factClusters(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	s := w.stack(g.ID, "web")
	full, bare, gone := w.agent("full"), w.agent("bare"), w.agent("gone")
	w.label(full.ID, "prod")
	w.label(full.ID, "eu")
	for k, v := range map[string]string{"region": "eu-west", "tier": "gold"} {
		wantNone(w.T, "annotate", w.Agents().AddAnnotation(w.ctx, agent.Annotation{ID: newID[agent.AnnotationID](), Agent: full.ID, Key: k, Value: v}))
	}
	w.consent(full.ID, g.ID, tenancy.RegistrationApproved)
	w.consent(full.ID, h.ID, tenancy.RegistrationPending)
	w.target(full.ID, s.ID)
	w.label(gone.ID, "prod")
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, gone.ID, w.at))

	got := w.clusters(nil)
	want := map[agent.ID]placement.Cluster{
		full.ID: {
			Agent: full.ID, Name: got[full.ID].Name, Version: w.seeAgent(full.ID).Version, Status: agent.Active,
			Labels: map[string]bool{"prod": true, "eu": true}, Annotations: map[string]string{"region": "eu-west", "tier": "gold"},
			Generators: map[tenancy.GeneratorID]bool{g.ID: true}, Targets: map[stack.ID]bool{s.ID: true},
		},
		bare.ID: {Agent: bare.ID, Name: got[bare.ID].Name, Version: bare.Version, Status: agent.Active},
	}
	wantSame(w.T, "all clusters", got, want)
	if got[full.ID].Name == "" {
		w.Fatal("the cluster has no name")
	}
	delete(want, bare.ID)
	wantSame(w.T, "some clusters", w.clusters([]agent.ID{full.ID, gone.ID, newID[agent.ID]()}), want)
}

func factSubjects(w *world) {
	p, q := w.place(1), w.place(0)
	w.labelStack(p.stack.ID, "prod")
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: p.stack.ID, Key: "tier", Value: "gold"}))
	next := w.publish(p.stack.ID, "next")
	empty := w.stack(q.generator.ID, "empty")

	got := w.subjects(nil)
	want := map[stack.ID]placement.Subject{
		p.stack.ID: {
			Stack: p.stack.ID, Name: "web", Generator: p.generator.ID, Version: w.seeStack(p.stack.ID).Version,
			Labels: map[string]bool{"prod": true}, Annotations: map[string]string{"tier": "gold"}, Newest: &next, Generation: 1,
		},
		q.stack.ID: {Stack: q.stack.ID, Name: "web", Generator: q.generator.ID, Version: w.seeStack(q.stack.ID).Version, Newest: &q.object},
		empty.ID:   {Stack: empty.ID, Name: "empty", Generator: q.generator.ID, Version: empty.Version},
	}
	wantSame(w.T, "all subjects", got, want)
	delete(want, q.stack.ID)
	delete(want, empty.ID)
	wantSame(w.T, "some subjects", w.subjects([]stack.ID{p.stack.ID, newID[stack.ID]()}), want)
}

func factDeleted(w *world) {
	p, q := w.place(1), w.place(0)
	a := p.agents[0].ID
	for _, id := range []stack.ID{p.stack.ID, q.stack.ID} {
		wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, id, w.at))
	}
	got := w.subjects(nil)
	if len(got) != 1 || !got[p.stack.ID].Deleted || got[p.stack.ID].Newest == nil {
		w.Fatalf("subjects: got %+v, want the deleted stack that still has assignments", got)
	}
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	wantSame(w.T, "subjects while the tombstone stands", len(w.subjects([]stack.ID{p.stack.ID, q.stack.ID})), 1)
	w.ack(a, p.stack.ID, rev)
	wantSame(w.T, "subjects after the last tombstone", len(w.subjects(nil)), 0)
	wantSame(w.T, "subjects after the last tombstone, by id", len(w.subjects([]stack.ID{p.stack.ID})), 0)
}

func factPrior(w *world) {
	p, q := w.place(2), w.place(1)
	w.place(0)
	w.decide(p.stack.ID, w.remove(p.agents[1].ID, p.object))
	want := map[stack.ID]placement.Prior{}
	for _, x := range []placed{p, q} {
		want[x.stack.ID] = placement.Prior{}
		for _, a := range x.agents {
			_, held := w.held(a.ID)
			want[x.stack.ID][a.ID] = held[x.stack.ID].Assignment
		}
	}
	if want[p.stack.ID][p.agents[1].ID].State != delivery.Removing {
		w.Fatal("the tombstone is missing")
	}
	got, err := w.Facts().Prior(w.ctx, nil)
	wantNone(w.T, "prior", err)
	for id, prior := range got {
		if len(prior) == 0 {
			delete(got, id)
		}
	}
	wantSame(w.T, "prior", got, want)
	delete(want, p.stack.ID)
	got, err = w.Facts().Prior(w.ctx, []stack.ID{q.stack.ID})
	wantNone(w.T, "prior of one", err)
	wantSame(w.T, "prior of one", got, want)
}

// factNone has an empty list mean none, where nil means all: a caller that found nothing must not get everything.
func factNone(w *world) {
	w.place(1)
	wantSame(w.T, "clusters", len(w.clusters([]agent.ID{})), 0)
	wantSame(w.T, "subjects", len(w.subjects([]stack.ID{})), 0)
	prior, err := w.Facts().Prior(w.ctx, []stack.ID{})
	wantNone(w.T, "prior", err)
	wantSame(w.T, "prior", len(prior), 0)
}

func factCopies(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	w.label(a, "prod")
	w.labelStack(p.stack.ID, "prod")
	c, s := w.clusters(nil)[a], w.subjects(nil)[p.stack.ID]
	c.Labels["changed"], s.Labels["changed"], s.Newest.Size = true, true, -1
	if w.clusters(nil)[a].Labels["changed"] || w.subjects(nil)[p.stack.ID].Labels["changed"] || w.subjects(nil)[p.stack.ID].Newest.Size == -1 {
		w.Fatal("the store shares what it returns")
	}
}

// factKnown has placement see what is known of a cluster, and how much stands there.
func factKnown(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	_, err := w.Clusters().Report(w.ctx, a, w.clusterStatus(), w.at)
	wantNone(w.T, "report", err)
	_, err = w.Clusters().Taint(w.ctx, a, cluster.Taint{Key: "k", Effect: cluster.NoPlace, Since: w.at})
	wantNone(w.T, "taint", err)
	w.drain(a, cluster.Drain{Since: w.at, Budget: 1}, true)
	wantNone(w.T, "release", w.Drains().Release(w.ctx, a, []stack.ID{p.stack.ID}, w.at))
	w.beat(agent.Heartbeat{Agent: a, At: w.at})
	_, err = w.Reachability().Lose(w.ctx, []agent.ID{a}, silent)
	wantNone(w.T, "lose", err)
	w.decide(p.stack.ID, w.remove(b, p.object))

	got := w.clusters(nil)
	k, c := w.known(a), got[a]
	if c.ReportedAt == nil || c.Drain == nil || c.UnreachableSince == nil {
		w.Fatalf("cluster: got %+v, want all that is known", c)
	}
	wantSame(w.T, "cluster", cluster.Known{
		Status: c.Reported, ReportedAt: c.ReportedAt, ChangedAt: k.ChangedAt, Taints: c.Taints, Cordon: c.Cordon, Drain: c.Drain, UnreachableSince: c.UnreachableSince,
	}, k)
	wantSame(w.T, "load", []int{c.Load, got[b].Load}, []int{1, 0})
	wantSame(w.T, "version", c.Version, w.seeAgent(a).Version)
}
