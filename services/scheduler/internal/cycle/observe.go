package cycle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// observeEvery is how often the stacks of this replica are counted: it walks over all of them.
const observeEvery = time.Second

// standing are the metrics of where things stand. Each replica tells of the stacks of its shards, so that sums over replicas are
// right; none has a label of a stack, a rollout or an agent.
type standing struct {
	rollouts, members, blocked *prometheus.GaugeVec
	held, unmet, missing       prometheus.Gauge
	transitions                *prometheus.CounterVec
	waves                      prometheus.Histogram
}

func newStanding(reg prometheus.Registerer) standing {
	s := standing{
		rollouts: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "brokkr_rollout_open", Help: "Open rollouts by phase."}, []string{"phase"}),
		members:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "brokkr_rollout_clusters", Help: "Clusters of open rollouts by how far they are; joining: they came when a rollout was over, and wait for what the stack depends on."}, []string{"state"}),
		blocked: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "brokkr_rollout_blocked_since_timestamp_seconds",
			Help: "Since when the rollout that has waited longest waits, by what it waits for; 0: none waits for it."}, []string{"kind"}),
		held:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_held_stacks", Help: "Stacks with removals that wait for approval."}),
		unmet:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_unmet_stacks", Help: "Stacks whose policy wants more clusters than fit."}),
		missing: prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_unmet_clusters", Help: "Clusters that such stacks lack, over all of them."}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_rollout_transitions_total",
			Help: "Phases that rollouts have come to by themselves; what people ask for is in the audit log."}, []string{"to"}),
		waves: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "brokkr_rollout_wave_seconds",
			Help: "Time from the beginning of a wave to that of the next one, or to the end of the rollout.", Buckets: prometheus.ExponentialBuckets(1, 4, 11)}),
	}
	for _, p := range rollout.Phases() {
		s.transitions.WithLabelValues(string(p))
	}
	reg.MustRegister(s.rollouts, s.members, s.blocked, s.held, s.unmet, s.missing, s.transitions, s.waves)
	s.show(tally{})
	return s
}

// tally is what is counted in one walk.
type tally struct {
	phases               map[rollout.Phase]int
	members              map[rollout.MemberState]int
	blocked              map[rollout.BlockerKind]time.Time
	joining              int
	held, unmet, missing int
}

func (s standing) show(n tally) {
	for _, p := range rollout.Phases() {
		if p.Open() {
			s.rollouts.WithLabelValues(string(p)).Set(float64(n.phases[p]))
		}
	}
	for _, m := range rollout.MemberStates() {
		s.members.WithLabelValues(string(m)).Set(float64(n.members[m]))
	}
	s.members.WithLabelValues("joining").Set(float64(n.joining))
	for _, k := range rollout.BlockerKinds() {
		since := 0.0
		if t, ok := n.blocked[k]; ok {
			since = float64(t.UnixMilli()) / 1000
		}
		s.blocked.WithLabelValues(string(k)).Set(since)
	}
	s.held.Set(float64(n.held))
	s.unmet.Set(float64(n.unmet))
	s.missing.Set(float64(n.missing))
}

// observe counts the stacks of our shards, at most once a second.
func (e *Engine) observe(now time.Time) {
	if now.Sub(e.observed) < observeEvery {
		return
	}
	e.observed = now
	n := tally{phases: map[rollout.Phase]int{}, members: map[rollout.MemberState]int{}, blocked: map[rollout.BlockerKind]time.Time{}}
	ours := func(id stack.ID) bool {
		_, ok := e.shards.Lease(e.shards.Of(id))
		return ok
	}
	for id, s := range e.world.subjects {
		if s.Hold != nil && ours(id) {
			n.held++
		}
	}
	for id, lacks := range e.unmet {
		if _, there := e.world.subjects[id]; !there || !ours(id) {
			delete(e.unmet, id)
			continue
		}
		n.unmet++
		n.missing += lacks
	}
	for id, r := range e.world.rollouts {
		if !r.Waits() || !ours(id) {
			continue
		}
		open := r.Phase.Open()
		if open {
			n.phases[r.Phase]++
			for _, m := range r.Members {
				if !m.Gone {
					n.members[m.State]++
				}
			}
		}
		for _, b := range r.Blockers {
			if !open {
				n.joining += b.Count
			}
			if t, ok := n.blocked[b.Kind]; !ok || b.Since.Before(t) {
				n.blocked[b.Kind] = b.Since
			}
		}
	}
	e.metrics.standing.show(n)
}

// lacks notes how many clusters the stack lacks of what its policy wants.
func (e *Engine) lacks(id stack.ID, d placement.Decision) {
	if d.Unmet == nil {
		delete(e.unmet, id)
		return
	}
	e.unmet[id] = d.Unmet.Wanted - d.Unmet.Picked
}

// stepped counts what a step that was stored has brought.
func (s standing) stepped(x stepped, now time.Time) {
	for _, t := range x.out.Transitions {
		s.transitions.WithLabelValues(string(t.To)).Inc()
	}
	before, after := x.before, x.out.Rollout
	if before == nil || after == nil || before.ID != after.ID || before.BegunAt == nil {
		return
	}
	if after.Wave > before.Wave || (before.Phase.Open() && after.Phase == rollout.PhaseCompleted) {
		s.waves.Observe(max(now.Sub(*before.BegunAt).Seconds(), 0))
	}
}
