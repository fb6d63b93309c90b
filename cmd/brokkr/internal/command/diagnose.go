package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// diagnosis is what one cluster answered.
type diagnosis struct {
	Cluster string            `json:"cluster"`
	Agent   string            `json:"agent"`
	Object  string            `json:"deployment_object_id"`
	Status  string            `json:"status"` // completed, or what it had come to when the time was over
	Request string            `json:"request_id"`
	Pods    []diagnosedPod    `json:"pods"`
	Events  []diagnosedThat   `json:"events"`
	Logs    map[string]string `json:"log_tails"`
}

type diagnosedPod struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Phase      string `json:"phase"`
	Containers []struct {
		Name         string  `json:"name"`
		Ready        bool    `json:"ready"`
		RestartCount int     `json:"restart_count"`
		State        string  `json:"state"`
		StateReason  *string `json:"state_reason"`
		StateMessage *string `json:"state_message"`
	} `json:"containers"`
}

type diagnosedThat struct {
	Type   string `json:"event_type"`
	Reason string `json:"reason"`
	Text   string `json:"message"`
	Object string `json:"involved_object"`
	Kind   string `json:"involved_object_kind"`
	Count  int    `json:"count"`
}

func (a *app) diagnose() *cobra.Command {
	var o output
	var cluster string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "diagnose STACK",
		Short: "Ask the clusters of a stack what has become of its pods: states, events, ends of logs",
		Long: `Asks the agents of the clusters that are to run a stack, waits for their answers and prints them: the stack's own pods, events of
Kubernetes about its objects, and the last lines of its containers' logs. Values of the stack's Secrets are replaced by ***.`,
		Args:              exactly("STACK"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
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
			asked, err := a.askClusters(cmd.Context(), c, id, cluster)
			if err != nil {
				return err
			}
			all, late, err := a.awaitAnswers(cmd.Context(), c, asked, timeout)
			if err != nil {
				return err
			}
			if err := a.show(cmd, &o, a.diagnosisView(all)); err != nil {
				return err
			}
			return late
		},
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "only this cluster, by its name, its agent's name or its agent's id")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait for answers")
	o.flag(cmd)
	return cmd
}

// askClusters asks the agents that are to run the stack about what they have of it.
func (a *app) askClusters(ctx context.Context, c *client.Client, stack, cluster string) ([]diagnosis, error) {
	st, err := c.Status(ctx, stack)
	if err != nil {
		return nil, err
	}
	var out []diagnosis
	for _, cl := range sorted(st.Clusters, func(c client.ClusterStatus) string { return c.ClusterName }) {
		if cluster != "" && cl.ClusterName != cluster && cl.AgentName != cluster && !strings.EqualFold(cl.AgentID, cluster) {
			continue
		}
		object := cl.Wanted.DeploymentObjectID
		if cl.Applied != nil {
			object = cl.Applied.DeploymentObjectID
		}
		d, err := c.Diagnose(ctx, object, cl.AgentID, a.env.Getenv("USER"))
		if err != nil {
			return nil, err
		}
		out = append(out, diagnosis{Cluster: cl.ClusterName, Agent: cl.AgentName, Object: object, Status: d.Status, Request: d.ID})
	}
	switch {
	case len(out) > 0:
		return out, nil
	case cluster != "":
		return nil, hint(fmt.Errorf("stack %s is not in a cluster %q", st.StackName, cluster), "brokkr status %s lists its clusters", st.StackName)
	default:
		return nil, hint(fmt.Errorf("no cluster runs stack %s", st.StackName), "brokkr placement %s says why", st.StackName)
	}
}

