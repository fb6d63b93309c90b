// Package hub keeps what a gateway knows of its agents between their requests: the newest revision of each one's target
// state, and the syncs that are parked until it changes. Everything here may be lost without harm: Postgres decides.
package hub

import (
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Outcome is why a parked sync was woken.
type Outcome uint8

// The outcomes.
const (
	Changed    Outcome = iota + 1 // the agent's revision is not the one it reported
	Recheck                       // its credential may be revoked
	Superseded                    // a newer sync of the same process came
	Drained                       // this replica is going down
	Work                          // work waits that its agent was not told of
)

const (
	trustHealthy   = 35 * time.Second // longer than the time between sweeps
	trustUnhealthy = time.Second
	forgetAfter    = 10 * time.Minute
	keptBoots      = 4
)

// Hub is safe for concurrent use.
type Hub struct {
	assignments ports.Assignments
	works       ports.Works
	now         func() time.Time

	mu       sync.Mutex
	agents   map[agent.ID]*entry
	parked   int
	clock    int64 // counts reads and signals, to order them
	gen      int64 // grows when signals may have been lost
	healthy  bool  // signals arrive
	draining bool

	asking  map[agent.ID][]chan answer // waits for the next question to the store
	running bool
	rung    rung
}

// entry is what is known of one agent.
type entry struct {
	revision delivery.Revision
	stamp    int64 // of the read or signal that gave revision
	gen      int64
	verified time.Time // when the store was last asked; zero: never, or what it said is in doubt
	asked    int64     // of the reading that gave verified, or of the doubt: readings that began before do not count
	seen     time.Time
	boots    []string // processes of this agent, the current one last
	waiters  []*Waiter
	since    time.Time // when its syncs began to park without a gap; see channels.go
	left     time.Time // when it was last seen parked, or coming back

	pending ports.Pending // when the store was last asked
	rang    bool          // new work was announced, and the agent has not been answered since
}

// Ticket describes a sync that parks.
type Ticket struct {
	Agent    agent.ID
	Boot     string
	Seq      int64
	Revision delivery.Revision
	Short    string // of the credential
	Work     *int64 // the mark of the work that the agent was told of; nil: it is not woken for work
}

// Waiter is a parked sync; C gives its outcome, once.
type Waiter struct {
	C      <-chan Outcome
	c      chan Outcome
	ticket Ticket
}

// New returns an empty hub that does not trust signals yet (SetHealthy).
func New(assignments ports.Assignments, works ports.Works, now func() time.Time) *Hub {
	return &Hub{assignments: assignments, works: works, now: now, agents: map[agent.ID]*entry{}, asking: map[agent.ID][]chan answer{}, rung: rung{agents: map[agent.ID]bool{}}}
}

func (h *Hub) entry(a agent.ID) *entry {
	e, ok := h.agents[a]
	if !ok {
		e = &entry{seen: h.now()}
		h.agents[a] = e
	}
	return e
}

// Arrival says what a request tells of the process that made it.
type Arrival struct {
	NewBoot  bool // this process is seen here for the first time
	Replaced bool // and another one of the same agent was seen before it
	// Duplicate: this process was followed by another one and is still here, so two use one identity.
	Duplicate bool
}

// Arrive notes a request of the process boot of a.
func (h *Hub) Arrive(a agent.ID, boot string) Arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(a)
	e.seen = h.now()
	e.returns(e.seen)
	n := len(e.boots)
	switch i := slices.Index(e.boots, boot); {
	case i < 0:
		e.boots = append(e.boots, boot)
		if len(e.boots) > keptBoots {
			e.boots = slices.Delete(e.boots, 0, 1)
		}
		return Arrival{NewBoot: true, Replaced: n > 0}
	case i < n-1:
		e.boots = append(slices.Delete(e.boots, i, i+1), boot)
		return Arrival{Duplicate: true}
	default:
		return Arrival{}
	}
}

// Known returns the newest revision of a that is known here, and whether it may be relied on without asking the store.
func (h *Hub) Known(a agent.ID) (delivery.Revision, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.agents[a]
	if !ok {
		return 0, false
	}
	e.seen = h.now()
	return e.revision, h.trusted(e)
}

func (h *Hub) trusted(e *entry) bool {
	trust := trustUnhealthy
	if h.healthy {
		trust = trustHealthy
	}
	return e.gen == h.gen && !e.verified.IsZero() && h.now().Sub(e.verified) < trust
}

