package porttest

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func clusterCases() map[string]func(*world) {
	return map[string]func(*world){
		"a status is stored, and is news only when it differs": clusterReports,
		"taints":                           clusterTaints,
		"cordon and uncordon":              clusterCordon,
		"scope":                            clusterScope,
		"it goes with the agent":           clusterDeleted,
		"unknown agents":                   clusterUnknown,
		"what is returned is the caller's": clusterCopies,
	}
}

func drainCases() map[string]func(*world) {
	return map[string]func(*world){
		"a drain cordons, releases and ends": drainLife,
		"a drain that runs is changed":       drainChanged,
		"uncordon ends a drain":              drainUncordoned,
		"unknown agents":                     drainUnknown,
	}
}

func reachabilityCases() map[string]func(*world) {
	return map[string]func(*world){
		"silent agents are lost, heard ones found":    reachabilityMarks,
		"one sweep marks, however many do it at once": reachabilityRace,
	}
}

func (w *world) known(a agent.ID) cluster.Known {
	w.Helper()
	got, err := w.Clusters().Known(w.ctx, everything, []agent.ID{a})
	wantNone(w.T, "what is known", err)
	k, ok := got[a]
	if !ok || len(got) != 1 {
		w.Fatalf("what is known: got %d clusters, want that of %s", len(got), a)
	}
	return k
}

// wantVersion checks by how much the agent's version has grown since a.
func (w *world) wantVersion(what string, a agent.Agent, grown int64) {
	w.Helper()
	wantSame(w.T, what+": version", w.seeAgent(a.ID).Version, a.Version+grown)
}

func (w *world) clusterStatus() cluster.Status {
	price, until := 2.5, w.at.Add(time.Hour)
	return cluster.Status{
		KubernetesVersion: "v1.36.3", Nodes: 3, ReadyNodes: 2, Allocatable: cluster.Resources{CPU: 12000, Memory: 1 << 35, Pods: 330, GPU: 1},
		Requested: cluster.Resources{CPU: 500, Memory: 1 << 30, Pods: 12}, Architectures: []string{"amd64", "arm64"}, APIs: []string{"apps/v1", "v1"},
		Facts:   map[string]cluster.Fact{"price": {Number: &price, Until: &until}, "zone": {Text: "north"}},
		Unknown: map[cluster.Part]string{cluster.PartRequested: "pods are forbidden"},
	}
}

func clusterReports(w *world) {
	a, other := w.agent("edge"), w.agent("other")
	wantSame(w.T, "before anything was told", w.known(a.ID), cluster.Known{})
	report := func(s cluster.Status, second int) bool {
		w.Helper()
		changed, err := w.Clusters().Report(w.ctx, a.ID, s, w.at.Add(time.Duration(second)*time.Second))
		wantNone(w.T, "report", err)
		return changed
	}
	s := w.clusterStatus()
	wantSame(w.T, "the first is news", report(s, 1), true)
	first, second, third := w.at.Add(time.Second), w.at.Add(2*time.Second), w.at.Add(3*time.Second)
	wantSame(w.T, "stored", w.known(a.ID), cluster.Known{Status: s, ReportedAt: &first, ChangedAt: &first})
	w.wantVersion("the first", a, 1)
	wantSame(w.T, "the same is no news", report(w.clusterStatus(), 2), false)
	wantSame(w.T, "repeated", w.known(a.ID), cluster.Known{Status: s, ReportedAt: &second, ChangedAt: &first})
	w.wantVersion("the same", a, 1)
	s.ReadyNodes = 3
	wantSame(w.T, "another is news", report(s, 3), true)
	wantSame(w.T, "another", w.known(a.ID), cluster.Known{Status: s, ReportedAt: &third, ChangedAt: &third})
	w.wantVersion("another", a, 2)
	w.wantVersion("of another agent", other, 0)
	wantSame(w.T, "the other's", w.known(other.ID), cluster.Known{})
}

