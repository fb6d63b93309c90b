package scheduler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// A simulated world around real schedulers: two replicas that are killed and started again, at any step of theirs too, over
// a store whose answers get lost; agents that are slow, offline or started anew, whose reports are lost, repeated, delayed and
// overtaken; people who publish and change labels. What the world does follows from its seed; which replica is faster does not.
type simulation struct {
	*fleet
	rnd      *rand.Rand
	seed     uint64
	chaos    bool
	agents   []*simulated
	replicas []*replica
	plain    []stack.ID // for all with the label of the number
	base     stack.ID   // what web depends on
	web      stack.ID
	newest   map[stack.ID]stack.ObjectID
	net      []parcel
	lost     []loss
	before   glance
	acked    map[parted]bool   // in this tick
	wasWell  map[agent.ID]bool // with base, for a moment of this tick
}

type simulated struct {
	id      agent.ID
	labels  map[string]bool
	offline bool
	boot    int
	seq     int64
	turn    delivery.Turn
}

func (a *simulated) next() delivery.Mark {
	a.seq++
	return delivery.Mark{Boot: strconv.Itoa(a.boot), Seq: a.seq, Turn: a.turn}
}

func (a *simulated) restart() { a.boot, a.seq, a.turn = a.boot+1, 0, delivery.NoTurn }

// given is an answer that gives a turn to the process that made the request.
func (a *simulated) given(m delivery.Mark, turn delivery.Turn) {
	if m.Boot == strconv.Itoa(a.boot) {
		a.turn = max(a.turn, turn)
	}
}

// parcel is what an agent says in one sync, on its way.
type parcel struct {
	at      time.Time
	agent   agent.ID
	mark    delivery.Mark
	reports []delivery.Report
	removed []delivery.Removal
}

// parted is a cluster that has said that it has removed a stack.
type parted struct {
	stack stack.ID
	agent agent.ID
}

// replica is a scheduler, and the store as it has it.
type replica struct {
	*fleet
	sim   *simulation
	mu    sync.Mutex
	rnd   *rand.Rand
	chaos bool
	cut   context.CancelFunc // ends it at once, between two steps of its own
	stop  func()
}

// unsure is a store of which a replica does not always learn what became of a transaction.
type unsure struct {
	ports.Store
	r *replica
}

func (u unsure) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	u.r.mu.Lock()
	n, chaos := u.r.rnd.IntN(100), u.r.chaos
	u.r.mu.Unlock()
	if !chaos || n >= 12 {
		return u.Store.Write(ctx, fn)
	}
	gone := fault.New(fault.Unavailable, "database_unavailable", "the connection is lost")
	if n < 4 {
		return gone // before it was stored
	}
	err := u.Store.Write(ctx, fn)
	if n < 6 {
		u.r.cut() // after it was stored: nobody has told anybody yet
	}
	if err != nil {
		return err
	}
	return gone
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{fleet: newFleet(t), rnd: rand.New(rand.NewPCG(seed, 7)), seed: seed, chaos: true, newest: map[stack.ID]stack.ObjectID{}, before: glance{}}
	for i := range 12 {
		a := &simulated{id: s.agent(fmt.Sprint("c", i), "base", "web"), labels: map[string]bool{}, turn: delivery.NoTurn}
		s.agents = append(s.agents, a)
		for j := range 3 {
			s.turn(a, fmt.Sprint("part", j), true)
		}
	}
	for j := range 3 {
		s.plain = append(s.plain, s.stack(fmt.Sprint("plain", j), fmt.Sprint("part", j)))
	}
	s.base, s.web = s.stack("base", "base"), s.stack("web", "web")
	s.follow(s.web, policy.Document{Name: "web", DependsOn: []policy.Dependency{{Stack: "base"}}, Rollout: &policy.Rollout{Waves: []policy.Wave{{Name: "some", Percent: 30}, {Name: "rest"}}}})
	for _, id := range s.stacks() {
		s.release(id)
	}
	for range 2 {
		s.replicas = append(s.replicas, &replica{fleet: s.fleet, sim: s, rnd: rand.New(rand.NewPCG(seed, uint64(len(s.replicas)))), chaos: true})
	}
	return s
}

func (s *simulation) stacks() []stack.ID { return append(slices.Clone(s.plain), s.base, s.web) }

func (s *simulation) maybe(percent int) bool { return s.rnd.IntN(100) < percent }

func (s *simulation) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

func (s *simulation) release(id stack.ID) {
	s.newest[id] = s.publish(id, fmt.Sprintf("%s at %d", id, s.rnd.Uint64()))
}

// turn gives an agent a label, or takes it away.
func (s *simulation) turn(a *simulated, label string, on bool) {
	switch {
	case a.labels[label] == on:
		return
	case on:
		s.label(a.id, label)
	default:
		s.unlabel(a.id, label)
	}
	a.labels[label] = on
}

