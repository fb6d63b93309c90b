package scheduler_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// turns makes one seed one and the same world, however many cores there are and whoever is faster. Whoever is about to ask the store
// waits here until everything is at rest, and then one of those who wait goes on; which one, and after how long, is left to the seed. So
// only one at a time does what others can see. What they do until they wait again, they do on what is their own: the loop of an engine
// takes all that has come to it together, and as each call takes its time, no two timers of one loop end at the same instant.
type turns struct {
	rnd     *rand.Rand
	log     *chronicle
	mu      sync.Mutex
	waiting []waiter
	came    chan struct{} // holds a token when somebody may be waiting
	over    chan struct{} // ends it
	ended   chan struct{}
}

// caller tells apart those who may wait at the same time.
type caller struct {
	replica, life int    // and which of its lives
	part, call    string // which of its parts does what
}

func (x caller) compare(y caller) int {
	return cmp.Or(cmp.Compare(x.replica, y.replica), cmp.Compare(x.life, y.life), cmp.Compare(x.part, y.part), cmp.Compare(x.call, y.call))
}

// world is the simulation itself: gateways and people. idle is it, too, once nobody else has anything to do at this moment.
var world, idle = caller{replica: -1}, caller{replica: -2}

type waiter struct {
	caller
	open chan struct{}
}

// latency is the most that a call of the store takes.
const latency = time.Millisecond

func newTurns(seed uint64, log *chronicle) *turns {
	return &turns{log: log, rnd: rand.New(rand.NewPCG(seed, 11)), came: make(chan struct{}, 1), over: make(chan struct{}), ended: make(chan struct{})}
}

// wait waits for the caller's turn.
func (g *turns) wait(x caller) {
	open := make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, waiter{x, open})
	g.mu.Unlock()
	select {
	case g.came <- struct{}{}:
	default:
	}
	<-open
}

// run gives turns until end.
func (g *turns) run() {
	defer close(g.ended)
	for {
		select {
		case <-g.over:
			return
		case <-g.came:
		}
		for g.next() {
		}
	}
}

// end ends run. Nobody may wait any longer.
func (g *turns) end() {
	close(g.over)
	<-g.ended
}

// next gives somebody the turn, unless nobody waits.
func (g *turns) next() bool {
	time.Sleep(1 + time.Duration(g.rnd.Int64N(int64(latency))))
	synctest.Wait() // also for those whom this instant has woken
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		select { // it may be of one whose turn it was already
		case <-g.came:
		default:
		}
		return false
	}
	slices.SortFunc(g.waiting, func(x, y waiter) int { return x.compare(y.caller) })
	for i, w := range g.waiting[1:] {
		if w.caller == g.waiting[i].caller {
			panic(fmt.Sprintf("two wait that cannot be told apart: %+v", w.caller))
		}
	}
	first := 0
	if len(g.waiting) > 1 && g.waiting[0].caller == idle {
		first = 1
	}
	i := first + g.rnd.IntN(len(g.waiting)-first)
	g.log.turn(g.waiting[i].caller)
	close(g.waiting[i].open)
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}
