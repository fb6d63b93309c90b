package porttest

import (
	"cmp"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func stackCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":            stackRoundTrip,
		"unknown is not found":                 stackUnknown,
		"names are unique within a generator":  stackNames,
		"an update is compare-and-set":         stackUpdate,
		"a list is by name, then id":           stackList,
		"scopes":                               stackScopes,
		"a deletion hides it and frees a name": stackDelete,
		"a restored one is as it was":          stackRestore,
		"what cannot be restored":              stackNoRestore,
		"deleted ones are collected":           stackCollect,
		"of collected ones nothing is left":    stackPurge,
		"they are purged bit by bit":           purgeBounded,
		"they wait for what names them":        purgeWaits,
		"contents that others share stay":      purgeContents,
		"labels":                               stackLabels,
		"annotations":                          stackAnnotations,
	}
}

func stackRoundTrip(w *world) {
	g := w.generator("ci")
	s := w.newStack(g.ID, "web")
	s.Treatment = someTreatment()
	wantNone(w.T, "insert", w.Stacks().Insert(w.ctx, s))
	s.Treatment = someTreatment()
	got := w.seeStack(s.ID)
	if got.Version <= 0 {
		w.Fatalf("version: got %d, want a positive one", got.Version)
	}
	s.Version = got.Version
	wantSame(w.T, "stack", got, s)
	named, err := w.Stacks().ByName(w.ctx, g.ID, "web")
	wantNone(w.T, "by name", err)
	wantSame(w.T, "stack by name", named, s)
	*got.Description, got.Treatment.IgnorePaths[0], got.Treatment.HealthRules[0] = "changed by the reader", "/changed", "changed"
	*named.Description = "changed by the reader"
	wantSame(w.T, "stack after the caller changed a copy", w.seeStack(s.ID), s)

	plain := w.newStack(g.ID, "plain")
	plain.Description = nil
	wantNone(w.T, "insert", w.Stacks().Insert(w.ctx, plain))
	if got := w.seeStack(plain.ID); got.Description != nil {
		w.Fatalf("description: got %q, want none", *got.Description)
	}
}

func stackUnknown(w *world) {
	g := w.generator("ci")
	s := w.newStack(g.ID, "nothing")
	_, err := w.Stacks().Get(w.ctx, everything, s.ID)
	wantCode(w.T, "get", err, fault.NotFound, "stack_not_found")
	_, err = w.Stacks().ByName(w.ctx, g.ID, s.Name)
	wantCode(w.T, "by name", err, fault.NotFound, "stack_not_found")
	wantCode(w.T, "update", w.Stacks().Update(w.ctx, s), fault.NotFound, "stack_not_found")
	wantCode(w.T, "delete", w.Stacks().Delete(w.ctx, s.ID, w.at), fault.NotFound, "stack_not_found")
	s.Generator = newID[tenancy.GeneratorID]()
	wantCode(w.T, "insert for an unknown generator", w.Stacks().Insert(w.ctx, s), fault.NotFound, "generator_not_found")
}

func stackNames(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	s := w.stack(g.ID, "web")
	db := w.stack(g.ID, "db")
	wantCode(w.T, "insert again", w.Stacks().Insert(w.ctx, w.newStack(g.ID, "web")), fault.Conflict, "unique_violation")
	foreign := w.stack(h.ID, "web")
	if got, err := w.Stacks().ByName(w.ctx, h.ID, "web"); err != nil || got.ID != foreign.ID {
		w.Fatalf("by name of the other generator: got %v, %v", got, err)
	}
	db.Name = "web"
	wantCode(w.T, "rename", w.Stacks().Update(w.ctx, db), fault.Conflict, "unique_violation")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, s.ID, w.at))
	wantNone(w.T, "rename after the deletion", w.Stacks().Update(w.ctx, db))
	wantOneWinner(w.T, "insert", race(8, func(int) error { return w.Stacks().Insert(w.ctx, w.newStack(g.ID, "raced")) }))
}

