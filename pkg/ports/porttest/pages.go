package porttest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func pageCases() map[string]func(*world) {
	return map[string]func(*world){
		"stacks in each order":          stackPages,
		"filters of stacks":             stackPageFilters,
		"scopes of stacks":              stackPageScopes,
		"agents in each order":          agentPages,
		"filters and scopes of agents":  agentPageFilters,
		"filters of clusters":           clusterPageFilters,
		"generators in each order":      generatorPages,
		"deleted stacks":                deletedStackPages,
		"filters of deleted stacks":     deletedStackFilters,
		"objects of one stack":          objectPages,
		"stable while others write":     pagesUnderWrites,
		"what is given is the caller's": pageCopies,
		"a total counts what passes":    pageTotals,
		"a key need not be there":       pageBehindNothing,
	}
}

// pager is the Page method of a list in a scope.
type pager[T any] func(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[T], error)

// walk returns everything that the pages of q hold, one after the other, and fails if a page is longer than asked for.
func walk[T any](w *world, get pager[T], scope tenancy.Scope, q page.Query) []T {
	w.Helper()
	var out []T
	for pages := 0; ; pages++ {
		p, err := get(w.ctx, scope, q)
		wantNone(w.T, "page", err)
		if len(p.Items) > q.Limit || (p.Next != nil && len(p.Items) != q.Limit) || pages > 1000 {
			w.Fatalf("page %d: got %d items with a next page %v, limit %d", pages, len(p.Items), p.Next, q.Limit)
		}
		out = append(out, p.Items...)
		if p.Next == nil {
			return out
		}
		q.After = p.Next
	}
}

// everyOrder checks pages of 1, 2 and many items in every order against the list's own rule.
func everyOrder[T any](w *world, l page.List[T], get pager[T], all []T) {
	w.Helper()
	for _, s := range l.Sorts {
		for _, limit := range []int{1, 2, 100} {
			for _, down := range []bool{false, true} {
				q := page.Query{Limit: limit, Sort: s.Name, Descending: down}
				want := l.Cut(all, page.Query{Limit: len(all), Sort: s.Name, Descending: down}).Items
				wantSame(w.T, fmt.Sprintf("by %s, descending %t, %d at a time", s.Name, down, limit), walk(w, get, everything, q), want)
			}
		}
	}
}

func stackPages(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	var all []stack.Stack
	for i, n := range []string{"b", "B", "a-1", "a", "a_1", "ä"} {
		for _, owner := range []tenancy.GeneratorID{g.ID, h.ID} {
			s := w.newStack(owner, n)
			s.CreatedAt = w.at.Add(time.Duration(i%3) * time.Second)
			wantNone(w.T, "insert", w.Stacks().Insert(w.ctx, s))
			all = append(all, w.seeStack(s.ID))
		}
	}
	gone := w.stack(g.ID, "gone")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, gone.ID, w.at))
	everyOrder(w, stack.List(), w.Stacks().Page, all)
}

func stackPageFilters(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	web, db, other := w.stack(g.ID, "web"), w.newStack(g.ID, "DB"), w.stack(h.ID, "web")
	text := "keeps the 100% of_orders"
	db.Description = &text
	wantNone(w.T, "insert", w.Stacks().Insert(w.ctx, db))
	w.labelStack(web.ID, "prod")
	w.labelStack(web.ID, "eu")
	w.labelStack(db.ID, "prod")
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: web.ID, Key: "tier", Value: "gold"}))
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: db.ID, Key: "tier", Value: "silver"}))
	cases := map[string]struct {
		q    page.Query
		want []stack.ID
	}{
		"name":                      {page.Query{Is: map[string]string{"name": "web"}}, []stack.ID{web.ID, other.ID}},
		"name and generator":        {page.Query{Is: map[string]string{"name": "web", "generator_id": string(h.ID)}}, []stack.ID{other.ID}},
		"a label":                   {page.Query{Labels: []string{"prod"}}, []stack.ID{web.ID, db.ID}},
		"two labels":                {page.Query{Labels: []string{"prod", "eu"}}, []stack.ID{web.ID}},
		"a label that nobody has":   {page.Query{Labels: []string{"prod", "us"}}, nil},
		"an annotation":             {page.Query{Annotations: []page.Pair{{Key: "tier", Value: "silver"}}}, []stack.ID{db.ID}},
		"the same key twice":        {page.Query{Annotations: []page.Pair{{Key: "tier", Value: "silver"}, {Key: "tier", Value: "gold"}}}, nil},
		"a word in the name":        {page.Query{Search: "dB"}, []stack.ID{db.ID}},
		"a word in the description": {page.Query{Search: "ORDERS"}, []stack.ID{db.ID}},
		"no pattern":                {page.Query{Search: "100% of_"}, []stack.ID{db.ID}},
		"nor this":                  {page.Query{Search: "w%b"}, nil},
		"all together":              {page.Query{Search: "w", Labels: []string{"eu"}, Annotations: []page.Pair{{Key: "tier", Value: "gold"}}}, []stack.ID{web.ID}},
	}
	for name, c := range cases {
		c.q.Limit, c.q.Sort = 1, "name"
		var got []stack.ID
		for _, s := range walk(w, w.Stacks().Page, everything, c.q) {
			got = append(got, s.ID)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		wantSame(w.T, "stacks by "+name, got, c.want)
	}
}

