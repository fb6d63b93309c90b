package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// What the API calls the reachability of an agent and the freshness of a status.
const (
	unreachableWord = "unreachable"
	neverConnected  = "never_connected"
	staleWord       = "stale"
	untoldWord      = "none"
)

// findCluster returns the agent of a cluster by the cluster's name, or by the agent's name or id.
func findCluster(ctx context.Context, c *client.Client, ref string) (client.Agent, error) {
	if isID(ref) {
		return findAgent(ctx, c, ref)
	}
	all, err := c.AgentsLike(ctx, ref)
	if err != nil {
		return client.Agent{}, err
	}
	found := only(all, func(v client.Agent) bool { return v.Name == ref || v.ClusterName == ref })
	return one("cluster", ref, found, func(v client.Agent) string { return "agent " + v.Name + " (" + v.ID + ") of cluster " + v.ClusterName })
}

// clusterBook holds the names by which findCluster knows clusters.
func clusterBook(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.Agents(ctx, "")
	b := book{}
	for _, v := range all {
		b[v.ID], b["cluster "+v.ID] = v.Name, v.ClusterName
	}
	return b, err
}

func (a *app) completeClusters(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.complete(cmd, args, prefix, clusterBook)
	slices.Sort(names)
	return slices.Compact(names), directive
}

// clusterListing is how clusters are listed.
func clusterListing() *listing {
	yes := strconv.FormatBool(true)
	return &listing{orders: sortsOf(cluster.List()), filters: append(agentFilters(),
		&filter{flag: "unreachable", param: cluster.FilterReachability, set: string(cluster.Unreachable), help: "only those whose agent is silent"},
		&filter{flag: "stale", param: cluster.FilterFreshness, set: string(cluster.Stale), help: "only those whose status is of before their agent fell silent"},
		&filter{flag: "cordoned", param: cluster.FilterCordoned, set: yes, help: "only those to which nothing new comes"},
		&filter{flag: "draining", param: cluster.FilterDraining, set: yes, help: "only those that are being drained, or are empty by that"},
		&filter{flag: "taint", param: cluster.FilterTaint, help: "only those with a taint of this key"},
	)}
}

func (a *app) fleet() *cobra.Command {
	cmd := a.getList("fleet [CLUSTER]", nil, "List clusters: what is free there, how their stacks fare, which are cordoned, drained, tainted or not heard", clusterListing(), a.getClusters, a.completeClusters)
	cmd.Long = `Lists clusters with what is known of them. Amounts are free/allocatable; what an agent may not read or never told is "-", and
what a silent agent told last has a question mark. Filters must all hold.`
	cmd.Example = `  brokkr fleet --unreachable
  brokkr fleet --label prod --cordoned
  brokkr fleet --taint maintenance -o wide`
	return cmd
}

func (a *app) getClusters(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	chosen, err := c.ClustersBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	all := chosen.Items
	var data any = all
	if ref != "" {
		all = only(all, func(v client.ClusterSummary) bool {
			return v.ClusterName == ref || v.AgentName == ref || strings.EqualFold(v.AgentID, ref)
		})
		if data, err = found("cluster", ref, all); err != nil {
			return view{}, err
		}
	}
	v := view{data: data, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("CLUSTER", "AGENT", "STATE", "HEARTBEAT", "VERSION", "NODES", "CPU", "MEMORY", "STACKS", "NOT-HEALTHY", "PLACEMENT",
		"TAINTS", "+PODS", "+GPUS", "+ARCHITECTURES", "+PENDING", "+STATUS", "+AGENT-ID")}
	now := a.env.Now()
	for _, s := range inOrder(q, all, func(s client.ClusterSummary) string { return s.ClusterName }) {
		v.names = append(v.names, "cluster/"+s.ClusterName)
		g.Add(clusterRow(s, now)...)
	}
	v.table = a.grid(g, o, "no clusters yet: brokkr agent create --name NAME --cluster-name CLUSTER")
	return v, nil
}

