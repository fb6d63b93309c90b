package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	minReconnect = 50 * time.Millisecond
	maxReconnect = 2 * time.Second
	pingEvery    = 500 * time.Millisecond
	pingTimeout  = time.Second
	maxQueued    = 256
)

// Listen implements ports.Wakeups. Each call has a connection of its own, besides the pool's. A reader that is too slow
// gets one Lost wakeup instead of many that it would only collapse anyway.
func (s *Store) Listen(ctx context.Context, channels ...string) (<-chan ports.Wakeup, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, closedFault()
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ended, cancel)
	e := &ear{dialer: &dialer{}, news: make(chan struct{}, 1)}
	e.listener = pq.NewDialListener(e.dialer, s.target.dsn, minReconnect, maxReconnect, e.changed)
	out := make(chan ports.Wakeup)
	var running sync.WaitGroup
	running.Go(func() { e.subscribe(ctx, channels) })
	running.Go(func() { e.hear(ctx) })
	running.Go(func() { e.probe(ctx) })
	go func() {
		defer cancel()
		defer stop()
		e.deliver(ctx, out)
		close(out)
		e.dialer.cut()         // whatever the listener waits for
		_ = e.listener.Close() // it fails only if it is closed already
		running.Wait()
	}()
	return out, nil
}

// ear is one Listen. What it hears goes into a bounded queue, so that a slow reader never holds up the connection.
type ear struct {
	listener *pq.Listener
	dialer   *dialer
	news     chan struct{} // has a value when the queue has grown

	mu        sync.Mutex
	queue     []ports.Wakeup
	subbed    bool // all channels have been asked for once
	listening bool // a Lost was told after the last Deaf
	connected bool
	epoch     int // counts connections
}

func (e *ear) push(w ports.Wakeup) {
	if len(e.queue) >= maxQueued {
		e.queue = append(e.queue[:0], ports.Wakeup{Lost: e.listening, Deaf: !e.listening})
	} else {
		e.queue = append(e.queue, w)
	}
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// lost says that the ear hears from now on, but may have missed something.
func (e *ear) lost() {
	e.listening = true
	e.push(ports.Wakeup{Lost: true})
}

// deaf says that the ear hears no longer.
func (e *ear) deaf() {
	if e.listening {
		e.listening = false
		e.push(ports.Wakeup{Deaf: true})
	}
}

// changed is called by the listener, before anything of the new state comes through its channel.
func (e *ear) changed(event pq.ListenerEventType, _ error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch event {
	case pq.ListenerEventConnected, pq.ListenerEventReconnected:
		e.connected = true
		e.epoch++
	case pq.ListenerEventDisconnected, pq.ListenerEventConnectionAttemptFailed:
		e.connected = false
		e.deaf()
	}
}

// subscribe asks for the channels once; on every later connection the listener does so itself.
func (e *ear) subscribe(ctx context.Context, channels []string) {
	for _, c := range channels {
		for {
			err := e.listener.Listen(c) // waits for a connection
			if err == nil || errors.Is(err, pq.ErrChannelAlreadyOpen) {
				break
			}
			select {
			case <-time.After(maxReconnect): // the server refuses, as a standby does
			case <-ctx.Done():
				return
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subbed = true
	if e.connected || e.epoch == 0 { // else the reconnection says so
		e.lost()
	}
}

// hear moves notifications into the queue until the listener has ended.
func (e *ear) hear(ctx context.Context) {
	for n := range e.listener.Notify {
		if ctx.Err() != nil {
			continue
		}
		e.mu.Lock()
		switch {
		case n != nil && e.listening:
			e.push(ports.Wakeup{Channel: n.Channel, Payload: n.Extra})
		case n == nil && e.subbed && e.connected: // connected again
			e.lost()
		}
		e.mu.Unlock()
	}
}

// probe asks the server for a sign of life, and cuts a connection that gives none.
func (e *ear) probe(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		connected, epoch := e.connected, e.epoch
		e.mu.Unlock()
		if !connected {
			continue
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_ = e.listener.Ping() // an error is told by the listener itself
		}()
		select {
		case <-answered:
		case <-time.After(pingTimeout):
			e.mu.Lock()
			if e.connected && e.epoch == epoch {
				e.deaf()
				e.dialer.cut()
			}
			e.mu.Unlock()
			<-answered
		case <-ctx.Done():
			e.dialer.cut()
			<-answered
			return
		}
	}
}

// deliver hands the queue to the reader until ctx ends.
func (e *ear) deliver(ctx context.Context, out chan<- ports.Wakeup) {
	for {
		e.mu.Lock()
		var next ports.Wakeup
		some := len(e.queue) > 0
		if some {
			next = e.queue[0]
			e.queue = e.queue[1:]
		}
		e.mu.Unlock()
		if !some {
			select {
			case <-e.news:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case out <- next:
		case <-ctx.Done():
			return
		}
	}
}

// dialer remembers its last connection, so that it can be cut from outside.
type dialer struct {
	net  net.Dialer
	mu   sync.Mutex
	last net.Conn
}

var _ pq.DialerContext = (*dialer)(nil)

// Dial implements pq.Dialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// DialContext implements pq.DialerContext.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = c
	return c, nil
}

func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close() // whoever uses it finds out
	}
}
