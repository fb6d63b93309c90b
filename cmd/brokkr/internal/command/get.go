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
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func (a *app) get() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get", Short: "List stacks, agents, clusters, the fleet, objects, generators, registrations or what agents reported",
		Long: `Lists come whole; --limit takes the first so many, --sort orders them, and the other flags choose: all that are given must hold. The
broker does it, so that a large fleet is not read to see a part of it.`,
		Example: `  brokkr get agents --status inactive --sort -created_at --limit 20
  brokkr get stacks --label prod --generator team-a
  brokkr get stacks --deleted
  brokkr get events edge-1 --status FAILURE`,
	}
	cmd.AddCommand(
		a.getList("stacks [NAME|ID]", []string{"stack"}, "List stacks", &listing{orders: sortsOf(stack.List()), filters: []*filter{
			labelFilter("that have"), annotationFilter("that have"), generatorFilter("only stacks of this"), searchFilter("name or description"), deletedFilter(),
		}}, a.getStacks, a.completeStacks),
		a.getList("agents [NAME|ID]", []string{"agent"}, "List agents", &listing{orders: sortsOf(agent.List()), filters: agentFilters()}, a.getAgents, a.completeAgents),
		a.getList("clusters [NAME|AGENT]", []string{"cluster"}, "List clusters with what is known of them, as brokkr fleet does", clusterListing(), a.getClusters, a.completeClusters),
		a.getList("fleet [AGENT|CLUSTER]", nil, "List agents with what waits for them and how their stacks fare", &listing{orders: sortsOf(agent.List()), filters: agentFilters()}, a.getFleet, a.completeAgents),
		a.getList("objects [STACK|ID]", []string{"object", "deployment-objects"}, "List the deployment objects of a stack; without one the newest of each", &listing{
			orders: sortsOf(stack.ObjectList()), scoped: true, whose: "STACK",
			filters: []*filter{{flag: "checksum", param: "checksum", help: "only those with this SHA-256 of the manifests"}},
		}, a.getObjects, a.completeStacks),
		a.getList("generators [NAME|ID]", []string{"generator"}, "List generators", &listing{orders: sortsOf(tenancy.GeneratorList()), filters: []*filter{
			yesNo("system", "system", "only those that are the system's own, or are not"), searchFilter("the name or description"),
		}}, a.getGenerators, a.completeGenerators),
		a.getList("registrations [GENERATOR|AGENT]", []string{"registration"}, "List which agents take stacks of which generators", &listing{
			orders: sortsOf(tenancy.RegistrationList()), scoped: true,
			filters: []*filter{wordFilter("state", "state", "only those that are", nil, tenancy.RegistrationPending, tenancy.RegistrationApproved)},
		}, a.getRegistrations, a.completeGenerators),
		a.getList("events [AGENT]", []string{"event"}, "List what agents reported of what they did, the newest first", &listing{
			orders: sortsOf(agent.EventList()), scoped: true, limit: 100,
			filters: []*filter{
				{flag: "type", param: "event_type", help: "only reports of this type, such as DEPLOY"}, {flag: "status", param: "status", help: "only reports with this status, such as SUCCESS or FAILURE"},
				generatorFilter("only reports about stacks of this"), {flag: "object", param: "deployment_object_id", help: "only reports about this deployment object, by its id", check: areIDs},
			},
		}, a.getEvents, a.completeAgents),
	)
	return group(cmd)
}

func areIDs(cmd *cobra.Command, values []string) error {
	for _, v := range values {
		if !isID(v) {
			return usagef(cmd, "%q is no id", v)
		}
	}
	return nil
}

// getter reads what ref names; if it is empty, what is chosen of everything.
type getter func(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error)

// getList is a command that shows what is chosen of a list, or what is named.
func (a *app) getList(use string, aliases []string, short string, l *listing, get getter, complete cobra.CompletionFunc) *cobra.Command {
	var o output
	cmd := &cobra.Command{Use: use, Aliases: aliases, Short: short, Args: atMost(1), ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			if err := l.read(cmd, args); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			q, err := l.choice(cmd.Context(), c)
			if err != nil {
				return err
			}
			v, err := get(cmd.Context(), c, strings.Join(args, ""), q, &o)
			if err != nil {
				return err
			}
			return a.show(cmd, &o, a.orNothing(q, v))
		}}
	l.flags(cmd)
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

// listOr returns what is chosen of a list, or what was named.
func listOr[T any](ctx context.Context, ref string, q client.Choice, by func(context.Context, client.Choice) (client.Chosen[T], error), find func() ([]T, error)) ([]T, int, error) {
	if ref != "" {
		all, err := find()
		return all, 0, err
	}
	chosen, err := by(ctx, q)
	return chosen.Items, chosen.Rest, err
}

