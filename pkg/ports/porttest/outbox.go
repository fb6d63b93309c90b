package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func outboxCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is appended comes back in order":    outboxRoundTrip,
		"pages follow each other":                 outboxPages,
		"a slower transaction is not missed":      outboxOutOfOrder,
		"a slower transaction is not behind End":  outboxEndGap,
		"a rollback is waited for, then given up": outboxRollback,
		"many writers, each event once":           outboxManyWriters,
		"the end":                                 outboxEnd,
		"trimming":                                outboxTrim,
		"values are copies":                       outboxCopies,
	}
}

const gapFor = time.Minute

// reader reads the outbox along one line of cursors.
type reader struct {
	w      *world
	cursor ports.Cursor
	now    time.Time
	seen   []string
}

func (w *world) reader() *reader { return &reader{w: w, now: time.Now()} }

// read returns the ids of the next events.
func (r *reader) read(limit int) []string {
	r.w.Helper()
	events, next, err := r.w.Outbox().Read(r.w.ctx, r.cursor, r.now, gapFor, limit)
	wantNone(r.w.T, "read outbox", err)
	r.cursor = next
	var ids []string
	for i, e := range events {
		if i > 0 && e.Seq <= events[i-1].Seq {
			r.w.Fatalf("sequence %d after %d", e.Seq, events[i-1].Seq)
		}
		ids = append(ids, e.ID)
	}
	r.seen = append(r.seen, ids...)
	return ids
}

// all reads until nothing comes.
func (r *reader) all() []string {
	r.w.Helper()
	var ids []string
	for {
		page := r.read(100)
		if len(page) == 0 {
			return ids
		}
		ids = append(ids, page...)
	}
}

func (w *world) appendEvent(name string) event.Event {
	w.Helper()
	e := w.newEvent(name)
	wantNone(w.T, "append", w.Outbox().Append(w.ctx, e))
	return e
}

func outboxRoundTrip(w *world) {
	p := w.place(1)
	full := event.Event{
		ID: newID[string](), Type: event.DeploymentApplied, Agent: p.agents[0].ID, Stack: p.stack.ID, Object: p.object.ID,
		Generator: p.generator.ID, Traceparent: traceparent, At: w.at,
		Data: map[string]any{"text": "x", "number": 7, "nested": map[string]any{"list": []any{"a", true, nil}}},
	}
	bare := event.Event{ID: newID[string](), Type: event.AgentChanged, At: w.at.Add(time.Second)}
	wantNone(w.T, "append", w.Outbox().Append(w.ctx, full, bare))
	wantNone(w.T, "append nothing", w.Outbox().Append(w.ctx))
	got, _, err := w.Outbox().Read(w.ctx, ports.Cursor{}, time.Now(), gapFor, 10)
	wantNone(w.T, "read", err)
	if len(got) != 2 {
		w.Fatalf("got %d events, want 2", len(got))
	}
	wantGrown(w.T, "sequence", got[0].Seq, got[1].Seq)
	full.Seq, bare.Seq = got[0].Seq, got[1].Seq
	full.Data["number"] = float64(7) // as JSON has it
	wantSame(w.T, "events", got, []event.Event{full, bare})
}

func outboxPages(w *world) {
	var want []string
	for i := range 5 {
		want = append(want, w.appendEvent(fmt.Sprint(i)).ID)
	}
	r := w.reader()
	wantSame(w.T, "first page", r.read(2), want[:2])
	wantSame(w.T, "second page", r.read(2), want[2:4])
	wantSame(w.T, "third page", r.read(2), want[4:])
	wantSame(w.T, "fourth page", r.read(2), nil)
	again := w.reader()
	wantSame(w.T, "another reader", again.read(100), want)
}

// slowly runs a transaction that appends e and waits; the first function says that e was appended, the second lets it
// commit and waits for that. A store with serial writes commits it by itself after a while, or nobody else could write.
func (w *world) slowly(e event.Event) (appended <-chan struct{}, commit func()) {
	in, out, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Outbox().Append(ctx, e); err != nil {
				return err
			}
			once.Do(func() { close(in) })
			select {
			case <-out:
			case <-time.After(500 * time.Millisecond):
			}
			return nil
		})
	}()
	return in, func() {
		w.Helper()
		close(out)
		select {
		case err := <-done:
			wantNone(w.T, "the slow transaction", err)
		case <-time.After(patience):
			w.Fatal("the slow transaction does not end")
		}
	}
}

func outboxOutOfOrder(w *world) {
	r := w.reader()
	before := w.appendEvent("before")
	slow, fast := w.newEvent("slow"), w.newEvent("fast")
	appended, commit := w.slowly(slow)
	<-appended
	wantNone(w.T, "append", w.Outbox().Append(w.ctx, fast))
	r.all()
	r.all()
	commit()
	after := w.appendEvent("after")
	r.all()
	r.all()
	count := map[string]int{}
	for _, id := range r.seen {
		count[id]++
	}
	wantSame(w.T, "how often each event was read", count, map[string]int{before.ID: 1, slow.ID: 1, fast.ID: 1, after.ID: 1})
	r.now = r.now.Add(2 * gapFor)
	wantSame(w.T, "after the gap is over", r.all(), nil)
	wantSame(w.T, "gaps left", len(r.cursor.Gaps), 0)
}

