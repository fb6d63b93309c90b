package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and the server and does to their connections what networks do.
type proxy struct {
	t        testing.TB
	listener net.Listener
	server   string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	hold     chan struct{} // not nil: nothing passes until it is closed
	cutAfter atomic.Pointer[[]byte]
}

// throughProxy returns dsn by way of a new proxy.
func throughProxy(t testing.TB, dsn string) (string, *proxy) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("parse dsn: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	p := &proxy{t: t, listener: l, server: u.Host, conns: map[net.Conn]bool{}}
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.release()
		p.cut()
	})
	u.Host = l.Addr().String()
	return u.String(), p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		go p.pass(client, server, true)
		go p.pass(server, client, false)
	}
}

func (p *proxy) pass(from, to net.Conn, request bool) {
	defer p.drop(from, to)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		hold := p.hold
		p.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if word := p.cutAfter.Load(); request && word != nil && bytes.Contains(buf[:n], *word) {
			p.cutAfter.Store(nil)
			_ = from.Close() // the client never hears what becomes of it
			if _, err := to.Write(buf[:n]); err == nil {
				_, _ = to.Read(buf) // the server has answered
			}
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// silence lets nothing pass, though connections stay; release ends it.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold != nil {
		close(p.hold)
		p.hold = nil
	}
}

// cutOnce breaks the next connection whose client sends word, after the server has got it.
func (p *proxy) cutOnce(word string) {
	b := []byte(word)
	p.cutAfter.Store(&b)
}
