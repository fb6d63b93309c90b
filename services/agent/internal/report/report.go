// Package report keeps what the broker has still to be told. A report is repeated until a sync that carried it has been
// answered; a newer one about the same stack replaces it.
package report

import (
	"slices"
	"strings"
	"sync"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// Box is safe for concurrent use.
type Box struct {
	mu      sync.Mutex
	version int64
	applied map[string]line[wire.Applied] // by stack id
	removed map[string]line[wire.Removed]
	sent    map[string]wire.Applied // last acknowledged, so that what is no news is not repeated
	news    chan struct{}
}

type line[T any] struct {
	value   T
	version int64
}

// New returns an empty box.
func New() *Box {
	return &Box{applied: map[string]line[wire.Applied]{}, removed: map[string]line[wire.Removed]{}, sent: map[string]wire.Applied{}, news: make(chan struct{}, 1)}
}

// News delivers a value when something is to be told.
func (b *Box) News() <-chan struct{} { return b.news }

// Applied notes a report. One that says what was last told changes nothing.
func (b *Box) Applied(a wire.Applied) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waiting, ok := b.applied[a.StackID]; ok {
		if same(waiting.value, a) {
			return
		}
	} else if told, ok := b.sent[a.StackID]; ok && same(told, a) {
		return
	}
	b.version++
	b.applied[a.StackID] = line[wire.Applied]{a, b.version}
	b.ring()
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
	delete(b.sent, r.StackID)
	b.version++
	b.removed[r.StackID] = line[wire.Removed]{r, b.version}
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

// Take returns everything that waits, ordered by stack, without forgetting it.
func (b *Box) Take() Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.news:
	default:
	}
	out := Batch{version: b.version}
	for _, l := range b.applied {
		out.Applied = append(out.Applied, l.value)
	}
	for _, l := range b.removed {
		out.Removed = append(out.Removed, l.value)
	}
	slices.SortFunc(out.Applied, func(x, y wire.Applied) int { return strings.Compare(x.StackID, y.StackID) })
	slices.SortFunc(out.Removed, func(x, y wire.Removed) int { return strings.Compare(x.StackID, y.StackID) })
	return out
}

// Acknowledge forgets what the batch carried, but not what has been replaced since.
func (b *Box) Acknowledge(t Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range t.Applied {
		if l, ok := b.applied[a.StackID]; ok && l.version <= t.version {
			delete(b.applied, a.StackID)
			b.sent[a.StackID] = a
		}
	}
	for _, r := range t.Removed {
		if l, ok := b.removed[r.StackID]; ok && l.version <= t.version {
			delete(b.removed, r.StackID)
		}
	}
}

// Empty reports whether nothing waits.
func (b *Box) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.applied) == 0 && len(b.removed) == 0
}
