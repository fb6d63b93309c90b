package command

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

func (a *app) rollout() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rollout", Short: "See and steer how a revision moves across the clusters",
		Long: `A stack whose policy has a rollout part gives a new revision to its clusters in waves. Each wave is released by what the clusters
report of this revision. STACK is a name or an id; the newest rollout of the stack is meant unless --id names another.

  brokkr rollout status web
  brokkr rollout approve web
  brokkr rollout undo web
  brokkr rollout undo web --to 41`,
	}
	cmd.AddCommand(
		a.getList("list STACK", nil, "List the rollouts of a stack, the newest first", &listing{orders: []string{"created_at"}, scoped: true, filters: []*filter{
			wordFilter("state", "state", "only those that are", nil, rollout.Phases()...),
		}}, a.listRollouts, a.completeStacks),
		a.rolloutShow("status", "Show how far a rollout is, and what it waits for", a.writeRollout),
		a.rolloutShow("history", "Show what happened to a rollout", a.writeRolloutHistory),
		a.rolloutWatch(),
		a.rolloutAct(client.PauseRollout, "paused", "Stop a rollout where it is: no other cluster gets the revision"),
		a.rolloutAct(client.ResumeRollout, "resumed", "Let a paused rollout go on; clusters that have failed are excused"),
		a.rolloutAct(client.ApproveRollout, "approved", "Let the next wave follow"),
		a.rolloutAct(client.AbortRollout, "aborted", "End a rollout where it is: every cluster keeps what it has"),
		a.rolloutUndo())
	return group(cmd)
}

func (a *app) listRollouts(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	s, err := findStack(ctx, c, ref)
	if err != nil {
		return view{}, err
	}
	chosen, err := c.RolloutsBy(ctx, s.ID, q)
	if err != nil {
		return view{}, err
	}
	all := chosen.Items
	v := view{data: all, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("ID", "STATE", "WAVE", "AGE", "REASON", "+SINCE", "+OBJECT-ID")}
	for _, r := range all {
		v.names = append(v.names, "rollout/"+r.ID)
		g.Add(render.Text(r.ID), rolloutState(r.State), render.Text(waveName(r)), render.Text(render.Age(a.env.Now(), &r.CreatedAt)),
			render.Text(orNone(render.Clean(r.Reason))), render.Text(render.Age(a.env.Now(), &r.Since)), render.Text(r.ObjectID))
	}
	v.table = a.grid(g, o, "no rollouts yet: a revision goes everywhere at once unless a policy says otherwise")
	return v, nil
}

func rolloutState(s string) render.Cell {
	switch s {
	case "completed":
		return render.Cell{Text: s, Tone: render.Good}
	case "failed", "rolling_back", "rolled_back", "paused":
		return render.Cell{Text: s, Tone: render.Bad}
	default:
		return render.Text(s)
	}
}

// waveName is the current wave, as it is called and counted from 1.
func waveName(r client.RolloutSummary) string {
	if r.Wave < 0 || r.Wave >= len(r.Waves) {
		return "-"
	}
	name := fmt.Sprintf("%s (%d of %d)", render.Clean(r.Waves[r.Wave].Name), r.Wave+1, len(r.Waves))
	if r.Stage != nil {
		name += ", " + *r.Stage
	}
	return name
}

// findRollout returns a stack and the rollout with this id, or its newest one.
func findRollout(ctx context.Context, c *client.Client, ref, id string) (client.Stack, client.Rollout, error) {
	s, err := findStack(ctx, c, ref)
	if err != nil {
		return s, client.Rollout{}, err
	}
	if id == "" {
		all, err := c.Rollouts(ctx, s.ID)
		if err != nil {
			return s, client.Rollout{}, err
		}
		if len(all) == 0 {
			return s, client.Rollout{}, hint(fmt.Errorf("stack %s has no rollout", s.Name), "a revision goes everywhere at once unless a policy of the stack has a rollout part: brokkr policy")
		}
		id = all[0].ID
	}
	r, err := c.Rollout(ctx, id)
	if err == nil && r.StackID != s.ID {
		err = fmt.Errorf("rollout %s is not one of stack %s", id, s.Name)
	}
	return s, r, err
}

func (a *app) rolloutShow(use, short string, write func(w io.Writer, wide bool, s client.Stack, r client.Rollout, o *output) error) *cobra.Command {
	var o output
	var id string
	cmd := &cobra.Command{
		Use: use + " STACK", Short: short, Args: exactly("STACK"), ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, r, err := findRollout(cmd.Context(), c, args[0], id)
			if err != nil {
				return err
			}
			return a.show(cmd, &o, view{data: r, names: []string{"rollout/" + r.ID}, table: func(w io.Writer, wide bool) error {
				return write(w, wide, s, r, &o)
			}})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "this rollout of the stack, not its newest one")
	o.flag(cmd)
	return cmd
}

// headline says where a rollout stands.
func (a *app) headline(s client.Stack, r client.Rollout) string {
	return fmt.Sprintf("stack/%s: rollout of sequence %d is %s since %s ago, wave %s: %s", s.Name, r.SequenceID, r.State, render.Age(a.env.Now(), &r.Since), waveName(r.RolloutSummary), orNone(render.Clean(named(r, r.Reason))))
}

// named is a reason with the names of clusters in the place of their agents' ids.
func named(r client.Rollout, reason string) string {
	for _, c := range r.Clusters {
		if c.ClusterName != "" {
			reason = strings.ReplaceAll(reason, c.AgentID, c.ClusterName)
		}
	}
	return reason
}

