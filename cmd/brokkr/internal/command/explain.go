package command

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) explain() *cobra.Command {
	var o output
	var at string
	cmd := &cobra.Command{
		Use: "explain STACK [CLUSTER]", Short: "Tell why a stack is in a cluster or not, now or at a past time",
		Long: `Tells the decision about a stack: the policy that it followed, since when, what caused it, and for each cluster every rule that it
fails, with what is wanted and what is observed; of those that fit, how they were compared: by group, then how full the domains of the
spread are, then points and what they are made of, then where the stack was already. With CLUSTER (a cluster, or an agent by name or id) of that one alone. --at tells what
had been decided until then: a time such as 2026-03-01T12:00:00Z, or how long ago, such as 2h.`,
		Example: `  brokkr explain web
  brokkr explain web cluster-7
  brokkr explain web cluster-7 --at 36h`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "STACK is missing")
			}
			return atMost(2)(cmd, args)
		},
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			when, err := a.past(cmd, at)
			if err != nil {
				return err
			}
			_, s, p, err := a.readPlacementAt(cmd.Context(), args[0], when)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				p.Verdicts = only(p.Verdicts, func(v client.Verdict) bool {
					return v.Cluster == args[1] || v.AgentName == args[1] || strings.EqualFold(v.AgentID, args[1])
				})
				if len(p.Verdicts) == 0 {
					return hint(fmt.Errorf("the decision about stack %s says nothing of cluster %q", s.Name, args[1]), "brokkr explain %s lists the clusters that it speaks of", s.Name)
				}
			}
			v := view{data: p, table: func(w io.Writer, _ bool) error { return a.writeExplanation(w, s, p) }}
			for _, verdict := range p.Verdicts {
				v.names = append(v.names, "cluster/"+verdict.Cluster)
			}
			return a.show(cmd, &o, v)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "tell what had been decided until this time")
	o.flag(cmd)
	return cmd
}

// past reads a time or how long ago it is; nil for none.
func (a *app) past(cmd *cobra.Command, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // now
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		t := a.env.Now().Add(-d)
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil, usagef(cmd, "--at %q is neither a time such as 2026-03-01T12:00:00Z nor a duration such as 2h", s)
	}
	return &t, nil
}

func (a *app) writeExplanation(w io.Writer, s client.Stack, p client.Placement) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("stack/%s", render.Clean(s.Name))
	if p.DecidedAt == nil {
		line("  nothing has been decided about it yet")
	} else {
		line("  decided   %s ago (%s), decision %d, because of %s", render.Age(a.env.Now(), p.DecidedAt), p.DecidedAt.UTC().Format(time.RFC3339), p.Generation, orNone(render.Clean(p.Cause)))
	}
	switch {
	case p.Policy == nil:
		line("  policy    none: it is placed by targets, labels and annotations")
	case p.Policy.StackLabel != nil:
		line("  policy    %s, revision %d, by the stack's label %s", render.Clean(p.Policy.Name), p.Policy.Revision, render.Clean(*p.Policy.StackLabel))
	default:
		line("  policy    %s, revision %d, attached to the stack", render.Clean(p.Policy.Name), p.Policy.Revision)
	}
	if p.WakeAt != nil {
		line("  again at  %s, when time alone may change it", p.WakeAt.UTC().Format(time.RFC3339))
	}
	if p.Unmet != nil {
		line("  unmet     %d of %d wanted clusters: %s", p.Unmet.Picked, p.Unmet.Wanted, render.Clean(p.Unmet.Reason))
	}
	if p.Hold != nil {
		line("  held      %s; it waits %s: brokkr placement approve %s", render.Clean(p.Hold.Reason), waits(p.Hold), render.Clean(s.Name))
	}
	for _, v := range sorted(p.Verdicts, func(v client.Verdict) string { return v.Cluster }) {
		word := "not picked"
		if v.Picked {
			word = "picked"
		}
		line("cluster/%s (agent %s): %s", render.Clean(v.Cluster), orNone(render.Clean(v.AgentName)), word)
		for _, r := range v.Reasons {
			text := render.Clean(r.Message)
			if text == "" {
				text = render.Clean(r.Rule)
			}
			line("  %s", text)
			if r.Wanted != "" || r.Observed != "" {
				line("    wanted %s, observed %s", orNone(render.Clean(r.Wanted)), orNone(render.Clean(r.Observed)))
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return a.writeRanking(w, p)
}

// writeRanking writes how the clusters that fit were compared, the best first as far as points go.
func (a *app) writeRanking(w io.Writer, p client.Placement) error {
	if p.Policy == nil {
		return nil
	}
	var ranked []client.Verdict
	var names []string // of what gives points, in the policy's order
	told := true
	for _, v := range p.Verdicts {
		if !v.Ranked {
			told = told && !slices.ContainsFunc(v.Reasons, func(r client.Reason) bool { return v.Picked && r.Rule == "picked" })
			continue
		}
		ranked = append(ranked, v)
		for _, s := range v.Scores {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	if !told {
		_, err := fmt.Fprintln(w, "ranking: the record of this decision does not hold it")
		return err
	}
	if len(ranked) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "ranking, compared by group, spread, points and where it was already:"); err != nil {
		return err
	}
	slices.SortStableFunc(ranked, func(x, y client.Verdict) int {
		if x.Picked != y.Picked {
			return pickInt(x.Picked, -1, 1)
		}
		return cmp.Or(cmp.Compare(y.Score, x.Score), strings.Compare(x.Cluster, y.Cluster))
	})
	titles := append([]string{"CLUSTER", "PICKED", "GROUP", "SPREAD", "POINTS"}, names...)
	g := &render.Grid{Columns: render.Columns(append(titles, "ALREADY")...)}
	for _, v := range ranked {
		g.Add(rankingRow(v, names)...)
	}
	return g.Write(w, true, a.colour(), false)
}

func pickInt(b bool, yes, no int) int {
	if b {
		return yes
	}
	return no
}

func rankingRow(v client.Verdict, names []string) []render.Cell {
	picked := render.Cell{Text: "no", Tone: render.Faint}
	if v.Picked {
		picked = render.Cell{Text: "yes", Tone: render.Good}
	}
	var spread []string
	for _, s := range v.Spread {
		spread = append(spread, fmt.Sprintf("%s %s: %d picked, fewest %d", s.By, orUnknown(s.Domain), s.Picked, s.Fewest))
	}
	row := []render.Cell{render.Text(v.Cluster), picked, render.Text(orNone(v.Group) + pick(v.Avoided, ", avoided", "")),
		render.Text(orNone(strings.Join(spread, "; "))), render.Text(strconv.FormatInt(v.Score, 10))}
	for _, name := range names {
		cell := render.Text(render.None)
		for _, s := range v.Scores {
			if s.Name == name {
				cell.Text = strconv.FormatInt(s.Points, 10) + " (" + orNone(s.Observed) + pick(s.Weight > 1, fmt.Sprintf(", weight %d", s.Weight), "") + ")"
			}
		}
		row = append(row, cell)
	}
	return append(row, render.Text(pick(v.Incumbent, "yes", "no")))
}
