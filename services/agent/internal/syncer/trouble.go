package syncer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	refusedWait  = time.Minute      // nothing but a person mends a key or a missing right
	remind       = 10 * time.Minute // of a trouble that lasts
)

// backoff says how long to wait after failures in a row. The zero value is ready to use.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) after(err error) time.Duration {
	b.next = min(max(2*b.next, firstBackoff), maxBackoff)
	f, ok := fault.As(err)
	switch {
	case ok && f.RetryAfter > 0:
		return max(jittered(b.next), f.RetryAfter)
	case ok && (f.Kind == fault.Unauthenticated || f.Kind == fault.Forbidden):
		return jittered(refusedWait)
	default:
		return jittered(b.next)
	}
}

// jittered is d give or take a half, so that agents that lost their broker at one moment do not come back at one.
func jittered(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d))) //nolint:gosec // spreads load, secures nothing
}

// trouble is the present failure. It is said once, again if its cause changes, and after a long while.
type trouble struct {
	log         *slog.Logger
	what, again string // what is said of it, and when it is over

	mu           sync.Mutex
	err          error
	began, until time.Time // of the trouble; when it is said again
}

func (t *trouble) current() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *trouble) note(ctx context.Context, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.err == nil {
		t.began = now
	}
	// Codes are compared, not texts: those may have a port that is another one each time.
	news := t.err == nil || fault.CodeOf(t.err) != fault.CodeOf(err) || !now.Before(t.until)
	t.err = err
	if news {
		t.until = now.Add(remind)
		t.log.WarnContext(ctx, t.what, "error", err.Error(), "code", fault.CodeOf(err), "since", t.began.UTC())
	}
}

func (t *trouble) over(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		t.log.InfoContext(ctx, t.again, "since", t.began.UTC())
		t.err = nil
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