func clusterTaints(w *world) {
	a := w.agent("edge")
	taint := func(key, value string, e cluster.Effect, second int, want bool) {
		w.Helper()
		changed, err := w.Clusters().Taint(w.ctx, a.ID, cluster.Taint{Key: key, Value: value, Effect: e, Since: w.at.Add(time.Duration(second) * time.Second)})
		wantNone(w.T, "taint", err)
		wantSame(w.T, "taint is news", changed, want)
	}
	taint("maintenance", "", cluster.NoPlace, 0, true)
	taint("maintenance", "", cluster.NoPlace, 5, false)
	taint("maintenance", "", cluster.Evict, 1, true)
	taint("gpu", "a100", cluster.PreferNoPlace, 2, true)
	taint("gpu", "h100", cluster.PreferNoPlace, 3, true)
	at := func(second int) time.Time { return w.at.Add(time.Duration(second) * time.Second) }
	want := []cluster.Taint{
		{Key: "gpu", Value: "h100", Effect: cluster.PreferNoPlace, Since: at(3)},
		{Key: "maintenance", Effect: cluster.Evict, Since: at(1)}, {Key: "maintenance", Effect: cluster.NoPlace, Since: at(0)},
	}
	wantSame(w.T, "taints", w.known(a.ID).Taints, want)
	w.wantVersion("taints", a, 4)
	wantNone(w.T, "untaint", w.Clusters().Untaint(w.ctx, a.ID, "maintenance", cluster.Evict))
	wantCode(w.T, "untaint again", w.Clusters().Untaint(w.ctx, a.ID, "maintenance", cluster.Evict), fault.NotFound, "agent_taint_not_found")
	wantSame(w.T, "taints after one went", w.known(a.ID).Taints, []cluster.Taint{want[0], want[2]})
	w.wantVersion("untainted", a, 5)
}

func (w *world) cordon(a agent.ID, c *cluster.Cordon, want bool) {
	w.Helper()
	changed, err := w.Clusters().Cordon(w.ctx, a, c)
	wantNone(w.T, "cordon", err)
	wantSame(w.T, "cordon changes", changed, want)
}

func clusterCordon(w *world) {
	a := w.agent("edge")
	c := cluster.Cordon{Since: w.at, By: "admin", Reason: "new disks"}
	w.cordon(a.ID, nil, false)
	w.cordon(a.ID, &c, true)
	w.cordon(a.ID, &cluster.Cordon{Since: w.at.Add(time.Minute), By: "another"}, false)
	wantSame(w.T, "cordoned", w.known(a.ID).Cordon, &c)
	w.wantVersion("cordoned", a, 1)
	w.cordon(a.ID, nil, true)
	wantSame(w.T, "uncordoned", w.known(a.ID), cluster.Known{})
	w.wantVersion("uncordoned", a, 2)
}

func clusterScope(w *world) {
	g := w.generator("ci")
	a, b, pending := w.agent("a"), w.agent("b"), w.agent("pending")
	w.consent(a.ID, g.ID, tenancy.RegistrationApproved)
	w.consent(pending.ID, g.ID, tenancy.RegistrationPending)
	for name, tc := range map[string]struct {
		scope tenancy.Scope
		ids   []agent.ID
		want  []agent.ID
	}{
		"all":                {everything, nil, []agent.ID{a.ID, b.ID, pending.ID}},
		"some":               {everything, []agent.ID{b.ID, newID[agent.ID]()}, []agent.ID{b.ID}},
		"none":               {everything, []agent.ID{}, nil},
		"a generator":        {tenancy.Scope{Generator: g.ID}, nil, []agent.ID{a.ID}},
		"a generator, by id": {tenancy.Scope{Generator: g.ID}, []agent.ID{a.ID, b.ID}, []agent.ID{a.ID}},
		"an agent":           {tenancy.Scope{Agent: b.ID}, nil, []agent.ID{b.ID}},
		"an agent, by id":    {tenancy.Scope{Agent: b.ID}, []agent.ID{a.ID, b.ID}, []agent.ID{b.ID}},
		"nobody":             {tenancy.Scope{}, nil, nil},
	} {
		got, err := w.Clusters().Known(w.ctx, tc.scope, tc.ids)
		wantNone(w.T, name, err)
		var ids []agent.ID
		for id := range got {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		slices.Sort(tc.want)
		wantSame(w.T, name, ids, tc.want)
	}
}

func clusterDeleted(w *world) {
	p := w.place(1)
	a := p.agents[0]
	_, err := w.Clusters().Report(w.ctx, a.ID, w.clusterStatus(), w.at)
	wantNone(w.T, "report", err)
	_, err = w.Clusters().Taint(w.ctx, a.ID, cluster.Taint{Key: "k", Effect: cluster.NoPlace, Since: w.at})
	wantNone(w.T, "taint", err)
	_, err = w.Drains().Start(w.ctx, a.ID, cluster.Drain{Since: w.at, Budget: 1})
	wantNone(w.T, "drain", err)
	wantNone(w.T, "release", w.Drains().Release(w.ctx, a.ID, []stack.ID{p.stack.ID}, w.at))
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, a.ID, w.at))
	all, err := w.Clusters().Known(w.ctx, everything, nil)
	wantNone(w.T, "what is known", err)
	wantSame(w.T, "what is known after the agent went", len(all), 0)
	running, err := w.Drains().Running(w.ctx)
	wantNone(w.T, "running", err)
	wantSame(w.T, "drains after the agent went", len(running), 0)
}

