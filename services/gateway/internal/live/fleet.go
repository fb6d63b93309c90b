package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// lookEvery is how old the fleet may be for those who watch it.
const lookEvery = 2 * time.Second

// Fleet tells those who watch the fleet which agents' records have changed. It looks while somebody watches, in one
// statement, and not at all otherwise.
type Fleet struct {
	insights ports.Insights
	channels ports.Channels
	now      func() time.Time
	log      *slog.Logger

	blind bool // who is connected is not known

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	known    map[agent.ID]fleet.Record
}

// watcher holds the records that its reader has not taken yet.
type watcher struct {
	changed chan []fleet.View
	pending map[agent.ID]fleet.View
}

// NewFleet returns a fleet that nobody watches.
func NewFleet(insights ports.Insights, channels ports.Channels, now func() time.Time, log *slog.Logger) *Fleet {
	return &Fleet{insights: insights, channels: channels, now: now, log: log, watchers: map[*watcher]struct{}{}}
}

// Watch returns the records that change from now on. A slow reader gets the newest record of each agent, and blocks nobody.
func (f *Fleet) Watch() (<-chan []fleet.View, func()) {
	w := &watcher{changed: make(chan []fleet.View, 1), pending: map[agent.ID]fleet.View{}}
	f.mu.Lock()
	f.watchers[w] = struct{}{}
	f.mu.Unlock()
	return w.changed, func() {
		f.mu.Lock()
		delete(f.watchers, w)
		f.mu.Unlock()
	}
}

// Run looks at the fleet while somebody watches, until ctx ends.
func (f *Fleet) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := f.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			f.log.WarnContext(ctx, "the fleet cannot be looked at; those who watch it see no changes", "error", err.Error())
		}
		failing = err != nil
	}
}

func (f *Fleet) look(ctx context.Context) error {
	f.mu.Lock()
	watched := len(f.watchers) > 0
	if !watched {
		f.known = nil
	}
	f.mu.Unlock()
	if !watched {
		return nil
	}
	records, err := f.insights.Fleet(ctx, tenancy.Everything(), nil)
	if err != nil {
		return err
	}
	ids := make([]agent.ID, len(records))
	for i, r := range records {
		ids[i] = r.Agent
	}
	since := f.since(ctx, ids)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	known := make(map[agent.ID]fleet.Record, len(records))
	var changed []fleet.View
	for _, r := range records {
		if at, ok := since[r.Agent]; ok {
			r.ConnectedSince = &at
		}
		if old, ok := f.known[r.Agent]; f.known != nil && (!ok || !same(old, r, now)) {
			changed = append(changed, r.At(now))
		}
		known[r.Agent] = r
	}
	f.known = known
	for w := range f.watchers {
		for _, v := range changed {
			w.pending[v.Agent] = v
		}
		w.hand()
	}
	return nil
}

// since returns since when agents are connected. While that is not known all are shown as not connected, as GET /fleet does; what
// else changes is told as ever. Only Run calls it.
func (f *Fleet) since(ctx context.Context, agents []agent.ID) map[agent.ID]time.Time {
	out, err := f.channels.Since(ctx, agents)
	if err != nil && !f.blind && ctx.Err() == nil {
		f.log.WarnContext(ctx, "who is connected is not known; those who watch the fleet see agents as not connected", "error", err.Error())
	}
	f.blind = err != nil
	return out
}

// same compares what records say; their pointers differ each time.
func same(x, y fleet.Record, now time.Time) bool {
	a, b := x.At(now), y.At(now)
	return a.Name == b.Name && a.ClusterName == b.ClusterName && a.Status == b.Status && a.Connected == b.Connected &&
		equal(a.ConnectedSince, b.ConnectedSince) && equal(a.LastHeartbeat, b.LastHeartbeat) && equal(a.LastEventAt, b.LastEventAt) &&
		equal(a.K8sReachable, b.K8sReachable) && equal(a.K8sLatencyMS, b.K8sLatencyMS) &&
		a.PendingObjects == b.PendingObjects && a.PendingWorkOrders == b.PendingWorkOrders && a.ClaimedWorkOrders == b.ClaimedWorkOrders &&
		a.HealthFailing == b.HealthFailing && a.HealthDegraded == b.HealthDegraded
}

func equal[T comparable](x, y *T) bool {
	if x == nil || y == nil {
		return x == y
	}
	return *x == *y
}

// hand gives what is pending to a reader who has taken the last.
func (w *watcher) hand() {
	if len(w.pending) == 0 {
		return
	}
	out := make([]fleet.View, 0, len(w.pending))
	for _, v := range w.pending {
		out = append(out, v)
	}
	select {
	case w.changed <- out:
		clear(w.pending)
	default:
	}
}

// Revocations wakes those whose credential may not hold any more.
type Revocations struct {
	mu    sync.Mutex
	waits map[chan struct{}]string
}

// NewRevocations returns one that nobody waits for.
func NewRevocations() *Revocations { return &Revocations{waits: map[chan struct{}]string{}} }

// Watch returns a channel that has a token when the credential with this short token may be revoked.
func (r *Revocations) Watch(short string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	r.waits[c] = short
	r.mu.Unlock()
	return c, func() {
		r.mu.Lock()
		delete(r.waits, c)
		r.mu.Unlock()
	}
}

// Revoked wakes those of a credential; everybody if short is empty.
func (r *Revocations) Revoked(short string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, s := range r.waits {
		if short != "" && s != short {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
