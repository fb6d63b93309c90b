package cycle

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the scheduler.
type Metrics struct {
	rounds, decisions, signals *prometheus.CounterVec
	conflicts                  prometheus.Counter
	dirty, blocked             prometheus.Gauge
	sizes                      *prometheus.GaugeVec
	decide, commit, published  prometheus.Histogram
	standing                   standing
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	buckets := prometheus.ExponentialBuckets(0.0001, 2, 16)
	m := &Metrics{
		rounds:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_scheduler_rounds_total", Help: "Scheduling rounds by outcome."}, []string{"outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_scheduler_decisions_total", Help: "Placement decisions by outcome: changed, held, unchanged."}, []string{"outcome"}),
		signals:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_scheduler_signals_total", Help: "Signals to gateways by outcome."}, []string{"outcome"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: "brokkr_scheduler_commit_conflicts_total", Help: "Commits refused because a fact had changed meanwhile."}),
		dirty:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_dirty_stacks", Help: "Stacks that wait for a decision."}),
		blocked:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_blocked_clusters", Help: "Clusters that keep what they have of a stack because an override for them cannot be applied; stacks of this replica's shards."}),
		sizes:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "brokkr_scheduler_snapshot_size", Help: "Size of the snapshot by kind: clusters, stacks, assignments."}, []string{"kind"}),
		decide:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "brokkr_scheduler_decide_seconds", Help: "Time to decide one stack, in process.", Buckets: buckets}),
		commit:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "brokkr_scheduler_commit_seconds", Help: "Time to commit one decision.", Buckets: buckets}),
		published: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "brokkr_scheduler_publish_to_decision_seconds",
			Help: "Time from publishing a deployment object to the commit of the decision that it caused.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 16)}),
	}
	reg.MustRegister(m.rounds, m.decisions, m.signals, m.conflicts, m.dirty, m.blocked, m.sizes, m.decide, m.commit, m.published)
	m.standing = newStanding(reg)
	return m
}

func (m *Metrics) snapshot(clusters, stacks, assignments int) {
	m.sizes.WithLabelValues("clusters").Set(float64(clusters))
	m.sizes.WithLabelValues("stacks").Set(float64(stacks))
	m.sizes.WithLabelValues("assignments").Set(float64(assignments))
}
