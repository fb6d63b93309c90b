package rollout_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type simAgent struct {
	id      agent.ID
	picked  bool
	offline bool // it talks to nobody
	flagged bool // and the broker knows
	object  stack.ObjectID
	phase   delivery.Phase
	health  delivery.Health
	busy    int // ticks until the next change
	boot    int
	seq     int64
	turn    delivery.Turn
	untold  bool
	order   delivery.Order // the gateway's
	good    bool           // it was truly healthy since it applied its object
}

func (a *simAgent) mark() delivery.Mark {
	return delivery.Mark{Boot: strconv.Itoa(a.boot), Seq: a.seq, Turn: a.turn}
}

// hear is the gateway, which takes what has this mark or not. The answer reaches the process that made the request, unless it is lost.
func (a *simAgent) hear(m delivery.Mark, lost bool) (news bool) {
	order, got := a.order.Accept(m)
	a.order = order
	if m.Boot == strconv.Itoa(a.boot) && !lost {
		a.turn = max(a.turn, got.Turn)
	}
	return got.News
}

type message struct {
	at     time.Time
	agent  agent.ID
	mark   delivery.Mark
	report delivery.Report
}

func (s *sim) work(a *simAgent) {
	if s.chaos {
		s.disturb(a)
	}
	if a.offline {
		return
	}
	if a.busy > 0 {
		a.busy--
		return
	}
	want := s.in.Prior[a.id]
	switch {
	case want == "" && a.object != "":
		a.object, a.phase, a.health, a.good = "", "", "", false
		for range 2 { // it may need a turn
			a.seq++
			a.hear(a.mark(), false)
		}
		delete(s.in.Status, a.id) // the tombstone is acknowledged
	case want != a.object && !(s.chaos && s.maybe(40)): // else it has not heard of it yet
		a.object, a.phase, a.health, a.good = want, delivery.PhaseApplying, delivery.HealthUnknown, false
		a.busy, a.untold = s.rnd.IntN(4), true
	case a.phase == delivery.PhaseApplying:
		a.phase, a.health, a.busy, a.untold = delivery.PhaseApplied, delivery.HealthProgressing, s.rnd.IntN(10), true
	case a.health == delivery.HealthProgressing:
		a.untold = true
		if s.dooms(a) {
			a.health = delivery.HealthFailing
			break
		}
		a.health = delivery.HealthHealthy
	case a.health == delivery.HealthHealthy && s.chaos && s.maybe(1):
		a.health, a.busy, a.untold = delivery.HealthProgressing, s.rnd.IntN(20), true // a pod restarts
	case a.health == delivery.HealthHealthy && s.chaos && s.rnd.IntN(400) == 0:
		a.health, a.busy, a.untold = delivery.HealthFailing, s.rnd.IntN(20), true // it was well, and is not any more
	case a.health == delivery.HealthFailing && !s.dooms(a):
		a.health, a.busy, a.untold = delivery.HealthProgressing, s.rnd.IntN(20), true
	}
	if a.health == delivery.HealthHealthy {
		a.good = true
	}
	if a.untold || (s.chaos && s.maybe(3)) {
		s.say(a)
	}
}

// dooms says whether the object fails in the cluster: always the same for both.
func (s *sim) dooms(a *simAgent) bool {
	r := rand.New(rand.NewPCG(s.seed, uint64(sequenceOf(a.object))*1000+uint64(slices.Index(s.order, a.id))))
	return r.IntN(100) < s.fate[a.object]
}

func (s *sim) disturb(a *simAgent) {
	switch {
	case s.maybe(1): // a crash: it looks at everything anew, and says so again
		a.boot++
		a.seq, a.turn, a.untold = 0, delivery.NoTurn, true
	case a.offline && s.maybe(5):
		a.offline, a.flagged = false, false
	case !a.offline && s.rnd.IntN(400) == 0:
		a.offline = true
	case a.offline && s.maybe(10):
		a.flagged = true
	case s.rnd.IntN(500) == 0:
		a.picked = !a.picked
	}
}

// say sends what the agent knows; it says it again until it is acknowledged, which is when it arrived.
func (s *sim) say(a *simAgent) {
	if a.object == "" {
		return
	}
	a.seq++
	m := message{at: s.now, agent: a.id, mark: a.mark(), report: delivery.Report{
		Stack: "web", Object: a.object, Sequence: sequenceOf(a.object), Phase: a.phase, Health: a.health,
	}}
	if !s.chaos {
		s.net = append(s.net, m)
		a.untold = false
		return
	}
	for range 1 + s.rnd.IntN(2) { // repeated
		if s.maybe(70) { // or lost
			m.at = s.now.Add(time.Duration(s.rnd.IntN(30)) * time.Second) // delayed, and overtaken
			s.net = append(s.net, m)
		}
	}
	if s.maybe(30) {
		a.untold = false // it has been told, or so it seems: the answer came from an earlier one
		a.untold = a.untold || !s.maybe(50)
	}
}

func (s *sim) deliver() {
	var later []message
	for _, m := range s.net {
		if m.at.After(s.now) {
			later = append(later, m)
			continue
		}
		a := s.agents[m.agent]
		news := a.hear(m.mark, s.chaos && s.maybe(20))
		if !news && m.mark.Boot == strconv.Itoa(a.boot) && m.mark.Turn == delivery.NoTurn {
			a.untold = true // it was given a turn, or asks again
		}
		if !news || s.in.Prior[m.agent] == "" {
			continue
		}
		if old, ok := s.in.Status[m.agent]; !ok || old.YieldsTo(m.report, s.in.Prior[m.agent]) {
			s.in.Status[m.agent] = delivery.Status{Agent: m.agent, Object: m.report.Object, Sequence: m.report.Sequence, Phase: m.report.Phase, Health: m.report.Health}
		}
	}
	s.net = later
}