func clusterUnknown(w *world) {
	gone := w.agent("gone")
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, gone.ID, w.at))
	for _, id := range []agent.ID{gone.ID, newID[agent.ID]()} {
		_, err := w.Clusters().Report(w.ctx, id, w.clusterStatus(), w.at)
		wantCode(w.T, "report", err, fault.NotFound, "agent_not_found")
		_, err = w.Clusters().Taint(w.ctx, id, cluster.Taint{Key: "k", Effect: cluster.NoPlace, Since: w.at})
		wantCode(w.T, "taint", err, fault.NotFound, "agent_not_found")
		wantCode(w.T, "untaint", w.Clusters().Untaint(w.ctx, id, "k", cluster.NoPlace), fault.NotFound, "agent_not_found")
		_, err = w.Clusters().Cordon(w.ctx, id, &cluster.Cordon{Since: w.at})
		wantCode(w.T, "cordon", err, fault.NotFound, "agent_not_found")
		_, err = w.Clusters().Cordon(w.ctx, id, nil)
		wantCode(w.T, "uncordon", err, fault.NotFound, "agent_not_found")
	}
}

func clusterCopies(w *world) {
	a := w.agent("edge")
	s := w.clusterStatus()
	_, err := w.Clusters().Report(w.ctx, a.ID, s, w.at)
	wantNone(w.T, "report", err)
	s.Facts["zone"], s.APIs[0] = cluster.Fact{Text: "changed"}, "changed"
	k := w.known(a.ID)
	*k.Status.Facts["price"].Number, k.Status.APIs[1], *k.ReportedAt = 9, "changed", time.Time{}
	k.Status.Unknown[cluster.PartAPIs] = "changed"
	wantSame(w.T, "after the caller changed copies", w.known(a.ID), cluster.Known{Status: w.clusterStatus(), ReportedAt: &w.at, ChangedAt: &w.at})
}

func (w *world) drain(a agent.ID, d cluster.Drain, want bool) {
	w.Helper()
	changed, err := w.Drains().Start(w.ctx, a, d)
	wantNone(w.T, "start drain", err)
	wantSame(w.T, "start of drain changes", changed, want)
}

