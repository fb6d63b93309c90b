package gateway_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// workStore is a store in which the test says what waits for whom.
type workStore struct {
	ports.Store
	mu      sync.Mutex
	waits   map[agent.ID]ports.Pending
	fails   bool
	counted int
}

func (s *workStore) Works() ports.Works { return countedWorks{s.Store.Works(), s} }

type countedWorks struct {
	ports.Works
	s *workStore
}

func (w countedWorks) Pending(_ context.Context, ids []agent.ID, _ time.Time) (map[agent.ID]ports.Pending, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.counted++
	if w.s.fails {
		return nil, away()
	}
	out := map[agent.ID]ports.Pending{}
	for _, id := range ids {
		if p, ok := w.s.waits[id]; ok {
			out[id] = p
		}
	}
	return out, nil
}

// set says what waits for the agent, silently.
func (s *workStore) set(a subject, p ports.Pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits[a.id] = p
}

func (s *workStore) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counted
}

func (w *world) working() *workStore {
	return &workStore{Store: w.store, waits: map[agent.ID]ports.Pending{}}
}

// ring announces work as the transaction that makes it does.
func (w *world) ring(agents ...agent.ID) {
	w.Helper()
	w.must(w.store.Works().Ring(w.Context(), agents...))
	synctest.Wait()
}

// worker is a process that follows work and has caught up.
func (r *replica) worker(a subject) *process {
	r.w.Helper()
	p, none := a.start(), int64(0)
	p.work = &none
	r.catchUp(p)
	return p
}

func (p *process) told(res wire.SyncResponse) {
	mark := max(*p.work, res.Pending.Mark)
	p.work = &mark
}

func TestNewWorkWakesItsAgentAloneAndOnce(t *testing.T) {
	t.Parallel()
	for name, rings := range map[string]func(w *world, a subject){
		"by name":     func(w *world, a subject) { w.ring(a.id) },
		"for several": func(w *world, _ subject) { w.ring() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				store := w.working()
				busy, idle := w.agent("busy", agent.Active), w.agent("idle", agent.Active)
				r := w.gateway(options{store: store})
				p, q := r.worker(busy), r.worker(idle)
				c, other := r.sync(p, p.request(55)), r.sync(q, q.request(55))
				const pause = 5*time.Second + 300*time.Millisecond // no moment of a sweep or a probe
				time.Sleep(pause)
				synctest.Wait()
				before := store.asked()
				store.set(busy, ports.Pending{WorkOrders: 2, Diagnostics: 1, Webhooks: 3, Mark: 100})
				rings(w, busy)
				res := c.answer()
				want := wire.Pending{WorkOrders: 2, Diagnostics: 1, Webhooks: 3, Mark: 100}
				if c.took != pause || res.Pending != want || res.Stacks != nil {
					t.Errorf("after %s: got %+v, want %+v at the ring", c.took, res, want)
				}
				if other.answered() {
					t.Errorf("an agent without work was answered: %s", other.rec.Body)
				}
				if got := store.asked() - before; got != 1 {
					t.Errorf("counts: got %d statements, want one for all", got)
				}
				// It has a backlog that it cannot take: it is not told again until there is more.
				p.told(res)
				again := r.sync(p, p.request(20))
				if res := again.answer(); again.took != 20*time.Second || res.Pending != want {
					t.Errorf("with a backlog: answered after %s with %+v, want the whole wait and the same counts", again.took, res)
				}
			})
		})
	}
}

func TestWorkThatIsOlderThanWhatWasToldStillRings(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store, a := w.working(), w.agent("a", agent.Active)
		r := w.gateway(options{store: store})
		p := r.worker(a)
		told := int64(500)
		p.work = &told
		c := r.sync(p, p.request(55))
		// its transaction began before the one that made what was told, and was committed after it
		store.set(a, ports.Pending{WorkOrders: 1, Mark: 400})
		w.ring(a.id)
		if c.answer(); c.took != 0 {
			t.Errorf("answered after %s, want at the ring", c.took)
		}
		again := r.sync(p, p.request(20))
		if again.answer(); again.took != 20*time.Second {
			t.Errorf("the next: answered after %s, want one answer a ring", again.took)
		}
		// between two syncs: nobody is parked
		w.ring(a.id)
		next := r.sync(p, p.request(20))
		if next.answer(); next.took != 0 {
			t.Errorf("after a ring that found nobody: answered after %s, want at once", next.took)
		}
	})
}

func TestALostRingIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store, a := w.working(), w.agent("a", agent.Active)
		r := w.gateway(options{store: store})
		p := r.worker(a)
		time.Sleep(1500 * time.Millisecond) // until signals are known to arrive
		c := r.sync(p, p.request(55))
		store.set(a, ports.Pending{Diagnostics: 1, Mark: 100})
		if res := c.answer(); c.took > 31*time.Second || res.Pending.Diagnostics != 1 {
			t.Errorf("after %s: got %+v, want the work by the sweep", c.took, res)
		}
	})
}

func TestANewProcessIsToldOfItsBacklogAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store, a := w.working(), w.agent("a", agent.Active)
		store.set(a, ports.Pending{Webhooks: 4, Mark: 100})
		r := w.gateway(options{store: store})
		p, none := a.start(), int64(0)
		p.work = &none
		if res := r.catchUp(p); res.Pending.Webhooks != 4 || res.Pending.Mark != 100 {
			t.Errorf("first answer: got %+v, want the backlog", res.Pending)
		}
		// its answer was lost: it says that it knows of none
		c := r.sync(p, p.request(55))
		if c.answer(); c.took != 0 {
			t.Errorf("after a lost answer: answered after %s, want at once", c.took)
		}
	})
}

func TestAnAgentThatDoesNotFollowWorkIsNotWoken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store, a := w.working(), w.agent("a", agent.Active)
		store.set(a, ports.Pending{WorkOrders: 1, Mark: 100})
		r := w.gateway(options{store: store})
		p := a.start()
		r.catchUp(p)
		c := r.sync(p, p.request(40))
		w.ring(a.id)
		if res := c.answer(); c.took != 40*time.Second || res.Pending.WorkOrders != 1 {
			t.Errorf("after %s: got %+v, want the counts after the whole wait", c.took, res)
		}
	})
}

func TestWorkThatCannotBeCountedDelaysNoTargetState(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store, a, s := w.working(), w.agent("a", agent.Active), w.stack("web")
		store.fails = true
		r := w.gateway(options{store: store})
		p := r.worker(a)
		time.Sleep(1500 * time.Millisecond)
		c := r.sync(p, p.request(55))
		w.ring(a.id)
		w.assign(w.publish(s.ID, "v: 1"), a)
		if res := c.answer(); c.took != 0 || res.Revision != 1 {
			t.Fatalf("after %s: got %+v, want the target state at once", c.took, res)
		}
		p.revision = 1
		c = r.sync(p, p.request(55))
		store.mu.Lock()
		store.fails = false
		store.mu.Unlock()
		store.set(a, ports.Pending{WorkOrders: 1, Mark: 1})
		if c.answer(); c.took > 2*time.Second {
			t.Errorf("work that was rung for meanwhile: told after %s, want a second after the store is back", c.took)
		}
	})
}
