package porttest

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// deletedStackPages has deleted stacks of two generators, and others that are no such ones.
func deletedStackPages(w *world) {
	g, h, gone := w.generator("ci"), w.generator("other"), w.generator("gone")
	w.stack(g.ID, "live")
	old := w.stack(g.ID, "collected")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, old.ID, w.at))
	w.collect()
	var all []stack.Stack
	for i := range 6 {
		for _, owner := range []tenancy.GeneratorID{g.ID, h.ID} {
			s := w.stack(owner, "web") // all of one name
			wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, s.ID, w.at.Add(time.Duration(i/2)*time.Second)))
			d, err := w.Stacks().Deleted(w.ctx, everything, s.ID)
			wantNone(w.T, "deleted", err)
			all = append(all, d)
		}
	}
	restored := w.stack(g.ID, "restored")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, restored.ID, w.at))
	wantNone(w.T, "restore", w.Stacks().Restore(w.ctx, restored.ID, w.at))
	orphan := w.stack(gone.ID, "orphan")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, orphan.ID, w.at))
	wantNone(w.T, "delete a generator", w.Generators().Delete(w.ctx, gone.ID, w.at))
	everyOrder(w, stack.DeletedList(), w.Stacks().DeletedPage, all)
	for name, c := range map[string]struct {
		scope tenancy.Scope
		want  int
	}{
		"everything": {everything, 12}, "its generator": {tenancy.Scope{Generator: g.ID}, 6}, "an agent": {tenancy.Scope{Agent: w.agent("a").ID}, 0},
		"nothing": {tenancy.Scope{}, 0}, "the generator that is gone": {tenancy.Scope{Generator: gone.ID}, 0},
	} {
		p, err := w.Stacks().DeletedPage(w.ctx, c.scope, page.Query{Limit: 1, Sort: "deleted_at", Total: true})
		wantNone(w.T, "page", err)
		wantSame(w.T, "total in the scope of "+name, p.Total, c.want)
		for _, s := range walk(w, w.Stacks().DeletedPage, c.scope, page.Query{Limit: 4, Sort: "deleted_at"}) {
			if !c.scope.Owns(s.Generator) {
				w.Fatalf("the scope of %s sees %+v", name, s)
			}
		}
	}
	p := walk(w, w.Stacks().DeletedPage, tenancy.Scope{Generator: g.ID}, page.Query{Limit: 9, Sort: "deleted_at", Is: map[string]string{"generator_id": string(h.ID)}})
	wantSame(w.T, "another tenant's by filter", len(p), 0)
}

func deletedStackFilters(w *world) {
	g := w.generator("ci")
	web, db := w.stack(g.ID, "web"), w.stack(g.ID, "db")
	w.labelStack(web.ID, "prod")
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: db.ID, Key: "tier", Value: "gold"}))
	for i, id := range []stack.ID{web.ID, db.ID} {
		wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, id, w.at.Add(time.Duration(i)*time.Second)))
	}
	for i, c := range []struct {
		q    page.Query
		want []stack.ID
	}{
		{page.Query{}, []stack.ID{db.ID, web.ID}},
		{page.Query{Is: map[string]string{"name": "web"}}, []stack.ID{web.ID}},
		{page.Query{Is: map[string]string{"generator_id": string(g.ID)}}, []stack.ID{db.ID, web.ID}},
		{page.Query{Labels: []string{"prod"}}, []stack.ID{web.ID}},
		{page.Query{Annotations: []page.Pair{{Key: "tier", Value: "gold"}}}, []stack.ID{db.ID}},
		{page.Query{Search: "WE"}, []stack.ID{web.ID}},
	} {
		c.q.Limit, c.q.Sort, c.q.Descending = 10, "deleted_at", true
		var got []stack.ID
		for _, s := range walk(w, w.Stacks().DeletedPage, everything, c.q) {
			got = append(got, s.ID)
		}
		wantSame(w.T, fmt.Sprintf("filter %d", i), got, c.want)
	}
}
