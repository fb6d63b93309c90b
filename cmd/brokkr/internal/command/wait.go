package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

type waitOptions struct {
	timeout   time.Duration
	failAfter time.Duration
	settle    time.Duration // how long a good status must stand
}

func (o *waitOptions) flags(cmd *cobra.Command, prefix string) {
	f := cmd.Flags()
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, prefix+"give up after this time; 0 waits for ever")
	f.DurationVar(&o.failAfter, "fail-after", 15*time.Second, prefix+"give up when a cluster has failed for this long without recovering; 0 never")
}

// watch looks at a stack's status again and again, tells what changed and asks judge whether that is the end. An
// unreachable broker is told once and waited for.
type watch struct {
	a     *app
	c     *client.Client
	stack client.Stack
	goal  string // "is not <goal> after 5m"
	// wanted is the sequence that the clusters are to reach; zero: any.
	wanted int64
	// behind says why a cluster still wants another one.
	behind string
	judge  func(client.StackStatus) (done bool, err error)
	// pending says what is still missing when the time is over.
	pending func(client.StackStatus) []string
	last    map[string]string // agent id: the line that was told
	names   map[string]string // agent id: its cluster
	away    bool
	held    string
}

func (w *watch) run(ctx context.Context, timeout time.Duration) error {
	errTimeout := errors.New("time is over")
	start := w.a.env.Now()
	if timeout > 0 { // also when an answer hangs
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	w.last, w.names = map[string]string{}, map[string]string{}
	var status client.StackStatus
	for {
		done, err := w.look(ctx, &status)
		if done {
			return err
		}
		if err == nil && timeout > 0 && w.a.env.Now().Sub(start) >= timeout {
			return w.timedOut(status, timeout)
		}
		if err == nil {
			err = w.a.pause(ctx)
		}
		switch {
		case err == nil:
		case errors.Is(context.Cause(ctx), errTimeout):
			return w.timedOut(status, timeout)
		default:
			return err
		}
	}
}

func (w *watch) look(ctx context.Context, status *client.StackStatus) (bool, error) {
	now, err := w.c.Status(ctx, w.stack.ID)
	if err != nil {
		if ctx.Err() == nil && client.IsTemporary(err) {
			if !w.away {
				w.a.progress("the broker does not answer, still trying: %v", err)
			}
			w.away = true
			return false, nil
		}
		return false, err
	}
	if w.away {
		w.away = false
		w.a.progress("the broker answers again")
	}
	*status = now
	w.tell(now)
	return w.judge(now)
}

// tell writes a line for each cluster whose state changed.
func (w *watch) tell(s client.StackStatus) {
	seen := map[string]bool{}
	for _, c := range sorted(s.Clusters, func(c client.ClusterStatus) string { return c.ClusterName }) {
		line := w.line(c)
		seen[c.AgentID] = true
		w.names[c.AgentID] = render.Clean(c.ClusterName)
		if w.last[c.AgentID] != line {
			w.last[c.AgentID] = line
			w.a.progress("  %s: %s", render.Clean(c.ClusterName), line)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.last)) {
		if !seen[id] && w.last[id] != "" {
			w.a.progress("  %s: no longer has the stack", w.names[id])
			w.last[id] = ""
		}
	}
	held := ""
	if s.Hold != nil {
		held = s.Hold.Fingerprint
		if held != w.held {
			w.a.progress("  held: %s; see brokkr placement %s", render.Clean(s.Hold.Reason), s.StackName)
		}
	}
	w.held = held
}

func (w *watch) line(c client.ClusterStatus) string {
	if w.wanted > 0 && c.State != stateRemoving && c.Wanted.SequenceID < w.wanted {
		return fmt.Sprintf("still wants sequence %d, %s", c.Wanted.SequenceID, w.behind)
	}
	return describeCluster(c, w.a.env.Now())
}

func (w *watch) timedOut(s client.StackStatus, timeout time.Duration) error {
	missing := w.pending(s)
	if w.away {
		missing = append(missing, "the broker does not answer")
	}
	return hint(fmt.Errorf("stack %s is not %s after %s:\n  %s", w.stack.Name, w.goal, timeout, strings.Join(missing, "\n  ")),
		"brokkr status %s, brokkr placement %s", w.stack.ID, w.stack.ID)
}

// waitHealthy waits until object is applied and healthy in every cluster that is to run it.
func (a *app) waitHealthy(ctx context.Context, c *client.Client, s client.Stack, object client.Object, o waitOptions) error {
	return a.waitUntil(ctx, c, s, object, o, healthHealthy, func(st client.ClusterStatus) bool { return st.Health == healthHealthy })
}

// waitUntil waits until object is applied in every cluster that is to run it and each is as reached wants it; goal says that in a word.
func (a *app) waitUntil(ctx context.Context, c *client.Client, s client.Stack, object client.Object, o waitOptions, goal string, reached func(client.ClusterStatus) bool) error {
	h := &healthWait{a: a, c: c, stack: s, object: object, o: o, goal: goal, reached: reached, failing: map[string]time.Time{}}
	w := &watch{a: a, c: c, stack: s, goal: goal + " everywhere", wanted: object.SequenceID, behind: behindScheduler, pending: h.missing,
		judge: func(st client.StackStatus) (bool, error) { return h.judge(ctx, st) }}
	h.watch = w
	if err := w.run(ctx, o.timeout); err != nil {
		return err
	}
	a.progress("stack/%s is %s in %s", s.Name, goal, count(h.clusters, "cluster"))
	return nil
}

// healthWait decides when a published object has arrived.
type healthWait struct {
	a        *app
	c        *client.Client
	stack    client.Stack
	object   client.Object
	o        waitOptions
	goal     string
	reached  func(client.ClusterStatus) bool // of a cluster that has applied the object
	failing  map[string]time.Time            // agent id: since when we see it fail
	goodFrom time.Time
	clusters int
	verdicts string // last told reasons for having no cluster
	watch    *watch
	rollout  string // last told state of the object's rollout
	unsure   bool   // the broker did not say how far the rollout is
}

func (h *healthWait) judge(ctx context.Context, s client.StackStatus) (bool, error) {
	now := h.a.env.Now()
	if s.SequenceID != nil && *s.SequenceID > h.object.SequenceID {
		return true, hint(fmt.Errorf("stack %s was published again meanwhile (sequence %d follows %d)", h.stack.Name, *s.SequenceID, h.object.SequenceID),
			"brokkr status %s", h.stack.Name)
	}
	h.clusters = 0
	arrived := true
	var failed []string
	for _, c := range s.Clusters {
		if c.State == stateRemoving {
			continue
		}
		h.clusters++
		arrived = arrived && h.arrived(c)
		if h.fails(c, now) {
			failed = append(failed, fmt.Sprintf("%s: %s", render.Clean(c.ClusterName), describeCluster(c, now)))
		}
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		return true, hint(fmt.Errorf("stack %s failed:\n  %s", h.stack.Name, strings.Join(failed, "\n  ")),
			"mend the manifests and apply again; the agent keeps trying until then")
	}
	if h.clusters == 0 {
		h.goodFrom = time.Time{}
		return false, h.tellNoCluster(ctx)
	}
	over, err := h.followRollout(ctx, s, arrived)
	if err != nil {
		return true, err
	}
	if !arrived || !over {
		h.goodFrom = time.Time{}
		return false, nil
	}
	if h.goodFrom.IsZero() {
		h.goodFrom = now
	}
	return now.Sub(h.goodFrom) >= h.o.settle, nil
}

func (h *healthWait) arrived(c client.ClusterStatus) bool {
	id := h.object.ID
	return c.Wanted.DeploymentObjectID == id && c.Applied != nil && c.Applied.DeploymentObjectID == id &&
		c.Phase == phaseApplied && h.reached(c)
}

// fails reports whether a cluster has failed with our object for as long as is tolerated.
func (h *healthWait) fails(c client.ClusterStatus, now time.Time) bool {
	if c.Wanted.DeploymentObjectID != h.object.ID || !isFailed(c) {
		delete(h.failing, c.AgentID)
		return false
	}
	since, known := h.failing[c.AgentID]
	if !known {
		since = now
		h.failing[c.AgentID] = now
	}
	return h.o.failAfter > 0 && now.Sub(since) >= h.o.failAfter
}

// tellNoCluster says why the stack goes nowhere, whenever the reasons change.
func (h *healthWait) tellNoCluster(ctx context.Context) error {
	p, err := h.c.Placement(ctx, h.stack.ID)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return nil // the next look tells; the reasons are a courtesy
	}
	text := strings.Join(refusals(p), "\n  ")
	if text == "" && p.DecidedAt != nil && p.DecidedAt.After(h.object.CreatedAt) {
		text = "there is no agent that could run it: brokkr agent create"
	}
	if text != "" && text != h.verdicts {
		h.verdicts = text
		h.a.progress("no cluster runs stack/%s yet:\n  %s", h.stack.Name, text)
	}
	return nil
}