func stackUpdate(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	s := w.stack(g.ID, "web")
	change := s
	change.Name, change.Description, change.UpdatedAt, change.Treatment = "web2", nil, w.at.Add(time.Minute), someTreatment()
	want := change
	change.Generator, change.CreatedAt = h.ID, w.at.Add(time.Hour)
	wantNone(w.T, "update", w.Stacks().Update(w.ctx, change))
	got := w.seeStack(s.ID)
	wantGrown(w.T, "version", s.Version, got.Version)
	want.Version = got.Version
	wantSame(w.T, "stack", got, want)
	wantKind(w.T, "update with the old version", w.Stacks().Update(w.ctx, s), fault.Conflict)
	wantSame(w.T, "stack after the stale update", w.seeStack(s.ID), want)
	wantOneWinner(w.T, "update", race(8, func(int) error { return w.Stacks().Update(w.ctx, want) }))
	want = w.seeStack(s.ID)
	want.Treatment = stack.Treatment{}
	wantNone(w.T, "update to the defaults", w.Stacks().Update(w.ctx, want))
	wantSame(w.T, "treatment by default", w.seeStack(s.ID).Treatment, stack.Treatment{})
}

// someTreatment differs from the defaults in every field.
func someTreatment() stack.Treatment {
	return stack.Treatment{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
		IgnorePaths: []string{"/spec/replicas", `/data/a~1b"\`}, ServiceAccount: "shop/deployer",
		HealthRules: []string{`Gadget.example.com=object.status.phase == "Ready" ? 'healthy' : 'failing: \'no\''`}, StreamLogs: true}
}

func stackList(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	var want []stack.Stack
	for _, n := range []string{"b", "B", "a-1", "a", "a_1"} {
		want = append(want, w.stack(g.ID, n), w.stack(h.ID, n))
	}
	slices.SortFunc(want, func(x, y stack.Stack) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	got, err := w.Stacks().List(w.ctx, everything)
	wantNone(w.T, "list", err)
	wantSame(w.T, "list", got, want)
}

func stackScopes(w *world) {
	mine, foreign := w.place(2), w.place(1)
	tomb := mine.agents[1]
	w.decide(mine.stack.ID, w.remove(tomb.ID, mine.object))
	cases := map[string]struct {
		scope tenancy.Scope
		sees  []stack.ID
	}{
		"all":                    {everything, []stack.ID{mine.stack.ID, foreign.stack.ID}},
		"its generator":          {tenancy.Scope{Generator: mine.generator.ID}, []stack.ID{mine.stack.ID}},
		"the other generator":    {tenancy.Scope{Generator: foreign.generator.ID}, []stack.ID{foreign.stack.ID}},
		"an agent that has it":   {tenancy.Scope{Agent: mine.agents[0].ID}, []stack.ID{mine.stack.ID}},
		"an agent that loses it": {tenancy.Scope{Agent: tomb.ID}, nil},
		"nothing":                {tenancy.Scope{}, nil},
	}
	for name, c := range cases {
		list, err := w.Stacks().List(w.ctx, c.scope)
		wantNone(w.T, "list", err)
		listed := map[stack.ID]bool{}
		for _, s := range list {
			listed[s.ID] = true
		}
		for _, p := range []placed{mine, foreign} {
			sees := slices.Contains(c.sees, p.stack.ID)
			wantSame(w.T, "listed in the scope of "+name, listed[p.stack.ID], sees)
			_, err := w.Stacks().Get(w.ctx, c.scope, p.stack.ID)
			_, oerr := w.Objects().Get(w.ctx, c.scope, p.object.ID)
			if sees {
				wantNone(w.T, "get in the scope of "+name, err)
				wantNone(w.T, "get object in the scope of "+name, oerr)
			} else {
				wantCode(w.T, "get in the scope of "+name, err, fault.NotFound, "stack_not_found")
				wantCode(w.T, "get object in the scope of "+name, oerr, fault.NotFound, "deployment_object_not_found")
			}
		}
	}
}

func stackDelete(w *world) {
	p := w.place(1)
	w.labelStack(p.stack.ID, "prod")
	w.target(p.agents[0].ID, p.stack.ID)
	version := w.seeStack(p.stack.ID).Version
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, p.stack.ID, w.at))
	_, err := w.Stacks().Get(w.ctx, everything, p.stack.ID)
	wantKind(w.T, "get", err, fault.NotFound)
	_, err = w.Stacks().ByName(w.ctx, p.generator.ID, "web")
	wantKind(w.T, "by name", err, fault.NotFound)
	list, err := w.Stacks().List(w.ctx, everything)
	wantNone(w.T, "list", err)
	wantSame(w.T, "live stacks", len(list), 0)
	wantKind(w.T, "delete again", w.Stacks().Delete(w.ctx, p.stack.ID, w.at), fault.NotFound)
	wantKind(w.T, "update", w.Stacks().Update(w.ctx, p.stack), fault.NotFound)
	wantKind(w.T, "label", w.Stacks().AddLabel(w.ctx, stack.Label{ID: newID[stack.LabelID](), Stack: p.stack.ID, Label: "late"}), fault.NotFound)
	_, err = w.Objects().Insert(w.ctx, w.newObject(p.stack.ID, "late"))
	wantCode(w.T, "publish", err, fault.NotFound, "stack_not_found")

	// What its tombstones need stays, and nothing is removed anywhere by the deletion itself.
	labels, err := w.Stacks().Labels(w.ctx, p.stack.ID)
	wantNone(w.T, "labels", err)
	targets, err := w.Agents().Targets(w.ctx, p.agents[0].ID)
	wantNone(w.T, "targets", err)
	objects, err := w.Objects().OfStack(w.ctx, p.stack.ID)
	wantNone(w.T, "objects", err)
	_, held := w.held(p.agents[0].ID)
	if len(labels) != 1 || len(targets) != 1 || len(objects) != 1 || held[p.stack.ID].State != "assigned" {
		w.Fatalf("after the deletion: labels %v, targets %v, objects %v, held %v; want one each", labels, targets, objects, held)
	}
	s := w.subject(p.stack.ID)
	if !s.Deleted || !s.Labels["prod"] {
		w.Fatalf("subject: got %+v, want a deleted one with its label", s)
	}
	wantGrown(w.T, "version", version, s.Version)
	w.stack(p.generator.ID, "web")
}

func stackLabels(w *world) {
	g := w.generator("ci")
	s, other := w.stack(g.ID, "web"), w.stack(g.ID, "db")
	v := w.stackVersions(s.ID)
	prod := stack.Label{ID: newID[stack.LabelID](), Stack: s.ID, Label: "env:prod"}
	wantNone(w.T, "add", w.Stacks().AddLabel(w.ctx, prod))
	v.grew("a label")
	again := prod
	again.ID = newID[stack.LabelID]()
	wantCode(w.T, "add again", w.Stacks().AddLabel(w.ctx, again), fault.Conflict, "unique_violation")
	v.kept("a duplicate")
	w.labelStack(other.ID, "env:prod")
	v.kept("another stack's label")
	got, err := w.Stacks().Labels(w.ctx, s.ID)
	wantNone(w.T, "labels", err)
	wantSame(w.T, "labels", got, []stack.Label{prod})
	wantNone(w.T, "remove", w.Stacks().RemoveLabel(w.ctx, s.ID, "env:prod"))
	v.grew("a removal")
	wantCode(w.T, "remove again", w.Stacks().RemoveLabel(w.ctx, s.ID, "env:prod"), fault.NotFound, "stack_label_not_found")
	v.kept("a removal of nothing")
	again.Stack = newID[stack.ID]()
	wantCode(w.T, "label nothing", w.Stacks().AddLabel(w.ctx, again), fault.NotFound, "stack_not_found")
}

func stackAnnotations(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	v := w.stackVersions(s.ID)
	tier := stack.Annotation{ID: newID[stack.AnnotationID](), Stack: s.ID, Key: "tier", Value: "gold"}
	wantNone(w.T, "add", w.Stacks().AddAnnotation(w.ctx, tier))
	v.grew("an annotation")
	again := tier
	again.ID, again.Value = newID[stack.AnnotationID](), "silver"
	wantCode(w.T, "add the key again", w.Stacks().AddAnnotation(w.ctx, again), fault.Conflict, "unique_violation")
	v.kept("a duplicate")
	got, err := w.Stacks().Annotations(w.ctx, s.ID)
	wantNone(w.T, "annotations", err)
	wantSame(w.T, "annotations", got, []stack.Annotation{tier})
	wantNone(w.T, "remove", w.Stacks().RemoveAnnotation(w.ctx, s.ID, "tier"))
	v.grew("a removal")
	wantCode(w.T, "remove again", w.Stacks().RemoveAnnotation(w.ctx, s.ID, "tier"), fault.NotFound, "stack_annotation_not_found")
	v.kept("a removal of nothing")
	again.Stack = newID[stack.ID]()
	wantCode(w.T, "annotate nothing", w.Stacks().AddAnnotation(w.ctx, again), fault.NotFound, "stack_not_found")
}
