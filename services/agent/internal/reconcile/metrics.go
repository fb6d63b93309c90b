package reconcile

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of an Engine.
type Metrics struct {
	passes *prometheus.CounterVec
	length *prometheus.HistogramVec
	writes *prometheus.CounterVec
	drift  *prometheus.CounterVec
	stacks *prometheus.GaugeVec
}

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brokkr_agent_passes_total", Help: "Passes over a stack, by what they were for and how they ended.",
		}, []string{"kind", "outcome"}),
		length: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "brokkr_agent_pass_seconds", Help: "How long passes over a stack took.", Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 12),
		}, []string{"kind"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brokkr_agent_writes_total", Help: "Objects of stacks that were written to the cluster, by what was done to them.",
		}, []string{"action"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brokkr_agent_drift_total", Help: "Objects found different from what was applied, by what was done about it.",
		}, []string{"outcome"}),
		stacks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "brokkr_agent_stacks", Help: "Stacks by what the agent is doing with them.",
		}, []string{"state"}),
	}
	r.MustRegister(m.passes, m.length, m.writes, m.drift, m.stacks)
	return m
}

// What passes are for.
const (
	passApply  = "apply"  // a new assignment, or a retry of one
	passResync = "resync" // the regular look at everything
	passLook   = "look"   // at what a watch told of, or at what is not healthy
	passRemove = "remove"
)

func (m *Metrics) passed(kind, outcome string, began time.Time) {
	m.passes.WithLabelValues(kind, outcome).Inc()
	m.length.WithLabelValues(kind).Observe(time.Since(began).Seconds())
}
