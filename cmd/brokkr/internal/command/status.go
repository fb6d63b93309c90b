package command

import (
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

func (a *app) status() *cobra.Command {
	var o output
	var follow bool
	cmd := &cobra.Command{
		Use:   "status STACK",
		Short: "Show where a stack stands in every cluster, and why",
		Long: `Shows for each cluster which revision is wanted and applied, how healthy it is, since when, and why. With --watch it
goes on and adds a row whenever a cluster changes, until Ctrl-C. A stack that was deleted answers to its id until every cluster has removed it.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := o.format(cmd)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			id, err := stackRef(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			st, err := c.Status(cmd.Context(), id)
			if err != nil {
				return err
			}
			grid := newStatusGrid()
			if err := a.show(cmd, &o, a.statusView(st, &o, grid)); err != nil || !follow {
				return err
			}
			return a.followStatus(cmd, c, st, &o, format, grid)
		},
	}
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "go on, and show what changes")
	o.flag(cmd)
	return cmd
}

func (a *app) statusView(s client.StackStatus, o *output, grid *statusGrid) view {
	names := make([]string, 0, len(s.Clusters))
	for _, c := range s.Clusters {
		names = append(names, "cluster/"+c.ClusterName)
	}
	return view{data: s, names: names, table: func(w io.Writer, wide bool) error {
		now := a.env.Now()
		if _, err := fmt.Fprintln(w, headline(s, now)); err != nil {
			return err
		}
		if err := a.writeHold(w, s.Hold, s.StackName); err != nil {
			return err
		}
		if err := a.writeBlocked(w, s.Blocked); err != nil {
			return err
		}
		if len(s.Clusters) == 0 && len(s.Blocked) > 0 {
			return nil
		}
		if len(s.Clusters) == 0 {
			_, err := fmt.Fprintf(w, "no cluster runs it; brokkr placement %s says why\n", s.StackName)
			return err
		}
		return grid.show(s.Clusters, now).Write(w, wide, a.colour(), o.bare)
	}}
}

// headline sums a status up in one line.
func headline(s client.StackStatus, now time.Time) string {
	line := "stack/" + s.StackName
	if s.SequenceID == nil {
		line += ": nothing published yet"
	} else {
		line += fmt.Sprintf(": sequence %d", *s.SequenceID)
		if s.PublishedAt != nil {
			line += ", published " + render.Age(now, s.PublishedAt) + " ago"
		}
	}
	if s.DeletedAt != nil {
		line += ", deleted " + render.Age(now, s.DeletedAt) + " ago"
	}
	m := s.Summary
	line += fmt.Sprintf("; wanted in %s, applied in %d, healthy in %d", count(m.Wanted, "cluster"), m.Applied, m.Healthy)
	if m.Failed > 0 {
		line += fmt.Sprintf(", failed in %d", m.Failed)
	}
	if m.Removing > 0 {
		line += fmt.Sprintf(", being removed from %d", m.Removing)
	}
	return line
}

// statusGrid is the table of a status.
type statusGrid struct{ render.Grid }

func newStatusGrid() *statusGrid {
	return &statusGrid{render.Grid{Columns: render.Columns("CLUSTER", "AGENT", "WANTED", "APPLIED", "HEALTH", "SINCE", "WHY",
		"+PHASE", "+REASON", "+AGENT-STATUS", "+HEARTBEAT", "+REVISION")}}
}

// show makes clusters the rows of the table.
func (g *statusGrid) show(clusters []client.ClusterStatus, now time.Time) *statusGrid {
	g.Rows = nil
	for _, c := range sorted(clusters, func(c client.ClusterStatus) string { return c.ClusterName }) {
		wanted := strconv.FormatInt(c.Wanted.SequenceID, 10)
		if c.State == stateRemoving {
			wanted = "(remove)"
		}
		applied := render.Cell{Text: render.None, Tone: phaseTone(c.Phase)}
		if c.Applied != nil {
			applied.Text = strconv.FormatInt(c.Applied.SequenceID, 10)
		}
		g.Add(render.Text(c.ClusterName), render.Text(c.AgentName), render.Text(wanted), applied,
			render.Cell{Text: orUnknown(c.Health), Tone: healthTone(c.Health)}, render.Text(render.Age(now, c.Since)),
			render.Text(why(c, now)), render.Cell{Text: c.Phase, Tone: phaseTone(c.Phase)}, render.Text(orNone(c.Reason)),
			render.Text(c.AgentStatus), render.Text(render.Age(now, c.LastHeartbeat)), render.Text(strconv.FormatInt(c.Revision, 10)))
	}
	return g
}

// why says what stands in the way, or why the stack is there at all.
func why(c client.ClusterStatus, now time.Time) string {
	if c.State != stateRemoving && c.Phase == phaseApplied && c.Health == healthHealthy && isCurrent(c) && c.Message == "" && blockedOn(c.BlockedOn) == "" {
		return orNone(c.Reason)
	}
	return describeCluster(c, now)
}

func orNone(s string) string {
	if s == "" {
		return render.None
	}
	return s
}

// writeHold says that a decision waits for approval, and how to give it.
func (a *app) writeHold(w io.Writer, h *client.Hold, stack string) error {
	if h == nil {
		return nil
	}
	text := fmt.Sprintf("HELD for %s: %s", render.Age(a.env.Now(), &h.Since), render.Clean(h.Reason))
	by := ""
	if h.Until != nil {
		by = fmt.Sprintf("  by itself: at %s if nothing else happens\n", h.Until.UTC().Format(time.RFC3339))
	}
	_, err := fmt.Fprintf(w, "%s\n%s  to let it happen: brokkr placement approve %s --fingerprint %s\n", render.Paint(text, render.Bad, a.colour()), by, stack, h.Fingerprint)
	return err
}

// waits says what ends a hold.
func waits(h *client.Hold) string {
	switch {
	case h.Until != nil:
		return "until " + h.Until.UTC().Format(time.RFC3339) + " if nothing else happens, or for an approval"
	case h.Cause == "fleet_window":
		return "until the fleet's window has room, or for an approval"
	default:
		return "for an approval"
	}
}

// followStatus adds what changes: rows of a table, or whole documents in the other formats.
func (a *app) followStatus(cmd *cobra.Command, c *client.Client, st client.StackStatus, o *output, format render.Format, grid *statusGrid) error {
	ctx := cmd.Context()
	last := map[string]string{}
	changed := func(s client.StackStatus) (rows []client.ClusterStatus) {
		for _, cl := range s.Clusters {
			key := fmt.Sprint(cl.State, cl.Wanted, cl.Applied, cl.Phase, cl.Health, cl.Message, string(cl.BlockedOn), cl.AgentStatus)
			if last[cl.AgentID] != key {
				last[cl.AgentID] = key
				rows = append(rows, cl)
			}
		}
		return rows
	}
	changed(st)
	gone, away := len(st.Clusters), false
	for {
		if err := a.pause(ctx); err != nil {
			return err
		}
		now, err := c.Status(ctx, st.StackID)
		if err != nil {
			if ctx.Err() != nil || !client.IsTemporary(err) {
				return err
			}
			if !away {
				a.progress("the broker does not answer, still trying: %v", err)
			}
			away = true
			continue
		}
		away = false
		rows := changed(now)
		if len(rows) == 0 && len(now.Clusters) == gone {
			continue
		}
		if len(now.Clusters) < gone {
			a.progress("%s", headline(now, a.env.Now()))
		}
		gone = len(now.Clusters)
		if format == render.Table || format == render.Wide {
			err = grid.show(rows, a.env.Now()).Write(a.env.Out, format == render.Wide, a.colour(), true)
		} else {
			err = a.show(cmd, o, a.statusView(now, o, grid))
		}
		if err != nil {
			return err
		}
	}
}

// writeBlocked says which clusters keep what they have though something else is wanted, and why.
func (a *app) writeBlocked(w io.Writer, all []client.Blocked) error {
	for _, b := range all {
		names := make([]string, len(b.Clusters))
		for i, c := range b.Clusters {
			names[i] = render.Clean(c.ClusterName)
		}
		slices.Sort(names)
		text := fmt.Sprintf("BLOCKED for %s: %s of the policy cannot be applied: %s", render.Age(a.env.Now(), &b.Since), render.Clean(b.Override), render.Clean(b.Reason))
		keep := "keeps"
		if len(names) != 1 {
			keep = "keep"
		}
		if _, err := fmt.Fprintf(w, "%s\n  %s %s what is there: %s\n", render.Paint(text, render.Bad, a.colour()), count(len(names), "cluster"), keep, strings.Join(names, ", ")); err != nil {
			return err
		}
	}
	return nil
}
