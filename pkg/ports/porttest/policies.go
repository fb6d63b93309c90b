package porttest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func policyCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":          policyRoundTrip,
		"unknown is not found":               policyUnknown,
		"a name is once a generator":         policyNames,
		"a revision follows the one before":  policyRevise,
		"of racing revisions one is next":    policyRace,
		"old revisions go":                   policyKeeps,
		"scopes":                             policyScopes,
		"pages in each order":                policyPages,
		"attached to a stack":                policyAttach,
		"attached to a label":                policyAttachLabel,
		"what decides about a stack":         policyEffective,
		"what a policy reaches":              policyReaches,
		"a deletion detaches":                policyDelete,
		"a decision rests on the policy":     policyCommit,
		"no policy reaches another tenant":   policyTenants,
		"of a collected stack nothing stays": policyCollected,
	}
}

// newPolicy returns a policy with a document that uses every kind of value.
func (w *world) newPolicy(g tenancy.GeneratorID, name string) policy.Policy {
	seconds := int64(600)
	return policy.Policy{
		ID: newID[policy.ID](), Generator: g, Name: name, Revision: 1, CreatedAt: w.at, UpdatedAt: w.at,
		Document: policy.Document{
			Name: name,
			Clusters: &policy.Selector{
				Labels: []string{"prod"}, CEL: "cluster.nodes.ready >= 3", Any: []policy.Selector{{Labels: []string{"eu"}}},
				Expressions: []policy.Expression{{Key: "kubernetes.version", Operator: policy.AtLeast, Values: []string{"1.30"}}},
			},
			Tolerations: []policy.Toleration{{Key: "maintenance", Effect: cluster.NoPlace, Seconds: &seconds}},
			Strategy:    policy.Strategy{Type: policy.Count, Count: &policy.Range{Min: 2, Max: 3}},
			Prefer:      []policy.Preference{{Property: "available.cpu", Range: &[2]float64{0, 0.1}, Weight: 5}},
			Stickiness:  &policy.Stickiness{Points: 20, MinDwell: policy.Duration(90 * time.Minute)},
			Overrides: []policy.Override{{Patches: []policy.Patch{{
				Target: policy.PatchTarget{Kind: "Deployment"}, JSON6902: []byte(`[{"op":"add","path":"/b","value":{"z":"\u0000 <","a":1.50}}]`),
			}}}},
		},
	}
}

func (w *world) policy(g tenancy.GeneratorID, name string) policy.Policy {
	w.Helper()
	p := w.newPolicy(g, name)
	wantNone(w.T, "insert policy", w.Policies().Insert(w.ctx, p))
	return p
}

func (w *world) seePolicy(id policy.ID) policy.Policy {
	w.Helper()
	p, err := w.Policies().Get(w.ctx, everything, id)
	wantNone(w.T, "get policy", err)
	return p
}

func (w *world) attach(p policy.ID, s stack.ID) {
	w.Helper()
	wantNone(w.T, "attach", w.Policies().Attach(w.ctx, policy.Attachment{Policy: p, Stack: s, At: w.at}))
}

func (w *world) attachLabel(p policy.ID, label string) {
	w.Helper()
	wantNone(w.T, "attach to label", w.Policies().AttachLabel(w.ctx, p, label, w.at))
}

// effective is asked for in every way that there is.
func (w *world) effective(s stack.ID) *policy.Ref {
	w.Helper()
	ref, err := w.Policies().Effective(w.ctx, s)
	wantNone(w.T, "effective policy", err)
	wantSame(w.T, "policy of the subject", w.subject(s).Policy, ref)
	return ref
}