func stackPageScopes(w *world) {
	mine, foreign := w.place(2), w.place(1)
	w.decide(mine.stack.ID, w.remove(mine.agents[1].ID, mine.object))
	cases := map[string]struct {
		scope tenancy.Scope
		want  int
	}{
		"everything":             {everything, 2},
		"its generator":          {tenancy.Scope{Generator: mine.generator.ID}, 1},
		"an agent that has it":   {tenancy.Scope{Agent: mine.agents[0].ID}, 1},
		"an agent that loses it": {tenancy.Scope{Agent: mine.agents[1].ID}, 0},
		"another agent":          {tenancy.Scope{Agent: foreign.agents[0].ID}, 1},
		"nothing":                {tenancy.Scope{}, 0},
	}
	for name, c := range cases {
		p, err := w.Stacks().Page(w.ctx, c.scope, page.Query{Limit: 1, Sort: "name", Total: true})
		wantNone(w.T, "page", err)
		wantSame(w.T, "total in the scope of "+name, p.Total, c.want)
		wantSame(w.T, "stacks in the scope of "+name, len(walk(w, w.Stacks().Page, c.scope, page.Query{Limit: 1, Sort: "created_at"})), c.want)
	}
	p := walk(w, w.Stacks().Page, tenancy.Scope{Generator: mine.generator.ID}, page.Query{Limit: 9, Sort: "name", Is: map[string]string{"generator_id": string(foreign.generator.ID)}})
	wantSame(w.T, "another tenant's stacks by filter", len(p), 0)
}

func objectPages(w *world) {
	g := w.generator("ci")
	mine, other := w.stack(g.ID, "mine"), w.stack(g.ID, "other")
	var all []stack.Object
	for i := range 5 {
		all = append(all, w.publish(mine.ID, fmt.Sprintf("kind: %d", i%2)))
		w.publish(other.ID, "kind: 0")
	}
	of := func(ctx context.Context, _ tenancy.Scope, q page.Query) (page.Page[stack.Object], error) {
		return w.Objects().Page(ctx, mine.ID, q)
	}
	everyOrder(w, stack.ObjectList(), of, all)
	q := page.Query{Limit: 1, Sort: "sequence_id", Descending: true, Is: map[string]string{"checksum": string(all[0].Checksum)}, Total: true}
	p, err := w.Objects().Page(w.ctx, mine.ID, q)
	wantNone(w.T, "page", err)
	wantSame(w.T, "objects with this checksum", p.Total, 3)
	wantSame(w.T, "the newest of them", p.Items, all[4:])
}

func agentPages(w *world) {
	var all []agent.Agent
	for i, n := range []string{"b", "B", "a", "a", "_"} {
		a := w.newAgent(n)
		a.ClusterName = fmt.Sprintf("cluster-%d", 9-i/2)
		if n == "a" {
			a.ClusterName = fmt.Sprintf("of-a-%d", i)
		}
		a.CreatedAt = w.at.Add(time.Duration(i%2) * time.Second)
		wantNone(w.T, "insert", w.Agents().Insert(w.ctx, a))
		all = append(all, w.seeAgent(a.ID))
	}
	gone := w.agent("gone")
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, gone.ID, w.at))
	everyOrder(w, agent.List(), w.Agents().Page, all)
}

