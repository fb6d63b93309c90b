// Package sockets knows which agents are connected by WebSocket, here and on the other replicas: one connection an agent,
// the newer one stays.
package sockets

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	topic     = "gateways" // where replicas speak to each other
	downQueue = 64         // frames that wait for one agent
	gatherFor = 300 * time.Millisecond
	// settled is how old a connection is when what is heard of another one cannot be older news that took its time.
	settled = 10 * time.Second
)

// End says why a connection ends.
type End int

// The reasons.
const (
	Replaced End = iota + 1 // the agent has a newer connection
	Drained                 // this replica is going down
)

// Conn is an agent's connection.
type Conn struct {
	Agent agent.ID
	Short string // of the credential
	Since time.Time
	In    atomic.Int64 // messages from the agent
	Out   atomic.Int64 // messages to the agent

	down  chan []byte
	ends  chan End
	doubt chan struct{}
}

// Down has the frames for the agent.
func (c *Conn) Down() <-chan []byte { return c.down }

// Ends tells that the connection is to end, and why at first.
func (c *Conn) Ends() <-chan End { return c.ends }

// Doubts has a token when the connection's credential may be revoked, or its agent inactive, which is to be found out.
func (c *Conn) Doubts() <-chan struct{} { return c.doubt }

func (c *Conn) mayEnd() {
	select {
	case c.doubt <- struct{}{}:
	default: // it is to be found out already
	}
}

func (c *Conn) end(e End) {
	select {
	case c.ends <- e:
	default: // it ends already
	}
}

// Connection is what is told of a connection.
type Connection struct {
	Agent agent.ID  `json:"agent_id"`
	Since time.Time `json:"connected_since"`
	In    int64     `json:"messages_in"`
	Out   int64     `json:"messages_out"`
}

// Everywhere is what all replicas that answered have.
type Everywhere struct {
	Connections []Connection
	Subscribers int
}

// Offer publishes batches without waiting.
type Offer func([]ports.LiveBatch)

// Registry is safe for concurrent use. Run must be running for it to hear of other replicas.
type Registry struct {
	replica     string
	port        ports.Live
	offer       Offer
	subscribers func() int
	now         func() time.Time
	max         int

	mu      sync.Mutex
	conns   map[agent.ID]*Conn
	drained bool
	asking  map[string]chan said // by question
}

// said is what replicas say to each other.
type said struct {
	Replica     string       `json:"replica"`
	Connected   *Connection  `json:"connected,omitempty"`
	Asks        string       `json:"asks,omitempty"`
	Answers     string       `json:"answers,omitempty"`
	Connections []Connection `json:"connections,omitempty"`
	Subscribers int          `json:"subscribers,omitempty"`
}

// New returns an empty registry for at most so many connections. subscribers tells how many watch live here.
func New(port ports.Live, offer Offer, limit int, subscribers func() int, now func() time.Time) *Registry {
	return &Registry{
		replica: uuid.NewString(), port: port, offer: offer, subscribers: subscribers, now: now, max: limit,
		conns: map[agent.ID]*Conn{}, asking: map[string]chan said{},
	}
}

// Enter registers a new connection of an agent and ends its former one, wherever that is. The caller must Leave.
func (r *Registry) Enter(a agent.ID, short string) (*Conn, error) {
	c := &Conn{Agent: a, Short: short, Since: r.now().UTC(), down: make(chan []byte, downQueue), ends: make(chan End, 1), doubt: make(chan struct{}, 1)}
	r.mu.Lock()
	old := r.conns[a]
	switch {
	case r.drained:
		defer r.mu.Unlock()
		f := fault.New(fault.Unavailable, "draining", "this replica is going down; connect again")
		f.RetryAfter = time.Second
		return nil, f
	case old == nil && len(r.conns) >= r.max:
		defer r.mu.Unlock()
		f := fault.New(fault.Limited, "too_many_connections", "this replica has as many agents' connections as it takes")
		f.RetryAfter = 5 * time.Second
		return nil, f
	}
	r.conns[a] = c
	r.mu.Unlock()
	if old != nil {
		old.end(Replaced)
	}
	r.say(said{Connected: &Connection{Agent: a, Since: c.Since}})
	return c, nil
}

// Leave takes the connection away.
func (r *Registry) Leave(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns[c.Agent] == c {
		delete(r.conns, c.Agent)
	}
}