func clusterRow(s client.ClusterSummary, now time.Time) []render.Cell {
	doubt := pick(s.Freshness == staleWord, "?", "")
	amount := func(of func(client.Resources) int64, write func(int64) string) render.Cell {
		switch {
		case s.Allocatable == nil:
			return render.Text(render.None)
		case s.Available == nil:
			return render.Text(render.None + "/" + write(of(*s.Allocatable)) + doubt)
		default:
			return render.Text(write(of(*s.Available)) + "/" + write(of(*s.Allocatable)) + doubt)
		}
	}
	nodes := render.Text(render.None)
	if s.Nodes != nil && s.ReadyNodes != nil {
		nodes.Text = fmt.Sprintf("%d/%d%s", *s.ReadyNodes, *s.Nodes, doubt)
		if *s.ReadyNodes < *s.Nodes {
			nodes.Tone = render.Busy
		}
	}
	ill := number(s.HealthFailing+s.HealthDegraded, render.Busy)
	if s.HealthFailing > 0 {
		ill.Tone = render.Bad
	}
	told := s.Freshness
	if s.ReportedAt != nil {
		told += ", told " + render.Age(now, s.ReportedAt) + " ago"
	}
	for _, part := range slices.Sorted(maps.Keys(s.Unknown)) {
		told += ", " + part + " unknown"
	}
	return []render.Cell{
		render.Text(s.ClusterName), render.Text(s.AgentName), clusterState(s), render.Text(render.Age(now, s.LastHeartbeat)), render.Text(orNone(deref(s.Version))), nodes,
		amount(func(r client.Resources) int64 { return r.CPU }, cores), amount(func(r client.Resources) int64 { return r.Memory }, bytesText),
		number(s.AssignedStacks, render.Plain), ill, placementState(s), render.Text(taintsText(s.Taints)),
		amount(func(r client.Resources) int64 { return r.Pods }, plainNumber), amount(func(r client.Resources) int64 { return r.GPUs }, plainNumber),
		render.Text(joined(s.Architectures)), number(s.PendingObjects, render.Busy), render.Text(told), render.Text(s.AgentID),
	}
}

func clusterState(s client.ClusterSummary) render.Cell {
	switch {
	case s.AgentStatus != statusActive:
		return render.Cell{Text: "inactive", Tone: render.Busy}
	case s.Reachability == unreachableWord:
		return render.Cell{Text: unreachableWord, Tone: render.Bad}
	case s.Reachability == neverConnected:
		return render.Cell{Text: "never connected", Tone: render.Faint}
	case s.K8sReachable != nil && !*s.K8sReachable:
		return render.Cell{Text: "no Kubernetes", Tone: render.Bad}
	default:
		return render.Cell{Text: "ready", Tone: render.Good}
	}
}

func placementState(s client.ClusterSummary) render.Cell {
	switch {
	case s.Drain != nil:
		return render.Cell{Text: "draining", Tone: render.Busy}
	case s.Cordon != nil:
		return render.Cell{Text: "cordoned", Tone: render.Busy}
	default:
		return render.Cell{Text: "open", Tone: render.Good}
	}
}

func taintText(t client.Taint) string {
	return t.Key + pick(t.Value == "", "", "="+t.Value) + ":" + t.Effect
}

func taintsText(all []client.Taint) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = taintText(t)
	}
	return joined(texts)
}

func plainNumber(n int64) string { return strconv.FormatInt(n, 10) }

