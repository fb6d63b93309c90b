package memory

import (
	"context"
	"sync"
)

// waiting is how many values a slow subscriber may leave lying before it loses them.
const waiting = 256

// fanout gives every published value to every subscriber. Publishing never blocks: a subscriber that is too slow
// loses what waits and gets the value lost instead, with which each subscription also begins.
type fanout[T any] struct {
	lost T
	mu   sync.Mutex
	subs map[*subscriber[T]]struct{}
}

type subscriber[T any] struct {
	take  func(T) (T, bool)
	queue []T
	grew  chan struct{} // holds a token when queue is not empty
}

func newFanout[T any](lost T) *fanout[T] {
	return &fanout[T]{lost: lost, subs: map[*subscriber[T]]struct{}{}}
}

// subscribe delivers the values that take wants, as it returns them, until ctx ends.
func (f *fanout[T]) subscribe(ctx context.Context, take func(T) (T, bool)) <-chan T {
	s := &subscriber[T]{take: take, queue: []T{f.lost}, grew: make(chan struct{}, 1)}
	s.grew <- struct{}{}
	f.mu.Lock()
	f.subs[s] = struct{}{}
	f.mu.Unlock()

	out := make(chan T)
	go func() {
		defer close(out)
		defer f.forget(s)
		f.pump(ctx, s, out)
	}()
	return out
}

func (f *fanout[T]) pump(ctx context.Context, s *subscriber[T], out chan<- T) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.grew:
		}
		for {
			v, ok := f.next(s)
			if !ok {
				break
			}
			select {
			case <-ctx.Done():
				return
			case out <- v:
			}
		}
	}
}

func (f *fanout[T]) next(s *subscriber[T]) (T, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var v T
	if len(s.queue) == 0 {
		return v, false
	}
	v, s.queue = s.queue[0], s.queue[1:]
	return v, true
}

func (f *fanout[T]) forget(s *subscriber[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subs, s)
}

func (f *fanout[T]) publish(v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		own, ok := s.take(v)
		if !ok {
			continue
		}
		if len(s.queue) >= waiting {
			s.queue, own = nil, f.lost
		}
		s.queue = append(s.queue, own)
		select {
		case s.grew <- struct{}{}:
		default:
		}
	}
}