func policyRoundTrip(w *world) {
	g := w.generator("ci")
	want := w.newPolicy(g.ID, "web")
	given := want
	given.Revision, given.Stacks, given.Labels = 7, 8, []string{"x"} // the store knows better
	wantNone(w.T, "insert", w.Policies().Insert(w.ctx, given))
	given.Document.Clusters.Labels[0] = "changed by the caller"
	want.Document = w.newPolicy(g.ID, "web").Document
	got := w.seePolicy(want.ID)
	wantSame(w.T, "policy", got, want)
	got.Document.Clusters.Labels[0], got.Document.Overrides[0].Patches[0].JSON6902[0] = "changed by the reader", 'x'
	wantSame(w.T, "policy after the caller changed a copy", w.seePolicy(want.ID), want)
	r, err := w.Policies().Revision(w.ctx, everything, want.ID, 1)
	wantNone(w.T, "revision", err)
	wantSame(w.T, "revision", r, policy.Revision{Policy: want.ID, Number: 1, Document: want.Document, CreatedAt: w.at})
	r.Document.Clusters.Labels[0] = "changed by the reader"
	live, err := w.Policies().Live(w.ctx, nil)
	wantNone(w.T, "live", err)
	wantSame(w.T, "live policies", live, []policy.Policy{want})
	live, err = w.Policies().Live(w.ctx, []policy.ID{newID[policy.ID](), want.ID, "no id"})
	wantNone(w.T, "live by id", err)
	wantSame(w.T, "live policies by id", live, []policy.Policy{want})
	live, err = w.Policies().Live(w.ctx, []policy.ID{})
	if err != nil || len(live) != 0 {
		w.Fatalf("live policies of no ids: got %v, %v", live, err)
	}
}

func policyUnknown(w *world) {
	g := w.generator("ci")
	id, s := newID[policy.ID](), w.stack(g.ID, "web")
	const code = "placement_policy_not_found"
	_, err := w.Policies().Get(w.ctx, everything, id)
	wantCode(w.T, "get", err, fault.NotFound, code)
	_, err = w.Policies().Revisions(w.ctx, everything, id)
	wantCode(w.T, "revisions", err, fault.NotFound, code)
	_, err = w.Policies().Revision(w.ctx, everything, id, 1)
	wantCode(w.T, "revision", err, fault.NotFound, code)
	missing := w.newPolicy(g.ID, "missing")
	wantCode(w.T, "revise", w.Policies().Revise(w.ctx, missing), fault.NotFound, code)
	wantCode(w.T, "delete", w.Policies().Delete(w.ctx, id, w.at), fault.NotFound, code)
	wantCode(w.T, "attach", w.Policies().Attach(w.ctx, policy.Attachment{Policy: id, Stack: s.ID, At: w.at}), fault.NotFound, code)
	wantCode(w.T, "attach to label", w.Policies().AttachLabel(w.ctx, id, "x", w.at), fault.NotFound, code)
	wantCode(w.T, "detach from label", w.Policies().DetachLabel(w.ctx, id, "x"), fault.NotFound, code)
	p := w.policy(g.ID, "web")
	wantCode(w.T, "attach to no stack", w.Policies().Attach(w.ctx, policy.Attachment{Policy: p.ID, Stack: newID[stack.ID](), At: w.at}), fault.NotFound, "stack_not_found")
	_, err = w.Policies().Detach(w.ctx, newID[stack.ID]())
	wantCode(w.T, "detach from no stack", err, fault.NotFound, "stack_not_found")
	_, err = w.Policies().Detach(w.ctx, s.ID)
	wantCode(w.T, "detach what is not attached", err, fault.NotFound, "placement_policy_not_attached")
	wantCode(w.T, "detach from a label that it is not attached to", w.Policies().DetachLabel(w.ctx, p.ID, "x"), fault.NotFound, "placement_policy_not_attached")
	_, err = w.Policies().Effective(w.ctx, newID[stack.ID]())
	wantCode(w.T, "effective of no stack", err, fault.NotFound, "stack_not_found")
	for _, n := range []int{0, 2, -1} {
		_, err = w.Policies().Revision(w.ctx, everything, p.ID, n)
		wantCode(w.T, fmt.Sprintf("revision %d", n), err, fault.NotFound, "placement_policy_revision_not_found")
	}
	gone := w.generator("gone")
	wantNone(w.T, "delete generator", w.Generators().Delete(w.ctx, gone.ID, w.at))
	for _, owner := range []tenancy.GeneratorID{gone.ID, newID[tenancy.GeneratorID]()} {
		wantCode(w.T, "insert without a live generator", w.Policies().Insert(w.ctx, w.newPolicy(owner, "x")), fault.NotFound, "generator_not_found")
	}
}

