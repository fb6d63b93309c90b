package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// shown is how many of the newest entries of a history are described.
const shown = 5

func (a *app) describe() *cobra.Command {
	cmd := &cobra.Command{Use: "describe", Short: "Show everything about one stack, agent or cluster"}
	cmd.AddCommand(
		a.getOne("stack NAME|ID", "Show a stack: its marks, revisions, placement and status", a.describeStack, a.completeStacks),
		a.getOne("agent NAME|ID", "Show an agent: its marks, consent, stacks and reports", a.describeAgent, a.completeAgents),
		a.getOne("cluster NAME|ID", "Show a cluster: its status, facts, taints, cordon, drain and stacks", a.describeCluster, a.completeClusters),
	)
	for _, c := range cmd.Commands() {
		c.Args = exactly("NAME|ID")
	}
	return group(cmd)
}

// getOne is a command that shows what is named.
func (a *app) getOne(use, short string, get func(ctx context.Context, c *client.Client, ref string, o *output) (view, error), complete cobra.CompletionFunc) *cobra.Command {
	return a.getList(use, nil, short, nil, func(ctx context.Context, c *client.Client, ref string, _ client.Choice, o *output) (view, error) {
		return get(ctx, c, ref, o)
	}, complete)
}

type stackDescription struct {
	Stack       client.Stack       `json:"stack"`
	Generator   string             `json:"generator"`
	Labels      []string           `json:"labels"`
	Annotations map[string]string  `json:"annotations"`
	Objects     []client.Object    `json:"deployment_objects"`
	Placement   *client.Placement  `json:"placement"`
	Status      client.StackStatus `json:"status"`
}