func drainLife(w *world) {
	p, q := w.place(1), w.place(0)
	a, other := w.seeAgent(p.agents[0].ID), w.agent("other")
	d := cluster.Drain{Since: w.at, By: "admin", Reason: "old iron", Budget: 2}
	w.drain(a.ID, d, true)
	wantSame(w.T, "drained", w.known(a.ID), cluster.Known{Drain: &d, Cordon: &cluster.Cordon{Since: w.at, By: "admin", Reason: "old iron"}})
	w.wantVersion("drained", a, 1)
	t1 := w.at.Add(time.Minute)
	wantNone(w.T, "release", w.Drains().Release(w.ctx, a.ID, []stack.ID{p.stack.ID}, t1))
	wantNone(w.T, "release again", w.Drains().Release(w.ctx, a.ID, []stack.ID{p.stack.ID, q.stack.ID}, t1.Add(time.Minute)))
	w.wantVersion("released", a, 3)
	d.Released = map[stack.ID]time.Time{p.stack.ID: t1, q.stack.ID: t1.Add(time.Minute)}
	wantSame(w.T, "released", w.known(a.ID).Drain, &d)
	running, err := w.Drains().Running(w.ctx)
	wantNone(w.T, "running", err)
	wantSame(w.T, "running", running, map[agent.ID]cluster.Drain{a.ID: d})
	wantCode(w.T, "release without a drain", w.Drains().Release(w.ctx, other.ID, []stack.ID{p.stack.ID}, t1), fault.NotFound, "drain_not_found")
	for _, want := range []bool{true, false} {
		ended, err := w.Drains().End(w.ctx, a.ID)
		wantNone(w.T, "end", err)
		wantSame(w.T, "there was one to end", ended, want)
	}
	if k := w.known(a.ID); k.Drain != nil || k.Cordon == nil {
		w.Fatalf("after the drain: got %+v, want the cordon alone", k)
	}
	w.wantVersion("ended", a, 4)
	w.drain(a.ID, cluster.Drain{Since: t1}, true)
	wantSame(w.T, "another drain has released nothing", w.known(a.ID).Drain, &cluster.Drain{Since: t1})
}

func drainChanged(w *world) {
	p := w.place(1)
	a := w.seeAgent(p.agents[0].ID)
	c := cluster.Cordon{Since: w.at, By: "somebody"}
	w.cordon(a.ID, &c, true)
	w.drain(a.ID, cluster.Drain{Since: w.at, By: "admin", Budget: 1}, true)
	wantNone(w.T, "release", w.Drains().Release(w.ctx, a.ID, []stack.ID{p.stack.ID}, w.at))
	w.drain(a.ID, cluster.Drain{Since: w.at.Add(time.Hour), By: "admin", Budget: 1}, false)
	w.drain(a.ID, cluster.Drain{Since: w.at.Add(time.Hour), By: "admin", Budget: 5}, true)
	want := cluster.Drain{Since: w.at, By: "admin", Budget: 5, Released: map[stack.ID]time.Time{p.stack.ID: w.at}}
	wantSame(w.T, "changed", w.known(a.ID), cluster.Known{Drain: &want, Cordon: &c})
	w.wantVersion("changed", a, 4)
}

func drainUncordoned(w *world) {
	a := w.agent("edge")
	w.drain(a.ID, cluster.Drain{Since: w.at, Budget: 1}, true)
	w.cordon(a.ID, nil, true)
	wantSame(w.T, "uncordoned", w.known(a.ID), cluster.Known{})
	w.wantVersion("uncordoned", a, 2)
}

func drainUnknown(w *world) {
	id := newID[agent.ID]()
	_, err := w.Drains().Start(w.ctx, id, cluster.Drain{Since: w.at})
	wantCode(w.T, "start", err, fault.NotFound, "agent_not_found")
	_, err = w.Drains().End(w.ctx, id)
	wantCode(w.T, "end", err, fault.NotFound, "agent_not_found")
	wantCode(w.T, "release", w.Drains().Release(w.ctx, id, nil, w.at), fault.NotFound, "drain_not_found")
}

const silent = 30 * time.Second

func (w *world) silence() cluster.Silence {
	w.Helper()
	s, err := w.Reachability().Silence(w.ctx, silent)
	wantNone(w.T, "silence", err)
	slices.Sort(s.Lost)
	slices.Sort(s.Back)
	return s
}

