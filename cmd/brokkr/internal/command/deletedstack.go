package command

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// deletedParam marks the choice of deleted stacks, which are a list of their own in the API.
const deletedParam = "deleted"

func deletedFilter() *filter {
	return &filter{flag: deletedParam, param: deletedParam, set: "true", order: "the last deletion first", help: "instead, those that are deleted and can be restored, the last deletion first"}
}

func (a *app) getDeletedStacks(ctx context.Context, c *client.Client, q client.Choice, o *output) (view, error) {
	q.Filters = maps.Clone(q.Filters)
	q.Filters.Del(deletedParam)
	chosen, err := c.DeletedStacksBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	names, err := a.generatorNamesFor(ctx, c, o, len(chosen.Items))
	if err != nil {
		return view{}, err
	}
	now := a.env.Now()
	v := view{data: chosen.Items, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("NAME", "GENERATOR", "DELETED", "RESTORABLE", "ID")}
	for _, s := range chosen.Items {
		v.names = append(v.names, "stack/"+s.ID) // a name may be another one's by now
		until := "until " + s.RestorableUntil.UTC().Format("2006-01-02 15:04")
		if !s.RestorableUntil.After(now) {
			until = "while a cluster has it"
		}
		g.Add(render.Texts(s.Name, names.name(s.GeneratorID), render.Age(now, s.DeletedAt)+" ago", until, s.ID)...)
	}
	v.table = a.grid(g, o, "no deleted stacks that could be restored")
	return v, nil
}

// deletedStackID returns the id of a deleted stack: ref itself, or that of the only one with this name.
func deletedStackID(ctx context.Context, c *client.Client, ref string) (string, error) {
	if isID(ref) {
		return ref, nil
	}
	chosen, err := c.DeletedStacksBy(ctx, client.Choice{Filters: url.Values{"name": {ref}}})
	if err != nil {
		return "", err
	}
	switch len(chosen.Items) {
	case 1:
		return chosen.Items[0].ID, nil
	case 0:
		return "", hint(fmt.Errorf("no stack %q is deleted and can be restored", ref), "brokkr get stacks --deleted lists those that can")
	}
	var ids []string
	for _, s := range chosen.Items {
		ids = append(ids, s.ID)
	}
	return "", hint(fmt.Errorf("%d deleted stacks are named %q", len(ids), ref), "say which one by its id: %s", strings.Join(ids, ", "))
}
