package command

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) get() *cobra.Command {
	cmd := &cobra.Command{Use: "get", Short: "List stacks, agents, clusters, the fleet, objects, generators or registrations"}
	cmd.AddCommand(
		a.getOne("stacks [NAME|ID]", []string{"stack"}, "List stacks", a.getStacks, a.completeStacks),
		a.getOne("agents [NAME|ID]", []string{"agent"}, "List agents", a.getAgents, a.completeAgents),
		a.getOne("clusters [NAME|AGENT]", []string{"cluster"}, "List clusters with what is known of them; brokkr fleet has filters", a.getClusters, a.completeClusters),
		a.getOne("fleet [AGENT|CLUSTER]", nil, "List agents with what waits for them and how their stacks fare", a.getFleet, a.completeAgents),
		a.getOne("objects [STACK|ID]", []string{"object", "deployment-objects"}, "List the deployment objects of a stack; without one the newest of each", a.getObjects, a.completeStacks),
		a.getOne("generators [NAME|ID]", []string{"generator"}, "List generators", a.getGenerators, a.completeGenerators),
		a.getOne("registrations [GENERATOR|AGENT]", []string{"registration"}, "List which agents take stacks of which generators", a.getRegistrations, a.completeGenerators),
	)
	return group(cmd)
}

// getter reads what ref names (everything if it is empty).
type getter func(ctx context.Context, c *client.Client, ref string, o *output) (view, error)

func (a *app) getOne(use string, aliases []string, short string, get getter, complete cobra.CompletionFunc) *cobra.Command {
	var o output
	cmd := &cobra.Command{Use: use, Aliases: aliases, Short: short, Args: atMost(1), ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			v, err := get(cmd.Context(), c, strings.Join(args, ""), &o)
			if err != nil {
				return err
			}
			return a.show(cmd, &o, v)
		}}
	o.flag(cmd)
	return cmd
}

// found is the data of a list, or of one thing if one was named and is the only one.
func found[T any](kind, ref string, all []T) (any, error) {
	if ref == "" {
		return all, nil
	}
	switch len(all) {
	case 0:
		return nil, hint(fmt.Errorf("%s %q not found", kind, ref), "brokkr get %ss lists what this key can see", kind)
	case 1:
		return all[0], nil
	default:
		return all, nil
	}
}

func (a *app) getStacks(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	var all []client.Stack
	var err error
	if ref == "" {
		all, err = c.Stacks(ctx, "")
	} else {
		all, err = findStacks(ctx, c, ref, "")
	}
	if err != nil {
		return view{}, err
	}
	data, err := found("stack", ref, all)
	if err != nil {
		return view{}, err
	}
	names, err := a.generatorNamesFor(ctx, c, o, len(all))
	if err != nil {
		return view{}, err
	}
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "GENERATOR", "DESCRIPTION", "AGE", "+ID")}
	for _, s := range sorted(all, func(s client.Stack) string { return s.Name }) {
		v.names = append(v.names, "stack/"+s.Name)
		g.Add(render.Texts(s.Name, names.name(s.GeneratorID), orNone(deref(s.Description)), render.Age(a.env.Now(), &s.CreatedAt), s.ID)...)
	}
	v.table = a.grid(g, o, "no stacks yet: brokkr apply -f PATH --stack NAME")
	return v, nil
}

// generatorNamesFor returns the names that a table needs; other formats need none.
func (a *app) generatorNamesFor(ctx context.Context, c *client.Client, o *output, rows int) (book, error) {
	if f, err := render.Parse(o.value); rows == 0 || err != nil || (f != render.Table && f != render.Wide) {
		return book{}, err
	}
	return generatorNames(ctx, c)
}

