package porttest

import (
	"cmp"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func agentPartCases() map[string]func(*world) {
	return map[string]func(*world){
		"labels":      agentLabels,
		"annotations": agentAnnotations,
		"targets":     agentTargets,
	}
}

// versions checks that each change grows the version and nothing else does.
type versions struct {
	w   *world
	now func() int64
	was int64
}

func (v *versions) grew(what string) {
	v.w.Helper()
	now := v.now()
	wantGrown(v.w.T, "version after "+what, v.was, now)
	v.was = now
}

func (v *versions) kept(what string) {
	v.w.Helper()
	wantSame(v.w.T, "version after "+what, v.now(), v.was)
}

func (w *world) agentVersions(id agent.ID) *versions {
	return &versions{w: w, now: func() int64 { return w.seeAgent(id).Version }, was: w.seeAgent(id).Version}
}

func (w *world) stackVersions(id stack.ID) *versions {
	return &versions{w: w, now: func() int64 { return w.seeStack(id).Version }, was: w.seeStack(id).Version}
}

func agentLabels(w *world) {
	a, b := w.agent("edge"), w.agent("core")
	v := w.agentVersions(a.ID)
	prod := agent.Label{ID: newID[agent.LabelID](), Agent: a.ID, Label: "prod"}
	eu := agent.Label{ID: newID[agent.LabelID](), Agent: a.ID, Label: "EU"}
	wantNone(w.T, "add", w.Agents().AddLabel(w.ctx, prod))
	v.grew("a label")
	wantNone(w.T, "add", w.Agents().AddLabel(w.ctx, eu))
	v.grew("a label")
	w.label(b.ID, "prod")
	v.kept("another agent's label")
	again := agent.Label{ID: newID[agent.LabelID](), Agent: a.ID, Label: "prod"}
	wantCode(w.T, "add again", w.Agents().AddLabel(w.ctx, again), fault.Conflict, "unique_violation")
	v.kept("a duplicate")
	got, err := w.Agents().Labels(w.ctx, a.ID)
	wantNone(w.T, "labels", err)
	slices.SortFunc(got, func(x, y agent.Label) int { return cmp.Compare(x.Label, y.Label) })
	wantSame(w.T, "labels", got, []agent.Label{eu, prod})

	wantNone(w.T, "remove", w.Agents().RemoveLabel(w.ctx, a.ID, "prod"))
	v.grew("a removal")
	wantCode(w.T, "remove again", w.Agents().RemoveLabel(w.ctx, a.ID, "prod"), fault.NotFound, "agent_label_not_found")
	v.kept("a removal of nothing")
	got, err = w.Agents().Labels(w.ctx, b.ID)
	wantNone(w.T, "labels", err)
	if len(got) != 1 {
		w.Fatalf("another agent's labels: got %v, want one", got)
	}
	wantCode(w.T, "label nobody", w.Agents().AddLabel(w.ctx, agent.Label{ID: newID[agent.LabelID](), Agent: newID[agent.ID](), Label: "x"}), fault.NotFound, "agent_not_found")
	wantOneWinner(w.T, "add", race(6, func(int) error {
		return w.Agents().AddLabel(w.ctx, agent.Label{ID: newID[agent.LabelID](), Agent: a.ID, Label: "raced"})
	}))
}

func agentAnnotations(w *world) {
	a, b := w.agent("edge"), w.agent("core")
	v := w.agentVersions(a.ID)
	region := agent.Annotation{ID: newID[agent.AnnotationID](), Agent: a.ID, Key: "region", Value: "eu"}
	wantNone(w.T, "add", w.Agents().AddAnnotation(w.ctx, region))
	v.grew("an annotation")
	again := region
	again.ID, again.Value = newID[agent.AnnotationID](), "us"
	wantCode(w.T, "add the key again", w.Agents().AddAnnotation(w.ctx, again), fault.Conflict, "unique_violation")
	v.kept("a duplicate")
	again.Agent = b.ID
	wantNone(w.T, "add to another agent", w.Agents().AddAnnotation(w.ctx, again))
	got, err := w.Agents().Annotations(w.ctx, a.ID)
	wantNone(w.T, "annotations", err)
	wantSame(w.T, "annotations", got, []agent.Annotation{region})
	wantNone(w.T, "remove", w.Agents().RemoveAnnotation(w.ctx, a.ID, "region"))
	v.grew("a removal")
	wantCode(w.T, "remove again", w.Agents().RemoveAnnotation(w.ctx, a.ID, "region"), fault.NotFound, "agent_annotation_not_found")
	v.kept("a removal of nothing")
	again.Agent = newID[agent.ID]()
	wantCode(w.T, "annotate nobody", w.Agents().AddAnnotation(w.ctx, again), fault.NotFound, "agent_not_found")
}

func agentTargets(w *world) {
	g := w.generator("ci")
	s, other := w.stack(g.ID, "web"), w.stack(g.ID, "db")
	a := w.agent("edge")
	v := w.agentVersions(a.ID)
	pin := agent.Target{ID: newID[agent.TargetID](), Agent: a.ID, Stack: s.ID}
	wantNone(w.T, "add", w.Agents().AddTarget(w.ctx, pin))
	v.grew("a target")
	again := pin
	again.ID = newID[agent.TargetID]()
	wantCode(w.T, "add again", w.Agents().AddTarget(w.ctx, again), fault.Conflict, "unique_violation")
	v.kept("a duplicate")
	got, err := w.Agents().Targets(w.ctx, a.ID)
	wantNone(w.T, "targets", err)
	wantSame(w.T, "targets", got, []agent.Target{pin})
	wantCode(w.T, "remove another stack", w.Agents().RemoveTarget(w.ctx, a.ID, other.ID), fault.NotFound, "agent_target_not_found")
	v.kept("a removal of nothing")
	wantNone(w.T, "remove", w.Agents().RemoveTarget(w.ctx, a.ID, s.ID))
	v.grew("a removal")

	again.Stack = newID[stack.ID]()
	wantCode(w.T, "an unknown stack", w.Agents().AddTarget(w.ctx, again), fault.NotFound, "stack_not_found")
	again.Stack, again.Agent = s.ID, newID[agent.ID]()
	wantCode(w.T, "an unknown agent", w.Agents().AddTarget(w.ctx, again), fault.NotFound, "agent_not_found")
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, s.ID, w.at))
	again.Agent = a.ID
	wantCode(w.T, "a deleted stack", w.Agents().AddTarget(w.ctx, again), fault.NotFound, "stack_not_found")
}