func reachabilityMarks(w *world) {
	heard, quiet, never, gone := w.agent("heard"), w.agent("quiet"), w.agent("never"), w.agent("gone")
	now := time.Now().UTC()
	w.beat(agent.Heartbeat{Agent: heard.ID, At: now}, agent.Heartbeat{Agent: quiet.ID, At: w.at}, agent.Heartbeat{Agent: gone.ID, At: w.at})
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, gone.ID, w.at))
	wantSame(w.T, "silence", w.silence(), cluster.Silence{Watched: 2, Lost: []agent.ID{quiet.ID}})
	lost, err := w.Reachability().Lose(w.ctx, []agent.ID{heard.ID, quiet.ID, never.ID, gone.ID, newID[agent.ID]()}, silent)
	wantNone(w.T, "lose", err)
	wantSame(w.T, "lost", lost, []agent.ID{quiet.ID})
	wantSame(w.T, "marked since the last heartbeat", w.known(quiet.ID).UnreachableSince, &w.at)
	wantSame(w.T, "marked", w.silence(), cluster.Silence{Watched: 2, Unreachable: 1})
	w.wantVersion("lost", quiet, 1)
	for _, a := range []agent.Agent{heard, never} {
		w.wantVersion("not lost", a, 0)
		wantSame(w.T, "not lost", w.known(a.ID), cluster.Known{})
	}
	again, err := w.Reachability().Lose(w.ctx, []agent.ID{quiet.ID}, silent)
	wantNone(w.T, "lose again", err)
	wantSame(w.T, "lost again", len(again), 0)
	found, err := w.Reachability().Find(w.ctx, []agent.ID{quiet.ID, heard.ID}, silent)
	wantNone(w.T, "find while it is silent", err)
	wantSame(w.T, "found while it is silent", len(found), 0)

	w.beat(agent.Heartbeat{Agent: quiet.ID, At: now})
	wantSame(w.T, "heard again", w.silence(), cluster.Silence{Watched: 2, Unreachable: 1, Back: []agent.ID{quiet.ID}})
	found, err = w.Reachability().Find(w.ctx, []agent.ID{quiet.ID, heard.ID}, silent)
	wantNone(w.T, "find", err)
	wantSame(w.T, "found", found, []agent.ID{quiet.ID})
	wantSame(w.T, "the mark went", w.known(quiet.ID), cluster.Known{})
	w.wantVersion("found", quiet, 2)
}

func reachabilityRace(w *world) {
	ids := make([]agent.ID, 6)
	for i := range ids {
		ids[i] = w.agent("edge-" + string(newID[agent.ID]())).ID
		w.beat(agent.Heartbeat{Agent: ids[i], At: w.at})
	}
	marked := make([]int, 4)
	for _, err := range race(len(marked), func(i int) error {
		mine := slices.Clone(ids)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		lost, err := w.Reachability().Lose(w.ctx, mine, silent)
		marked[i] = len(lost)
		return err
	}) {
		wantNone(w.T, "lose at once", err)
	}
	sum := 0
	for _, n := range marked {
		sum += n
	}
	wantSame(w.T, "each is marked once", sum, len(ids))
}

func (w *world) clusterMethods() map[string]method {
	a := newID[agent.ID]()
	return map[string]method{
		"Clusters.Known": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Clusters().Known(ctx, everything, nil))
		},
		"Clusters.Report": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Clusters().Report(ctx, a, cluster.Status{}, w.at))
		},
		"Clusters.Taint": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Clusters().Taint(ctx, a, cluster.Taint{Key: "k", Effect: cluster.NoPlace, Since: w.at}))
		},
		"Clusters.Untaint": func(ctx context.Context, r ports.Repositories) error {
			return r.Clusters().Untaint(ctx, a, "k", cluster.NoPlace)
		},
		"Clusters.Cordon": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Clusters().Cordon(ctx, a, &cluster.Cordon{Since: w.at}))
		},
		"Drains.Start": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Drains().Start(ctx, a, cluster.Drain{Since: w.at}))
		},
		"Drains.End":     func(ctx context.Context, r ports.Repositories) error { return discard(r.Drains().End(ctx, a)) },
		"Drains.Running": func(ctx context.Context, r ports.Repositories) error { return discard(r.Drains().Running(ctx)) },
		"Drains.Release": func(ctx context.Context, r ports.Repositories) error {
			return r.Drains().Release(ctx, a, nil, w.at)
		},
		"Reachability.Silence": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reachability().Silence(ctx, time.Minute))
		},
		"Reachability.Lose": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reachability().Lose(ctx, []agent.ID{a}, time.Minute))
		},
		"Reachability.Find": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reachability().Find(ctx, []agent.ID{a}, time.Minute))
		},
	}
}