// cores writes thousandths of a core.
func cores(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

// bytesText writes an amount in the largest unit of which there is at least one.
func bytesText(n int64) string {
	const step = 1024
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}
	v, i := float64(n), 0
	for v >= step && i < len(units)-1 {
		v, i = v/step, i+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + units[i]
}

func writeResources(r client.Resources) string {
	text := fmt.Sprintf("cpu %s, memory %s, pods %d", cores(r.CPU), bytesText(r.Memory), r.Pods)
	return text + pick(r.GPUs == 0, "", fmt.Sprintf(", GPUs %d", r.GPUs))
}

type clusterDescription struct {
	Cluster     client.Cluster       `json:"cluster"`
	AgentStatus string               `json:"agent_status"`
	Labels      []string             `json:"labels"`
	Annotations map[string]string    `json:"annotations"`
	Stacks      []client.PlacedStack `json:"stacks"`
}

func (a *app) describeCluster(ctx context.Context, c *client.Client, ref string, _ *output) (view, error) {
	v, err := findCluster(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	d := clusterDescription{AgentStatus: v.Status}
	if d.Cluster, err = c.Cluster(ctx, v.ID); err != nil {
		return view{}, err
	}
	if d.Labels, d.Annotations, err = readMarks(ctx, agentMarks(c, v)); err != nil {
		return view{}, err
	}
	if d.Stacks, err = c.AgentPlacement(ctx, v.ID); err != nil {
		return view{}, err
	}
	return view{data: d, names: []string{"cluster/" + v.ClusterName}, table: func(w io.Writer, _ bool) error { return a.writeCluster(w, d) }}, nil
}

func (a *app) writeCluster(w io.Writer, d clusterDescription) error {
	now, k := a.env.Now(), d.Cluster
	f := &fields{w: w}
	f.line("Cluster", k.ClusterName)
	f.line("Agent", k.AgentName+" ("+k.AgentID+")"+pick(d.AgentStatus == statusActive, "", ", "+d.AgentStatus))
	f.line("Reachable", reachText(k, now))
	f.line("Heartbeat", when(now, k.LastHeartbeat))
	f.line("Labels", joined(d.Labels))
	f.line("Annotations", joined(pairsOf(d.Annotations)))
	f.line("Cordoned", cordonText(k.Cordon, now))
	f.title("Taints")
	for _, t := range k.Taints {
		f.text("  %s, since %s", render.Clean(taintText(t)), when(now, &t.Since))
	}
	f.none(len(k.Taints))
	f.title("Drain")
	writeDrain(f, k, now)
	f.title("Status")
	writeReport(f, k, now)
	f.title("Stacks")
	for _, s := range d.Stacks {
		line := fmt.Sprintf("stack/%s: %s, %s, %s", s.StackName, pick(s.State == stateRemoving, "goes", s.Phase), orUnknown(s.Health), s.Reason)
		f.text("  %s", render.Clean(line+pick(deref(s.BlockedOn) == "", "", ": "+deref(s.BlockedOn))))
	}
	f.none(len(d.Stacks))
	return f.err
}

func reachText(k client.Cluster, now time.Time) string {
	switch k.Reachability {
	case unreachableWord:
		return "no, silent since " + when(now, k.UnreachableSince)
	case neverConnected:
		return "its agent has never connected"
	default:
		return "yes" + pick(k.K8sReachable != nil && !*k.K8sReachable, ", but its agent does not reach Kubernetes", "")
	}
}

func cordonText(c *client.Cordon, now time.Time) string {
	if c == nil {
		return "no"
	}
	return "since " + when(now, &c.Since) + byWhom(c.By, c.Reason)
}

func byWhom(by, reason string) string {
	return pick(by == "", "", " by "+by) + pick(reason == "", "", ": "+reason)
}

func writeReport(f *fields, k client.Cluster, now time.Time) {
	s := k.Status
	if s == nil {
		f.text("  its agent has told none")
		return
	}
	holds := pick(k.Reachability == unreachableWord, "stale: its agent is silent", "current")
	f.text("  %s, last told %s, changed %s", holds, when(now, k.ReportedAt), when(now, k.ChangedAt))
	part := func(name, title, text string) {
		if why, unknown := s.Unknown[name]; unknown {
			text = "unknown: " + why
		}
		f.text("  %-13s%s", title+":", render.Clean(text))
	}
	part("version", "Kubernetes", s.KubernetesVersion)
	part("nodes", "Nodes", fmt.Sprintf("%d, %d ready, %s", s.Nodes, s.ReadyNodes, joined(s.Architectures)))
	part("nodes", "Allocatable", writeResources(s.Allocatable))
	part("requested", "Requested", writeResources(s.Requested))
	if k.Available != nil {
		part("", "Available", writeResources(*k.Available))
	}
	part("facts", "Facts", joined(factTexts(s.Facts)))
	if _, unknown := s.Unknown["facts"]; unknown && len(s.Facts) > 0 { // those of the configuration are known all the same
		f.text("  %-13s%s", "", render.Clean(joined(factTexts(s.Facts))))
	}
	part("apis", "APIs", joined(s.APIs))
}

func factTexts(all map[string]client.Fact) []string {
	texts := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fact := all[name]
		value := fact.Text
		if fact.Number != nil {
			value = strconv.FormatFloat(*fact.Number, 'g', -1, 64)
		}
		if fact.Until != nil {
			value += " (until " + fact.Until.UTC().Format(time.RFC3339) + ")"
		}
		texts = append(texts, name+"="+value)
	}
	return texts
}