func (a *app) writeRollout(w io.Writer, wide bool, s client.Stack, r client.Rollout, o *output) error {
	lines := []string{a.headline(s, r)}
	for _, b := range r.Blockers {
		line := fmt.Sprintf("  waits for %s since %s ago: %s", b.Kind, render.Age(a.env.Now(), &b.Since), render.Clean(named(r, b.Message)))
		if b.Until != nil {
			line += " (until " + b.Until.UTC().Format("2006-01-02 15:04:05Z") + ")"
		}
		lines = append(lines, line, "    ends with: "+render.Clean(b.Release))
	}
	if _, err := fmt.Fprintln(w, strings.Join(lines, "\n")); err != nil {
		return err
	}
	g := &render.Grid{Columns: render.Columns("CLUSTER", "AGENT", "WAVE", "STATE", "SINCE", "MESSAGE", "+RETURNS-TO", "+AGENT-ID")}
	for _, m := range sorted(r.Clusters, func(m client.RolloutCluster) string { return fmt.Sprintf("%06d %s", m.Wave, m.ClusterName) }) {
		state := render.Text(m.State)
		switch {
		case m.Left:
			state = render.Cell{Text: "left", Tone: render.Faint}
		case m.State == "healthy" || m.State == "returned":
			state.Tone = render.Good
		case m.State == "failed":
			state.Tone = render.Bad
		}
		message := m.Message
		if message == "" && m.Offline {
			message = "it cannot be reached"
		}
		returns := "-"
		if m.ReturnsTo != nil {
			returns = *m.ReturnsTo
		}
		g.Add(render.Text(orNone(m.ClusterName)), render.Text(orNone(m.AgentName)), render.Text(strconv.Itoa(m.Wave+1)), state,
			render.Text(render.Age(a.env.Now(), &m.Since)), render.Text(orNone(render.Clean(message))), render.Text(returns), render.Text(m.AgentID))
	}
	return g.Write(w, wide, a.colour(), o.bare)
}

func (a *app) writeRolloutHistory(w io.Writer, wide bool, _ client.Stack, r client.Rollout, o *output) error {
	g := &render.Grid{Columns: render.Columns("AT", "FROM", "TO", "WAVE", "BY", "REASON")}
	for _, t := range r.History {
		by := "-"
		if t.By != nil {
			by = *t.By
		}
		g.Add(render.Text(t.At.UTC().Format("2006-01-02 15:04:05Z")), render.Text(t.From), rolloutState(t.To), render.Text(strconv.Itoa(t.Wave+1)), render.Text(by), render.Text(orNone(render.Clean(named(r, t.Reason)))))
	}
	return g.Write(w, wide, a.colour(), o.bare)
}

func (a *app) rolloutWatch() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "watch STACK", Short: "Follow a rollout until it ends or waits for somebody",
		Long: `Writes a line whenever the rollout comes to another state, wave or stage. The exit status is 0 when it is completed, and 1 when it
ends otherwise, is paused or waits for an approval.`,
		Args: exactly("STACK"), ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, r, err := findRollout(cmd.Context(), c, args[0], id)
			last := ""
			for ; err == nil; r, err = c.Rollout(cmd.Context(), r.ID) {
				if now := r.State + waveName(r.RolloutSummary); now != last {
					a.said("%s", a.headline(s, r))
					last = now
				}
				switch r.State {
				case "completed":
					return nil
				case "aborted", "superseded", "rolled_back":
					return fmt.Errorf("the rollout of stack %s ended %s: %s", s.Name, r.State, render.Clean(named(r, r.Reason)))
				case "paused", "waiting_approval":
					return hint(fmt.Errorf("the rollout of stack %s waits for somebody: %s", s.Name, render.Clean(named(r, r.Reason))), "brokkr rollout status %s", s.Name)
				}
				if err := a.pause(cmd.Context()); err != nil {
					return err
				}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "this rollout of the stack, not its newest one")
	return cmd
}

func (a *app) rolloutAct(act, done, short string) *cobra.Command {
	var o output
	var id string
	cmd := &cobra.Command{
		Use: act + " STACK", Short: short, Args: exactly("STACK"), ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, r, err := findRollout(cmd.Context(), c, args[0], id)
			if err != nil {
				return err
			}
			wave := -1
			if act == client.ApproveRollout {
				wave = r.Wave // of what was looked at, and of no later one
			}
			after, err := c.ActOnRollout(cmd.Context(), r.ID, act, wave)
			if client.IsCode(err, "rollout_state") {
				return hint(err, "brokkr rollout status %s", s.Name)
			}
			if err != nil {
				return err
			}
			return a.show(cmd, &o, view{data: after, names: []string{"rollout/" + after.ID}, table: func(w io.Writer, _ bool) error {
				_, err := fmt.Fprintf(w, "stack/%s: rollout of sequence %d %s; it is %s\n", s.Name, after.SequenceID, done, after.State)
				return err
			}})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "this rollout of the stack, not its newest one")
	o.flag(cmd)
	return cmd
}

func (a *app) rolloutUndo() *cobra.Command {
	back := a.rolloutAct(client.RollbackRollout, "is undone", "Send the clusters back to what was healthy there")
	var to int64
	undo := back.RunE
	back.Use = "undo STACK"
	back.Long = `Gives every cluster that the rollout reached the last revision back that was healthy there; nothing is published. With --to the content
of that earlier revision is published as a new one, which moves across the clusters as any other.`
	back.Flags().Int64Var(&to, "to", 0, "publish the content of the revision with this sequence")
	back.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("to") {
			return undo(cmd, args)
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		s, err := findStack(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		made, err := c.RollbackStack(cmd.Context(), s.ID, to)
		if err != nil {
			return fmt.Errorf("go back to sequence %d of stack %s: %w", to, s.Name, err)
		}
		a.said("stack/%s: the content of sequence %d is published again as sequence %d", s.Name, to, made.SequenceID)
		return nil
	}
	return back
}