func agentPageFilters(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	a, b, c := w.agent("a"), w.agent("b"), w.agent("c")
	w.consent(a.ID, g.ID, tenancy.RegistrationApproved)
	w.consent(b.ID, g.ID, tenancy.RegistrationPending)
	w.consent(b.ID, h.ID, tenancy.RegistrationApproved)
	w.consent(a.ID, h.ID, tenancy.RegistrationApproved) // which is not g's to know
	w.label(a.ID, "prod")
	w.label(c.ID, "prod")
	wantNone(w.T, "annotate", w.Agents().AddAnnotation(w.ctx, agent.Annotation{ID: newID[agent.AnnotationID](), Agent: c.ID, Key: "region", Value: "eu"}))
	on := w.seeAgent(c.ID)
	on.Status = agent.Active
	if a.Status == agent.Active {
		on.Status = agent.Inactive
	}
	wantNone(w.T, "update", w.Agents().Update(w.ctx, on))
	cases := map[string]struct {
		scope tenancy.Scope
		q     page.Query
		want  []agent.ID
	}{
		"nothing":                   {everything, page.Query{}, []agent.ID{a.ID, b.ID, c.ID}},
		"name":                      {everything, page.Query{Is: map[string]string{"name": "b"}}, []agent.ID{b.ID}},
		"cluster":                   {everything, page.Query{Is: map[string]string{"cluster_name": c.ClusterName}, Search: "C"}, []agent.ID{c.ID}},
		"status":                    {everything, page.Query{Is: map[string]string{"status": string(on.Status)}}, []agent.ID{c.ID}},
		"its generator":             {everything, page.Query{Is: map[string]string{"generator_id": string(g.ID)}}, []agent.ID{a.ID}},
		"label":                     {everything, page.Query{Labels: []string{"prod"}}, []agent.ID{a.ID, c.ID}},
		"label and annotation":      {everything, page.Query{Labels: []string{"prod"}, Annotations: []page.Pair{{Key: "region", Value: "eu"}}}, []agent.ID{c.ID}},
		"a generator's scope":       {tenancy.Scope{Generator: g.ID}, page.Query{}, []agent.ID{a.ID}},
		"scope and other generator": {tenancy.Scope{Generator: g.ID}, page.Query{Is: map[string]string{"generator_id": string(h.ID)}}, nil},
		"scope and its own":         {tenancy.Scope{Generator: g.ID}, page.Query{Is: map[string]string{"generator_id": string(g.ID)}}, []agent.ID{a.ID}},
		"an agent's scope":          {tenancy.Scope{Agent: b.ID}, page.Query{}, []agent.ID{b.ID}},
		"no scope":                  {tenancy.Scope{}, page.Query{}, nil},
	}
	for name, x := range cases {
		x.q.Limit, x.q.Sort, x.q.Total = 2, "name", true
		var got []agent.ID
		for _, v := range walk(w, w.Agents().Page, x.scope, x.q) {
			got = append(got, v.ID)
		}
		wantSame(w.T, "agents by "+name, got, x.want)
	}
}

// clusterPageFilters are those by what is known of a cluster.
func clusterPageFilters(w *world) {
	a, b, c := w.agent("a"), w.agent("b"), w.agent("c")
	_, err := w.Clusters().Taint(w.ctx, a.ID, cluster.Taint{Key: "gpu", Effect: cluster.NoPlace, Since: w.at})
	wantNone(w.T, "taint", err)
	_, err = w.Clusters().Cordon(w.ctx, a.ID, &cluster.Cordon{Since: w.at, By: "admin"})
	wantNone(w.T, "cordon", err)
	_, err = w.Drains().Start(w.ctx, b.ID, cluster.Drain{Since: w.at, By: "admin"})
	wantNone(w.T, "drain", err)
	for _, v := range []agent.Agent{a, b} {
		_, err = w.Clusters().Report(w.ctx, v.ID, cluster.Status{KubernetesVersion: "v1.36.3"}, w.at)
		wantNone(w.T, "report", err)
		wantNone(w.T, "beat", w.Agents().Beat(w.ctx, []agent.Heartbeat{{Agent: v.ID, At: w.at}}))
	}
	lost, err := w.Reachability().Lose(w.ctx, []agent.ID{b.ID}, silent)
	wantNone(w.T, "lose", err)
	wantSame(w.T, "lost", lost, []agent.ID{b.ID})
	for name, x := range map[string]struct {
		is   map[string]string
		want []agent.ID
	}{
		"cordoned":        {map[string]string{cluster.FilterCordoned: "true"}, []agent.ID{a.ID, b.ID}},
		"not cordoned":    {map[string]string{cluster.FilterCordoned: "false"}, []agent.ID{c.ID}},
		"draining":        {map[string]string{cluster.FilterDraining: "true"}, []agent.ID{b.ID}},
		"not draining":    {map[string]string{cluster.FilterDraining: "false"}, []agent.ID{a.ID, c.ID}},
		"reachable":       {map[string]string{cluster.FilterReachability: string(cluster.Reachable)}, []agent.ID{a.ID}},
		"unreachable":     {map[string]string{cluster.FilterReachability: string(cluster.Unreachable)}, []agent.ID{b.ID}},
		"never connected": {map[string]string{cluster.FilterReachability: string(cluster.NeverConnected)}, []agent.ID{c.ID}},
		"current":         {map[string]string{cluster.FilterFreshness: string(cluster.Current)}, []agent.ID{a.ID}},
		"stale":           {map[string]string{cluster.FilterFreshness: string(cluster.Stale)}, []agent.ID{b.ID}},
		"untold":          {map[string]string{cluster.FilterFreshness: string(cluster.Untold)}, []agent.ID{c.ID}},
		"tainted":         {map[string]string{cluster.FilterTaint: "gpu"}, []agent.ID{a.ID}},
		"another taint":   {map[string]string{cluster.FilterTaint: "GPU"}, nil},
		"several":         {map[string]string{cluster.FilterTaint: "gpu", cluster.FilterCordoned: "true", cluster.FilterFreshness: "current"}, []agent.ID{a.ID}},
	} {
		var got []agent.ID
		for _, v := range walk(w, w.Agents().Page, everything, page.Query{Limit: 2, Sort: "name", Total: true, Is: x.is}) {
			got = append(got, v.ID)
		}
		wantSame(w.T, "clusters that are "+name, got, x.want)
	}
}

