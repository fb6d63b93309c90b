package redis

import (
	"context"
	"sync"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// waiting is how many batches a slow subscriber may leave lying before it loses them.
const waiting = 256

// mailbox lies between the connection and a subscriber, so that one who does not read never blocks the other: Redis cuts
// off clients that let their answers pile up.
type mailbox struct {
	mu    sync.Mutex
	queue [][]ports.Signal
	grew  chan struct{} // holds a token when queue is not empty
}

func newMailbox() *mailbox { return &mailbox{grew: make(chan struct{}, 1)} }

// put adds a batch. Nil, and too much, replace all that waits by nil: whoever looks at everything needs no more.
func (m *mailbox) put(batch []ports.Signal) {
	m.mu.Lock()
	if batch == nil || len(m.queue) >= waiting {
		m.queue = [][]ports.Signal{nil}
	} else {
		m.queue = append(m.queue, batch)
	}
	m.mu.Unlock()
	select {
	case m.grew <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() ([]ports.Signal, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		return nil, false
	}
	batch := m.queue[0]
	m.queue = m.queue[1:]
	return batch, true
}

// deliver sends what comes to out until ctx ends.
func (m *mailbox) deliver(ctx context.Context, out chan<- []ports.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.grew:
		}
		for batch, ok := m.take(); ok; batch, ok = m.take() {
			select {
			case <-ctx.Done():
				return
			case out <- batch:
			}
		}
	}
}
