package scheduler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// replica is a scheduler, and the store as it has it.
type replica struct {
	*fleet
	sim    *simulation
	number int
	ahead  atomic.Int64 // of its clock, a time.Duration
	mu     sync.Mutex
	rnd    *rand.Rand
	chaos  bool
	cut    context.CancelFunc // ends it at once, between two steps of its own
	stop   func()
}

func newReplica(s *simulation, number int) *replica {
	r := &replica{fleet: s.fleet, sim: s, number: number, rnd: rand.New(rand.NewPCG(s.seed, uint64(number))), chaos: true}
	r.jump()
	return r
}

// jump sets its clock: up to twenty seconds ahead of the others' or behind.
func (r *replica) jump() { r.ahead.Store(int64(time.Duration(r.sim.rnd.IntN(40)-20) * time.Second)) }

func (r *replica) clock() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

func (r *replica) tick() {
	s := r.sim
	switch {
	case !s.chaos:
		r.run()
	case r.stop == nil && s.maybe(15):
		r.run()
	case r.stop != nil && s.rnd.IntN(1000) < s.mortality:
		r.end()
	case s.maybe(1):
		r.jump()
	}
}

// run starts the replica unless it runs.
func (r *replica) run() {
	if r.stop != nil {
		return
	}
	ctx, cut := context.WithCancel(r.t.Context())
	r.cut = cut
	r.stop = r.startIn(ctx, unsure{r.store, r}, r.clock)
}

func (r *replica) end() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// calm ends its trouble; it may have been cut off.
func (r *replica) calm() {
	r.mu.Lock()
	r.chaos = false
	r.mu.Unlock()
	r.end()
}

// dawdle is how long a slow transaction takes: longer than a lease lives, so that another one decides meanwhile.
const dawdle = 8 * time.Second

// unsure is a store that is slow at times, and of which a replica does not always learn what became of a transaction.
type unsure struct {
	ports.Store
	r *replica
}

func (u unsure) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	u.r.mu.Lock()
	n, chaos := u.r.rnd.IntN(100), u.r.chaos
	u.r.mu.Unlock()
	write := func() error {
		return u.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			return fn(ctx, watched{tx, u.r.sim.commits})
		})
	}
	if !chaos || n >= 15 {
		return write()
	}
	gone := fault.New(fault.Unavailable, "database_unavailable", "the connection is lost")
	switch {
	case n < 4:
		return gone // before it was stored
	case n >= 12:
		time.Sleep(dawdle)
		return write()
	}
	err := write()
	if n < 6 {
		u.r.cut() // after it was stored: nobody has told anybody yet
	}
	if err != nil {
		return err
	}
	return gone
}

// watched are the repositories of a transaction, whose decisions are noted.
type watched struct {
	ports.Repositories
	all *commits
}

func (w watched) Decisions() ports.Decisions {
	return watchedDecisions{w.Repositories.Decisions(), w.all}
}

type watchedDecisions struct {
	ports.Decisions
	all *commits
}

func (w watchedDecisions) Commit(ctx context.Context, list ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	got, err := w.Decisions.Commit(ctx, list...)
	w.all.refused(err)
	if err == nil {
		w.all.note(list) // transactions come one after the other
	}
	return got, err
}

// commits are the decisions that were stored.
type commits struct {
	mu     sync.Mutex
	epochs map[string]int64 // by lease
	stale  int              // that were refused, for another one has decided meanwhile
	wrong  string
}

func newCommits() *commits { return &commits{epochs: map[string]int64{}} }

// note looks whether each stack has one owner at a time: who has lost a lease commits nothing under it any more.
func (c *commits) note(list []ports.Commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range list {
		if x.Lease.Epoch < c.epochs[x.Lease.Name] {
			c.wrong = fmt.Sprintf("a decision about %s was committed under epoch %d of %s after one under epoch %d", x.Stack, x.Lease.Epoch, x.Lease.Name, c.epochs[x.Lease.Name])
		}
		c.epochs[x.Lease.Name] = x.Lease.Epoch
	}
}

func (c *commits) refused(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault.Is(err, fault.Conflict) {
		c.stale++
	}
}

func (c *commits) err() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}