func policyNames(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	first, second := w.policy(g.ID, "web"), w.policy(g.ID, "db")
	w.policy(h.ID, "web")
	wantCode(w.T, "the same name", w.Policies().Insert(w.ctx, w.newPolicy(g.ID, "web")), fault.Conflict, "unique_violation")
	second.Name = "web"
	wantCode(w.T, "a rename to it", w.Policies().Revise(w.ctx, second), fault.Conflict, "unique_violation")
	again := w.newPolicy(g.ID, "third")
	again.ID = first.ID
	wantCode(w.T, "the same id", w.Policies().Insert(w.ctx, again), fault.Conflict, "unique_violation")
	wantNone(w.T, "delete", w.Policies().Delete(w.ctx, first.ID, w.at))
	wantNone(w.T, "a rename to the name of a deleted one", w.Policies().Revise(w.ctx, second))
	wantNone(w.T, "the name that it had", w.Policies().Insert(w.ctx, w.newPolicy(g.ID, "db")))
}

func policyRevise(w *world) {
	g := w.generator("ci")
	p := w.policy(g.ID, "web")
	w.attachLabel(p.ID, "tier/web")
	next := w.newPolicy(newID[tenancy.GeneratorID](), "renamed") // the owner stays
	next.ID, next.Revision, next.UpdatedAt = p.ID, 1, w.at.Add(time.Minute)
	next.CreatedAt = next.UpdatedAt // and so does this
	next.Document.Strategy = policy.Strategy{Type: policy.All}
	wantNone(w.T, "revise", w.Policies().Revise(w.ctx, next))
	wantCode(w.T, "the same again", w.Policies().Revise(w.ctx, next), fault.Conflict, "conflict")
	want := next
	want.Generator, want.CreatedAt, want.Revision, want.Labels = g.ID, p.CreatedAt, 2, []string{"tier/web"}
	wantSame(w.T, "revised policy", w.seePolicy(p.ID), want)
	first, err := w.Policies().Revision(w.ctx, everything, p.ID, 1)
	wantNone(w.T, "revision 1", err)
	wantSame(w.T, "its document", first.Document, p.Document)
	list, err := w.Policies().Revisions(w.ctx, everything, p.ID)
	wantNone(w.T, "revisions", err)
	wantSame(w.T, "revisions", list, []policy.Revision{{Policy: p.ID, Number: 2, CreatedAt: next.UpdatedAt}, {Policy: p.ID, Number: 1, CreatedAt: w.at}})
}

func policyRace(w *world) {
	p := w.policy(w.generator("ci").ID, "web")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = w.Policies().Revise(w.ctx, p) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantCode(w.T, "a loser", err, fault.Conflict, "conflict")
	}
	if got := w.seePolicy(p.ID).Revision; won != 1 || got != 2 {
		w.Fatalf("%d of %d revisions were stored and it is at %d, want 1 and 2", won, len(errs), got)
	}
}

func policyKeeps(w *world) {
	p := w.policy(w.generator("ci").ID, "web")
	for range policy.KeepRevisions + 2 {
		wantNone(w.T, "revise", w.Policies().Revise(w.ctx, p))
		p.Revision++
	}
	list, err := w.Policies().Revisions(w.ctx, everything, p.ID)
	wantNone(w.T, "revisions", err)
	if len(list) != policy.KeepRevisions || list[0].Number != p.Revision || list[len(list)-1].Number != p.Revision-policy.KeepRevisions+1 {
		w.Fatalf("kept %d revisions from %d to %d, want the newest %d up to %d", len(list), list[len(list)-1].Number, list[0].Number, policy.KeepRevisions, p.Revision)
	}
	wantSame(w.T, "newest revision", w.seePolicy(p.ID).Revision, p.Revision)
}