// awaitAnswers waits until all have answered. That some have not when the time is over is late.
func (a *app) awaitAnswers(ctx context.Context, c *client.Client, asked []diagnosis, timeout time.Duration) (all []diagnosis, late, err error) {
	errTimeout := errors.New("time is over")
	waiting, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	a.progress("waiting for %s", count(len(asked), "cluster"))
	for {
		open := 0
		for i := range asked {
			if asked[i].Status == "completed" || asked[i].Status == "expired" {
				continue
			}
			got, err := c.Diagnostic(waiting, asked[i].Request)
			if err != nil && waiting.Err() == nil {
				return nil, nil, err
			}
			if err == nil {
				if err := asked[i].take(got); err != nil {
					return nil, nil, err
				}
			}
			if asked[i].Status != "completed" && asked[i].Status != "expired" {
				open++
			}
		}
		if open > 0 && waiting.Err() == nil {
			if err := a.pause(waiting); err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return asked, lateOnes(asked, timeout), nil
	}
}

func lateOnes(all []diagnosis, timeout time.Duration) error {
	var late []string
	for _, d := range all {
		if d.Status != "completed" {
			late = append(late, fmt.Sprintf("%s (%s)", d.Cluster, d.Status))
		}
	}
	if len(late) == 0 {
		return nil
	}
	return hint(fmt.Errorf("no answer within %s from %s", timeout, strings.Join(late, ", ")),
		"brokkr get fleet shows whether their agents are there; an agent that is older than the broker may not know diagnostics")
}

// take reads an answer.
func (d *diagnosis) take(got client.Answered) error {
	d.Status = got.Request.Status
	if got.Result == nil {
		return nil
	}
	err := errors.Join(json.Unmarshal([]byte(got.Result.PodStatuses), &d.Pods), json.Unmarshal([]byte(got.Result.Events), &d.Events))
	if got.Result.LogTails != nil {
		err = errors.Join(err, json.Unmarshal([]byte(*got.Result.LogTails), &d.Logs))
	}
	if err != nil {
		return fmt.Errorf("read the answer of cluster %s: %w", d.Cluster, err)
	}
	return nil
}

func (a *app) diagnosisView(all []diagnosis) view {
	v := view{data: all, table: func(w io.Writer, _ bool) error {
		for i, d := range all {
			if i > 0 {
				if _, err := fmt.Fprintln(w); err != nil {
					return err
				}
			}
			if err := a.writeDiagnosis(w, d); err != nil {
				return err
			}
		}
		return nil
	}}
	for _, d := range all {
		v.names = append(v.names, "diagnostic/"+d.Request)
	}
	return v
}

func (a *app) writeDiagnosis(w io.Writer, d diagnosis) error {
	if _, err := fmt.Fprintf(w, "%s\n", render.Paint("cluster/"+render.Clean(d.Cluster)+": "+pick(d.Status == "completed", count(len(d.Pods), "pod"), d.Status), render.Plain, a.colour())); err != nil {
		return err
	}
	pods := &render.Grid{Columns: render.Columns("POD", "PHASE", "CONTAINER", "READY", "RESTARTS", "STATE")}
	for _, p := range d.Pods {
		for _, c := range p.Containers {
			state := c.State
			if c.StateReason != nil {
				state += ": " + *c.StateReason
			}
			if c.StateMessage != nil {
				state += ": " + *c.StateMessage
			}
			tone := render.Good
			if !c.Ready {
				tone = render.Bad
			}
			pods.Add(render.Text(p.Namespace+"/"+p.Name), render.Text(p.Phase), render.Text(c.Name),
				render.Cell{Text: pick(c.Ready, "yes", "no"), Tone: tone}, render.Text(fmt.Sprint(c.RestartCount)), render.Text(state))
		}
		if len(p.Containers) == 0 {
			pods.Add(render.Texts(p.Namespace+"/"+p.Name, p.Phase, render.None, render.None, render.None, render.None)...)
		}
	}
	events := &render.Grid{Columns: render.Columns("TYPE", "REASON", "ABOUT", "COUNT", "MESSAGE")}
	for _, e := range d.Events {
		events.Add(render.Texts(e.Type, e.Reason, e.Kind+"/"+e.Object, fmt.Sprint(e.Count), e.Text)...)
	}
	for _, g := range []*render.Grid{pods, events} {
		if len(g.Rows) == 0 {
			continue
		}
		if err := g.Write(w, false, a.colour(), false); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Logs)) {
		if _, err := fmt.Fprintf(w, "log of %s\n", render.Clean(name)); err != nil {
			return err
		}
		for line := range strings.Lines(d.Logs[name]) {
			if _, err := fmt.Fprintf(w, "  %s\n", render.Clean(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
