package witness

import (
	"context"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	linesPerSecond = 100 // of a container, and as many at once
	refusedPause   = 5 * time.Minute
	latePod        = time.Minute // lines that a pod wrote before it was seen come along if they are no older
)

// tails follows the logs of the pods that opted in: each container by itself, so that none waits for another, and no more
// than there are slots.
type tails struct {
	w      *Witness
	source cluster.PodLogs
	slots  chan struct{}
	began  time.Time

	mu   sync.Mutex
	base context.Context    // of Run; nil before and after it
	pods map[string]*tailed // by uid
	off  map[string]bool    // stacks that are not assigned any more
	told map[string]bool    // stacks that have opted in for all of their pods; never changed, replaced
	anew context.CancelFunc // has all pods looked at anew; nil while none are
	full bool               // it was told that there are too few slots
	wg   sync.WaitGroup
}

// tailed is a pod whose logs are wanted. It has no tails while its stack is off.
type tailed struct {
	pod   cluster.LoggedPod
	tails map[string]*tail // by container
}

// run follows until ctx ends.
func (t *tails) run(ctx context.Context) {
	t.mu.Lock()
	t.base, t.began = ctx, time.Now()
	t.mu.Unlock()
	for ctx.Err() == nil {
		t.watch(ctx)
	}
	t.mu.Lock()
	t.base = nil
	t.mu.Unlock()
	t.wg.Wait()
}

// watch looks at pods until ctx ends or other stacks have opted in.
func (t *tails) watch(ctx context.Context) {
	these, stop := context.WithCancel(ctx)
	defer stop()
	t.mu.Lock()
	told := t.told
	t.anew = stop
	t.mu.Unlock()
	t.source.Watch(these, func(id string) bool { return told[id] }, t.saw, func(err error) { t.w.trouble(ctx, "the pods whose logs are wanted", err) })
}

// saw is told of a pod; it never blocks.
func (t *tails) saw(p cluster.LoggedPod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is, ok := t.pods[p.UID]
	if len(p.Containers) == 0 {
		if ok {
			is.end()
			delete(t.pods, p.UID)
		}
		return
	}
	if !ok {
		is = &tailed{tails: map[string]*tail{}}
		t.pods[p.UID] = is
	}
	if is.pod.Stack != p.Stack {
		is.end()
	}
	is.pod = p
	t.settle(is)
}

// assigned says which stacks are the agent's, which of them have opted in, and which are not the agent's any more.
func (t *tails) assigned(stacks, told, removed []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := make(map[string]bool, len(told))
	for _, s := range told {
		now[s] = true
	}
	if !maps.Equal(now, t.told) {
		t.told = now
		if t.anew != nil {
			t.anew()
		}
	}
	for _, s := range removed {
		t.off[s] = true
	}
	for _, s := range stacks {
		delete(t.off, s)
	}
	for _, p := range t.pods {
		t.settle(p)
	}
}

// settle starts and ends tails so that they are those that are wanted. The lock is held.
func (t *tails) settle(p *tailed) {
	if t.off[p.pod.Stack] || t.base == nil {
		p.end()
		return
	}
	now := time.Now().UTC()
	since := now.Add(-latePod)
	if since.Before(t.began) {
		since = t.began
		if len(p.tails) == 0 && p.pod.Created.Before(t.began) { // what it wrote before, nobody knows whether it was told
			t.w.gap(p.pod.Stack, "disconnected", since, 0)
		}
	}
	for _, c := range p.pod.Containers {
		x, ok := p.tails[c.Name]
		if !ok {
			ctx, stop := context.WithCancel(t.base)
			x = &tail{tails: t, pod: p.pod, container: c.Name, at: since, stop: stop, changed: make(chan struct{}, 1), tokens: linesPerSecond, filled: now}
			p.tails[c.Name] = x
			t.wg.Go(func() { x.run(ctx) })
		}
		x.set(c)
	}
}

func (p *tailed) end() {
	for name, x := range p.tails {
		x.stop()
		delete(p.tails, name)
	}
}

