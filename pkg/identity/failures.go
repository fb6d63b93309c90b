package identity

import (
	"container/list"
	"context"
	"net/netip"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

// What a source is still given when it has failed too often: so many look-ups a second, ten seconds' worth at once, of keys that have not
// failed themselves. So many keys that failed are remembered.
const (
	strangersPerSecond = 10
	maxFailedKeys      = 100_000
	maxTrying          = 10_000 // that wait at one source
)

// source is a bucket that holds the failures that are still allowed, and who is being looked at: each of them may become one.
type source struct {
	addr    netip.Addr
	left    float64
	at      time.Time
	trying  int
	waiting list.List // of chan bool, the first to be let in first
}

// begin lets one more try of a source begin, if it may fail however those fail that are under way; while that depends on them it waits for
// them. It returns Limited, or ctx's error. Whoever is let in calls end.
func (g *Guard) begin(ctx context.Context, from netip.Addr) (*source, error) {
	g.mu.Lock()
	s := g.at(from)
	switch {
	case s.waiting.Len() == 0 && s.left-float64(s.trying) >= 1:
		s.trying++
		g.mu.Unlock()
		return s, nil
	case s.trying == 0 || s.waiting.Len() >= maxTrying:
		defer g.mu.Unlock()
		return nil, g.tooOften(s)
	}
	turn := make(chan bool, 1)
	place := s.waiting.PushBack(turn)
	g.mu.Unlock()
	select {
	case in := <-turn:
		if in {
			return s, nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return nil, g.tooOften(s)
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case in := <-turn: // in the same moment
		if in {
			g.leave(s)
		}
	default:
		s.waiting.Remove(place)
	}
	return nil, ctx.Err()
}

// end ends a try, which has failed or not.
func (g *Guard) end(s *source, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if failed {
		g.charge(s)
	}
	g.leave(s)
}

// leave lets those in who may come in now. If nobody is left on whom it depends, the others are refused.
func (g *Guard) leave(s *source) {
	s.trying--
	for s.waiting.Len() > 0 {
		in := s.left-float64(s.trying) >= 1
		if !in && s.trying > 0 {
			return
		}
		if in {
			s.trying++
		}
		s.waiting.Remove(s.waiting.Front()).(chan bool) <- in //nolint:forcetypeassert // the list holds nothing else
	}
	if s.trying == 0 && s.left >= g.perMinute() {
		if e, ok := g.sources[s.addr]; ok && e.Value == s {
			g.drop(e)
		}
	}
}

// failed counts a failure that was not expected with begin.
func (g *Guard) failed(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.charge(g.at(from))
}

// charge takes a failure from a source.
func (g *Guard) charge(s *source) {
	s.left = max(0, s.left-1)
	if e, ok := g.sources[s.addr]; ok && e.Value == s {
		g.recent.MoveToFront(e)
	}
}

// at is the source as it is now, whole if it is new.
func (g *Guard) at(from netip.Addr) *source {
	now, most := g.verifier.now(), g.perMinute()
	if e, ok := g.sources[from]; ok {
		s := e.Value.(*source) //nolint:forcetypeassert // the list holds nothing else
		s.left = min(most, s.left+now.Sub(s.at).Minutes()*most)
		s.at = now
		return s
	}
	for len(g.sources) >= g.config.Load().MaxSources {
		g.drop(g.recent.Back())
	}
	s := &source{addr: from, left: most, at: now}
	g.sources[from] = g.recent.PushFront(s)
	return s
}

func (g *Guard) perMinute() float64 { return float64(g.config.Load().PerMinute) }

func (g *Guard) drop(e *list.Element) {
	delete(g.sources, e.Value.(*source).addr) //nolint:forcetypeassert // the list holds nothing else
	g.recent.Remove(e)
}

// tooOften says how long a source has to wait that may not fail once more.
func (g *Guard) tooOften(s *source) error {
	short := 1 - s.left
	if short <= 0 { // only too many wait
		return limited(time.Second)
	}
	return limited(time.Duration(short/g.perMinute()*float64(time.Minute)).Round(time.Millisecond) + time.Millisecond)
}

// stranger reports whether a key may be looked up though its source has failed too often: one that has not failed itself, as long as
// there are not too many of them. So whoever comes to a replica that does not know him yet is not locked out by who shares his address.
func (g *Guard) stranger(from netip.Addr, key pak.PAK) bool {
	g.mu.Lock()
	_, bad := g.bad[key.Hash()]
	g.mu.Unlock()
	return !bad && g.strangers.take(from, strangersPerSecond, g.verifier.now()) <= 0
}

// note remembers a key that failed, and forgets one that did not.
func (g *Guard) note(key pak.PAK, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !failed {
		delete(g.bad, key.Hash())
		return
	}
	if len(g.bad) >= maxFailedKeys {
		clear(g.bad)
	}
	g.bad[key.Hash()] = struct{}{}
}