func policyScopes(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	p := w.policy(g.ID, "web")
	for name, c := range map[string]struct {
		scope tenancy.Scope
		sees  bool
	}{
		"everything": {everything, true}, "its owner": {tenancy.Scope{Generator: g.ID}, true}, "another": {tenancy.Scope{Generator: h.ID}, false},
		"an agent": {tenancy.Scope{Agent: w.agent("a").ID}, false}, "nothing": {tenancy.Scope{}, false},
	} {
		_, err := w.Policies().Get(w.ctx, c.scope, p.ID)
		_, err2 := w.Policies().Revisions(w.ctx, c.scope, p.ID)
		_, err3 := w.Policies().Revision(w.ctx, c.scope, p.ID, 1)
		got, err4 := w.Policies().Page(w.ctx, c.scope, policy.List().All(10))
		wantNone(w.T, "page", err4)
		for _, err := range []error{err, err2, err3} {
			if c.sees != (err == nil) || (err != nil && fault.CodeOf(err) != "placement_policy_not_found") {
				w.Errorf("in the scope of %s: %v", name, err)
			}
		}
		if c.sees != (len(got.Items) == 1) {
			w.Errorf("in the scope of %s: the page has %d", name, len(got.Items))
		}
	}
}

func policyPages(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	var all []policy.Policy
	for i, n := range []string{"b", "B", "a", "ä"} {
		for _, owner := range []tenancy.GeneratorID{g.ID, h.ID} {
			p := w.newPolicy(owner, n)
			p.CreatedAt = w.at.Add(time.Duration(i%2) * time.Second)
			wantNone(w.T, "insert", w.Policies().Insert(w.ctx, p))
			all = append(all, p)
		}
	}
	w.attachLabel(all[0].ID, "x")
	w.attach(all[0].ID, w.stack(g.ID, "web").ID)
	all[0].Labels, all[0].Stacks = []string{"x"}, 1
	gone := w.policy(g.ID, "gone")
	wantNone(w.T, "delete", w.Policies().Delete(w.ctx, gone.ID, w.at))
	everyOrder(w, policy.List(), w.Policies().Page, all)
	for name, c := range map[string]struct {
		q    page.Query
		want int
	}{
		"name":      {page.Query{Is: map[string]string{"name": "a"}}, 2},
		"generator": {page.Query{Is: map[string]string{"generator_id": string(h.ID)}}, 4},
		"both":      {page.Query{Is: map[string]string{"generator_id": string(h.ID), "name": "b"}}, 1},
		"search":    {page.Query{Search: "B"}, 4},
		"none":      {page.Query{Search: "nothing"}, 0},
	} {
		c.q.Limit, c.q.Sort = 1, "name"
		wantSame(w.T, "policies by "+name, len(walk(w, w.Policies().Page, everything, c.q)), c.want)
		c.q.Total = true
		p, err := w.Policies().Page(w.ctx, everything, c.q)
		wantNone(w.T, "page", err)
		wantSame(w.T, "total by "+name, p.Total, c.want)
	}
}

func policyDelete(w *world) {
	g := w.generator("ci")
	p, s := w.policy(g.ID, "web"), w.stack(g.ID, "web")
	w.attach(p.ID, s.ID)
	w.attachLabel(p.ID, "x")
	wantNone(w.T, "delete", w.Policies().Delete(w.ctx, p.ID, w.at))
	wantCode(w.T, "delete again", w.Policies().Delete(w.ctx, p.ID, w.at), fault.NotFound, "placement_policy_not_found")
	wantCode(w.T, "revise", w.Policies().Revise(w.ctx, p), fault.NotFound, "placement_policy_not_found")
	wantCode(w.T, "attach", w.Policies().Attach(w.ctx, policy.Attachment{Policy: p.ID, Stack: s.ID, At: w.at}), fault.NotFound, "placement_policy_not_found")
	_, err := w.Policies().Detach(w.ctx, s.ID)
	wantCode(w.T, "detach", err, fault.NotFound, "placement_policy_not_attached")
	live, err := w.Policies().Live(w.ctx, []policy.ID{p.ID})
	if err != nil || len(live) != 0 {
		w.Errorf("live after the deletion: %v, %v", live, err)
	}
}

