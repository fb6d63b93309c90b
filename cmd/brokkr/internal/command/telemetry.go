package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// mendEvery is the pause before a lost live connection is made anew.
const mendEvery = time.Second

// telemetry is what logs and events have in common.
type telemetry struct {
	follow  bool
	since   time.Duration
	cluster string
	limit   int
}

func (t *telemetry) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	cmd.Flags().DurationVar(&t.since, "since", 0, "only what came in this time, such as 10m (default: all that is kept)")
	cmd.Flags().StringVar(&t.cluster, "cluster", "", "only what comes from the agents of this cluster")
	cmd.Flags().IntVar(&t.limit, "tail", 500, "how many of the newest to begin with, at most 5000")
}

func (a *app) logs() *cobra.Command {
	var t telemetry
	cmd := &cobra.Command{
		Use:   "logs STACK",
		Short: "Show the logs of a stack's pods in every cluster",
		Long: `Shows the lines that are kept, in order of time, each with its cluster, namespace, pod and container. Only pods that opt
in are read: annotation brokkr.io/stream-logs: "true" on the pod, its owner or the stack. Where lines are missing, standard error says how many and why.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.telemetry(cmd, args[0], &t, func(ctx context.Context, c *client.Client, id string, since time.Time) ([]client.Seen, client.Retention, error) {
				h, err := c.StackLogs(ctx, id, since, t.limit)
				out := make([]client.Seen, 0, len(h.Lines)+len(h.Gaps))
				for i := range h.Gaps {
					out = append(out, client.Seen{Gap: &h.Gaps[i]})
				}
				for i := range h.Lines {
					out = append(out, client.Seen{Line: &h.Lines[i]})
				}
				return out, h.Retention, err
			}, func(s client.Seen) bool { return s.Line != nil || s.Gap != nil })
		},
	}
	t.flags(cmd)
	return cmd
}

func (a *app) events() *cobra.Command {
	var t telemetry
	cmd := &cobra.Command{
		Use:               "events STACK",
		Short:             "Show the Kubernetes events of a stack's objects in every cluster",
		Long:              `Shows the events that are kept, in order of time: when, cluster, type, reason, object, message.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.telemetry(cmd, args[0], &t, func(ctx context.Context, c *client.Client, id string, since time.Time) ([]client.Seen, client.Retention, error) {
				h, err := c.StackEvents(ctx, id, since, t.limit)
				out := make([]client.Seen, 0, len(h.Events))
				for i := range h.Events {
					out = append(out, client.Seen{Event: &h.Events[i]})
				}
				return out, h.Retention, err
			}, func(s client.Seen) bool { return s.Event != nil })
		},
	}
	t.flags(cmd)
	return cmd
}

// history reads what is kept since a moment.
type history func(ctx context.Context, c *client.Client, id string, since time.Time) ([]client.Seen, client.Retention, error)

func (a *app) telemetry(cmd *cobra.Command, ref string, t *telemetry, read history, wanted func(client.Seen) bool) error {
	if t.limit < 1 || t.limit > 5000 {
		return usagef(cmd, "--tail is %d, not between 1 and 5000", t.limit)
	}
	if t.since < 0 {
		return usagef(cmd, "--since is %s, less than 0", t.since)
	}
	ctx := cmd.Context()
	c, err := a.connect()
	if err != nil {
		return err
	}
	id, err := stackRef(ctx, c, ref)
	if err != nil {
		return err
	}
	names, err := clusterNames(ctx, c)
	if err != nil {
		return err
	}
	p := printer{app: a, names: names, cluster: t.cluster, wanted: wanted, shown: map[string]bool{}}
	var since time.Time
	if t.since > 0 {
		since = a.env.Now().Add(-t.since)
	}
	if !t.follow {
		kept, retention, err := read(ctx, c, id, since)
		if err != nil {
			return err
		}
		if err := p.show(kept...); err != nil {
			return err
		}
		if !p.any {
			a.progress("nothing is kept of stack %s (%s at most)", ref, time.Duration(retention.EffectiveSeconds)*time.Second)
		}
		return nil
	}
	return a.followTelemetry(ctx, c, id, since, read, &p)
}

