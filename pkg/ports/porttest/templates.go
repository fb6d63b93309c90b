package porttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func templateCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":         templateRoundTrip,
		"unknown is not found":              templateUnknown,
		"versions are of a name and owner":  templateVersions,
		"racing versions are all different": templateRace,
		"scopes":                            templateScopes,
		"a list is by name, owner, version": templateList,
		"a deletion takes one version":      templateDelete,
		"labels":                            templateLabels,
		"annotations":                       templateAnnotations,
		"an object names its template":      templateOrigin,
	}
}

const someSum = stack.Checksum("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")

func (w *world) newTemplate(g tenancy.GeneratorID, name string) template.Template {
	text := "about " + name
	t := template.Template{
		ID: newID[template.ID](), Name: name, Description: &text, Content: "name: {{ name }}", Schema: `{"type":"object"}`, Checksum: someSum,
		CreatedAt: w.at, UpdatedAt: w.at,
	}
	if g != "" {
		t.Generator = &g
	}
	return t
}

// template stores the next version of a name; an empty generator is the platform.
func (w *world) template(g tenancy.GeneratorID, name string) template.Template {
	w.Helper()
	t, err := w.Templates().Insert(w.ctx, w.newTemplate(g, name))
	wantNone(w.T, "insert template", err)
	return t
}

func templateRoundTrip(w *world) {
	g := w.generator("ci")
	want := w.newTemplate(g.ID, "web")
	want.Version = 77 // the store counts
	got, err := w.Templates().Insert(w.ctx, want)
	wantNone(w.T, "insert", err)
	want.Version = 1
	wantSame(w.T, "inserted template", got, want)
	*got.Description, *got.Generator = "changed by the caller", "changed"
	got, err = w.Templates().Get(w.ctx, everything, want.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "template", got, want)
	*got.Description, *got.Generator = "changed by the reader", "changed"
	got, err = w.Templates().Get(w.ctx, everything, want.ID)
	wantNone(w.T, "get again", err)
	wantSame(w.T, "template after the caller changed a copy", got, want)

	plain := w.newTemplate("", "plain")
	plain.Description = nil
	_, err = w.Templates().Insert(w.ctx, plain)
	wantNone(w.T, "insert", err)
	got, err = w.Templates().Get(w.ctx, everything, plain.ID)
	if err != nil || got.Description != nil || got.Generator != nil {
		w.Fatalf("the platform's, without description: got %+v, %v", got, err)
	}
}

func templateUnknown(w *world) {
	id := newID[template.ID]()
	_, err := w.Templates().Get(w.ctx, everything, id)
	wantCode(w.T, "get", err, fault.NotFound, "template_not_found")
	wantCode(w.T, "delete", w.Templates().Delete(w.ctx, id, w.at), fault.NotFound, "template_not_found")
	_, err = w.Templates().Insert(w.ctx, w.newTemplate(newID[tenancy.GeneratorID](), "orphan"))
	wantCode(w.T, "insert for an unknown generator", err, fault.NotFound, "generator_not_found")
	g := w.generator("gone")
	wantNone(w.T, "delete generator", w.Generators().Delete(w.ctx, g.ID, w.at))
	_, err = w.Templates().Insert(w.ctx, w.newTemplate(g.ID, "orphan"))
	wantCode(w.T, "insert for a deleted generator", err, fault.NotFound, "generator_not_found")
	wantCode(w.T, "add label", w.Templates().AddLabel(w.ctx, w.newTemplateLabel(id, "x")), fault.NotFound, "template_not_found")
	wantCode(w.T, "add annotation", w.Templates().AddAnnotation(w.ctx, w.newTemplateAnnotation(id, "k")), fault.NotFound, "template_not_found")
	wantCode(w.T, "remove label", w.Templates().RemoveLabel(w.ctx, id, "x"), fault.NotFound, "template_label_not_found")
	wantCode(w.T, "remove annotation", w.Templates().RemoveAnnotation(w.ctx, id, "k"), fault.NotFound, "template_annotation_not_found")
	t := w.template("", "web")
	again := w.newTemplate("", "other")
	again.ID = t.ID
	_, err = w.Templates().Insert(w.ctx, again)
	wantCode(w.T, "insert the same id", err, fault.Conflict, "unique_violation")
}

