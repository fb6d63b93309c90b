package scheduler_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// A simulated world around real schedulers: two replicas whose clocks differ and jump, that are killed and started again at any step of theirs,
// over a store that is slow and whose answers get lost, so that both believe in one lease; two gateways that are started anew with all
// that was on its way to them; agents that are slow, offline or started anew, whose clocks are wrong, whose reports are lost, repeated,
// delayed and overtaken, and whose clusters fail with some objects and have little room; owners who cordon, drain and taint clusters and
// open them again; people who publish, change labels and policies, approve what waits or not, pause, resume, abort and undo. All of it follows
// from the seed: one seed is one and the same world, on any number of cores, see turns.
type simulation struct {
	*fleet
	rnd      *rand.Rand
	seed     uint64
	turns    *turns
	log      *chronicle
	chaos    bool
	agents   []*simulated
	replicas []*replica
	net      *network
	commits  *commits

	plain  []stack.ID // for all with the label of the number
	base   stack.ID   // what web depends on
	web    stack.ID   // goes in waves
	spread stack.ID   // one cluster a region
	rooms  []stack.ID // one cluster each, of few that have room
	over   stack.ID   // with an override for some

	newest map[stack.ID]stack.ObjectID
	made   map[stack.ObjectID]made

	// Of a thousand replicas that run so many end in a second, and in so many seconds of a hundred people do something: that a cluster is passed
	// over because it is silent takes minutes in which nobody ends and the rollout goes on.
	mortality, haste int

	seen     *sights
	before   glance
	lost     []loss
	acked    map[parted]bool              // in this tick
	held     map[stack.ID]*placement.Hold // at the end of the tick
	wellAt   map[agent.ID]time.Time       // when base was last healthy in a cluster
	governed rollout.Rollout              // of web, at the end of the tick before
	acted    bool                         // somebody has acted on it in this tick
	barren   map[string]time.Time         // when a region last had no cluster that could take the spread stack
	actedTo  int64                        // the version that it had then
	told     map[agent.ID][]telling       // what decisions about clusters may rest on, the oldest first
}

// made is what is known of an object from its beginning.
type made struct {
	number int
	fate   int // chance in percent that a cluster fails with it
}

const regions = 3

