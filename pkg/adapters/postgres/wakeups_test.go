package postgres_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func next(t *testing.T, what string, ch <-chan ports.Wakeup, within time.Duration) ports.Wakeup {
	t.Helper()
	select {
	case w, ok := <-ch:
		if !ok {
			t.Fatalf("%s: the channel is closed", what)
		}
		return w
	case <-time.After(within):
		t.Fatalf("%s: nothing within %v", what, within)
	}
	panic("unreachable")
}

func listen(t *testing.T, s *postgres.Store) <-chan ports.Wakeup {
	t.Helper()
	ch, err := s.Listen(t.Context(), ports.OutboxGrew)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	if w := next(t, "first", ch, 10*time.Second); w != (ports.Wakeup{Lost: true}) {
		t.Fatalf("first wakeup: got %+v, want Lost alone", w)
	}
	return ch
}

func tell(t *testing.T, s *postgres.Store) {
	t.Helper()
	if err := s.Outbox().Append(t.Context(), event.Event{ID: uuid.NewString(), Type: event.StackChanged}); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// deafThenLost reads the two wakeups of a connection that broke and came back, and proves that it hears again.
func deafThenLost(t *testing.T, s *postgres.Store, ch <-chan ports.Wakeup, back func()) {
	t.Helper()
	if w := next(t, "after the break", ch, 3*time.Second); w != (ports.Wakeup{Deaf: true}) {
		t.Fatalf("after the break: got %+v, want Deaf alone", w)
	}
	back()
	if w := next(t, "after the return", ch, 10*time.Second); w != (ports.Wakeup{Lost: true}) {
		t.Fatalf("after the return: got %+v, want Lost alone", w)
	}
	tell(t, s)
	if w := next(t, "after an event", ch, 10*time.Second); w != (ports.Wakeup{Channel: ports.OutboxGrew}) {
		t.Fatalf("after an event: got %+v, want the outbox", w)
	}
}

func TestListenAcrossABreak(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	dsn, p := throughProxy(t, direct)
	s, other := open(t, dsn), open(t, direct)
	ch := listen(t, s)
	for range 3 {
		p.cut()
		deafThenLost(t, other, ch, func() {})
	}
}

// A connection that is only silent (a router that forgot it, a server that froze) is noticed within a second or so.
func TestListenAcrossSilence(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	dsn, p := throughProxy(t, direct)
	s, other := open(t, dsn), open(t, direct)
	ch := listen(t, s)
	p.silence()
	deafThenLost(t, other, ch, p.release)
}

// A server that is away when Listen begins is waited for.
func TestListenBeforeTheServer(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	dsn, p := throughProxy(t, direct)
	s := open(t, dsn)
	p.silence()
	ch, err := s.Listen(t.Context(), ports.OutboxGrew)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	select {
	case w := <-ch:
		t.Fatalf("while the server is away: got %+v, want nothing", w)
	case <-time.After(300 * time.Millisecond):
	}
	p.release()
	if w := next(t, "first", ch, 15*time.Second); w != (ports.Wakeup{Lost: true}) {
		t.Fatalf("first wakeup: got %+v, want Lost alone", w)
	}
}

func TestCloseEndsListen(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	ch := listen(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	select {
	case w, ok := <-ch:
		if ok {
			t.Fatalf("after close: got %+v, want a closed channel", w)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the channel is still open")
	}
}

// A reader that sleeps through more than is kept for it gets few wakeups, one of which tells it to look at everything.
func TestSlowListenerCollapses(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	ch := listen(t, open(t, dsn))
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test's own
	const events = 600
	// By itself: the store tells of many commits at once, and the server of the same only once a transaction.
	if _, err := db.ExecContext(t.Context(), `SELECT pg_notify($1, i::text) FROM generate_series(1, $2::int) i`, ports.OutboxGrew, events); err != nil {
		t.Fatalf("notify: %v", err)
	}
	for n := 1; ; n++ {
		time.Sleep(10 * time.Millisecond) // it is slow
		w := next(t, fmt.Sprint("wakeup ", n), ch, 30*time.Second)
		if w.Lost {
			return
		}
		if n >= events {
			t.Fatalf("got %d wakeups and none of them lost; want fewer than %d and a lost one", n, events)
		}
	}
}