func templateVersions(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	for _, step := range []struct {
		owner tenancy.GeneratorID
		name  string
		want  int
	}{{g.ID, "web", 1}, {g.ID, "web", 2}, {h.ID, "web", 1}, {"", "web", 1}, {g.ID, "db", 1}, {"", "web", 2}, {g.ID, "web", 3}} {
		if got := w.template(step.owner, step.name); got.Version != step.want {
			w.Fatalf("%s of %q: got version %d, want %d", step.name, step.owner, got.Version, step.want)
		}
	}
	last := w.template(g.ID, "web")
	wantNone(w.T, "delete", w.Templates().Delete(w.ctx, last.ID, w.at))
	if got := w.template(g.ID, "web"); got.Version != last.Version+1 {
		w.Fatalf("after the deletion of version %d: got version %d, want the next", last.Version, got.Version)
	}
}

func templateRace(w *world) {
	g := w.generator("ci")
	for _, owner := range []tenancy.GeneratorID{g.ID, ""} {
		got := make([]int, 8)
		for i, err := range race(len(got), func(i int) error {
			t, err := w.Templates().Insert(w.ctx, w.newTemplate(owner, "raced"))
			got[i] = t.Version
			return err
		}) {
			wantNone(w.T, fmt.Sprintf("insert %d", i), err)
		}
		slices.Sort(got)
		wantSame(w.T, "versions", got, []int{1, 2, 3, 4, 5, 6, 7, 8})
	}
}

func templateScopes(w *world) {
	g, h, a := w.generator("ci"), w.generator("other"), w.agent("edge")
	w.consent(a.ID, g.ID, tenancy.RegistrationApproved)
	own, platform := w.template(g.ID, "own"), w.template("", "platform")
	for reason, c := range map[string]struct {
		scope tenancy.Scope
		want  []template.ID
	}{
		"everything":        {everything, []template.ID{own.ID, platform.ID}},
		"its owner":         {tenancy.Scope{Generator: g.ID}, []template.ID{own.ID, platform.ID}},
		"another generator": {tenancy.Scope{Generator: h.ID}, []template.ID{platform.ID}},
		"an agent":          {tenancy.Scope{Agent: a.ID}, nil},
		"nobody":            {tenancy.Scope{}, nil},
	} {
		var got []template.ID
		for _, t := range walk(w, w.Templates().Page, c.scope, page.Query{Limit: 1, Sort: "name"}) {
			got = append(got, t.ID)
		}
		wantSame(w.T, reason+": pages", got, c.want)
		for _, id := range []template.ID{own.ID, platform.ID} {
			_, err := w.Templates().Get(w.ctx, c.scope, id)
			if slices.Contains(c.want, id) {
				wantNone(w.T, reason+": get", err)
			} else {
				wantCode(w.T, reason+": get", err, fault.NotFound, "template_not_found")
			}
		}
	}
}

func templateList(w *world) {
	g := w.generator("ci")
	var list []template.Template
	for _, t := range []struct {
		owner tenancy.GeneratorID
		name  string
	}{{g.ID, "b"}, {g.ID, "a"}, {g.ID, "a"}, {"", "a"}, {"", "B"}} {
		list = append(list, w.template(t.owner, t.name))
	}
	everyOrder(w, template.List(), w.Templates().Page, list)
	found := walk(w, w.Templates().Page, everything, page.Query{Limit: 1, Sort: "name", Is: map[string]string{"name": "a", "generator_id": string(g.ID)}, Search: "A"})
	wantSame(w.T, "named a, of ci", len(found), 2)
	for _, l := range []template.Label{w.newTemplateLabel(list[0].ID, "eu"), w.newTemplateLabel(list[0].ID, "prod"), w.newTemplateLabel(list[3].ID, "prod")} {
		wantNone(w.T, "label", w.Templates().AddLabel(w.ctx, l))
	}
	for _, a := range []template.Annotation{w.newTemplateAnnotation(list[0].ID, "tier"), w.newTemplateAnnotation(list[1].ID, "tier")} {
		wantNone(w.T, "annotate", w.Templates().AddAnnotation(w.ctx, a))
	}
	for what, c := range map[string]struct {
		q    page.Query
		want []template.Template
	}{
		"a label":          {page.Query{Labels: []string{"prod"}}, []template.Template{list[3], list[0]}},
		"two labels":       {page.Query{Labels: []string{"prod", "eu"}}, []template.Template{list[0]}},
		"an annotation":    {page.Query{Annotations: []page.Pair{{Key: "tier", Value: "v"}}}, []template.Template{list[1], list[0]}},
		"another value":    {page.Query{Annotations: []page.Pair{{Key: "tier", Value: "w"}}}, nil},
		"both":             {page.Query{Labels: []string{"prod"}, Annotations: []page.Pair{{Key: "tier", Value: "v"}}}, []template.Template{list[0]}},
		"label and a name": {page.Query{Labels: []string{"prod"}, Is: only{"name": "a"}}, []template.Template{list[3]}},
	} {
		c.q.Limit, c.q.Sort = 1, "name"
		wantSame(w.T, "templates by "+what, walk(w, w.Templates().Page, everything, c.q), c.want)
	}
	newest, err := w.Templates().Newest(w.ctx, g.ID, "a")
	wantNone(w.T, "newest", err)
	wantSame(w.T, "newest", newest, list[2])
	wantSame(w.T, "its version", newest.Version, 2)
	newest, err = w.Templates().Newest(w.ctx, "", "a")
	wantNone(w.T, "newest of the platform", err)
	wantSame(w.T, "newest of the platform", newest, list[3])
	_, err = w.Templates().Newest(w.ctx, "", "b")
	wantCode(w.T, "newest of no name", err, fault.NotFound, "template_not_found")
}

