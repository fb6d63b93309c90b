package kube_test

import (
	"io"
	"math"
	"net"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// proxy stands between the adapter and an API server, so that the API server can go away and come back.
type proxy struct {
	testing.TB
	to   string
	addr string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	accepted int
	lost     int // connections up to this one stay, but nothing goes through them any more
}

// newProxy returns a proxy and a configuration that leads through it.
func newProxy(t testing.TB, cfg *rest.Config) (*proxy, *rest.Config) {
	t.Helper()
	u, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{TB: t, to: u.Host, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	p.back()
	t.Cleanup(p.cut)
	through := rest.CopyConfig(cfg)
	u.Host = p.addr
	through.Host = u.String()
	// Connections are shared by configurations that are alike: this one is not.
	through.Dial = (&net.Dialer{}).DialContext
	return p, through
}

// back lets the API server be reached, under the address that it always had.
func (p *proxy) back() {
	p.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.Fatalf("listen: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.addr = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go p.pass(l, c)
		}
	}()
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// lose lets all connections be, but passes nothing on any more, as if a router had forgotten them. New ones work, unless
// they are to be lost, too.
func (p *proxy) lose(newOnesToo bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = p.accepted
	if newOnesToo {
		p.lost = math.MaxInt
	}
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func (p *proxy) pass(l net.Listener, in net.Conn) {
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = in.Close()
		return
	}
	p.mu.Lock()
	p.accepted++
	number := p.accepted
	p.conns[in], p.conns[out] = true, true
	over := p.listener != l // it was cut meanwhile
	p.mu.Unlock()
	var both sync.WaitGroup
	copyTo := func(to, from net.Conn) {
		_, _ = io.Copy(passing{p, number, to}, from) // ends when either side does
		_ = to.Close()
		_ = from.Close()
	}
	if over {
		_, _ = in.Close(), out.Close()
	}
	both.Go(func() { copyTo(out, in) })
	both.Go(func() { copyTo(in, out) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, in)
	delete(p.conns, out)
}

// passing writes what is not lost.
type passing struct {
	p      *proxy
	number int
	to     net.Conn
}

func (w passing) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	lost := w.number <= w.p.lost
	w.p.mu.Unlock()
	if lost {
		return len(b), nil
	}
	return w.to.Write(b)
}
