package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// Outcomes of a check.
const (
	fine    = "ok"
	warning = "warning" // works, but look at it
	trouble = "problem"
	skipped = "skipped"
)

const (
	skewAllowed = 30 * time.Second
	maxDoctored = 500 // stacks that are looked at
)

// finding is the outcome of one check.
type finding struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"`
	Text    string `json:"message"`
	Advice  string `json:"advice,omitempty"`
}

// examination collects findings.
type examination struct {
	a        *app
	c        *client.Client
	findings []finding
}

func (e *examination) add(check, outcome, text, advice string) {
	e.findings = append(e.findings, finding{Check: check, Outcome: outcome, Text: render.Clean(text), Advice: advice})
}

func (a *app) doctor() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check from here whether Brokkr works, and say what to do where it does not",
		Long: `Looks, with your key, at everything that commonly stands in the way: whether the broker is reached and ready, which versions speak,
whose key is used, whether the clocks agree, agents that are silent, inactive or used twice, stacks that are blocked and why, and removals
that wait for approval. Exits with 1 if there is a problem; warnings alone are 0.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			if err := a.resolve(); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if a.settings.PAK != "" {
				a.warnPlain(c.URL())
			}
			e := &examination{a: a, c: c}
			e.run(cmd.Context())
			if cmd.Context().Err() != nil {
				return context.Cause(cmd.Context())
			}
			if err := a.show(cmd, &o, a.doctorView(e.findings)); err != nil {
				return err
			}
			if n := len(only(append([]finding{}, e.findings...), func(f finding) bool { return f.Outcome == trouble })); n > 0 {
				return fmt.Errorf("doctor found %s", count(n, "problem"))
			}
			return nil
		},
	}
	o.flag(cmd)
	return cmd
}

func (a *app) doctorView(all []finding) view {
	v := view{data: all, table: func(w io.Writer, _ bool) error {
		for _, f := range all {
			tone := map[string]render.Tone{fine: render.Good, warning: render.Busy, trouble: render.Bad, skipped: render.Faint}[f.Outcome]
			if _, err := fmt.Fprintf(w, "%s  %s: %s\n", render.Paint(fmt.Sprintf("%-7s", f.Outcome), tone, a.colour()), f.Check, f.Text); err != nil {
				return err
			}
			if f.Advice != "" {
				if _, err := fmt.Fprintf(w, "         -> %s\n", f.Advice); err != nil {
					return err
				}
			}
		}
		return nil
	}}
	for _, f := range all {
		v.names = append(v.names, f.Outcome+"/"+f.Check)
	}
	return v
}

// run makes the checks in the order in which one rests on the other.
func (e *examination) run(ctx context.Context) {
	if !e.reach(ctx) {
		return
	}
	e.components(ctx)
	e.versions(ctx)
	if !e.key(ctx) {
		return
	}
	e.agents(ctx)
	e.stacks(ctx)
}

func (e *examination) reach(ctx context.Context) bool {
	s := e.a.settings
	p, err := e.c.Probe(ctx, "/healthz")
	switch {
	case err != nil:
		e.add("url", trouble, fmt.Sprintf("%s (from %s) is not reached: %v", s.URL, s.URLFrom, err), "is the broker running, and is that its address? brokkr login --url URL, or BROKKR_URL")
		return false
	case p.Status != http.StatusOK:
		e.add("url", trouble, fmt.Sprintf("%s (from %s) answers %d to /healthz: that is no broker", s.URL, s.URLFrom, p.Status), "a proxy or another program answers there: check address and path")
		return false
	}
	e.add("url", fine, fmt.Sprintf("%s (from %s) answers", s.URL, s.URLFrom), "")
	if p.Date.IsZero() {
		e.add("clock", skipped, "the broker does not tell its time", "")
		return true
	}
	skew := e.a.env.Now().Sub(p.Date).Round(time.Second)
	if skew.Abs() > skewAllowed+time.Second { // the header has whole seconds
		e.add("clock", warning, fmt.Sprintf("the clocks here and at the broker differ by %s", skew.Abs()), "set the clock that is wrong; keys expire and ages are shown by it")
		return true
	}
	e.add("clock", fine, "the clocks agree", "")
	return true
}

func (e *examination) components(ctx context.Context) {
	p, err := e.c.Probe(ctx, "/readyz")
	if err != nil || p.Status != http.StatusOK {
		text := strings.TrimSpace(string(p.Body))
		if err != nil {
			text = err.Error()
		}
		e.add("ready", trouble, "the broker is not ready: "+text, "look at the broker's log; until it is ready nothing can be published, agents keep what they have")
	} else {
		e.add("ready", fine, "the broker is ready", "")
	}
	p, err = e.c.Probe(ctx, "/health")
	if err != nil || (p.Status != http.StatusOK && p.Status != http.StatusServiceUnavailable) {
		e.add("components", skipped, "the broker does not show its parts", "")
		return
	}
	parts, err := p.Components()
	if err != nil {
		e.add("components", skipped, "the broker does not show its parts", "")
		return
	}
	for _, c := range parts {
		if c.Status != fine {
			e.add("components", pick(c.Required, trouble, warning), fmt.Sprintf("%s is %s: %s", c.Name, c.Status, orUnknown(c.Error)), "look at the broker's log")
		}
	}
	if len(parts) > 0 && e.findings[len(e.findings)-1].Check != "components" {
		e.add("components", fine, count(len(parts), "part")+" well", "")
	}
}

func (e *examination) versions(ctx context.Context) {
	v, err := e.c.Version(ctx)
	switch own := e.a.env.Build.Version; {
	case err != nil:
		e.add("version", warning, "the broker does not tell its version: "+err.Error(), "it may be older than this program")
	case v.Version != own:
		e.add("version", warning, fmt.Sprintf("this program is %s, the broker %s", own, v.Version), "use the same release of both if something behaves oddly")
	default:
		e.add("version", fine, "both are "+own, "")
	}
}

func (e *examination) key(ctx context.Context) bool {
	if e.a.settings.PAK == "" {
		err := e.a.noKey()
		e.add("key", trouble, err.Error(), e.a.advice(err))
		return false
	}
	who, err := e.c.Auth(ctx)
	switch {
	case client.IsStatus(err, http.StatusUnauthorized):
		e.add("key", trouble, fmt.Sprintf("the broker does not accept the key (from %s): it is unknown, expired or revoked", e.a.settings.PAKFrom), "brokkr login with a key that is valid")
		return false
	case err != nil:
		e.add("key", trouble, err.Error(), "")
		return false
	case who.Agent != nil:
		e.add("key", trouble, "the key belongs to an agent, which may do next to nothing here", "brokkr login with the key of a person or a generator")
		return false
	}
	e.add("key", fine, "the key is valid: "+describeAuth(who), "")
	return true
}

func describeAuth(who client.Auth) string {
	switch {
	case who.Generator != nil:
		return "generator " + *who.Generator
	case who.Role != "":
		return "role " + who.Role
	case who.Admin:
		return "role admin"
	default:
		return "nobody in particular"
	}
}

func (e *examination) agents(ctx context.Context) {
	all, err := e.c.Agents(ctx, "")
	if err != nil {
		e.add("agents", skipped, "they cannot be listed: "+err.Error(), "")
		return
	}
	if len(all) == 0 {
		e.add("agents", warning, "there are none that this key sees", "brokkr agent create --name NAME --cluster-name CLUSTER, then start it in the cluster; a generator sees those that are registered with it")
		return
	}
	before, now := len(e.findings), e.a.env.Now()
	for _, n := range sorted(all, func(n client.Agent) string { return n.Name }) {
		name := "agent " + n.Name + " of cluster " + n.ClusterName
		switch {
		case n.DuplicateSince != nil:
			e.add("agents", trouble, name+": its key is used by several processes at a time", "give each agent a key of its own: brokkr agent create, brokkr agent rotate-pak "+n.Name)
		case n.LastHeartbeat == nil:
			e.add("agents", warning, name+" has never connected", "start it in its cluster with its PAK (brokkr-agent start)")
		case now.Sub(*n.LastHeartbeat) > silentAfter:
			e.add("agents", trouble, name+" is silent since "+render.Age(now, n.LastHeartbeat), "is it running in its cluster, and can it reach the broker? its own log says so")
		case n.K8sReachable != nil && !*n.K8sReachable:
			e.add("agents", trouble, name+" cannot reach its Kubernetes API", "look at the cluster; nothing is lost meanwhile")
		}
		if n.Status != statusActive && n.LastHeartbeat != nil {
			e.add("agents", warning, name+" is inactive and gets nothing", "brokkr agent activate "+n.Name)
		}
	}
	if len(e.findings) == before {
		e.add("agents", fine, count(len(all), "agent")+" well", "")
	}
}

func (e *examination) stacks(ctx context.Context) {
	all, err := e.c.Stacks(ctx, "")
	if err != nil {
		e.add("stacks", skipped, "they cannot be listed: "+err.Error(), "")
		return
	}
	all = sorted(all, func(s client.Stack) string { return s.Name })
	if len(all) > maxDoctored {
		e.add("stacks", warning, fmt.Sprintf("only the first %d of %d stacks are looked at", maxDoctored, len(all)), "")
		all = all[:maxDoctored]
	}
	found := make([]client.StackStatus, len(all))
	var mu sync.Mutex
	var failed error
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, s := range all {
		g.Go(func() error {
			st, err := e.c.Status(gctx, s.ID)
			if err != nil && !client.IsStatus(err, http.StatusNotFound) { // deleted since it was listed
				mu.Lock()
				failed = err
				mu.Unlock()
			}
			found[i] = st
			return nil
		})
	}
	_ = g.Wait() // no function fails
	if failed != nil {
		e.add("stacks", skipped, "not all can be looked at: "+failed.Error(), "")
	}
	before := len(e.findings)
	for _, st := range found {
		if st.StackID != "" {
			e.stack(st)
		}
	}
	if len(e.findings) == before && failed == nil {
		e.add("stacks", fine, count(len(all), "stack")+" well", "")
	}
}

func (e *examination) stack(st client.StackStatus) {
	now := e.a.env.Now()
	name := "stack " + st.StackName
	if st.Hold != nil {
		e.add("stacks", warning, fmt.Sprintf("%s: a decision waits for approval since %s: %s", name, render.Age(now, &st.Hold.Since), st.Hold.Reason),
			"brokkr placement "+st.StackName+", then brokkr placement approve "+st.StackName)
	}
	if len(st.Clusters) == 0 && st.SequenceID != nil {
		e.add("stacks", warning, name+" is published, and no cluster runs it", "brokkr placement "+st.StackName+" says why")
	}
	for _, c := range sorted(st.Clusters, func(c client.ClusterStatus) string { return c.ClusterName }) {
		why := blockedOn(c.BlockedOn)
		switch {
		case isFailed(c):
			e.add("stacks", trouble, fmt.Sprintf("%s in %s: %s", name, c.ClusterName, describeCluster(c, now)), "brokkr diagnose "+st.StackName+" --cluster "+c.ClusterName)
		case why != "":
			e.add("stacks", warning, fmt.Sprintf("%s in %s is blocked: %s", name, c.ClusterName, why), "brokkr status "+st.StackName)
		}
	}
}