// run starts the replica unless it runs.
func (r *replica) run() {
	if r.stop != nil {
		return
	}
	ctx, cut := context.WithCancel(r.t.Context())
	r.cut = cut
	r.stop = r.startIn(ctx, unsure{r.store, r})
}

func (r *replica) end() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// tick is a second of the world.
func (s *simulation) tick() {
	time.Sleep(time.Second)
	for _, r := range s.replicas {
		switch {
		case !s.chaos:
			r.run()
		case r.stop == nil && s.maybe(15):
			r.run()
		case r.stop != nil && s.maybe(2):
			r.end()
		}
	}
	if s.chaos {
		s.change()
	}
	for _, a := range s.agents {
		s.sync(a)
	}
	s.deliver()
	synctest.Wait()
	s.check()
}

// change is what people do.
func (s *simulation) change() {
	switch {
	case s.maybe(8):
		a := s.agents[s.rnd.IntN(len(s.agents))]
		label := fmt.Sprint("part", s.rnd.IntN(3))
		s.turn(a, label, !a.labels[label])
	case s.maybe(1): // a mistake
		label := fmt.Sprint("part", s.rnd.IntN(3))
		for _, a := range s.agents {
			s.turn(a, label, false)
		}
	case s.maybe(3):
		s.release(s.stacks()[s.rnd.IntN(5)])
	}
}

// sync is one exchange of an agent, if it comes to one.
func (s *simulation) sync(a *simulated) {
	if s.chaos {
		switch {
		case s.maybe(1):
			a.restart()
		case a.offline:
			a.offline = !s.maybe(10)
		case s.maybe(1):
			a.offline = true
		}
		if a.offline || !s.maybe(30) {
			return
		}
	}
	_, held, err := s.store.Assignments().OfAgent(s.t.Context(), a.id)
	if err != nil {
		s.failf("%v", err)
	}
	p := parcel{at: time.Now(), agent: a.id, mark: a.next()}
	for _, w := range held {
		if w.State == delivery.Removing {
			p.removed = append(p.removed, delivery.Removal{Stack: w.Stack, Revision: w.Revision})
			continue
		}
		health := delivery.HealthHealthy
		if s.chaos && s.maybe(20) {
			health = delivery.HealthProgressing
		}
		p.reports = append(p.reports, delivery.Report{Stack: w.Stack, Object: w.Object, Sequence: w.Sequence, Phase: delivery.PhaseApplied, Health: health, ObservedAt: time.Now()})
	}
	if !s.chaos {
		s.net = append(s.net, p)
		return
	}
	for range 1 + s.rnd.IntN(2) { // repeated
		if s.maybe(75) { // or lost
			p.at = time.Now().Add(time.Duration(s.rnd.IntN(20)) * time.Second) // delayed, and overtaken
			s.net = append(s.net, p)
		}
	}
}

// deliver is the gateway: it takes what arrives in its order.
func (s *simulation) deliver() {
	var later []parcel
	s.acked, s.wasWell = map[parted]bool{}, map[agent.ID]bool{}
	for _, p := range s.net {
		if p.at.After(time.Now()) {
			later = append(later, p)
			continue
		}
		var got delivery.Reception
		s.write(func(ctx context.Context, tx ports.Repositories) (err error) {
			if got, err = tx.Reports().Advance(ctx, p.agent, p.mark, time.Now()); err != nil || !got.News {
				return err
			}
			changed, err := tx.Reports().Record(ctx, p.agent, time.Now(), p.reports)
			if err != nil {
				return err
			}
			for _, c := range changed {
				if c.Stack == s.base && c.Health == delivery.HealthHealthy {
					s.wasWell[p.agent] = true
				}
				if err := tx.Outbox().Append(ctx, event.Event{Type: event.AssignmentReported, Stack: c.Stack, Agent: p.agent, At: time.Now()}); err != nil {
					return err
				}
			}
			for _, r := range p.removed {
				gone, err := tx.Reports().Acknowledge(ctx, p.agent, r)
				if err != nil {
					return err
				}
				if gone {
					s.acked[parted{r.Stack, p.agent}] = true
				}
			}
			return nil
		})
		if i := slices.IndexFunc(s.agents, func(a *simulated) bool { return a.id == p.agent }); !s.chaos || s.maybe(80) { // else the answer is lost
			s.agents[i].given(p.mark, got.Turn)
		}
	}
	s.net = later
}

// TestSimulation runs a world for each seed. A failure names its seed; SIMULATION_SEED=n runs that one alone, SIMULATION_RUNS=n as many.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, runs := uint64(1), uint64(6)
	if text := os.Getenv("SIMULATION_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, runs = n, 1
	}
	if text := os.Getenv("SIMULATION_RUNS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed)
				for range 300 {
					s.tick()
				}
				s.heal()
				s.settled()
				for _, r := range s.replicas {
					r.end()
				}
			})
		})
	}
}
