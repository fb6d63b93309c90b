package syncer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
	"github.com/colliery-io/brokkr/services/agent/internal/syncer"
)

const (
	me   = "0d9c4b9e-2a9b-4a62-8d6e-3b1f5f1c9a77"
	boot = "6f1f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"
)

// world is a syncer with a gateway that the test plays, in virtual time.
type world struct {
	*testing.T
	began   time.Time
	box     *report.Box
	syncer  *syncer.Syncer
	gateway *gateway
	target  *target
	status  *status
	log     *bytes.Buffer
	stop    func() // ends the syncer and waits for it
}

// gateway parks as the real one does, and fails when it is told to.
type gateway struct {
	mu       sync.Mutex
	began    time.Time
	seen     []request
	revision int64
	stacks   []wire.Stack
	removed  []wire.Removed
	fail     func(wire.SyncRequest) error // before anything is taken
	lose     bool                         // take the request and lose the answer
	hasty    bool                         // never park
	turn     int64                        // without which no report is taken; zero: any is
	news     chan struct{}
	taken    []string // reports that were taken, in order
}

// request is one that came, and when, counted from the start.
type request struct {
	wire.SyncRequest
	at time.Duration
}

var lost = fault.New(fault.Unavailable, "broker_unreachable", "connection reset")

func (g *gateway) Sync(ctx context.Context, id agent.ID, req wire.SyncRequest) (wire.SyncResponse, error) {
	g.mu.Lock()
	g.seen = append(g.seen, request{req, time.Since(g.began)})
	fail, park := g.fail, !g.hasty && req.WaitSeconds > 0 && req.Revision == g.revision
	news := g.news
	g.mu.Unlock()
	if id != me {
		return wire.SyncResponse{}, fault.New(fault.NotFound, "agent_not_found", "no such agent")
	}
	if fail != nil {
		if err := fail(req); err != nil {
			return wire.SyncResponse{}, err
		}
	}
	g.mu.Lock()
	if g.turn > 0 && len(req.Applied)+len(req.Removed)+len(req.Status) > 0 && (req.Turn == nil || *req.Turn != g.turn) {
		res := wire.SyncResponse{Revision: g.revision, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}, Turn: g.turn}
		lose := g.lose
		g.mu.Unlock()
		if lose {
			return wire.SyncResponse{}, lost
		}
		return res, nil
	}
	for _, r := range req.Removed {
		g.taken = append(g.taken, r.StackID+" removed")
	}
	for _, a := range req.Applied {
		g.taken = append(g.taken, a.StackID+" "+a.Message)
	}
	g.mu.Unlock()
	if park {
		select {
		case <-news:
		case <-time.After(time.Duration(req.WaitSeconds) * time.Second):
		case <-ctx.Done():
			return wire.SyncResponse{}, ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lose {
		return wire.SyncResponse{}, lost
	}
	res := wire.SyncResponse{Revision: g.revision, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}}
	if req.Revision != g.revision {
		stacks := g.stacks
		res.Stacks, res.Removed = &stacks, g.removed
	}
	return res, nil
}

// publish changes the target state and wakes who is parked.
func (g *gateway) publish(revision int64, stacks ...wire.Stack) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revision, g.stacks = revision, append([]wire.Stack{}, stacks...)
	close(g.news)
	g.news = make(chan struct{})
}

func (g *gateway) set(change func(*gateway)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

// requests returns those that came since the last call.
func (g *gateway) requests() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.seen
	g.seen = nil
	return out
}

func (g *gateway) reports() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.taken...)
}

// target notes what it is given, as "revisions of stacks".
type target struct {
	mu  sync.Mutex
	got [][]wire.Stack
	// forgot is how often the broker was said to have gone back.
	forgot int
}

func (t *target) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgot++
}

func (t *target) Desired(stacks []wire.Stack, _ []wire.Removed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got = append(t.got, stacks)
}

func (t *target) times() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.got)
}

type heart struct{}

func (heart) Beat() wire.Heartbeat {
	yes, ms := true, int32(7)
	return wire.Heartbeat{K8sReachable: &yes, K8sAPILatencyMS: &ms}
}

// status is what the test says of the cluster.
type status struct {
	mu     sync.Mutex
	text   json.RawMessage // nil: nothing is pending
	number int64
}

func (s *status) change(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.number = json.RawMessage(text), s.number+1
}

func (s *status) Pending() (json.RawMessage, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text, s.number
}

func (s *status) Told(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number == s.number {
		s.text = nil
	}
}

func (s *status) Repeat() {}

// inBubble runs the test with a syncer that has begun, and ends that.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, began: time.Now(), box: report.New(), target: &target{}, status: &status{}, log: &bytes.Buffer{}}
		w.gateway = &gateway{began: w.began, news: make(chan struct{})}
		w.syncer = syncer.New(syncer.Config{
			Broker: w.gateway, Agent: me, Boot: boot, Box: w.box, Target: w.target, Heart: heart{}, Status: w.status,
			Log: slog.New(slog.NewTextHandler(w.log, nil)), Count: func(string) {},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := w.syncer.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		w.stop = func() { cancel(); <-done }
		defer w.stop()
		test(w)
	})
}

// settle lets everything happen that happens within d.
func (w *world) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantLines looks at how often the log has a text.
func (w *world) wantLines(text string, want int) {
	w.Helper()
	if got := strings.Count(w.log.String(), text); got != want {
		w.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, w.log)
	}
}

func applied(stack, message string) wire.Applied {
	return wire.Applied{StackID: stack, Phase: "applied", Message: message, ObservedAt: time.Now()}
}
