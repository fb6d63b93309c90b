package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// bell tells those who listen that the outbox has grown: after the commit, once for all commits that end meanwhile. In the
// transactions themselves a notification would make them commit one after the other, each waiting for the disk, since the
// server holds a lock on all notifications until such a commit is on it (docs/adr/0037).
type bell struct {
	asked atomic.Int64 // rings since nobody rang; 0: nobody rings
}

const ringTimeout = 2 * time.Second

// A notification that is lost with the server is no loss, so nobody waits for the disk.
const ringOutbox = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')`

// ring rings soon, and does not wait for it.
func (b *bell) ring(s *Store) {
	if b.asked.Add(1) > 1 {
		return // who rings now rings again
	}
	go func() {
		for {
			n := b.asked.Load()
			ctx, cancel := context.WithTimeout(s.ended, ringTimeout)
			// Those who hear nothing look by themselves soon; and whatever keeps this from being said keeps others from saying more.
			_, _ = session{store: s, on: s.db}.exec(ctx, "tell of new events", ringOutbox, ports.OutboxGrew)
			cancel()
			if b.asked.CompareAndSwap(n, 0) {
				return
			}
		}
	}()
}