// slot waits for one; false if ctx ended first.
func (t *tails) slot(ctx context.Context, stack string) bool {
	select {
	case t.slots <- struct{}{}:
		return true
	default:
	}
	t.mu.Lock()
	first := !t.full
	t.full = true
	t.mu.Unlock()
	if first {
		t.w.log.WarnContext(ctx, "more containers have opted in than are followed at a time; the others wait (agent.pod_logs)", "followed", cap(t.slots))
	}
	t.w.gap(stack, "buffer_full", time.Now(), 0)
	select {
	case t.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *tails) free() { <-t.slots }

// tail follows one container's log, through its restarts and through broken streams.
type tail struct {
	tails     *tails
	pod       cluster.LoggedPod
	container string
	stop      context.CancelFunc
	changed   chan struct{}

	mu sync.Mutex
	is cluster.LoggedContainer

	// Of run alone: where it is, by the time of the last line and how many lines had that time.
	at     time.Time
	same   int
	skip   int
	again  bool // lines up to there may come again
	heard  bool // a line came since the stream began
	tokens float64
	filled time.Time
}

func (x *tail) set(c cluster.LoggedContainer) {
	x.mu.Lock()
	was := x.is
	x.is = c
	x.mu.Unlock()
	if was != c {
		select {
		case x.changed <- struct{}{}:
		default:
		}
	}
}

func (x *tail) state() cluster.LoggedContainer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.is
}

func (x *tail) run(ctx context.Context) {
	pause, read := firstPause, "" // read is the run that was read to its end
	var broken error
	defer func() {
		if broken != nil {
			x.tails.w.gap(x.pod.Stack, "disconnected", x.at, 0)
		}
	}()
	for {
		is := x.state()
		if is.Run == "" || is.Run == read {
			select {
			case <-ctx.Done():
				return
			case <-x.changed:
			}
			pause = firstPause
			continue
		}
		if !x.tails.slot(ctx, x.pod.Stack) {
			return
		}
		x.again, x.skip, x.heard = true, x.same, false
		err := x.tails.source.Follow(ctx, x.pod.Namespace, x.pod.Name, x.container, x.at, func(at time.Time, line string) { x.take(ctx, at, line) })
		x.tails.free()
		if ctx.Err() != nil {
			return
		}
		if broken = err; err == nil {
			x.works(ctx)
			if !is.Running {
				read = is.Run // it had ended before it was read
				continue
			}
		}
		if x.heard {
			pause = firstPause
		}
		wait := pause
		switch {
		case fault.Is(broken, fault.Forbidden), fault.Is(broken, fault.Unauthenticated):
			x.tails.w.trouble(ctx, x.what(), broken)
			wait = refusedPause
		case broken != nil:
			x.tails.w.log.DebugContext(ctx, "a log has broken off; it is tried again", "namespace", x.pod.Namespace, "pod", x.pod.Name, "container", x.container, "error", broken.Error())
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2)) //nolint:gosec // jitter
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			pause = min(2*pause, lastPause)
		case <-x.changed:
			timer.Stop()
			pause = firstPause
		}
	}
}

func (x *tail) what() string { return "the logs of pods in namespace " + x.pod.Namespace }

func (x *tail) works(ctx context.Context) { x.tails.w.trouble(ctx, x.what(), nil) }

// take is called with each line that comes; it never blocks.
func (x *tail) take(ctx context.Context, at time.Time, line string) {
	if ctx.Err() != nil {
		return // the stack is not the agent's any more
	}
	if !x.heard {
		x.heard = true
		x.works(ctx)
	}
	if x.again {
		switch {
		case at.Before(x.at):
			return
		case at.Equal(x.at) && x.skip > 0:
			x.skip--
			return
		}
		x.again = false
	}
	switch {
	case at.Equal(x.at):
		x.same++
	case at.After(x.at):
		x.at, x.same = at, 1
	}
	now := time.Now()
	x.tokens = min(linesPerSecond, x.tokens+now.Sub(x.filled).Seconds()*linesPerSecond)
	x.filled = now
	if x.tokens < 1 {
		x.tails.w.countLine("rate_limited")
		x.tails.w.gap(x.pod.Stack, "rate_limit", at, 1)
		return
	}
	x.tokens--
	x.tails.w.line(wire.PodLogLine{
		StackID: x.pod.Stack, Namespace: x.pod.Namespace, Pod: x.pod.Name, Container: x.container, TS: at.UTC(),
		Line: strings.ReplaceAll(strings.ToValidUTF8(line, "\uFFFD"), "\x00", "\uFFFD"),
	})
}