func outboxEndGap(w *world) {
	slow, fast := w.newEvent("slow"), w.newEvent("fast")
	appended, commit := w.slowly(slow)
	<-appended
	wantNone(w.T, "append", w.Outbox().Append(w.ctx, fast))
	// Where writes are serial, the slow one is committed by now, and so before the end.
	committed := w.reader().all()
	end, err := w.Outbox().End(w.ctx)
	wantNone(w.T, "end", err)
	commit()
	r := w.reader()
	r.cursor = end
	got := r.all()
	if len(committed) == 2 {
		wantSame(w.T, "after the end", got, nil)
		return
	}
	wantSame(w.T, "after the end", got, []string{slow.ID})
}

func outboxRollback(w *world) {
	r := w.reader()
	first := w.appendEvent("first")
	for range 3 {
		err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Outbox().Append(ctx, w.newEvent("rolled back")); err != nil {
				return err
			}
			return errClosure
		})
		if !errors.Is(err, errClosure) {
			w.Fatalf("write: got %v", err)
		}
	}
	second := w.appendEvent("second")
	r.all()
	r.now = r.now.Add(2 * gapFor)
	r.all()
	wantSame(w.T, "events", r.seen, []string{first.ID, second.ID})
	wantSame(w.T, "gaps left", len(r.cursor.Gaps), 0)
	third := w.appendEvent("third")
	wantSame(w.T, "the next event", r.all(), []string{third.ID})
}

func outboxManyWriters(w *world) {
	const writers, each = 4, 15
	done := make(chan []error, 1)
	go func() {
		done <- race(writers, func(i int) error {
			for n := range each {
				err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
					if err := tx.Outbox().Append(ctx, w.newEvent("a"), w.newEvent("b")); err != nil {
						return err
					}
					if n%5 == 4 {
						return errClosure
					}
					return nil
				})
				if err != nil && !errors.Is(err, errClosure) {
					return fmt.Errorf("writer %d: %w", i, err)
				}
			}
			return nil
		})
	}()
	r := w.reader()
	for running := true; running; {
		r.read(7)
		select {
		case errs := <-done:
			wantNone(w.T, "writers", errors.Join(errs...))
			running = false
		default:
		}
	}
	r.all()
	count := map[string]int{}
	for _, id := range r.seen {
		count[id]++
	}
	if want := writers * each / 5 * 4 * 2; len(r.seen) != want || len(count) != want {
		w.Fatalf("read %d events, %d different ones, want %d", len(r.seen), len(count), want)
	}
}

func outboxEnd(w *world) {
	empty, err := w.Outbox().End(w.ctx)
	wantNone(w.T, "end", err)
	r := w.reader()
	r.cursor = empty
	first := w.appendEvent("first")
	wantSame(w.T, "after the end of nothing", r.all(), []string{first.ID})
	end, err := w.Outbox().End(w.ctx)
	wantNone(w.T, "end", err)
	r.cursor = end
	wantSame(w.T, "behind the end", r.all(), nil)
	second := w.appendEvent("second")
	wantSame(w.T, "after the end", r.all(), []string{second.ID})
}

func outboxTrim(w *world) {
	var ids []string
	for i := range 5 {
		e := w.newEvent("old")
		e.At = w.at.Add(time.Duration(i) * time.Second)
		wantNone(w.T, "append", w.Outbox().Append(w.ctx, e))
		ids = append(ids, e.ID)
	}
	trim := func(before time.Time, limit, want int) {
		w.Helper()
		n, err := w.Outbox().Trim(w.ctx, before, limit)
		wantNone(w.T, "trim", err)
		wantSame(w.T, "trimmed", n, want)
	}
	trim(w.at, 10, 0)
	trim(w.at.Add(4*time.Second), 3, 3)
	wantSame(w.T, "left", w.reader().all(), ids[3:])
	trim(w.at.Add(4*time.Second), 3, 1)
	wantSame(w.T, "left", w.reader().all(), ids[4:])
	next := w.appendEvent("next")
	wantSame(w.T, "left and new", w.reader().all(), []string{ids[4], next.ID})
}

func outboxCopies(w *world) {
	e := w.newEvent("mine")
	e.Data["nested"] = map[string]any{"k": "v"}
	wantNone(w.T, "append", w.Outbox().Append(w.ctx, e))
	e.Data["name"] = "changed"
	for range 2 {
		got, _, err := w.Outbox().Read(w.ctx, ports.Cursor{}, time.Now(), gapFor, 10)
		wantNone(w.T, "read", err)
		wantSame(w.T, "data", got[0].Data, map[string]any{"name": "mine", "nested": map[string]any{"k": "v"}})
		got[0].Data["nested"].(map[string]any)["k"] = "changed" //nolint:forcetypeassert // just compared
	}
	r := w.reader()
	gaps := map[int64]time.Time{-5: r.now}
	r.cursor = ports.Cursor{Gaps: gaps}
	r.now = r.now.Add(2 * gapFor)
	r.all()
	wantSame(w.T, "the caller's own gaps", len(gaps), 1)
}
