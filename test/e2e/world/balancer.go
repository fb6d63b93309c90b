package world

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Balancer spreads TCP connections over backends in turn. A backend that takes no connection is passed over.
type Balancer struct {
	ln       net.Listener
	backends []string
	next     atomic.Uint64
	taken    []atomic.Int64 // connections by backend
	mu       sync.Mutex
	open     map[net.Conn]struct{}
	closed   bool
}

// NewBalancer listens on a free port of the loopback address until the test ends.
func NewBalancer(t testing.TB, backends ...string) *Balancer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start balancer: %v", err)
	}
	b := &Balancer{ln: ln, backends: backends, taken: make([]atomic.Int64, len(backends)), open: map[net.Conn]struct{}{}}
	t.Cleanup(b.close)
	go b.serve()
	return b
}

// URL is where clients connect.
func (b *Balancer) URL() string { return "http://" + b.ln.Addr().String() }

// Taken returns how many connections each backend has had.
func (b *Balancer) Taken() []int64 {
	out := make([]int64, len(b.taken))
	for i := range b.taken {
		out[i] = b.taken[i].Load()
	}
	return out
}

func (b *Balancer) serve() {
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return // closed
		}
		go b.forward(c)
	}
}

func (b *Balancer) forward(client net.Conn) {
	defer client.Close()
	server, err := b.dial()
	if err != nil {
		return
	}
	defer server.Close()
	if !b.track(client, server) {
		return
	}
	defer b.untrack(client, server)
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // either side may go at any time
		_ = to.SetDeadline(time.Now())
		done <- struct{}{}
	}
	go pipe(server, client)
	go pipe(client, server)
	<-done
	<-done
}

func (b *Balancer) dial() (net.Conn, error) {
	var errs []error
	first := b.next.Add(1)
	for i := range uint64(len(b.backends)) {
		n := (first + i) % uint64(len(b.backends))
		c, err := net.DialTimeout("tcp", b.backends[n], time.Second)
		if err == nil {
			b.taken[n].Add(1)
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (b *Balancer) track(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		b.open[c] = struct{}{}
	}
	return !b.closed
}

func (b *Balancer) untrack(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.open, c)
	}
}

func (b *Balancer) close() {
	_ = b.ln.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for c := range b.open {
		_ = c.Close()
	}
}