func (a *app) getStacks(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	if q.Filters.Get(deletedParam) != "" {
		return a.getDeletedStacks(ctx, c, q, o)
	}
	all, rest, err := listOr(ctx, ref, q, c.StacksBy, func() ([]client.Stack, error) { return findStacks(ctx, c, ref, "") })
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
	v := view{data: data, rest: rest}
	g := &render.Grid{Columns: render.Columns("NAME", "GENERATOR", "DESCRIPTION", "AGE", "+TREATMENT", "+ID")}
	for _, s := range inOrder(q, all, func(s client.Stack) string { return s.Name }) {
		v.names = append(v.names, "stack/"+s.Name)
		g.Add(render.Texts(s.Name, names.name(s.GeneratorID), orNone(deref(s.Description)), render.Age(a.env.Now(), &s.CreatedAt), orUnknown(treatmentText(s.Treatment)), s.ID)...)
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

func (a *app) getAgents(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	all, rest, err := listOr(ctx, ref, q, c.AgentsBy, func() ([]client.Agent, error) { return findAgents(ctx, c, ref) })
	if err != nil {
		return view{}, err
	}
	data, err := found("agent", ref, all)
	if err != nil {
		return view{}, err
	}
	v := view{data: data, rest: rest}
	g := &render.Grid{Columns: render.Columns("NAME", "CLUSTER", "STATUS", "HEARTBEAT", "KUBERNETES", "AGE", "+LATENCY", "+ID")}
	now := a.env.Now()
	for _, n := range inOrder(q, all, func(n client.Agent) string { return n.Name }) {
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

func (a *app) getObjects(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	chosen, err := objectsOf(ctx, c, ref, q)
	if err != nil {
		return view{}, err
	}
	all := chosen.Items
	names, err := stackNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	v := view{data: all, rest: chosen.Rest}
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

// objectsOf returns the chosen objects of a stack, or one object by its id, or the newest object of each of the first stacks.
func objectsOf(ctx context.Context, c *client.Client, ref string, q client.Choice) (client.Chosen[client.Object], error) {
	if ref == "" {
		return newestObjects(ctx, c, q)
	}
	stacks, err := findStacks(ctx, c, ref, "")
	if err != nil {
		return client.Chosen[client.Object]{}, err
	}
	if len(stacks) == 0 && isID(ref) {
		ob, err := c.Object(ctx, ref)
		if client.IsStatus(err, http.StatusNotFound) {
			err = fmt.Errorf("%s is neither a stack nor a deployment object", ref)
		}
		return client.Chosen[client.Object]{Items: []client.Object{ob}}, err
	}
	s, err := one("stack", ref, stacks, func(s client.Stack) string { return "stack " + s.ID + " of generator " + s.GeneratorID })
	if err != nil {
		return client.Chosen[client.Object]{}, err
	}
	return c.ObjectsBy(ctx, s.ID, q)
}

const parallel = 6

func newestObjects(ctx context.Context, c *client.Client, q client.Choice) (client.Chosen[client.Object], error) {
	chosen, err := c.StacksBy(ctx, q)
	if err != nil {
		return client.Chosen[client.Object]{}, err
	}
	stacks := chosen.Items
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
		return client.Chosen[client.Object]{}, err
	}
	all := []client.Object{}
	for _, n := range newest {
		if n != nil {
			all = append(all, *n)
		}
	}
	return client.Chosen[client.Object]{Items: all, Rest: chosen.Rest}, nil
}

func (a *app) getGenerators(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	all, rest, err := listOr(ctx, ref, q, c.GeneratorsBy, func() ([]client.Generator, error) { return findGenerators(ctx, c, ref) })
	if client.IsStatus(err, http.StatusForbidden) && !q.Narrows() {
		all, err = findGenerators(ctx, c, ref) // a generator sees itself
	}
	if err != nil {
		return view{}, err
	}
	data, err := found("generator", ref, all)
	if err != nil {
		return view{}, err
	}
	v := view{data: data, rest: rest}
	g := &render.Grid{Columns: render.Columns("NAME", "ACTIVE", "LAST-ACTIVE", "REGISTRATIONS", "DESCRIPTION", "AGE", "+ID")}
	for _, n := range inOrder(q, all, func(n client.Generator) string { return n.Name }) {
		v.names = append(v.names, "generator/"+n.Name)
		g.Add(render.Texts(n.Name+pick(n.IsSystem, " (system)", ""), pick(n.IsActive, "yes", "no"), render.Age(a.env.Now(), n.LastActiveAt),
			orNone(n.RegistrationPolicy), orNone(deref(n.Description)), render.Age(a.env.Now(), &n.CreatedAt), n.ID)...)
	}
	v.table = a.grid(g, o, "no generators yet: brokkr generator create NAME")
	return v, nil
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