// followTelemetry shows what is kept and goes on live. It connects first, so that nothing falls between the two, and makes
// a lost connection anew, with what was missed meanwhile.
func (a *app) followTelemetry(ctx context.Context, c *client.Client, id string, since time.Time, read history, p *printer) error {
	for {
		w, err := c.WatchStack(ctx, id)
		if err == nil {
			begun := a.env.Now()
			err = a.followOnce(ctx, c, w, id, since, read, p)
			w.Close()
			since = begun.Add(-time.Minute) // clocks differ; what was shown is not shown again
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is how one stops
		}
		if !client.IsLost(err) {
			return err
		}
		a.progress("%v; connecting again", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(mendEvery):
		}
	}
}

func (a *app) followOnce(ctx context.Context, c *client.Client, w *client.Watch, id string, since time.Time, read history, p *printer) error {
	kept, _, err := read(ctx, c, id, since)
	if err != nil {
		return err
	}
	if err := p.show(kept...); err != nil {
		return err
	}
	for {
		s, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if err := p.show(s); err != nil {
			return err
		}
	}
}

// clusterNames returns the clusters of the agents that the caller can see.
func clusterNames(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.Agents(ctx, "")
	if err != nil && !client.IsStatus(err, 403) {
		return nil, err
	}
	b := book{}
	for _, v := range all {
		b[v.ID] = v.ClusterName
	}
	return b, nil
}

// maxShown bounds what is remembered for not showing it twice.
const maxShown = 20_000

type printer struct {
	app     *app
	names   book
	cluster string
	wanted  func(client.Seen) bool
	shown   map[string]bool
	any     bool
}

func (p *printer) show(all ...client.Seen) error {
	for _, s := range all {
		if !p.wanted(s) {
			continue
		}
		key, agent := identify(s)
		if p.shown[key] || (p.cluster != "" && p.names.name(agent) != p.cluster) {
			continue
		}
		if len(p.shown) >= maxShown {
			clear(p.shown)
		}
		p.shown[key], p.any = true, true
		if err := p.print(s, p.names.name(agent)); err != nil {
			return err
		}
	}
	return nil
}

// identify returns what tells one observation from another, and whose it is.
func identify(s client.Seen) (key, agent string) {
	switch {
	case s.Line != nil:
		l := s.Line
		return strings.Join([]string{l.AgentID, l.Namespace, l.Pod, l.Container, l.TS.UTC().Format(time.RFC3339Nano), l.Line}, "\x00"), l.AgentID
	case s.Event != nil:
		e := s.Event
		return strings.Join([]string{e.AgentID, e.Involved.UID, e.Involved.Name, e.ObservedAt.UTC().Format(time.RFC3339Nano), e.Reason, e.Message}, "\x00"), e.AgentID
	default:
		g := s.Gap
		return fmt.Sprint(g.AgentID, g.Since.UTC(), g.DroppedCount, g.Reason), g.AgentID
	}
}

func (p *printer) print(s client.Seen, cluster string) error {
	var err error
	switch {
	case s.Line != nil:
		_, err = fmt.Fprintf(p.app.env.Out, "%s %s/%s/%s %s\n", render.Clean(cluster), render.Clean(s.Line.Namespace), render.Clean(s.Line.Pod), render.Clean(s.Line.Container), render.Clean(s.Line.Line))
	case s.Event != nil:
		e := s.Event
		_, err = fmt.Fprintf(p.app.env.Out, "%s %s %s %s %s %s\n", e.ObservedAt.UTC().Format(time.RFC3339), render.Clean(cluster), render.Clean(e.EventType), render.Clean(e.Reason),
			render.Clean(e.Involved.Kind+"/"+e.Involved.Name), render.Clean(e.Message))
	default:
		missing := "lines are missing"
		if s.Gap.DroppedCount > 0 {
			missing = fmt.Sprintf("%d lines are missing", s.Gap.DroppedCount)
		}
		p.app.progress("%s since %s: %s", missing, s.Gap.Since.UTC().Format(time.RFC3339), render.Clean(s.Gap.Reason))
	}
	return err
}
