package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) placement() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:               "placement STACK",
		Short:             "Show which clusters were picked for a stack, which not, and why",
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, s, p, err := a.readPlacement(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showPlacement(cmd, c, s, p, &o)
		},
	}
	o.flag(cmd)
	cmd.AddCommand(a.approve())
	return cmd
}

func (a *app) approve() *cobra.Command {
	var o output
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "approve STACK",
		Short: "Let a held decision happen",
		Long: `Approves the decision that is held for a stack: the removals that brokkr placement STACK names then happen. With
--fingerprint exactly the decision that was looked at is approved; if it has changed meanwhile, nothing happens.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, s, p, err := a.readPlacement(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.Hold == nil {
				a.progress("nothing is held for stack/%s", s.Name)
				return a.showPlacement(cmd, c, s, p, &o)
			}
			if fingerprint == "" {
				fingerprint = p.Hold.Fingerprint
			}
			if fingerprint != p.Hold.Fingerprint {
				return hint(fmt.Errorf("the decision that is held for stack %s is another one (fingerprint %s): %s", s.Name, p.Hold.Fingerprint, render.Clean(p.Hold.Reason)),
					"brokkr placement %s, then approve what it shows", s.Name)
			}
			names, err := agentNames(cmd.Context(), c)
			if err != nil {
				return err
			}
			after, err := c.ApprovePlacement(cmd.Context(), s.ID, fingerprint)
			if err != nil {
				return err
			}
			// The answer may still show the hold: the scheduler acts on the approval a moment later.
			return a.show(cmd, &o, view{data: after, names: []string{"stack/" + s.Name}, table: func(w io.Writer, _ bool) error {
				_, err := fmt.Fprintf(w, "stack/%s: approved the removal from %s; see brokkr status %s\n", s.Name, strings.Join(namesOf(names, p.Hold.Removes), ", "), s.Name)
				return err
			}})
		},
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "approve only the decision with this fingerprint")
	o.flag(cmd)
	return cmd
}

func (a *app) readPlacement(ctx context.Context, ref string) (*client.Client, client.Stack, client.Placement, error) {
	return a.readPlacementAt(ctx, ref, nil)
}

// readPlacementAt reads what is decided about a stack, or what had been at a moment.
func (a *app) readPlacementAt(ctx context.Context, ref string, at *time.Time) (*client.Client, client.Stack, client.Placement, error) {
	c, err := a.connect()
	if err != nil {
		return nil, client.Stack{}, client.Placement{}, err
	}
	s := client.Stack{ID: ref, Name: ref} // a deleted stack still has a placement, under its id
	if !isID(ref) {
		if s, err = findStack(ctx, c, ref); err != nil {
			return nil, s, client.Placement{}, err
		}
	}
	if at != nil {
		p, err := c.PlacementAt(ctx, s.ID, *at)
		if client.IsCode(err, "decision_not_found") {
			err = hint(fmt.Errorf("no decision about stack %s is kept from %s", s.Name, at.UTC().Format(time.RFC3339)), "decisions are kept for a while (scheduler.keep_decisions); ask for a later time")
		}
		return c, s, p, err
	}
	p, err := c.Placement(ctx, s.ID)
	return c, s, p, err
}

func (a *app) showPlacement(cmd *cobra.Command, c *client.Client, s client.Stack, p client.Placement, o *output) error {
	names := []string{}
	for _, v := range p.Verdicts {
		if v.Picked {
			names = append(names, "cluster/"+v.Cluster)
		}
	}
	return a.show(cmd, o, view{data: p, names: names, table: func(w io.Writer, wide bool) error {
		line := fmt.Sprintf("stack/%s: picked for %d of %s", s.Name, len(names), count(len(p.Verdicts), "cluster"))
		if p.DecidedAt != nil {
			line += fmt.Sprintf("; decision %d, %s ago", p.Generation, render.Age(a.env.Now(), p.DecidedAt))
		} else {
			line += "; nothing decided yet"
		}
		if p.Cause != "" {
			line += ", because of " + p.Cause
		}
		if wide && p.TraceID != "" {
			line += ", trace " + p.TraceID
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		if p.Hold != nil {
			if err := a.writeHold(w, p.Hold, s.Name); err != nil {
				return err
			}
			known, err := agentNames(cmd.Context(), c)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "  it would remove the stack from %d of %s: %s\n", len(p.Hold.Removes), count(p.Hold.Of, "cluster"), strings.Join(namesOf(known, p.Hold.Removes), ", ")); err != nil {
				return err
			}
		}
		g := verdictGrid(p)
		if len(g.Rows) == 0 {
			return nil
		}
		return g.Write(w, wide, a.colour(), o.bare)
	}})
}

func verdictGrid(p client.Placement) *render.Grid {
	g := &render.Grid{Columns: render.Columns("CLUSTER", "AGENT", "PICKED", "WHY", "+RULES", "+AGENT-ID")}
	for _, v := range sorted(p.Verdicts, func(v client.Verdict) string { return v.Cluster }) {
		rules := make([]string, 0, len(v.Reasons))
		for _, r := range v.Reasons {
			rule := r.Rule
			if r.Wanted != "" || r.Observed != "" {
				rule += fmt.Sprintf("(wanted %s, observed %s)", orNone(r.Wanted), orNone(r.Observed))
			}
			rules = append(rules, rule)
		}
		picked := render.Cell{Text: "no", Tone: render.Faint}
		if v.Picked {
			picked = render.Cell{Text: "yes", Tone: render.Good}
		}
		g.Add(render.Text(v.Cluster), render.Text(orNone(v.AgentName)), picked, render.Text(reasons(v)),
			render.Text(orNone(strings.Join(rules, " "))), render.Text(v.AgentID))
	}
	return g
}

func namesOf(b book, ids []string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = b.name(id)
	}
	slices.Sort(names)
	return names
}