func policyCommit(w *world) {
	placed := w.place(1)
	g, s := placed.generator.ID, placed.stack.ID
	p := w.policy(g, "web")
	change := func(name string, fn func()) {
		w.Helper()
		c := w.decision(s, w.assign(placed.agents[0].ID, placed.object))
		fn()
		now := w.subject(s)
		c.StackVersion, c.Generation = now.Version, now.Generation // all but the policy is up to date
		_, err := w.Decisions().Commit(w.ctx, c)
		wantCode(w.T, "commit after "+name, err, fault.Conflict, "conflict")
		c.Policy = now.Policy
		c.Record.Decision.Policy = now.Policy
		_, err = w.Decisions().Commit(w.ctx, c)
		wantNone(w.T, "commit on what is true after "+name, err)
		rec, _, err := w.Decisions().Latest(w.ctx, s)
		wantNone(w.T, "latest", err)
		wantSame(w.T, "policy of the record", rec.Decision.Policy, now.Policy)
		wantSame(w.T, "what the subject's newest record followed", w.subject(s).Decided, now.Policy)
	}
	change("an attachment", func() { w.attach(p.ID, s) })
	change("a revision", func() { wantNone(w.T, "revise", w.Policies().Revise(w.ctx, p)) })
	change("a deletion", func() { wantNone(w.T, "delete", w.Policies().Delete(w.ctx, p.ID, w.at)) })
	w.labelStack(s, "x")
	q := w.policy(g, "by-label")
	change("an attachment to a label", func() { w.attachLabel(q.ID, "x") })
}

func policyTenants(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	p, s := w.policy(g.ID, "web"), w.stack(h.ID, "web")
	w.labelStack(s.ID, "x")
	wantCode(w.T, "attach to another's stack", w.Policies().Attach(w.ctx, policy.Attachment{Policy: p.ID, Stack: s.ID, At: w.at}), fault.NotFound, "placement_policy_not_found")
	w.attachLabel(p.ID, "x")
	if ref := w.effective(s.ID); ref != nil {
		w.Errorf("another's policy decides about the stack: %+v", ref)
	}
}

func policyCollected(w *world) {
	placed := w.place(1)
	p := w.policy(placed.generator.ID, "web")
	w.attach(p.ID, placed.stack.ID)
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, placed.stack.ID, w.at))
	wantSame(w.T, "policy of the deleted stack", w.subject(placed.stack.ID).Policy, &policy.Ref{ID: p.ID, Name: "web", Revision: 1, By: policy.ByStack})
	revisions := w.decide(placed.stack.ID, w.remove(placed.agents[0].ID, placed.object))
	_, err := w.Reports().Acknowledge(w.ctx, placed.agents[0].ID, delivery.Removal{Stack: placed.stack.ID, Revision: revisions[placed.agents[0].ID]})
	wantNone(w.T, "acknowledge", err)
	wantNone(w.T, "delete policy", w.Policies().Delete(w.ctx, p.ID, w.at))
}

func (w *world) policyMethods() map[string]method {
	id, s := newID[policy.ID](), newID[stack.ID]()
	return map[string]method{
		"Policies.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Get(ctx, everything, id))
		},
		"Policies.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Page(ctx, everything, policy.List().All(10)))
		},
		"Policies.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().Insert(ctx, w.newPolicy(newID[tenancy.GeneratorID](), "inserted"))
		},
		"Policies.Revise": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().Revise(ctx, w.newPolicy(newID[tenancy.GeneratorID](), "revised"))
		},
		"Policies.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().Delete(ctx, id, w.at)
		},
		"Policies.Revisions": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Revisions(ctx, everything, id))
		},
		"Policies.Revision": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Revision(ctx, everything, id, 1))
		},
		"Policies.Attach": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().Attach(ctx, policy.Attachment{Policy: id, Stack: s, At: w.at})
		},
		"Policies.Detach": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Detach(ctx, s))
		},
		"Policies.AttachLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().AttachLabel(ctx, id, "x", w.at)
		},
		"Policies.DetachLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Policies().DetachLabel(ctx, id, "x")
		},
		"Policies.Reaches": func(ctx context.Context, r ports.Repositories) error { return discard(r.Policies().Reaches(ctx, id)) },
		"Policies.Effective": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Effective(ctx, s))
		},
		"Policies.Live": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Policies().Live(ctx, nil))
		},
	}
}