func templateDelete(w *world) {
	g := w.generator("ci")
	first, second := w.template(g.ID, "web"), w.template(g.ID, "web")
	wantNone(w.T, "label", w.Templates().AddLabel(w.ctx, w.newTemplateLabel(first.ID, "x")))
	wantNone(w.T, "annotate", w.Templates().AddAnnotation(w.ctx, w.newTemplateAnnotation(first.ID, "k")))
	wantNone(w.T, "delete", w.Templates().Delete(w.ctx, first.ID, w.at))
	_, err := w.Templates().Get(w.ctx, everything, first.ID)
	wantCode(w.T, "get", err, fault.NotFound, "template_not_found")
	wantCode(w.T, "delete again", w.Templates().Delete(w.ctx, first.ID, w.at), fault.NotFound, "template_not_found")
	wantCode(w.T, "label", w.Templates().AddLabel(w.ctx, w.newTemplateLabel(first.ID, "y")), fault.NotFound, "template_not_found")
	labels, err := w.Templates().Labels(w.ctx, first.ID)
	if err != nil || len(labels) != 0 {
		w.Fatalf("labels of a deleted version: got %v, %v", labels, err)
	}
	annotations, err := w.Templates().Annotations(w.ctx, first.ID)
	if err != nil || len(annotations) != 0 {
		w.Fatalf("annotations of a deleted version: got %v, %v", annotations, err)
	}
	if got, err := w.Templates().Get(w.ctx, everything, second.ID); err != nil || got.Version != 2 {
		w.Fatalf("the other version: got %+v, %v", got, err)
	}
	other, platform := w.template(w.generator("other").ID, "web"), w.template("", "web")
	wantNone(w.T, "label", w.Templates().AddLabel(w.ctx, w.newTemplateLabel(second.ID, "x")))
	for _, want := range []int{1, 0} {
		n, err := w.Templates().DeleteOf(w.ctx, g.ID, w.at)
		wantNone(w.T, "delete all of a generator", err)
		wantSame(w.T, "how many", n, want)
	}
	labels, err = w.Templates().Labels(w.ctx, second.ID)
	wantNone(w.T, "labels", err)
	wantSame(w.T, "labels of what is gone", len(labels), 0)
	var left []template.ID
	for _, t := range walk(w, w.Templates().Page, everything, page.Query{Limit: 9, Sort: "created_at"}) {
		left = append(left, t.ID)
	}
	slices.Sort(left)
	wantSame(w.T, "what others have", left, slices.Sorted(slices.Values([]template.ID{other.ID, platform.ID})))
}

func (w *world) newTemplateLabel(id template.ID, label string) template.Label {
	return template.Label{ID: newID[template.LabelID](), Template: id, Label: label, CreatedAt: w.at}
}

func (w *world) newTemplateAnnotation(id template.ID, key string) template.Annotation {
	return template.Annotation{ID: newID[template.AnnotationID](), Template: id, Key: key, Value: "v", CreatedAt: w.at}
}

func templateLabels(w *world) {
	t, other := w.template("", "web"), w.template("", "db")
	b, a := w.newTemplateLabel(t.ID, "b"), w.newTemplateLabel(t.ID, "a")
	for _, l := range []template.Label{b, a, w.newTemplateLabel(other.ID, "a")} {
		wantNone(w.T, "add", w.Templates().AddLabel(w.ctx, l))
	}
	wantCode(w.T, "add again", w.Templates().AddLabel(w.ctx, w.newTemplateLabel(t.ID, "a")), fault.Conflict, "unique_violation")
	got, err := w.Templates().Labels(w.ctx, t.ID)
	wantNone(w.T, "list", err)
	wantSame(w.T, "labels", got, []template.Label{a, b})
	wantNone(w.T, "remove", w.Templates().RemoveLabel(w.ctx, t.ID, "a"))
	wantCode(w.T, "remove again", w.Templates().RemoveLabel(w.ctx, t.ID, "a"), fault.NotFound, "template_label_not_found")
	if got, err := w.Templates().Labels(w.ctx, other.ID); err != nil || len(got) != 1 {
		w.Fatalf("the other template's labels: got %v, %v", got, err)
	}
}

