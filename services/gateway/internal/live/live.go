// Package live gives what is seen just now to those who watch, on whichever replica they are. Who does not keep up loses
// frames and is told; nobody waits for him.
package live

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	maxQueue   = 4096     // frames that wait for one subscriber
	maxBytes   = 4 << 20  // and their bytes
	maxOffered = 32 << 20 // bytes that wait to be published
	listenFor  = 2 * time.Second
)

// GapFrame makes the frame that tells a subscriber of a topic that frames are missing.
type GapFrame func(topic string, since time.Time, dropped int64, reason observation.GapReason) []byte

// Hub is safe for concurrent use. Run must be running for anything to be published.
type Hub struct {
	port ports.Live
	gap  GapFrame
	now  func() time.Time
	log  *slog.Logger
	max  int

	mu      sync.Mutex
	topics  map[string]*topic
	count   int
	drained bool
	dropped atomic.Int64 // frames that subscribers lost

	offers  sync.Mutex // of its own: who offers waits for nobody who subscribes
	offered []ports.LiveBatch
	bytes   int
	grew    chan struct{}
}

type topic struct {
	subs   map[*Subscription]struct{}
	ready  chan struct{} // closed when it listens
	failed chan struct{} // closed when it cannot; err says why
	err    error
	cancel context.CancelFunc
}

// Subscription is one who watches a topic.
type Subscription struct {
	hub   *Hub
	topic string
	grew  chan struct{}
	ended chan struct{} // closed by a drain, or when nothing will come

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	dropped int64
	lost    bool // frames may be missing, nobody knows how many
	since   time.Time
}

// New returns a hub for at most so many subscribers.
func New(port ports.Live, limit int, gap GapFrame, now func() time.Time, log *slog.Logger) *Hub {
	return &Hub{port: port, gap: gap, now: now, log: log, max: limit, topics: map[string]*topic{}, grew: make(chan struct{}, 1)}
}

// Subscribe watches a topic from now on; Limited if too many watch already, Unavailable in a drain. The caller must Leave.
func (h *Hub) Subscribe(ctx context.Context, name string) (*Subscription, error) {
	s := &Subscription{hub: h, topic: name, grew: make(chan struct{}, 1), ended: make(chan struct{})}
	h.mu.Lock()
	if h.drained || h.count >= h.max {
		defer h.mu.Unlock()
		f := fault.New(fault.Limited, "too_many_subscribers", "as many as are allowed watch live already")
		if h.drained {
			f = fault.New(fault.Unavailable, "draining", "this replica is going down; connect again")
		}
		f.RetryAfter = time.Second
		return nil, f
	}
	t, ok := h.topics[name]
	if !ok {
		t = &topic{subs: map[*Subscription]struct{}{}, ready: make(chan struct{}), failed: make(chan struct{})}
		var listening context.Context
		listening, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
		h.topics[name] = t
		go h.listen(listening, name, t)
	}
	t.subs[s] = struct{}{}
	h.count++
	h.mu.Unlock()
	// A moment of patience, so that what is published next is seen. Without an answer it goes on without.
	timer := time.NewTimer(listenFor)
	defer timer.Stop()
	select {
	case <-t.ready:
	case <-t.failed:
		return nil, t.err
	case <-timer.C:
	case <-ctx.Done():
	}
	return s, nil
}

// listen subscribes a topic of ours to that of all replicas, which may take as long as a connection does, and gives its
// subscribers what comes. If it cannot, the topic is gone with all its subscribers.
func (h *Hub) listen(ctx context.Context, name string, t *topic) {
	batches, err := h.port.Subscribe(ctx, name)
	if err == nil {
		h.pump(t, batches)
		return
	}
	t.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics[name] == t {
		delete(h.topics, name)
	}
	h.count -= len(t.subs)
	if !h.drained { // else they are told
		for s := range t.subs {
			close(s.ended) // who has stopped to wait for the answer comes again
		}
	}
	clear(t.subs)
	t.err = err
	close(t.failed)
}

