package command

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/id"
)

// isID reports whether s is the id of something rather than its name.
func isID(s string) bool { return id.Valid(strings.ToLower(s)) }

// one returns the only match, or an error that says how to do better.
func one[T any](kind, name string, found []T, describe func(T) string) (T, error) {
	var zero T
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return zero, hint(fmt.Errorf("%s %q not found", kind, name), "brokkr get %ss lists what this key can see", kind)
	}
	matches := make([]string, len(found))
	for i, f := range found {
		matches[i] = "\n  " + describe(f)
	}
	slices.Sort(matches)
	return zero, hint(fmt.Errorf("%s name %q is ambiguous; it names%s", kind, name, strings.Join(matches, "")), "use the id instead of the name")
}

func only[T any](all []T, keep func(T) bool) []T {
	return slices.DeleteFunc(all, func(v T) bool { return !keep(v) })
}

// findStacks returns the stacks with this name or id, of one generator unless generator is empty.
func findStacks(ctx context.Context, c *client.Client, ref, generator string) ([]client.Stack, error) {
	if isID(ref) {
		s, err := c.Stack(ctx, ref)
		if client.IsStatus(err, http.StatusNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []client.Stack{s}, nil
	}
	stacks, err := c.Stacks(ctx, ref)
	if err != nil {
		return nil, err
	}
	return only(stacks, func(s client.Stack) bool {
		return s.Name == ref && (generator == "" || s.GeneratorID == generator)
	}), nil
}

func findStack(ctx context.Context, c *client.Client, ref string) (client.Stack, error) {
	found, err := findStacks(ctx, c, ref, "")
	if err != nil {
		return client.Stack{}, err
	}
	return one("stack", ref, found, func(s client.Stack) string { return "stack " + s.ID + " of generator " + s.GeneratorID })
}

// stackRef returns the id of a stack. An id is taken as it is: a deleted stack still has a status and a placement, but is
// found no more.
func stackRef(ctx context.Context, c *client.Client, ref string) (string, error) {
	if isID(ref) {
		return strings.ToLower(ref), nil
	}
	s, err := findStack(ctx, c, ref)
	return s.ID, err
}

// findAgents returns the agents with this name or id.
func findAgents(ctx context.Context, c *client.Client, ref string) ([]client.Agent, error) {
	if !isID(ref) {
		agents, err := c.Agents(ctx, ref)
		return only(agents, func(a client.Agent) bool { return a.Name == ref }), err
	}
	a, err := c.Agent(ctx, ref)
	switch {
	case err == nil:
		return []client.Agent{a}, nil
	case client.IsStatus(err, http.StatusNotFound):
		return nil, nil
	case client.IsStatus(err, http.StatusForbidden): // a generator may list its agents, even if it may not read one
		agents, err := c.Agents(ctx, "")
		return only(agents, func(a client.Agent) bool { return strings.EqualFold(a.ID, ref) }), err
	default:
		return nil, err
	}
}

func findAgent(ctx context.Context, c *client.Client, ref string) (client.Agent, error) {
	found, err := findAgents(ctx, c, ref)
	if err != nil {
		return client.Agent{}, err
	}
	return one("agent", ref, found, func(a client.Agent) string { return "agent " + a.ID + " of cluster " + a.ClusterName })
}

// findGenerators returns the generators with this name or id; an empty ref returns all that the caller can see.
// Only admins may list them; a generator sees itself.
func findGenerators(ctx context.Context, c *client.Client, ref string) ([]client.Generator, error) {
	matches := func(g client.Generator) bool { return ref == "" || g.Name == ref || strings.EqualFold(g.ID, ref) }
	if isID(ref) {
		g, err := c.Generator(ctx, ref)
		if client.IsStatus(err, http.StatusNotFound) {
			return nil, nil
		}
		return []client.Generator{g}, err
	}
	all, err := c.Generators(ctx, ref)
	if err == nil || !client.IsStatus(err, http.StatusForbidden) {
		return only(all, matches), err
	}
	who, aerr := c.Auth(ctx)
	if aerr != nil || who.Generator == nil {
		return nil, err
	}
	self, err := c.Generator(ctx, *who.Generator)
	if err != nil {
		return nil, err
	}
	return only([]client.Generator{self}, matches), nil
}

func findGenerator(ctx context.Context, c *client.Client, ref string) (client.Generator, error) {
	found, err := findGenerators(ctx, c, ref)
	if err != nil {
		return client.Generator{}, err
	}
	return one("generator", ref, found, func(g client.Generator) string { return "generator " + g.ID })
}

// book knows the names of things by their ids, so that people need not read ids.
type book map[string]string

// name returns the name for an id, or the id.
func (b book) name(id string) string {
	if n := b[id]; n != "" {
		return n
	}
	return id
}

// generatorNames returns the names of the generators that the caller can see; without the right to see any it is
// empty, and ids are shown instead.
func generatorNames(ctx context.Context, c *client.Client) (book, error) {
	all, err := findGenerators(ctx, c, "")
	if err != nil && !client.IsStatus(err, http.StatusForbidden) {
		return nil, err
	}
	b := book{}
	for _, g := range all {
		b[g.ID] = g.Name
	}
	return b, nil
}

func agentNames(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.Agents(ctx, "")
	if err != nil && !client.IsStatus(err, http.StatusForbidden) {
		return nil, err
	}
	b := book{}
	for _, a := range all {
		b[a.ID] = a.Name
	}
	return b, nil
}

func stackNames(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.Stacks(ctx, "")
	if err != nil && !client.IsStatus(err, http.StatusForbidden) {
		return nil, err
	}
	b := book{}
	for _, s := range all {
		b[s.ID] = s.Name
	}
	return b, nil
}

// generatorIDs returns the ids of generators that are named by name or id.
func generatorIDs(ctx context.Context, c *client.Client, refs []string) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		g, err := findGenerator(ctx, c, ref)
		if err != nil {
			return nil, err
		}
		ids = append(ids, g.ID)
	}
	return ids, nil
}
