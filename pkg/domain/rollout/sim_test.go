package rollout_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// A simulated fleet: agents that work and crash, a network that loses, repeats, delays and reorders what they say, a gateway that
// keeps what the real one keeps, and schedulers whose clocks differ. What is true in a cluster is known, so that it can be
// compared with what the rollout believes.
type sim struct {
	seed     uint64
	rnd      *rand.Rand
	now      time.Time
	chaos    bool
	agents   map[agent.ID]*simAgent
	order    []agent.ID // fixed, for a deterministic run
	net      []message
	in       rollout.In
	objects  int
	fate     map[stack.ObjectID]int // chance in percent that a cluster fails with it
	rollouts int
	fail     func(format string, args ...any)
	steps    int
	windows  bool // waves begin in the first minute of five
	depends  bool // on another stack, which is there or not
	walked   edges
	blocked  map[rollout.BlockerKind]int
}

// edges are the transitions that were made, and how often.
type edges map[[2]rollout.Phase]int

func (e edges) walk(t rollout.Transition) { e[[2]rollout.Phase{t.From, t.To}]++ }

// maxSkew is how far schedulers' clocks are apart.
const maxSkew = 20 * time.Second

func newSim(seed uint64, walked edges, blocked map[rollout.BlockerKind]int, fail func(string, ...any)) *sim {
	s := &sim{walked: walked, blocked: blocked, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), chaos: true,
		agents: map[agent.ID]*simAgent{}, fate: map[stack.ObjectID]int{}, fail: fail}
	s.in = rollout.In{Stack: "web", Prior: map[agent.ID]stack.ObjectID{}, Status: map[agent.ID]delivery.Status{}, Refused: map[rollout.Offer]rollout.Refusal{}, Window: rollout.Opening{Open: true}}
	for i := range 2 + s.rnd.IntN(9) {
		id := agent.ID(fmt.Sprintf("c%02d", i))
		s.order = append(s.order, id)
		s.agents[id] = &simAgent{id: id, picked: i < 2 || !s.maybe(20), turn: delivery.NoTurn}
	}
	s.publish(0)
	s.in.Spec = nil
	s.step() // everything starts with one object, everywhere at once
	for range 30 {
		s.tick()
	}
	s.in.Spec, s.windows, s.depends = s.spec(), s.maybe(30), s.maybe(30)
	if s.depends {
		s.in.Dependencies = []rollout.Dependency{{Stack: "crds", Need: "healthy", Everywhere: s.maybe(30), Clusters: map[agent.ID]bool{}}}
	}
	return s
}

// surround is what a step finds that no cluster says: the window, by its clock, and what the stack depends on.
func (s *sim) surround(now time.Time) {
	s.in.Window = rollout.Opening{Open: true}
	if s.windows {
		began := now.Truncate(5 * time.Minute)
		s.in.Window = rollout.Opening{Open: now.Before(began.Add(time.Minute)), Changes: began.Add(time.Minute)}
		if !s.in.Window.Open {
			s.in.Window.Changes = began.Add(5 * time.Minute)
		}
	}
	if !s.depends {
		return
	}
	d := &s.in.Dependencies[0]
	if !s.chaos || s.maybe(2) {
		d.Met = !s.chaos || !d.Met
	}
	for _, id := range s.order {
		if !s.chaos || s.maybe(2) {
			d.Clusters[id] = !s.chaos || !d.Clusters[id]
		}
	}
}

// lacks reports whether the cluster lacks what the stack depends on.
func (s *sim) lacks(a agent.ID) bool {
	if !s.depends {
		return false
	}
	d := s.in.Dependencies[0]
	return (d.Everywhere && !d.Met) || (!d.Everywhere && !d.Clusters[a])
}

func (s *sim) maybe(percent int) bool { return s.rnd.IntN(100) < percent }