func (a *app) describeStack(ctx context.Context, c *client.Client, ref string, o *output) (view, error) {
	s, err := findStack(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	d := stackDescription{Stack: s}
	if d.Labels, d.Annotations, err = readMarks(ctx, stackMarks(c, s)); err != nil {
		return view{}, err
	}
	if d.Objects, err = c.Objects(ctx, s.ID); err != nil {
		return view{}, err
	}
	for i := range d.Objects {
		d.Objects[i].YAMLContent = "" // brokkr get objects has it
	}
	if d.Status, err = c.Status(ctx, s.ID); err != nil {
		return view{}, err
	}
	p, err := c.Placement(ctx, s.ID)
	switch {
	case err == nil:
		d.Placement = &p
	case !client.IsStatus(err, http.StatusNotFound): // not found: nothing was decided yet
		return view{}, err
	}
	names, err := generatorNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	d.Generator = names.name(s.GeneratorID)
	return view{data: d, names: []string{"stack/" + s.Name}, table: func(w io.Writer, wide bool) error { return a.writeStack(w, wide, d, o) }}, nil
}

func (a *app) writeStack(w io.Writer, wide bool, d stackDescription, o *output) error {
	now := a.env.Now()
	f := &fields{w: w}
	f.line("Name", d.Stack.Name)
	f.line("Id", d.Stack.ID)
	f.line("Generator", d.Generator)
	f.line("Description", orNone(deref(d.Stack.Description)))
	f.line("Labels", joined(d.Labels))
	f.line("Annotations", joined(pairsOf(d.Annotations)))
	f.line("Treatment", orUnknown(treatmentText(d.Stack.Treatment)))
	f.line("Created", when(now, &d.Stack.CreatedAt))
	f.title("Revisions")
	for i, ob := range d.Objects {
		if i == shown {
			f.text("  and %d older ones: brokkr get objects %s", len(d.Objects)-shown, d.Stack.Name)
			break
		}
		f.text("  sequence %d, %s, %s, %s", ob.SequenceID, short(ob.YAMLChecksum), when(now, &ob.SubmittedAt), pick(ob.IsDeletionMarker, "deletion marker", ob.ID))
	}
	if len(d.Objects) == 0 {
		f.text("  nothing published yet")
	}
	f.title("Placement")
	if f.err == nil && d.Placement != nil && len(d.Placement.Verdicts) > 0 {
		f.err = verdictGrid(*d.Placement).Write(w, wide, a.colour(), o.bare)
	} else {
		f.text("  nothing decided yet")
	}
	f.title("Status")
	if f.err == nil {
		f.err = a.statusView(d.Status, o, newStatusGrid()).table(w, wide)
	}
	return f.err
}

type agentDescription struct {
	Agent         client.Agent          `json:"agent"`
	Labels        []string              `json:"labels"`
	Annotations   map[string]string     `json:"annotations"`
	Registrations []client.Registration `json:"registrations"`
	Targets       []client.Target       `json:"targets"`
	Events        []client.Event        `json:"events"`
}

func (a *app) describeAgent(ctx context.Context, c *client.Client, ref string, _ *output) (view, error) {
	g, err := findAgent(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	d := agentDescription{Agent: g}
	if d.Labels, d.Annotations, err = readMarks(ctx, agentMarks(c, g)); err != nil {
		return view{}, err
	}
	if d.Registrations, err = c.AgentRegistrations(ctx, g.ID); err != nil {
		return view{}, err
	}
	if d.Targets, err = c.Targets(ctx, g.ID); err != nil {
		return view{}, err
	}
	// A broker whose parts run apart serves the reports at the gateway only.
	if d.Events, err = c.AgentEvents(ctx, g.ID); err != nil && !client.IsStatus(err, http.StatusNotFound) {
		return view{}, err
	}
	slices.SortStableFunc(d.Events, func(x, y client.Event) int { return y.UpdatedAt.Compare(x.UpdatedAt) })
	generators, err := generatorNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	stacks, err := stackNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	return view{data: d, names: []string{"agent/" + g.Name}, table: func(w io.Writer, _ bool) error {
		return a.writeAgent(w, d, generators, stacks)
	}}, nil
}

func (a *app) writeAgent(w io.Writer, d agentDescription, generators, stacks book) error {
	now := a.env.Now()
	f := &fields{w: w}
	f.line("Name", d.Agent.Name)
	f.line("Id", d.Agent.ID)
	f.line("Cluster", d.Agent.ClusterName)
	f.line("Status", d.Agent.Status+pick(d.Agent.Status == statusActive, "", ": it gets no stacks until brokkr agent activate "+d.Agent.Name))
	f.line("Heartbeat", when(now, d.Agent.LastHeartbeat))
	if d.Agent.DuplicateSince != nil {
		f.line("Used twice", "since "+when(now, d.Agent.DuplicateSince)+": several processes have this agent's PAK; stop one, or make it an agent of its own: brokkr agent create")
	}
	f.line("Kubernetes", reachable(d.Agent).Text+pick(d.Agent.K8sAPILatencyMS == nil, "", ", "+latency(d.Agent)))
	f.line("Labels", joined(d.Labels))
	f.line("Annotations", joined(pairsOf(d.Annotations)))
	f.line("Created", when(now, &d.Agent.CreatedAt))
	f.title("Takes stacks of")
	for _, r := range d.Registrations {
		f.text("  %s: %s%s", generators.name(r.GeneratorID), orUnknown(r.State),
			pick(r.State == "pending", fmt.Sprintf(" (brokkr registration approve %s %s)", d.Agent.Name, generators.name(r.GeneratorID)), ""))
	}
	f.none(len(d.Registrations))
	f.title("Targets")
	for _, t := range d.Targets {
		f.text("  stack/%s", stacks.name(t.StackID))
	}
	f.none(len(d.Targets))
	f.title("Reports")
	if d.Events == nil {
		f.text("  not served at %s", a.settings.URL)
		return f.err
	}
	for i, e := range d.Events {
		if i == shown {
			f.text("  and %d older ones", len(d.Events)-shown)
			break
		}
		line := fmt.Sprintf("  %s %s, object %s, %s", e.EventType, e.Status, e.DeploymentObjectID, when(now, &e.UpdatedAt))
		if m := render.Clean(deref(e.Message)); m != "" {
			line += ": " + m
		}
		f.text("%s", line)
	}
	f.none(len(d.Events))
	return f.err
}

func readMarks(ctx context.Context, m marked) (labels []string, annotations map[string]string, err error) {
	ls, err := m.labels(ctx, m.id)
	if err != nil {
		return nil, nil, err
	}
	as, err := m.annotations(ctx, m.id)
	if err != nil {
		return nil, nil, err
	}
	labels, annotations = []string{}, map[string]string{}
	for _, l := range ls {
		labels = append(labels, l.Label)
	}
	for _, n := range as {
		annotations[n.Key] = n.Value
	}
	slices.Sort(labels)
	return labels, annotations, nil
}

// fields writes a description; the first error stays.
type fields struct {
	w   io.Writer
	err error
}

func (f *fields) text(format string, args ...any) {
	if f.err == nil {
		_, f.err = fmt.Fprintf(f.w, format+"\n", args...)
	}
}

func (f *fields) line(name, value string) { f.text("%-13s%s", name+":", render.Clean(value)) }

func (f *fields) title(name string) { f.text("%s:", name) }

func (f *fields) none(n int) {
	if n == 0 {
		f.text("  none")
	}
}

func when(now time.Time, t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), render.Age(now, t))
}

func joined(s []string) string { return orNone(strings.Join(s, ", ")) }

func pairsOf(m map[string]string) []string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return pairs
}