func newSimulation(t *testing.T, seed uint64, seen *sights, log *chronicle) *simulation {
	t.Helper()
	s := &simulation{seen: seen, seed: seed, turns: newTurns(seed, log), log: log, chaos: true, newest: map[stack.ID]stack.ObjectID{},
		made: map[stack.ObjectID]made{}, before: glance{}, commits: newCommits(), held: map[stack.ID]*placement.Hold{}, barren: map[string]time.Time{}, wellAt: map[agent.ID]time.Time{}, told: map[agent.ID][]telling{}}
	go s.turns.run()
	s.fleet = newFleetOf(t, idsOf(seed, 0), func() { s.turns.wait(world) })
	s.rnd = s.stream("world")
	s.net = &network{sim: s}
	s.mortality, s.haste = 20, 100
	if s.maybe(50) {
		s.mortality, s.haste = 2, 20
	}
	for i := range 12 {
		s.agents = append(s.agents, s.newAgent(i))
	}
	for j := range 3 {
		s.plain = append(s.plain, s.stack(fmt.Sprint("plain", j), fmt.Sprint("part", j)))
	}
	s.base, s.web, s.spread, s.over = s.stack("base", "base"), s.stack("web"), s.stack("spread"), s.stack("over")
	s.follow(s.web, s.webPolicy())
	s.follow(s.spread, policy.Document{Name: "spread", Clusters: &policy.Selector{Labels: []string{"spread"}}, Strategy: policy.Strategy{Type: policy.Count, Count: &policy.Range{Min: 3, Max: 3}},
		Spread: []policy.Spread{{By: "annotation.region", MaxSkew: 1, WhenUnsatisfiable: policy.Refuse}}})
	s.follow(s.over, overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`))
	for j := range 4 {
		room := s.stack(fmt.Sprint("room", j))
		doc := policy.Document{Name: "room", Clusters: &policy.Selector{Labels: []string{"room"}}, Requires: &policy.Requirements{CPU: "3"},
			Strategy: policy.Strategy{Type: policy.Count, Count: &policy.Range{Min: 1, Max: 1}}, Prefer: []policy.Preference{{Property: "available.cpu", Range: &[2]float64{0, 8}}},
			Stickiness: &policy.Stickiness{Points: 20, MaxMovesPerHour: 4}, Failover: &policy.Failover{Enabled: true, UnreachableAfter: policy.Duration(2 * time.Minute)}}
		if j == 3 {
			doc.Affinity = &policy.Affinity{ApartFromStacks: []string{"room0"}}
		}
		s.follow(room, doc)
		s.rooms = append(s.rooms, room)
	}
	for _, id := range s.stacks() {
		s.release(id, 0)
	}
	for i := range 2 {
		s.replicas = append(s.replicas, newReplica(s, i))
	}
	return s
}

// stream returns random numbers that follow from the seed, others for each who: what one draws changes nothing for another.
func (s *simulation) stream(who string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(who))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// idsOf returns what makes ids that follow from the seed, others for each who. Several may use it at once.
func idsOf(seed uint64, who byte) func() string {
	var mu sync.Mutex
	stream := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), who})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return uuid.Must(uuid.NewRandomFromReader(stream)).String()
	}
}

// webPolicy is a way for web across all clusters, another one for each call.
func (s *simulation) webPolicy() policy.Document {
	r := &policy.Rollout{Deadline: policy.Duration(time.Duration(2+s.rnd.IntN(3)) * time.Minute), MaxConcurrent: []string{"", "2", "3"}[s.rnd.IntN(3)],
		OnFailure: []string{"pause", "rollback"}[s.rnd.IntN(2)], Offline: []string{"skip", "skip", "wait"}[s.rnd.IntN(3)], Joiners: "append"}
	for i := range s.rnd.IntN(4) {
		w := policy.Wave{Name: fmt.Sprint("wave", i), Percent: 10 + s.rnd.IntN(40), Approval: s.maybe(35)}
		if s.maybe(40) {
			w.Soak = policy.Duration(time.Duration(s.rnd.IntN(60)) * time.Second)
		}
		r.Waves = append(r.Waves, w)
	}
	if s.maybe(50) {
		r.FailureBudget = &policy.FailureBudget{MaxFailed: s.rnd.IntN(3)}
	}
	if s.maybe(25) {
		r.Windows = []policy.Window{{Cron: "*/5 * * * *", Duration: policy.Duration(2 * time.Minute)}}
	}
	return policy.Document{Name: "web", Clusters: &policy.Selector{Labels: []string{"web"}}, DependsOn: []policy.Dependency{{Stack: "base"}}, Rollout: r}
}

func (s *simulation) stacks() []stack.ID {
	return slices.Concat(s.plain, []stack.ID{s.base, s.web, s.spread, s.over}, s.rooms)
}

func (s *simulation) maybe(percent int) bool { return s.rnd.IntN(100) < percent }

func (s *simulation) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("after %s: %s\nAgain: SIMULATION_SEED=%d go test -count=1 -run 'TestSimulation$' ./services/scheduler", time.Since(midnight), fmt.Sprintf(format, args...), s.seed)
}

// midnight is when time begins in a bubble.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// release publishes; fate is the chance in percent that a cluster fails with it.
func (s *simulation) release(id stack.ID, fate int) {
	content := fmt.Sprintf("%s at %d", id, s.rnd.Uint64())
	if id == s.over {
		content = fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {n: 'x%d'}}\nspec: {replicas: 1}\n", s.rnd.Uint64())
		if fate > 0 { // the override cannot be applied
			content = fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {n: 'x%d'}}\n", s.rnd.Uint64())
		}
		fate = 0
	}
	s.log.note("%s is published, which %d percent fail with", id, fate)
	s.newest[id] = s.publish(id, content)
	s.made[s.newest[id]] = made{number: len(s.made), fate: fate}
}

// dooms says whether an object fails in a cluster: always the same for both.
func (s *simulation) dooms(o stack.ObjectID, a *simulated) bool {
	m := s.made[o]
	return rand.New(rand.NewPCG(s.seed, uint64(m.number*100+a.number))).IntN(100) < m.fate
}

// tick is a second of the world.
func (s *simulation) tick() {
	time.Sleep(time.Second)
	s.acked, s.acted = map[parted]bool{}, false
	for _, r := range s.replicas {
		s.turns.wait(world)
		r.tick()
	}
	if s.chaos && s.maybe(s.haste) {
		s.change()
	}
	for _, a := range s.agents {
		a.work()
		a.sync()
	}
	s.net.deliver()
	s.turns.wait(idle)
	s.check()
}

// live is the whole life of the world.
func (s *simulation) live() {
	for range 400 {
		s.tick()
	}
	s.heal()
	s.each(s.look(), func(id stack.ID, a agent.ID, w delivery.Wanted) {
		w.Traceparent = "" // as in what replicas store
		s.log.note("in the end %s has of %s %s", a, id, full(w))
	})
}

// heal ends all trouble and lets everything come to its end.
func (s *simulation) heal() {
	s.chaos = false
	for _, r := range s.replicas {
		s.turns.wait(world)
		r.calm()
	}
	for _, a := range s.agents {
		a.offline = 0
	}
	for range 900 { // longer than the window of the brake
		s.tick()
		s.approveAll()
		s.try(s.web, func(r *rollout.Rollout, now time.Time, by string) (rollout.Transition, error) {
			return r.Approve(now, by, -1)
		})
	}
	s.ended()
	if wrong := s.emptied(); wrong != "" {
		s.failf("long after all trouble %s", wrong)
	}
	for _, a := range s.agents {
		s.open(a)
	}
	for _, id := range []stack.ID{s.base, s.web, s.over} {
		s.release(id, 0)
	}
	for range 600 {
		s.tick()
		s.approveAll()
		s.try(s.web, func(r *rollout.Rollout, now time.Time, by string) (rollout.Transition, error) {
			if r.Phase == rollout.PhasePaused {
				return r.Resume(now, by)
			}
			return r.Approve(now, by, -1)
		})
	}
	wrong := s.unsettled()
	for range 120 { // something may just be on its way
		if wrong == "" {
			return
		}
		s.tick()
		wrong = s.unsettled()
	}
	s.failf("%s", wrong)
}

// enough worlds come to everything: what is rarest comes in one of twenty.
const enough = 300

// TestSimulation runs a world for each seed. A failure names its seed and how to run it again; SIMULATION_SEED=n begins with another one,
// SIMULATION_RUNS=n runs so many, SIMULATION_FOR=1m as many as begin within that time.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, runs := number(t, "SIMULATION_SEED", 1), number(t, "SIMULATION_RUNS", 4)
	if os.Getenv("SIMULATION_SEED") != "" && os.Getenv("SIMULATION_RUNS") == "" {
		runs = 1
	}
	end := time.Time{}
	if text := os.Getenv("SIMULATION_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		end, runs = time.Now().Add(d), max(runs, 1<<40)
	}
	n, seen, failed := 0, newSights(), []uint64(nil)
	for seed := first; seed < first+runs && (end.IsZero() || time.Now().Before(end)); seed++ {
		n++
		seen.world = n
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed, seen, &chronicle{})
				defer s.end()
				s.live()
				t.Logf("the digest of the world is %s", s.log.digest())
			})
		})
		if !ok {
			failed = append(failed, seed)
		}
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d worlds fail, with the seeds %v", len(failed), n, failed)
	}
	t.Logf("%d worlds, from seed %d; of them came to: %v", n, first, seen.worlds)
	if n >= enough && !t.Failed() {
		seen.complete(t)
	}
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// end ends what still runs.
func (s *simulation) end() {
	for _, r := range s.replicas {
		r.end()
	}
	s.turns.end()
}

// mutate is a change that somebody makes. A conflict with what has just happened is nobody's fault.
func (s *simulation) mutate(fn func(context.Context, ports.Repositories) error) error {
	s.turns.wait(world)
	return s.store.Write(s.t.Context(), fn) //nolint:wrapcheck // told apart by its kind
}