func (a *app) getAgents(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	var all []client.Agent
	var err error
	if ref == "" {
		all, err = c.Agents(ctx, "")
	} else {
		all, err = findAgents(ctx, c, ref)
	}
	if err != nil {
		return view{}, err
	}
	data, err := found("agent", ref, all)
	if err != nil {
		return view{}, err
	}
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "CLUSTER", "STATUS", "HEARTBEAT", "KUBERNETES", "AGE", "+LATENCY", "+ID")}
	now := a.env.Now()
	for _, n := range sorted(all, func(n client.Agent) string { return n.Name }) {
		v.names = append(v.names, "agent/"+n.Name)
		status := render.Cell{Text: n.Status, Tone: render.Good}
		if n.Status != statusActive {
			status.Tone = render.Busy
		}
		if n.DuplicateSince != nil {
			status = render.Cell{Text: n.Status + " (used twice)", Tone: render.Bad}
		}
		heartbeat := render.Cell{Text: "never", Tone: render.Faint}
		if n.LastHeartbeat != nil {
			heartbeat = render.Text(render.Age(now, n.LastHeartbeat))
			if now.Sub(*n.LastHeartbeat) > silentAfter {
				heartbeat.Tone = render.Bad
			}
		}
		g.Add(render.Text(n.Name), render.Text(n.ClusterName), status, heartbeat, reachable(n),
			render.Text(render.Age(now, &n.CreatedAt)), render.Text(latency(n)), render.Text(n.ID))
	}
	v.table = a.grid(g, o, "no agents yet: brokkr agent create --name NAME --cluster-name CLUSTER")
	return v, nil
}

func reachable(n client.Agent) render.Cell {
	switch {
	case n.K8sReachable == nil:
		return render.Text(render.None)
	case *n.K8sReachable:
		return render.Cell{Text: "reachable", Tone: render.Good}
	default:
		return render.Cell{Text: "unreachable", Tone: render.Bad}
	}
}

func latency(n client.Agent) string {
	if n.K8sAPILatencyMS == nil {
		return render.None
	}
	return strconv.FormatInt(*n.K8sAPILatencyMS, 10) + "ms"
}