func templateAnnotations(w *world) {
	t := w.template("", "web")
	b, a := w.newTemplateAnnotation(t.ID, "b"), w.newTemplateAnnotation(t.ID, "a")
	for _, x := range []template.Annotation{b, a} {
		wantNone(w.T, "add", w.Templates().AddAnnotation(w.ctx, x))
	}
	wantCode(w.T, "add again", w.Templates().AddAnnotation(w.ctx, w.newTemplateAnnotation(t.ID, "a")), fault.Conflict, "unique_violation")
	got, err := w.Templates().Annotations(w.ctx, t.ID)
	wantNone(w.T, "list", err)
	wantSame(w.T, "annotations", got, []template.Annotation{a, b})
	wantNone(w.T, "remove", w.Templates().RemoveAnnotation(w.ctx, t.ID, "a"))
	wantCode(w.T, "remove again", w.Templates().RemoveAnnotation(w.ctx, t.ID, "a"), fault.NotFound, "template_annotation_not_found")
}

func templateOrigin(w *world) {
	g := w.generator("ci")
	s, t := w.stack(g.ID, "web"), w.template(g.ID, "web")
	o := w.newObject(s.ID, "made")
	o.Origin = &stack.Origin{Template: t.ID, Version: t.Version, Parameters: stack.Checksum(strings.Repeat("ab", 32))}
	want := *o.Origin
	made, err := w.Objects().Insert(w.ctx, o)
	wantNone(w.T, "insert", err)
	made.Origin.Version = 99 // the caller's copy
	w.publish(s.ID, "as it is")
	wantNone(w.T, "delete the template", w.Templates().Delete(w.ctx, t.ID, w.at))
	got, err := w.Objects().Get(w.ctx, everything, o.ID)
	wantNone(w.T, "get", err)
	if got.Origin == nil {
		w.Fatal("the origin is gone")
	}
	wantSame(w.T, "origin", *got.Origin, want)
	got.Origin.Version = 99
	list, err := w.Objects().OfStack(w.ctx, s.ID)
	wantNone(w.T, "list", err)
	if len(list) != 2 || list[0].Origin != nil || list[1].Origin == nil || *list[1].Origin != want {
		w.Fatalf("list: got %+v, want the second with its origin", list)
	}
	if newest, err := w.Objects().Newest(w.ctx, s.ID); err != nil || newest.Origin != nil {
		w.Fatalf("newest: got %+v, %v", newest, err)
	}
	o = w.newObject(s.ID, "made")
	o.Origin = &stack.Origin{Template: newID[template.ID](), Version: 1, Parameters: someSum}
	_, err = w.Objects().Insert(w.ctx, o)
	wantCode(w.T, "insert of an unknown template", err, fault.NotFound, "template_not_found")
}

func (w *world) templateMethods() map[string]method {
	id := newID[template.ID]()
	return map[string]method{
		"Templates.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Get(ctx, everything, id))
		},
		"Templates.DeleteOf": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().DeleteOf(ctx, newID[tenancy.GeneratorID](), w.at))
		},
		"Templates.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Page(ctx, everything, page.Query{Limit: 1}))
		},
		"Templates.Newest": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Newest(ctx, "", "nobody"))
		},
		"Templates.Insert": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Insert(ctx, w.newTemplate("", "inserted")))
		},
		"Templates.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Templates().Delete(ctx, id, time.Now())
		},
		"Templates.Labels": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Labels(ctx, id))
		},
		"Templates.AddLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Templates().AddLabel(ctx, w.newTemplateLabel(id, "x"))
		},
		"Templates.RemoveLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Templates().RemoveLabel(ctx, id, "x")
		},
		"Templates.Annotations": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Templates().Annotations(ctx, id))
		},
		"Templates.AddAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Templates().AddAnnotation(ctx, w.newTemplateAnnotation(id, "k"))
		},
		"Templates.RemoveAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Templates().RemoveAnnotation(ctx, id, "k")
		},
	}
}