func (s *sim) spec() *rollout.Spec {
	r := policy.Rollout{Deadline: policy.Duration(5 * time.Minute)}
	for i := range s.rnd.IntN(4) {
		w := policy.Wave{Name: strconv.Itoa(i), Percent: s.rnd.IntN(60), Approval: s.maybe(20)}
		if s.maybe(50) {
			w.Soak = policy.Duration(time.Duration(s.rnd.IntN(120)) * time.Second)
		}
		if s.maybe(30) {
			w.Clusters = &policy.Selector{}
		}
		r.Waves = append(r.Waves, w)
	}
	r.MaxConcurrent = []string{"", "1", "2", "30%", "50%"}[s.rnd.IntN(5)]
	if s.maybe(60) {
		r.FailureBudget = &policy.FailureBudget{MaxFailed: s.rnd.IntN(3), OrPercent: s.rnd.IntN(30)}
	}
	r.OnFailure = []string{"pause", "rollback"}[s.rnd.IntN(2)]
	r.Offline = []string{"skip", "wait"}[s.rnd.IntN(2)]
	r.Joiners = []string{"append", "ignore"}[s.rnd.IntN(2)]
	spec, err := rollout.SpecOf(policy.Document{Rollout: &r})
	if err != nil {
		s.fail("spec: %v", err)
	}
	return spec
}

func (s *sim) publish(fate int) {
	s.objects++
	s.in.Newest = stack.ObjectID(fmt.Sprintf("o%02d", s.objects))
	s.fate[s.in.Newest] = fate
	if s.objects > 1 && s.maybe(25) { // what overrides make of it cannot be made for some
		for _, id := range s.order {
			if s.maybe(30) {
				s.in.Refused[rollout.Offer{Agent: id, Object: s.in.Newest}] = rollout.Refusal{Reason: "the override cannot be applied", Passing: s.maybe(50)}
			}
		}
	}
}

// mend lets overrides be applied that could not be.
func (s *sim) mend() {
	for _, id := range s.order {
		if s.maybe(10) {
			delete(s.in.Refused, rollout.Offer{Agent: id, Object: s.in.Newest})
		}
	}
}

func (s *sim) refuses(a agent.ID, o stack.ObjectID) bool {
	_, refused := s.in.Refused[rollout.Offer{Agent: a, Object: o}]
	return refused && s.in.Prior[a] != o
}

func sequenceOf(o stack.ObjectID) stack.Sequence {
	n, _ := strconv.Atoi(string(o[1:]))
	return stack.Sequence(n)
}

// tick is one second of the world without the scheduler.
func (s *sim) tick() {
	s.now = s.now.Add(time.Second)
	for _, id := range s.order {
		s.work(s.agents[id])
	}
	s.deliver()
}

// step is one step of a scheduler, whose clock is not exact.
func (s *sim) step() {
	now := s.now
	if s.chaos {
		now = now.Add(time.Duration(s.rnd.Int64N(int64(maxSkew))))
	}
	s.surround(now)
	s.in.Picks = nil
	for _, id := range s.order {
		a := s.agents[id]
		if !a.picked || s.in.Newest == "" {
			continue
		}
		s.in.Picks = append(s.in.Picks, rollout.Pick{Agent: id, Offline: a.flagged, Fits: []bool{id < "c02", id < "c05", true, true}})
	}
	if s.chaos && s.maybe(2) {
		s.mend()
	}
	s.rollouts++
	s.in.NewID = rollout.ID(fmt.Sprint("r", s.rollouts))
	before := s.in.Current
	out := rollout.Step(s.in, now)
	s.check(before, out)
	if s.maybe(5) {
		mixed := s.in
		mixed.Picks = slices.Clone(s.in.Picks)
		s.rnd.Shuffle(len(mixed.Picks), func(i, j int) { mixed.Picks[i], mixed.Picks[j] = mixed.Picks[j], mixed.Picks[i] })
		if !reflect.DeepEqual(out, rollout.Step(mixed, now)) {
			s.fail("the order of the picks matters")
		}
	}
	if s.chaos && s.maybe(5) {
		return // the scheduler dies before it commits
	}
	for a, o := range out.Objects {
		if !s.refuses(a, o) { // else it keeps what it has
			s.in.Prior[a] = o
		}
	}
	for _, id := range s.order {
		if !s.agents[id].picked || s.in.Newest == "" {
			delete(s.in.Prior, id)
		}
	}
	s.in.Current = out.Rollout
	for _, t := range out.Transitions {
		s.walked.walk(t)
	}
	s.act()
	for s.chaos && s.in.Current != nil && s.in.Current.Phase == rollout.PhasePending && s.maybe(50) { // before it is looked at again
		if s.maybe(20) {
			s.publish(0)
			break
		}
		s.act()
	}
}

