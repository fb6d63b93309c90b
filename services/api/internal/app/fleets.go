package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// What reading a generator's clusters may cost those who write policies: a reading serves for glanceTimes as long as it took, so that
// many writes spend a twentieth of their time on it, and for glanceMost at most. A small fleet is read each time.
const (
	glanceTimes = 20
	glanceLeast = 5 * time.Millisecond // a reading that took less is not kept
	glanceMost  = 3 * time.Second
)

// fleets keeps for a moment which clusters generators may use, for advice that may be as old as that. What this process changes of
// agents and consents it shows at once. The zero value is ready; it is safe for concurrent use.
type fleets struct {
	mu      sync.Mutex
	known   map[tenancy.GeneratorID]*glance
	touched atomic.Uint64 // changes of agents and consents that this process has begun
}

// glance is one reading. Its turn is taken by whoever looks at it or reads anew; the others wait for what comes of that.
type glance struct {
	turn     chan struct{}
	clusters []placement.Cluster
	until    time.Time
}

// touch notes that a change is about to be made of what is kept.
func (f *fleets) touch() { f.touched.Add(1) }

// settle forgets everything if a change was begun since touched was as given. It is called when the change is made: a reading that
// began before that is not kept either.
func (f *fleets) settle(touched uint64) {
	if f.touched.Load() == touched {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = nil
}

// of returns the generator's clusters, which must not be changed, as read returned them now or a moment ago.
func (f *fleets) of(ctx context.Context, g tenancy.GeneratorID, now func() time.Time, read func(context.Context) ([]placement.Cluster, error)) ([]placement.Cluster, error) {
	v := f.glance(g, now())
	select {
	case v.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-v.turn }()
	began := now()
	if began.Before(v.until) {
		return v.clusters, nil
	}
	clusters, err := read(ctx)
	if err != nil {
		return nil, err
	}
	end := now()
	if took := end.Sub(began); took >= glanceLeast {
		f.mu.Lock()
		v.clusters, v.until = clusters, end.Add(min(glanceTimes*took, glanceMost))
		f.mu.Unlock()
	}
	return clusters, nil
}

// glance returns the generator's one; the others go when they are too old.
func (f *fleets) glance(g tenancy.GeneratorID, now time.Time) *glance {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.known[g]
	if ok {
		return v
	}
	for other, old := range f.known {
		if len(old.turn) == 0 && !now.Before(old.until) {
			delete(f.known, other)
		}
	}
	if f.known == nil {
		f.known = map[tenancy.GeneratorID]*glance{}
	}
	v = &glance{turn: make(chan struct{}, 1)}
	f.known[g] = v
	return v
}