func (a *app) getObjects(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	all, err := objectsOf(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	names, err := stackNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	v := view{data: all}
	if len(all) == 1 && strings.EqualFold(all[0].ID, ref) {
		v.data = all[0]
	}
	g := &render.Grid{Columns: render.Columns("SEQUENCE", "STACK", "CHECKSUM", "KIND", "AGE", "ID", "+BYTES")}
	for _, ob := range all {
		v.names = append(v.names, "object/"+ob.ID)
		g.Add(render.Texts(strconv.FormatInt(ob.SequenceID, 10), names.name(ob.StackID), short(ob.YAMLChecksum),
			pick(ob.IsDeletionMarker, "deletion marker", "manifests"), render.Age(a.env.Now(), &ob.SubmittedAt), ob.ID, strconv.Itoa(len(ob.YAMLContent)))...)
	}
	v.table = a.grid(g, o, "nothing published yet: brokkr apply -f PATH --stack NAME")
	return v, nil
}

// objectsOf returns the objects of a stack, or one object by its id, or the newest object of each stack.
func objectsOf(ctx context.Context, c *client.Client, ref string) ([]client.Object, error) {
	if ref == "" {
		return newestObjects(ctx, c)
	}
	stacks, err := findStacks(ctx, c, ref, "")
	if err != nil {
		return nil, err
	}
	if len(stacks) == 0 && isID(ref) {
		ob, err := c.Object(ctx, ref)
		if client.IsStatus(err, http.StatusNotFound) {
			return nil, fmt.Errorf("%s is neither a stack nor a deployment object", ref)
		}
		return []client.Object{ob}, err
	}
	s, err := one("stack", ref, stacks, func(s client.Stack) string { return "stack " + s.ID + " of generator " + s.GeneratorID })
	if err != nil {
		return nil, err
	}
	return c.Objects(ctx, s.ID)
}

const parallel = 6

func newestObjects(ctx context.Context, c *client.Client) ([]client.Object, error) {
	stacks, err := c.Stacks(ctx, "")
	if err != nil {
		return nil, err
	}
	newest := make([]*client.Object, len(stacks))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, s := range stacks {
		g.Go(func() (err error) {
			newest[i], err = c.NewestObject(ctx, s.ID)
			if client.IsStatus(err, http.StatusNotFound) {
				err = nil // deleted since it was listed
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := []client.Object{}
	for _, n := range newest {
		if n != nil {
			all = append(all, *n)
		}
	}
	return all, nil
}

func (a *app) getGenerators(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	all, err := findGenerators(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	data, err := found("generator", ref, all)
	if err != nil {
		return view{}, err
	}
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "ACTIVE", "LAST-ACTIVE", "REGISTRATIONS", "DESCRIPTION", "AGE", "+ID")}
	for _, n := range sorted(all, func(n client.Generator) string { return n.Name }) {
		v.names = append(v.names, "generator/"+n.Name)
		g.Add(render.Texts(n.Name+pick(n.IsSystem, " (system)", ""), pick(n.IsActive, "yes", "no"), render.Age(a.env.Now(), n.LastActiveAt),
			orNone(n.RegistrationPolicy), orNone(deref(n.Description)), render.Age(a.env.Now(), &n.CreatedAt), n.ID)...)
	}
	v.table = a.grid(g, o, "no generators yet: brokkr generator create NAME")
	return v, nil
}

func (a *app) getRegistrations(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	all, err := registrationsOf(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	agents, err := agentNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	generators, err := generatorNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	v := view{data: all}
	g := &render.Grid{Columns: render.Columns("AGENT", "GENERATOR", "STATE", "AGE", "+AGENT-ID", "+GENERATOR-ID")}
	for _, r := range sorted(all, func(r client.Registration) string {
		return agents.name(r.AgentID) + " " + generators.name(r.GeneratorID)
	}) {
		v.names = append(v.names, "registration/"+agents.name(r.AgentID)+"/"+generators.name(r.GeneratorID))
		state := render.Cell{Text: orUnknown(r.State), Tone: render.Good}
		if r.State != "approved" {
			state.Tone = render.Busy
		}
		g.Add(render.Text(agents.name(r.AgentID)), render.Text(generators.name(r.GeneratorID)), state,
			render.Text(render.Age(a.env.Now(), &r.RegisteredAt)), render.Text(r.AgentID), render.Text(r.GeneratorID))
	}
	v.table = a.grid(g, o, "no registrations yet: brokkr registration approve AGENT GENERATOR")
	return v, nil
}

// registrationsOf returns the registrations of a generator or of an agent, or of all generators.
func registrationsOf(ctx context.Context, c *client.Client, ref string) ([]client.Registration, error) {
	generators, err := findGenerators(ctx, c, ref)
	if err != nil && (ref == "" || !client.IsStatus(err, http.StatusForbidden)) {
		return nil, err
	}
	if ref != "" {
		agents, err := findAgents(ctx, c, ref)
		if err != nil && !client.IsStatus(err, http.StatusForbidden) {
			return nil, err
		}
		switch {
		case len(generators)+len(agents) == 0:
			return nil, hint(fmt.Errorf("there is neither a generator nor an agent %q", ref), "brokkr get generators, brokkr get agents")
		case len(generators)+len(agents) > 1:
			return nil, hint(fmt.Errorf("%q is ambiguous: %s and %s have this name", ref, count(len(generators), "generator"), count(len(agents), "agent")), "use the id instead of the name")
		case len(agents) == 1:
			return c.AgentRegistrations(ctx, agents[0].ID)
		}
	}
	all := []client.Registration{}
	for _, g := range generators {
		some, err := c.GeneratorRegistrations(ctx, g.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

const shortSum = 12

func short(sum string) string {
	if len(sum) > shortSum {
		return sum[:shortSum]
	}
	return orNone(sum)
}
