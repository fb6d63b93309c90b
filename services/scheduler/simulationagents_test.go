package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// simulated is an agent and its cluster.
type simulated struct {
	sim     *simulation
	id      agent.ID
	number  int
	region  string
	labels  map[string]bool
	closing closing
	offline int           // seconds for which it still is
	ahead   time.Duration // of its clock

	boot     int
	seq      int64
	turn     delivery.Turn
	revision delivery.Revision
	target   []delivery.Wanted // as it was last told; nil: this process has not been told

	has  map[stack.ID]*holding
	gone map[stack.ID]delivery.Revision // what it has removed, until it is not told of it any more
}

// holding is what a cluster has of a stack.
type holding struct {
	object   stack.ObjectID
	sequence stack.Sequence
	variant  stack.Checksum
	phase    delivery.Phase
	health   delivery.Health
	busy     int // seconds until the next change
}

func (s *simulation) newAgent(i int) *simulated {
	a := &simulated{sim: s, number: i, region: fmt.Sprint("region", i%regions), labels: map[string]bool{}, turn: delivery.NoTurn,
		ahead: time.Duration(s.rnd.IntN(600)-300) * time.Second, has: map[stack.ID]*holding{}, gone: map[stack.ID]delivery.Revision{}}
	a.id = s.agent(fmt.Sprint("c", i), "base", "web", "prod")
	s.write(func(ctx context.Context, tx ports.Repositories) error {
		return tx.Agents().AddAnnotation(ctx, agent.Annotation{ID: agent.AnnotationID(s.newID()), Agent: a.id, Key: "region", Value: a.region})
	})
	for j := range 3 {
		s.turn(a, fmt.Sprint("part", j), true)
	}
	s.turn(a, "spread", true)
	s.turn(a, "big", i%2 == 0)
	s.turn(a, "room", i < 4)
	return a
}

// status is what the agent sees of its cluster: what the pods ask for is there a while after it has applied them.
func (a *simulated) status() cluster.Status {
	cores := []int64{4, 4, 7, 4}[a.number%4]
	st := cluster.Status{Nodes: 1, ReadyNodes: 1, Allocatable: cluster.Resources{CPU: cores * 1000}}
	for _, id := range a.sim.rooms {
		if h := a.has[id]; h != nil && h.phase == delivery.PhaseApplied {
			st.Requested.CPU += 3000
		}
	}
	return st
}

func (a *simulated) restart() {
	a.boot, a.seq, a.turn, a.revision, a.target = a.boot+1, 0, delivery.NoTurn, 0, nil
}

func (a *simulated) mark() delivery.Mark {
	a.seq++
	return delivery.Mark{Boot: strconv.Itoa(a.boot), Seq: a.seq, Turn: a.turn}
}

// work is what the agent does in a second: it removes only what it is told to remove.
func (a *simulated) work() {
	s := a.sim
	for _, w := range a.target {
		h := a.has[w.Stack]
		switch {
		case w.State == delivery.Removing:
			if h != nil {
				s.log.note("agent %d removes %s", a.number, w.Stack)
			}
			delete(a.has, w.Stack)
			a.gone[w.Stack] = w.Revision
		case h == nil || h.object != w.Object || h.variant != w.Variant:
			s.log.note("agent %d applies %s of %s, variant %q, revision %d", a.number, w.Object, w.Stack, w.Variant, w.Revision)
			delete(a.gone, w.Stack)
			a.has[w.Stack] = &holding{object: w.Object, sequence: w.Sequence, variant: w.Variant, phase: delivery.PhaseApplying, health: delivery.HealthUnknown, busy: s.rnd.IntN(3)}
		}
	}
	for _, id := range s.stacks() {
		if h := a.has[id]; h != nil {
			phase, health := h.phase, h.health
			if a.live(h); h.phase != phase || h.health != health {
				s.log.note("agent %d: %s is %s and %s", a.number, id, h.phase, h.health)
			}
		}
	}
}

