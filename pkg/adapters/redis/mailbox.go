package redis

import (
	"context"
	"sync"
)

// waiting is how many values a slow subscriber may leave lying before it loses them.
const waiting = 256

// mailbox lies between the connection and a subscriber, so that one who does not read never blocks the other: Redis cuts
// off clients that let their answers pile up.
type mailbox[T any] struct {
	lost  T // says that values may have been lost
	mu    sync.Mutex
	queue []T
	grew  chan struct{} // holds a token when queue is not empty
}

func newMailbox[T any](lost T) *mailbox[T] {
	return &mailbox[T]{lost: lost, grew: make(chan struct{}, 1)}
}

// put adds a value. Too much replaces all that waits by the word that something is lost.
func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	if len(m.queue) >= waiting {
		m.queue = []T{m.lost}
	} else {
		m.queue = append(m.queue, v)
	}
	m.mu.Unlock()
	m.ring()
}

// lose replaces all that waits by the word that something is lost.
func (m *mailbox[T]) lose() {
	m.mu.Lock()
	m.queue = []T{m.lost}
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox[T]) ring() {
	select {
	case m.grew <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) take() (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var v T
	if len(m.queue) == 0 {
		return v, false
	}
	v = m.queue[0]
	m.queue = m.queue[1:]
	return v, true
}

// deliver sends what comes to out until ctx ends.
func (m *mailbox[T]) deliver(ctx context.Context, out chan<- T) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.grew:
		}
		for v, ok := m.take(); ok; v, ok = m.take() {
			select {
			case <-ctx.Done():
				return
			case out <- v:
			}
		}
	}
}