// Push gives a frame to an agent that is connected here. It never blocks: false means that the agent is not here or does
// not keep up. Whoever pushes only saves the agent time.
func (r *Registry) Push(a agent.ID, frame []byte) bool {
	r.mu.Lock()
	c := r.conns[a]
	r.mu.Unlock()
	if c == nil {
		return false
	}
	select {
	case c.down <- frame:
		return true
	default:
		return false
	}
}

// Agents returns the agents that are connected here.
func (r *Registry) Agents() []agent.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]agent.ID, 0, len(r.conns))
	for a := range r.conns {
		out = append(out, a)
	}
	return out
}

// Connected returns since when agents are connected here.
func (r *Registry) Connected() map[agent.ID]time.Time {
	out := map[agent.ID]time.Time{}
	r.each(func(c *Conn) { out[c.Agent] = c.Since })
	return out
}

// Has reports whether the agent is connected here.
func (r *Registry) Has(a agent.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns[a] != nil
}

// Count is how many agents are connected here.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Revoked makes the connections of a credential find out whether it still holds; all of them if short is empty.
func (r *Registry) Revoked(short string) {
	r.each(func(c *Conn) {
		if short == "" || c.Short == short {
			c.mayEnd()
		}
	})
}

// Doubt makes the connection of an agent find out whether the agent still takes part.
func (r *Registry) Doubt(a agent.ID) {
	r.mu.Lock()
	c := r.conns[a]
	r.mu.Unlock()
	if c != nil {
		c.mayEnd()
	}
}

// Drain ends all connections and admits no new ones.
func (r *Registry) Drain() {
	r.mu.Lock()
	r.drained = true
	r.mu.Unlock()
	r.each(func(c *Conn) { c.end(Drained) })
}

func (r *Registry) each(fn func(*Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		fn(c)
	}
}

func (r *Registry) here() []Connection {
	var out []Connection
	r.each(func(c *Conn) {
		out = append(out, Connection{Agent: c.Agent, Since: c.Since, In: c.In.Load(), Out: c.Out.Load()})
	})
	return out
}

// say tells the other replicas. What is said is made of texts, numbers and times, so encoding cannot fail.
func (r *Registry) say(s said) {
	s.Replica = r.replica
	text, err := json.Marshal(s)
	if err != nil {
		return
	}
	r.offer([]ports.LiveBatch{{Topic: topic, Frames: [][]byte{text}}})
}

// Run hears what other replicas say until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	batches, err := r.port.Subscribe(ctx, topic)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end, not a failure
		}
		return err
	}
	for b := range batches {
		for _, f := range b.Frames {
			var s said
			if json.Unmarshal(f, &s) == nil && s.Replica != r.replica {
				r.hear(s)
			}
		}
	}
	return nil
}

func (r *Registry) hear(s said) {
	switch {
	case s.Connected != nil:
		r.mu.Lock()
		c := r.conns[s.Connected.Agent]
		r.mu.Unlock()
		// Replicas' clocks differ, so they are compared only where both connections are new.
		if c != nil && (r.now().Sub(c.Since) > settled || c.Since.Before(s.Connected.Since)) {
			c.end(Replaced)
		}
	case s.Asks != "":
		r.say(said{Answers: s.Asks, Connections: r.here(), Subscribers: r.subscribers()})
	case s.Answers != "":
		r.mu.Lock()
		c := r.asking[s.Answers]
		r.mu.Unlock()
		if c != nil {
			select {
			case c <- s:
			default:
			}
		}
	}
}

// Everywhere asks all replicas for their connections, and waits a moment for answers. A replica that does not answer in
// time is missing.
func (r *Registry) Everywhere(ctx context.Context) Everywhere {
	out := Everywhere{Connections: r.here(), Subscribers: r.subscribers()}
	question, answers := uuid.NewString(), make(chan said, 256)
	r.mu.Lock()
	r.asking[question] = answers
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.asking, question)
		r.mu.Unlock()
	}()
	r.say(said{Asks: question})
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for {
		select {
		case s := <-answers:
			out.Connections = append(out.Connections, s.Connections...)
			out.Subscribers += s.Subscribers
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	slices.SortFunc(out.Connections, func(x, y Connection) int { return cmp.Compare(x.Agent, y.Agent) })
	return out
}