func (a *simulated) live(h *holding) {
	s := a.sim
	switch {
	case h.busy > 0:
		h.busy--
	case h.phase == delivery.PhaseApplying:
		h.phase, h.health, h.busy = delivery.PhaseApplied, delivery.HealthProgressing, s.rnd.IntN(8)
	case h.health == delivery.HealthProgressing && s.dooms(h.object, a):
		h.health = delivery.HealthFailing
	case h.health == delivery.HealthProgressing:
		h.health = delivery.HealthHealthy
	case s.chaos && h.health == delivery.HealthHealthy && s.rnd.IntN(300) == 0:
		h.health, h.busy = delivery.HealthProgressing, s.rnd.IntN(15) // a pod restarts
	}
}

// sync is one exchange of an agent, if it comes to one.
func (a *simulated) sync() {
	s := a.sim
	if s.chaos {
		switch {
		case s.maybe(1):
			a.restart()
		case a.offline > 0:
			a.offline--
		case s.maybe(1):
			a.offline = []int{10, 10, 30, 300}[s.rnd.IntN(4)]
		case a.has[s.web] != nil && a.has[s.web].phase == delivery.PhaseApplying && s.maybe(10): // in the middle of it
			a.offline = 300
		}
	}
	if a.offline > 0 || !s.maybe(30) {
		return
	}
	p := parcel{at: time.Now(), agent: a, mark: a.mark(), gateway: s.rnd.IntN(len(s.net.ahead))}
	for _, id := range s.stacks() {
		if revision, ok := a.gone[id]; ok {
			p.removed = append(p.removed, delivery.Removal{Stack: id, Revision: revision})
		}
		if h := a.has[id]; h != nil {
			p.reports = append(p.reports, delivery.Report{Stack: id, Object: h.object, Sequence: h.sequence, Phase: h.phase, Health: h.health, ObservedAt: time.Now().Add(a.ahead)})
		}
	}
	if status := a.status(); s.maybe(20) {
		p.status = &status
	}
	s.net.send(p)
}

// hear takes the answer to a request of this process.
func (a *simulated) hear(x answer) {
	if x.mark.Boot != strconv.Itoa(a.boot) {
		return
	}
	a.turn = max(a.turn, x.turn)
	if x.revision < a.revision || (x.revision == a.revision && a.target != nil) {
		return
	}
	a.revision, a.target = x.revision, append([]delivery.Wanted{}, x.target...)
	for id := range a.gone { // the broker knows it
		if !slices.ContainsFunc(a.target, func(w delivery.Wanted) bool { return w.Stack == id && w.State == delivery.Removing }) {
			delete(a.gone, id)
		}
	}
}

// parcel is what an agent says in one sync, on its way.
type parcel struct {
	at      time.Time
	agent   *simulated
	mark    delivery.Mark
	gateway int
	reports []delivery.Report
	removed []delivery.Removal
	status  *cluster.Status
}

// answer is on its way back.
type answer struct {
	at       time.Time
	agent    *simulated
	mark     delivery.Mark
	turn     delivery.Turn
	revision delivery.Revision
	target   []delivery.Wanted
}

// parted is a cluster that has said that it has removed a stack.
type parted struct {
	stack stack.ID
	agent agent.ID
}

// network is between agents and gateways, and the gateways: two, whose clocks differ.
type network struct {
	sim     *simulation
	ahead   [2]time.Duration
	parcels []parcel
	answers []answer
}

func (n *network) send(p parcel) {
	s := n.sim
	if !s.chaos {
		n.parcels = append(n.parcels, p)
		return
	}
	for range 1 + s.rnd.IntN(2) { // repeated
		if s.maybe(75) { // or lost
			p.at = time.Now().Add(time.Duration(s.rnd.IntN(20)) * time.Second) // delayed, and overtaken
			n.parcels = append(n.parcels, p)
		}
	}
}