// act is somebody who approves, pauses, resumes, aborts, or wants it undone.
func (s *sim) act() {
	r := s.in.Current
	if r == nil {
		return
	}
	c := r.Clone()
	var t rollout.Transition
	var err error
	waits := r.Phase == rollout.PhasePending || r.Phase == rollout.PhaseWaitingWindow
	rarely := s.rnd.IntN(300)
	if waits {
		rarely = s.rnd.IntN(30)
	}
	switch {
	case r.Phase == rollout.PhaseWaitingApproval && s.maybe(20):
		t, err = c.Approve(s.now, "me", r.Wave)
	case !s.chaos:
		return
	case r.Phase == rollout.PhasePaused && s.maybe(5):
		t, err = c.Resume(s.now, "me")
	case rarely == 0:
		t, err = c.Pause(s.now, "me")
	case rarely == 1:
		t, err = c.Abort(s.now, "me")
	case rarely == 2:
		t, err = c.Undo(s.now, "me")
	default:
		return
	}
	if fault.Is(err, fault.Refused) {
		return
	}
	if err != nil {
		s.fail("act: %v", err)
	}
	s.walked.walk(t)
	s.in.Current = &c
}

func (s *sim) run() {
	for range 1 + s.rnd.IntN(2) { // objects, the second perhaps while the first is on its way
		if s.maybe(5) { // the stack is to be nowhere for a while
			s.in.Newest = ""
			for range 20 {
				s.tick()
				s.step()
			}
		}
		s.publish([]int{0, 0, 10, 50}[s.rnd.IntN(4)])
		for range s.rnd.IntN(400) {
			s.tick()
			if s.maybe(40) {
				s.step()
			}
		}
	}
	// The network heals, all agents come back: now it must end.
	s.chaos = false
	for _, id := range s.order {
		s.agents[id].offline, s.agents[id].flagged, s.agents[id].untold = false, false, true
	}
	for range 6000 {
		s.tick()
		s.step()
		if r := s.in.Current; r == nil || !r.Phase.Open() || r.Phase == rollout.PhasePaused {
			break
		}
	}
	s.checkEnd()
}

// TestSimulation runs thousands of worlds. A failure names its seed; ROLLOUT_SEED=n runs that one alone.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, runs := uint64(1), uint64(2000)
	if testing.Short() {
		runs = 300
	}
	if text := os.Getenv("ROLLOUT_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, runs = n, 1
	}
	if text := os.Getenv("ROLLOUT_RUNS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	ends, steps, walked, blocked := map[rollout.Phase]int{}, 0, edges{}, map[rollout.BlockerKind]int{}
	for seed := first; seed < first+runs; seed++ {
		s := newSim(seed, walked, blocked, func(format string, args ...any) {
			t.Fatalf("seed %d: %s", seed, fmt.Sprintf(format, args...))
		})
		s.run()
		ends[s.in.Current.Phase]++
		steps += s.steps
	}
	t.Logf("seeds %d to %d: %d steps, ended %v", first, first+runs-1, steps, maps.Clone(ends))
	if runs > 100 {
		for _, p := range []rollout.Phase{rollout.PhaseCompleted, rollout.PhaseRolledBack, rollout.PhasePaused} {
			if ends[p] == 0 {
				t.Errorf("no run ended %s: the simulation does not reach it", p)
			}
		}
	}
	for _, k := range rollout.BlockerKinds() {
		if runs >= 1000 && blocked[k] == 0 {
			t.Errorf("no run is blocked by %s", k)
		}
	}
	for k := range blocked {
		if !slices.Contains(rollout.BlockerKinds(), k) {
			t.Errorf("a run is blocked by %s, which is not among the kinds", k)
		}
	}
	var never []string
	for _, e := range rollout.Edges() {
		if walked[[2]rollout.Phase{e.From, e.To}] == 0 {
			never = append(never, fmt.Sprintf("%s --> %s: %s", e.From, e.To, e.Why))
		}
	}
	if runs >= 1000 && len(never) > 0 {
		t.Errorf("of %d edges in docs/state/rollout.md no run walks\n%s", len(rollout.Edges()), strings.Join(never, "\n"))
	}
}
