package scheduler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// replica is a scheduler, and the store as it has it.
type replica struct {
	*fleet
	sim    *simulation
	number int
	life   int          // how often it was started
	ahead  atomic.Int64 // of its clock, a time.Duration
	mu     sync.Mutex
	rnd    *rand.Rand // of its own
	ids    func() string
	chaos  bool
	cut    context.CancelFunc // ends it at once, between two steps of its own
	stop   func()
}

func newReplica(s *simulation, number int) *replica {
	r := &replica{fleet: s.fleet, sim: s, number: number, rnd: s.stream(fmt.Sprint("replica", number)), ids: idsOf(s.seed, byte(number+1)), chaos: true}
	r.jump()
	return r
}

// jump sets its clock: up to twenty seconds ahead of the others' or behind.
func (r *replica) jump() {
	ahead := time.Duration(r.sim.rnd.IntN(40)-20) * time.Second
	r.ahead.Store(int64(ahead))
	r.sim.log.note("the clock of replica %d is %s ahead", r.number, ahead)
}

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
	r.life++
	r.sim.log.note("replica %d starts", r.number)
	r.stop = r.startIn(ctx, scheduler.Deps{Store: unsure{r.store, r, r.life}, Clock: r.clock, NewID: r.ids, Random: func(n int64) int64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.rnd.Int64N(n)
	}})
}

func (r *replica) end() {
	if r.stop != nil {
		r.sim.log.note("replica %d ends", r.number)
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
	r    *replica
	life int
}

// turn waits until it is the replica's turn to make this call. What it asks when it was told to end comes to nothing and needs none.
func (u unsure) turn(ctx context.Context, call string) {
	if ctx.Err() == nil {
		u.wait(ctx, call)
	}
}

func (u unsure) wait(ctx context.Context, call string) {
	part, _ := pprof.Label(ctx, lifecycle.PartLabel)
	u.r.sim.turns.wait(caller{replica: u.r.number, life: u.life, part: part, call: call})
}

func (u unsure) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	u.turn(ctx, "Write")
	u.r.mu.Lock()
	n, chaos := u.r.rnd.IntN(100), u.r.chaos
	u.r.mu.Unlock()
	if !chaos || n >= 15 {
		return u.write(ctx, fn)
	}
	gone := fault.New(fault.Unavailable, "database_unavailable", "the connection is lost")
	switch {
	case n < 4:
		return gone // before it was stored
	case n >= 12:
		time.Sleep(dawdle)
		u.turn(ctx, "Write")
		return u.write(ctx, fn)
	}
	err := u.write(ctx, fn)
	if n < 6 { // after it was stored: nobody has told anybody yet
		u.r.cut()
		u.wait(ctx, "cut") // until every part has heard of it
	}
	if err != nil {
		return err
	}
	return gone
}

func (u unsure) write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	var notes []string
	err := u.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		notes = nil
		return fn(ctx, watched{tx, u.r.sim.commits, &notes})
	})
	if err != nil {
		return err
	}
	for _, text := range notes {
		u.r.sim.log.note("replica %d stores %s", u.r.number, text)
	}
	u.turn(ctx, "answer") // the wakeups of the commit are there before it is known to have been one, not sometimes
	return nil
}