// Park registers a sync. It is woken at once if the known revision is not the ticket's, if a later sync of the same
// process is already parked, or in a drain. Of one agent as many are parked as processes of it are remembered: another one wakes the
// one that is parked for longest. The caller must Leave.
func (h *Hub) Park(t Ticket) *Waiter {
	w := &Waiter{c: make(chan Outcome, 1), ticket: t}
	w.C = w.c
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(t.Agent)
	for _, o := range slices.Clone(e.waiters) {
		if o.ticket.Boot != t.Boot {
			continue
		}
		if o.ticket.Seq > t.Seq {
			w.c <- Superseded
			return w
		}
		h.wake(e, o, Superseded)
	}
	switch {
	case h.draining:
		w.c <- Drained
	case e.revision != t.Revision:
		w.c <- Changed
	case e.news(t.Work):
		w.c <- Work
	default:
		if len(e.waiters) >= keptBoots {
			h.wake(e, e.waiters[0], Superseded)
		}
		e.parks(h.now())
		e.waiters = append(e.waiters, w)
		h.parked++
	}
	return w
}

// Leave takes w away; it is harmless if it has been woken.
func (h *Hub) Leave(w *Waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.agents[w.ticket.Agent]; ok {
		e.seen = h.now()
		e.returns(e.seen)
		h.remove(e, w)
	}
}

func (h *Hub) remove(e *entry, w *Waiter) bool {
	i := slices.Index(e.waiters, w)
	if i < 0 {
		return false
	}
	e.left = h.now()
	e.waiters = slices.Delete(e.waiters, i, i+1)
	if len(e.waiters) == 0 {
		e.waiters = nil
	}
	h.parked--
	return true
}

func (h *Hub) wake(e *entry, w *Waiter, o Outcome) {
	if h.remove(e, w) {
		w.c <- o // has room: a waiter that is in the list has not been woken
	}
}

func (h *Hub) wakeChanged(e *entry) int {
	n := 0
	for _, w := range slices.Clone(e.waiters) {
		if w.ticket.Revision != e.revision {
			h.wake(e, w, Changed)
			n++
		}
	}
	return n
}

// Signal takes news of revisions. Only agents that were here count; an older revision than the known one is no news.
func (h *Hub) Signal(batch []ports.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	for _, s := range batch {
		if e, ok := h.agents[s.Agent]; ok && s.Revision > e.revision {
			e.revision, e.stamp = s.Revision, h.clock
			h.wakeChanged(e)
		}
	}
}

// Lost says that signals may have been lost: nothing is relied on until the store has been asked.
func (h *Hub) Lost() {
	h.mu.Lock()
	h.gen++
	h.mu.Unlock()
}

// Doubt says that what is known of a may be out of date: the store is asked before it is relied on again.
func (h *Hub) Doubt(a agent.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.agents[a]; ok {
		h.clock++
		e.verified, e.asked = time.Time{}, h.clock
	}
}

// SetHealthy says whether signals arrive. While they do not, what the store said is trusted for a second only.
func (h *Hub) SetHealthy(healthy bool) {
	h.mu.Lock()
	h.healthy = healthy
	h.mu.Unlock()
}

// Revoked wakes the syncs that authenticated with the credential; all of them if short is empty.
func (h *Hub) Revoked(short string) {
	h.wakeAll(Recheck, func(t Ticket) bool { return short == "" || t.Short == short })
}

// Refuse wakes the syncs of a, whose right to be served has changed.
func (h *Hub) Refuse(a agent.ID) {
	h.wakeAll(Recheck, func(t Ticket) bool { return t.Agent == a })
}

// Drain wakes every sync and lets none park any more.
func (h *Hub) Drain() {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	h.wakeAll(Drained, func(Ticket) bool { return true })
}

// Draining reports whether Drain was called.
func (h *Hub) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

func (h *Hub) wakeAll(o Outcome, which func(Ticket) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.agents {
		for _, w := range slices.Clone(e.waiters) {
			if which(w.ticket) {
				h.wake(e, w, o)
			}
		}
	}
}

// Parked returns how many syncs are parked.
func (h *Hub) Parked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.parked
}

// Agents returns how many agents are known here.
func (h *Hub) Agents() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.agents)
}
