// Package turn bounds how much heavy work of one kind a process does at a time, and how much of that for one asker. Api and
// gateway both have such work; what it is they know themselves.
package turn

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrNone says that there was no turn: too many of the asker's wait already, or this one has waited for too long.
var ErrNone = errors.New("no turn")

// Outcome is what became of a request for a turn.
type Outcome string

// The outcomes. Gone is of who went away, or ran out of time, while waiting.
const (
	AtOnce  Outcome = "at_once"
	Waited  Outcome = "waited"
	Refused Outcome = "refused"
	Gone    Outcome = "gone"
)

// Outcomes returns every outcome.
func Outcomes() []string {
	return []string{string(AtOnce), string(Waited), string(Refused), string(Gone)}
}

// Limits of Turns. All are at least 1.
type Limits struct {
	All      int           // turns that are taken at a time
	Each     int           // of them by one asker; more than All is All
	Waiting  int           // requests of one asker that may wait
	Patience time.Duration // how long one of them waits at most
}

// Turns are given in the order in which they are asked for, but of one asker no more than its share stands in line with the others: so
// nobody waits for longer than the others' shares take, however much somebody asks for. It is safe for concurrent use.
type Turns struct {
	limits Limits
	count  func(Outcome)
	all    *semaphore.Weighted

	mu      sync.Mutex
	lines   map[string]*line
	waiting int
	taken   int
}

// line is of one asker, for as long as it has a turn or waits for one.
type line struct {
	own  *semaphore.Weighted
	here int // that have a turn or wait
}

// New returns turns of which none is taken; count is told of each request.
func New(l Limits, count func(Outcome)) *Turns {
	l.Each = min(l.Each, l.All)
	return &Turns{limits: l, count: count, all: semaphore.NewWeighted(int64(l.All)), lines: map[string]*line{}}
}

// Take waits for a turn of who and returns what ends it, which must be called once. Without a turn the error is ErrNone, or ctx's
// when that has ended.
func (t *Turns) Take(ctx context.Context, who string) (end func(), err error) {
	l, ok := t.enter(who)
	if !ok {
		t.count(Refused)
		return nil, ErrNone
	}
	outcome := AtOnce
	if !t.try(l) {
		outcome = Waited
		if err := t.wait(ctx, l); err != nil {
			t.leave(who, l, 0)
			if ctx.Err() != nil {
				t.count(Gone)
				return nil, ctx.Err()
			}
			t.count(Refused)
			return nil, ErrNone
		}
	}
	t.mu.Lock()
	t.taken++
	t.mu.Unlock()
	t.count(outcome)
	return sync.OnceFunc(func() {
		t.all.Release(1)
		l.own.Release(1)
		t.leave(who, l, 1)
	}), nil
}

// Taken returns how many turns are taken now.
func (t *Turns) Taken() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken
}

// Waiting returns how many requests wait now.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

func (t *Turns) enter(who string) (*line, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.lines[who]
	if !ok {
		l = &line{own: semaphore.NewWeighted(int64(t.limits.Each))}
		t.lines[who] = l
	}
	if l.here >= t.limits.Each+t.limits.Waiting {
		return nil, false
	}
	l.here++
	return l, true
}

func (t *Turns) leave(who string, l *line, taken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken -= taken
	if l.here--; l.here == 0 {
		delete(t.lines, who)
	}
}

// try takes a turn if nobody has to be waited for.
func (t *Turns) try(l *line) bool {
	if !l.own.TryAcquire(1) {
		return false
	}
	if !t.all.TryAcquire(1) {
		l.own.Release(1)
		return false
	}
	return true
}

func (t *Turns) wait(ctx context.Context, l *line) error {
	t.mu.Lock()
	t.waiting++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.waiting--
		t.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, t.limits.Patience)
	defer cancel()
	if err := l.own.Acquire(ctx, 1); err != nil {
		return err
	}
	if err := t.all.Acquire(ctx, 1); err != nil {
		l.own.Release(1)
		return err
	}
	return nil
}
