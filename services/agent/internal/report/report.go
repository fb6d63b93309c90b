// Package report keeps what the broker has still to be told. A report is repeated until a sync that carried it has been
// answered; a newer one about the same stack replaces it.
package report

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	// patience of a report that may wait for something better.
	patience = 300 * time.Millisecond
	// remember is how long it counts that a report was told: a broker that has lost it is told again by the next look.
	remember = time.Hour
)

// Box is safe for concurrent use.
type Box struct {
	mu      sync.Mutex
	version int64                         // of the newest line
	taken   int64                         // version of the newest line that a batch has carried
	applied map[string]line[wire.Applied] // by stack id
	removed map[string]line[wire.Removed]
	told    map[string]told // what was last acknowledged, so that what is no news is not repeated
	news    chan struct{}
}

type line[T any] struct {
	value   T
	version int64
}

type told struct {
	value wire.Applied
	at    time.Time
}

// New returns an empty box.
func New() *Box {
	return &Box{applied: map[string]line[wire.Applied]{}, removed: map[string]line[wire.Removed]{}, told: map[string]told{}, news: make(chan struct{}, 1)}
}

// News delivers a value when something is to be told now.
func (b *Box) News() <-chan struct{} { return b.news }

// Applied notes a report. One that says what was last told changes nothing. What is not urgent waits a moment for
// something better, unless a sync takes it along before.
func (b *Box) Applied(a wire.Applied, urgent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waiting, ok := b.applied[a.StackID]; ok {
		if same(waiting.value, a) {
			if urgent && waiting.version > b.taken {
				b.ring()
			}
			return
		}
	} else if last, ok := b.told[a.StackID]; ok && same(last.value, a) && time.Since(last.at) < remember {
		return
	}
	b.version++
	b.applied[a.StackID] = line[wire.Applied]{a, b.version}
	if urgent {
		b.ring()
		return
	}
	version := b.version
	time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l, ok := b.applied[a.StackID]; ok && l.version == version && b.taken < version {
			b.ring()
		}
	})
}

func same(x, y wire.Applied) bool {
	x.ObservedAt = y.ObservedAt
	return x == y
}

// Removed notes that a removal is done; what was to be told about the stack before is of no interest any more.
func (b *Box) Removed(r wire.Removed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.applied, r.StackID)
	delete(b.told, r.StackID)
	b.version++
	b.removed[r.StackID] = line[wire.Removed]{r, b.version}
	b.ring()
}

// Ring asks for a sync though there is nothing in the box: because of the heartbeat that goes with it.
func (b *Box) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring()
}

func (b *Box) ring() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// Batch is what one sync carries.
type Batch struct {
	Applied []wire.Applied
	Removed []wire.Removed
	version int64
}

// Len is how many reports the batch has.
func (t Batch) Len() int { return len(t.Applied) + len(t.Removed) }

// Take returns what waits, removals first, each ordered by stack, at most limit of them all, without forgetting it.
func (b *Box) Take(limit int) Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.news:
	default:
	}
	b.taken = b.version
	out := Batch{version: b.version}
	for _, id := range slices.Sorted(maps.Keys(b.removed)) {
		if out.Len() < limit {
			out.Removed = append(out.Removed, b.removed[id].value)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.applied)) {
		if out.Len() < limit {
			out.Applied = append(out.Applied, b.applied[id].value)
		}
	}
	return out
}

// Acknowledge forgets what the batch carried, but not what has been replaced since.
func (b *Box) Acknowledge(t Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range t.Applied {
		if l, ok := b.applied[a.StackID]; ok && l.version <= t.version {
			delete(b.applied, a.StackID)
			b.told[a.StackID] = told{a, time.Now()}
		}
	}
	for _, r := range t.Removed {
		if l, ok := b.removed[r.StackID]; ok && l.version <= t.version {
			delete(b.removed, r.StackID)
		}
	}
}

// Repeat puts everything that was acknowledged back into the box: the broker has lost it.
func (b *Box) Repeat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, last := range b.told {
		if _, newer := b.applied[id]; !newer {
			b.version++
			b.applied[id] = line[wire.Applied]{last.value, b.version}
		}
	}
	clear(b.told)
	b.ring()
}

// Empty reports whether nothing waits.
func (b *Box) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.applied) == 0 && len(b.removed) == 0
}