// Leave ends the subscription.
func (s *Subscription) Leave() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.topics[s.topic]
	if !ok {
		return
	}
	if _, ok := t.subs[s]; !ok {
		return
	}
	delete(t.subs, s)
	h.count--
	if len(t.subs) == 0 {
		t.cancel()
		delete(h.topics, s.topic)
	}
}

// Grew has a token when Take has something.
func (s *Subscription) Grew() <-chan struct{} { return s.grew }

// Ended is closed when this replica goes down, or cannot listen to the topic.
func (s *Subscription) Ended() <-chan struct{} { return s.ended }

// Take returns what has come since the last time; the last frame tells of a gap, if there is one.
func (s *Subscription) Take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.queue
	if s.dropped > 0 {
		out = append(out, s.hub.gap(s.topic, s.since, s.dropped, observation.GapBufferFull))
	}
	if s.lost {
		out = append(out, s.hub.gap(s.topic, s.since, 0, observation.GapDisconnected))
	}
	s.queue, s.bytes, s.dropped, s.lost = nil, 0, 0, false
	return out
}

// put adds frames as far as there is room, and returns how many found none.
func (s *Subscription) put(frames [][]byte, now time.Time) (lost int64) {
	s.mu.Lock()
	for _, f := range frames {
		if s.dropped > 0 || len(s.queue) >= maxQueue || s.bytes+len(f) > maxBytes {
			if s.dropped == 0 && !s.lost {
				s.since = now
			}
			s.dropped++
			lost++
			continue
		}
		s.queue = append(s.queue, f)
		s.bytes += len(f)
	}
	s.mu.Unlock()
	s.ring()
	return lost
}

func (s *Subscription) lose(now time.Time) {
	s.mu.Lock()
	if s.dropped == 0 && !s.lost {
		s.since = now
	}
	s.lost = true
	s.mu.Unlock()
	s.ring()
}

func (s *Subscription) ring() {
	select {
	case s.grew <- struct{}{}:
	default:
	}
}

// pump gives the batches of a topic to its subscribers.
func (h *Hub) pump(t *topic, batches <-chan ports.LiveBatch) {
	listening := false
	for b := range batches {
		now := h.now()
		h.mu.Lock()
		subs := make([]*Subscription, 0, len(t.subs))
		for s := range t.subs {
			subs = append(subs, s)
		}
		h.mu.Unlock()
		var lost int64
		for _, s := range subs {
			switch {
			case !b.Lost:
				lost += s.put(b.Frames, now)
			case listening:
				s.lose(now)
			}
		}
		if !listening {
			close(t.ready)
			listening = true
		}
		if lost > 0 {
			h.dropped.Add(lost)
		}
	}
}

// Offer publishes batches soon. It never blocks: what finds no room is lost, and the topic's subscribers are told.
func (h *Hub) Offer(batches []ports.LiveBatch) {
	now := h.now()
	h.offers.Lock()
	for _, b := range batches {
		n := 0
		for _, f := range b.Frames {
			n += len(f)
		}
		if h.bytes+n > maxOffered {
			h.dropped.Add(int64(len(b.Frames)))
			b.Frames = [][]byte{h.gap(b.Topic, now, int64(len(b.Frames)), observation.GapBufferFull)}
			n = len(b.Frames[0])
		}
		h.bytes += n
		h.offered = append(h.offered, b)
	}
	h.offers.Unlock()
	select {
	case h.grew <- struct{}{}:
	default:
	}
}

// Run publishes what is offered until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.grew:
		}
		h.offers.Lock()
		batches := h.offered
		h.offered, h.bytes = nil, 0
		h.offers.Unlock()
		if len(batches) == 0 {
			continue
		}
		err := h.port.Publish(ctx, batches)
		if err != nil && !failing && ctx.Err() == nil {
			h.log.WarnContext(ctx, "live frames cannot be published; those who watch miss them", "error", err.Error())
		}
		failing = err != nil
	}
}

// Drain ends all subscriptions and admits no new ones.
func (h *Hub) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drained {
		return
	}
	h.drained = true
	for _, t := range h.topics {
		for s := range t.subs {
			close(s.ended)
		}
	}
}

// Subscribers is how many watch here.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Dropped is how many frames were lost here by those who did not keep up.
func (h *Hub) Dropped() int64 { return h.dropped.Load() }
