// Package fleet simulates agents that speak the real sync protocol over HTTP: parked syncs, manifests by checksum, reports,
// cluster status and removals, with think times, failures and reconnect storms. What chance decides is seeded. There is no
// cluster behind them, and no memory of content: tens of thousands fit into one process.
package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Identity is an agent that the broker knows.
type Identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	PAK  string `json:"pak"`
}

// Config of a fleet.
type Config struct {
	Gateway string // URL, without /api/v1
	Agents  []Identity
	Seed    uint64
	Life    Life
	Ramp    time.Duration // over which the first syncs are spread
}

// Counts of all agents since they were last reset. Bytes are those on the wire, headers included; of TLS all of it.
type Counts struct {
	Syncs, News, Reports, Manifests  atomic.Int64 // answered; of them with a target state; reports told; manifests fetched
	Connects, Cuts, Failures, Damage atomic.Int64 // parked syncs cut for news of ours; requests that failed; wrong answers
	BytesIn, BytesOut                atomic.Int64
	IdleIn, IdleOut                  atomic.Int64 // largest body of a sync without news, each way
}

// Fleet is a running simulation.
type Fleet struct {
	c      Config
	agents []*agent
	Counts Counts
	Late   Times // of parked syncs without news, beyond their wait
	Told   Times // round trips of syncs that carried reports
	acks   acks
	first  sync.WaitGroup // first answers
	errs   lastError
}

// lastError keeps what failed last, for whoever wonders.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Err is what failed last in any agent; nil if nothing did.
func (f *Fleet) Err() error {
	f.errs.mu.Lock()
	defer f.errs.mu.Unlock()
	return f.errs.err
}

func (f *Fleet) lastFailure() string {
	if err := f.Err(); err != nil {
		return err.Error()
	}
	return "none"
}

// perSource is how many connections come from one address where addresses cost nothing: each has some 28,000 ports, and
// a connection that was closed keeps its own for a minute.
const perSource = 4000

// New returns a fleet of these agents; nothing is said before Run.
func New(c Config) (*Fleet, error) {
	base, err := url.Parse(c.Gateway)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("the gateway's URL %q must look like http://host:port", c.Gateway)
	}
	f := &Fleet{c: c, acks: acks{times: map[string][]time.Time{}}}
	f.first.Add(len(c.Agents))
	local := net.ParseIP(base.Hostname()).To4()
	for i, who := range c.Agents {
		d := &net.Dialer{KeepAlive: -1}
		if local != nil && local.IsLoopback() {
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/perSource))}
		}
		f.agents = append(f.agents, &agent{fleet: f, who: who, mind: newMind(c.Life, c.Seed, i),
			delay: rand.New(rand.NewPCG(c.Seed, ^uint64(i))), //nolint:gosec // it has to be reproducible
			line:  &line{base: base, pak: who.PAK, dialer: d, counts: &f.Counts}})
	}
	return f, nil
}

// Run lives until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, a := range f.agents {
		wg.Go(func() {
			stop := context.AfterFunc(ctx, a.line.close)
			defer stop()
			a.run(ctx, f.c.Ramp)
			a.line.close()
		})
	}
	wg.Wait()
}

// Connected waits until every agent has had its first answer.
func (f *Fleet) Connected(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		f.first.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not all agents were answered (%w); the last failure: %s", ctx.Err(), f.lastFailure())
	}
}

// Storm breaks the connections of this share of the agents at one moment, chosen by the seed and the number of the storm.
// It returns how many.
func (f *Fleet) Storm(number uint64, share float64) int {
	chance, n := rand.New(rand.NewPCG(f.c.Seed+number, 1)), 0 //nolint:gosec // it has to be reproducible
	for _, a := range f.agents {
		if chance.Float64() < share {
			a.line.close()
			n++
		}
	}
	return n
}

// Acks are the moments, in order, at which the broker had acknowledged that an agent applied the deployment object.
func (f *Fleet) Acks(object string) []time.Time { return f.acks.of(object) }

// WaitAcks waits until n agents have applied the object and been acknowledged.
func (f *Fleet) WaitAcks(ctx context.Context, object string, n int) ([]time.Time, error) {
	for {
		grown := f.acks.wait()
		have := f.acks.count(object)
		if have >= n {
			return f.Acks(object), nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d agents have applied %s (%w); the last failure: %s", have, n, object, ctx.Err(), f.lastFailure())
		}
	}
}

// ResetTimes forgets counts and times, so that what follows is measured by itself.
func (f *Fleet) ResetTimes() {
	f.Late.Reset()
	f.Told.Reset()
	c := &f.Counts
	for _, n := range []*atomic.Int64{&c.Syncs, &c.News, &c.Reports, &c.Manifests, &c.Connects, &c.Cuts, &c.Failures, &c.Damage, &c.BytesIn, &c.BytesOut, &c.IdleIn, &c.IdleOut} {
		n.Store(0)
	}
}

// acks are the acknowledged applications by object.
type acks struct {
	mu    sync.Mutex
	times map[string][]time.Time
	grown chan struct{} // closed when there are more
}

func (a *acks) add(object string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times[object] = append(a.times[object], at)
	if a.grown != nil {
		close(a.grown)
		a.grown = nil
	}
}

func (a *acks) of(object string) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.times[object]...)
}

func (a *acks) count(object string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.times[object])
}

func (a *acks) wait() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grown == nil {
		a.grown = make(chan struct{})
	}
	return a.grown
}