// deliver takes what arrives, in its order.
func (n *network) deliver() {
	s := n.sim
	if s.chaos && s.maybe(1) { // a gateway starts anew, maybe by another clock
		which := s.rnd.IntN(len(n.ahead))
		n.ahead[which] = time.Duration(s.rnd.IntN(20)-10) * time.Second
		n.parcels = slices.DeleteFunc(n.parcels, func(p parcel) bool { return p.gateway == which })
	}
	var later []parcel
	for _, p := range n.parcels {
		if p.at.After(time.Now()) {
			later = append(later, p)
			continue
		}
		n.take(p)
	}
	n.parcels = later
	var later2 []answer
	for _, x := range n.answers {
		switch {
		case x.at.After(time.Now()):
			later2 = append(later2, x)
		case x.agent.offline == 0:
			x.agent.hear(x)
		}
	}
	n.answers = later2
}

// take is a gateway.
func (n *network) take(p parcel) {
	s, yes := n.sim, true
	s.turns.wait(world)
	now := time.Now().Add(n.ahead[p.gateway])
	if err := s.store.Agents().Beat(s.t.Context(), []agent.Heartbeat{{Agent: p.agent.id, Boot: p.mark.Boot, At: now, K8sReachable: &yes}}); err != nil {
		s.failf("heartbeat: %v", err)
	}
	var got delivery.Reception
	defer func() { s.seen.note("a turn was given", got.Turn > 0) }()
	s.write(func(ctx context.Context, tx ports.Repositories) (err error) {
		if got, err = tx.Reports().Advance(ctx, p.agent.id, p.mark, now); err != nil || !got.News {
			return err
		}
		return n.record(ctx, tx, p, now)
	})
	s.log.note("gateway %d takes what agent %d says in %+v, %s ahead", p.gateway, p.agent.number, p.mark, n.ahead[p.gateway])
	if s.chaos && s.maybe(20) {
		return // the answer is lost
	}
	s.turns.wait(world)
	revision, target, err := s.store.Assignments().OfAgent(s.t.Context(), p.agent.id)
	if err != nil {
		s.failf("target state: %v", err)
	}
	x := answer{at: time.Now(), agent: p.agent, mark: p.mark, turn: got.Turn, revision: revision, target: target}
	if s.chaos {
		x.at = x.at.Add(time.Duration(s.rnd.IntN(5)) * time.Second)
	}
	n.answers = append(n.answers, x)
}

func (n *network) record(ctx context.Context, tx ports.Repositories, p parcel, now time.Time) error {
	s, id := n.sim, p.agent.id
	if p.status != nil {
		changed, err := tx.Clusters().Report(ctx, id, *p.status, now)
		if err != nil {
			return err
		}
		if changed {
			if err := tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: id, At: now}); err != nil {
				return err
			}
		}
	}
	held, err := tx.Assignments().Some(ctx, id, s.stacks())
	if err != nil {
		return err
	}
	changed, err := tx.Reports().Record(ctx, id, now, p.reports)
	if err != nil {
		return err
	}
	for _, c := range changed {
		if c.Stack == s.base && c.Health == delivery.HealthHealthy {
			s.wellAt[id] = time.Now()
		}
		if !slices.ContainsFunc(held, func(w delivery.Wanted) bool { return w.Stack == c.Stack && w.Watched }) {
			continue
		}
		if err := tx.Outbox().Append(ctx, event.Event{Type: event.AssignmentReported, Stack: c.Stack, Agent: id, At: now}); err != nil {
			return err
		}
	}
	for _, r := range p.removed {
		gone, err := tx.Reports().Acknowledge(ctx, id, r)
		if err != nil {
			return err
		}
		if gone {
			s.acked[parted{r.Stack, id}] = true
			if err := tx.Outbox().Append(ctx, event.Event{Type: event.RemovalAcknowledged, Stack: r.Stack, Agent: id, At: now}); err != nil {
				return err
			}
		}
	}
	return nil
}