func (h *healthWait) missing(s client.StackStatus) []string {
	var lines []string
	for _, c := range sorted(s.Clusters, func(c client.ClusterStatus) string { return c.ClusterName }) {
		if c.State != stateRemoving && !h.arrived(c) {
			lines = append(lines, fmt.Sprintf("%s: %s", render.Clean(c.ClusterName), describeCluster(c, h.a.env.Now())))
		}
	}
	if h.rollout != "" {
		lines = append(lines, fmt.Sprintf("rollout: %s (brokkr rollout status %s)", h.rollout, h.stack.Name))
	}
	if h.unsure {
		lines = append(lines, "the broker does not say whether a rollout has clusters left")
	}
	if s.Hold != nil {
		lines = append(lines, fmt.Sprintf("held: %s (brokkr placement approve %s)", render.Clean(s.Hold.Reason), h.stack.Name))
	}
	if h.clusters == 0 {
		lines = append(lines, "no cluster was chosen")
		if h.verdicts != "" {
			lines = append(lines, h.verdicts)
		}
	}
	if len(lines) == 0 {
		lines = append(lines, "its status did not stay good for long enough")
	}
	return lines
}

// waitGone waits until no cluster has the stack any more.
func (a *app) waitGone(ctx context.Context, c *client.Client, s client.Stack, timeout time.Duration) error {
	w := &watch{a: a, c: c, stack: s, goal: "gone",
		judge: func(st client.StackStatus) (bool, error) { return len(st.Clusters) == 0, nil },
		pending: func(st client.StackStatus) []string {
			var lines []string
			for _, cl := range st.Clusters {
				lines = append(lines, fmt.Sprintf("%s: %s", render.Clean(cl.ClusterName), describeCluster(cl, a.env.Now())))
			}
			return lines
		}}
	err := w.run(ctx, timeout)
	if client.IsCode(err, "stack_not_found") {
		err = nil // nothing is left that could be asked about
	}
	if err == nil {
		a.progress("stack/%s is gone from every cluster", s.Name)
	}
	return err
}
