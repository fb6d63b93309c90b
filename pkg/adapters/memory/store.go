// Package memory keeps everything in the memory of one process: the store of tests and the first proof of each
// port's contract, and the signals and cache of an all-in-one broker without Redis. Nothing outlives the process.
//
// The store is a chain of immutable states. A write works on a copy that shares all that it does not change;
// committing replaces the current state, rolling back forgets the copy. So reads take no lock, see committed
// states only, and a write costs only what it changes.
package memory

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const maxSequence = math.MaxInt64

// Store implements ports.Store and ports.Wakeups. Writes are serial. Use New.
type Store struct {
	repositories
	writer    chan struct{} // holds the one right to write while nobody writes
	current   atomic.Pointer[state]
	closed    atomic.Bool
	sequences sequences
	wakeups   *fanout[ports.Wakeup]
}

var (
	_ ports.Store   = (*Store)(nil)
	_ ports.Wakeups = (*Store)(nil)
)

// sequences are not rolled back: like those of a database they may leave gaps.
type sequences struct{ object, outbox, event, delivery, observation atomic.Int64 }

// New returns an empty store whose clock is now.
func New(now func() time.Time) *Store {
	s := &Store{
		writer:  make(chan struct{}, 1),
		wakeups: newFanout(ports.Wakeup{Lost: true}),
	}
	s.writer <- struct{}{}
	s.current.Store(newState(func() time.Time { return micro(now()) }))
	s.repositories = repositories{s}
	return s
}

// Write implements ports.Store. A closure that goes on after a duplicate is refused at the commit, because a
// database would refuse it too.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	c, err := s.begin(ctx)
	if err != nil {
		return err
	}
	t := &tx{change: c}
	defer func() {
		t.end()
		s.writer <- struct{}{}
	}()
	if err := fn(ctx, repositories{t}); err != nil {
		return err
	}
	if t.end() {
		return fault.New(fault.Internal, "internal_error", "the transaction was aborted by a duplicate that its closure ignored")
	}
	return s.commit(ctx, c)
}

// Ping implements ports.Store.
func (s *Store) Ping(ctx context.Context) error { return s.ready(ctx) }

// Close makes every later call Unavailable and forgets everything.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.current.Store(newState(s.current.Load().now))
	return nil
}

// Listen implements ports.Wakeups.
func (s *Store) Listen(ctx context.Context, channels ...string) (<-chan ports.Wakeup, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(channels))
	for _, c := range channels {
		wanted[c] = true
	}
	return s.wakeups.subscribe(ctx, func(w ports.Wakeup) (ports.Wakeup, bool) { return w, wanted[w.Channel] }), nil
}

func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return fault.New(fault.Unavailable, "unavailable", "the store is closed")
	}
	return nil
}

// begin waits for the right to write and returns a change on the current state.
func (s *Store) begin(ctx context.Context) (*change, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	select {
	case <-s.writer:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &change{state: s.current.Load().clone(), sequences: &s.sequences}, nil
}

// commit publishes c; the caller has the right to write.
func (s *Store) commit(ctx context.Context, c *change) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.current.Store(c.state)
	for _, w := range c.wakeups {
		s.wakeups.publish(w)
	}
	return nil
}

// view implements session outside any transaction.
func (s *Store) view(ctx context.Context, fn func(*state) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return fn(s.current.Load())
}

// update implements session: one call is one transaction.
func (s *Store) update(ctx context.Context, fn func(*change) error) error {
	c, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { s.writer <- struct{}{} }()
	if err := fn(c); err != nil {
		return err
	}
	return s.commit(ctx, c)
}

// change is a state in the making.
type change struct {
	*state
	sequences *sequences
	wakeups   []ports.Wakeup
}

func (c *change) announce(w ports.Wakeup) {
	for _, known := range c.wakeups {
		if known == w {
			return
		}
	}
	c.wakeups = append(c.wakeups, w)
}

// tx implements session inside Write.
type tx struct {
	mu      sync.Mutex
	change  *change
	aborted bool
	over    bool
}

func (t *tx) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.over {
		return fault.New(fault.Internal, "internal_error", "the transaction is over")
	}
	return nil
}

func (t *tx) view(ctx context.Context, fn func(*state) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.enter(ctx); err != nil {
		return err
	}
	return fn(t.change.state)
}

func (t *tx) update(ctx context.Context, fn func(*change) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.enter(ctx); err != nil {
		return err
	}
	err := fn(t.change)
	if isDuplicate(err) {
		t.aborted = true
	}
	return err
}

// end makes the transaction unusable and reports whether it was aborted.
func (t *tx) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.aborted
}