func generatorPages(w *world) {
	before, err := w.Generators().List(w.ctx, everything)
	wantNone(w.T, "list", err)
	all := before
	for _, n := range []string{"b", "B", "a"} {
		all = append(all, w.generator(n))
	}
	everyOrder(w, tenancy.GeneratorList(), w.Generators().Page, all)
	wantSame(w.T, "a generator's own", walk(w, w.Generators().Page, tenancy.Scope{Generator: all[len(all)-1].ID}, tenancy.GeneratorList().All(1)), all[len(all)-1:])
	found := walk(w, w.Generators().Page, everything, page.Query{Limit: 1, Sort: "name", Search: "b", Is: map[string]string{"name": "B"}})
	if len(found) != 1 || found[0].Name != "B" {
		w.Fatalf("found: got %+v, want B", found)
	}
}

func pagesUnderWrites(w *world) {
	g := w.generator("ci")
	var ids []stack.ID
	for _, n := range []string{"b", "d", "f", "h"} {
		ids = append(ids, w.stack(g.ID, n).ID)
	}
	q := page.Query{Limit: 2, Sort: "name"}
	first, err := w.Stacks().Page(w.ctx, everything, q)
	wantNone(w.T, "first page", err)
	w.stack(g.ID, "a") // before what was read: not seen
	w.stack(g.ID, "e") // behind it: seen
	wantNone(w.T, "delete what was read last", w.Stacks().Delete(w.ctx, ids[1], w.at))
	q.After = first.Next
	var names []string
	for _, s := range walk(w, w.Stacks().Page, everything, q) {
		names = append(names, s.Name)
	}
	wantSame(w.T, "the following pages", names, []string{"e", "f", "h"})
}

func pageCopies(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	p, err := w.Stacks().Page(w.ctx, everything, stack.List().All(1))
	wantNone(w.T, "page", err)
	*p.Items[0].Description = "changed by the reader"
	wantSame(w.T, "the stack", w.seeStack(s.ID), s)
}

func pageTotals(w *world) {
	g := w.generator("ci")
	for i := range 5 {
		s := w.stack(g.ID, fmt.Sprintf("s%d", i))
		if i > 1 {
			w.labelStack(s.ID, "prod")
		}
	}
	for name, c := range map[string]struct {
		q    page.Query
		want int
	}{
		"of the first page":       {page.Query{Limit: 2, Total: true}, 5},
		"of a page with room":     {page.Query{Limit: 50, Total: true}, 5},
		"of what passes":          {page.Query{Limit: 1, Total: true, Labels: []string{"prod"}}, 3},
		"of what passes, further": {page.Query{Limit: 1, Total: true, Labels: []string{"prod"}, After: &page.Mark{Key: "s3", ID: string(newID[stack.ID]())}}, 3},
	} {
		c.q.Sort = "name"
		p, err := w.Stacks().Page(w.ctx, everything, c.q)
		wantNone(w.T, "page", err)
		wantSame(w.T, "total "+name, p.Total, c.want)
	}
}

func pageBehindNothing(w *world) {
	g := w.generator("ci")
	w.stack(g.ID, "b")
	for name, c := range map[string]struct {
		key  string
		down bool
		want int
	}{
		"before all": {"a", false, 1}, "behind all": {"c", false, 0}, "down from behind": {"c", true, 1}, "down from before": {"a", true, 0},
	} {
		q := page.Query{Limit: 3, Sort: "name", Descending: c.down, After: &page.Mark{Key: c.key, ID: string(newID[stack.ID]())}}
		wantSame(w.T, name, len(walk(w, w.Stacks().Page, everything, q)), c.want)
	}
}
