package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

// Metrics of the delivery of webhooks.
type Metrics struct {
	attempts *prometheus.CounterVec
	settled  *prometheus.CounterVec
	queued   prometheus.Counter
	seconds  prometheus.Histogram
	inFlight prometheus.Gauge
}

// NewMetrics registers the metrics with r; it is called once a registry.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_webhook_attempts_total",
			Help: "Attempts to deliver a webhook, by how they ended."}, []string{"outcome"}),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_webhook_settled_total",
			Help: "Webhook deliveries after an attempt: success, failed (tried again), dead."}, []string{"status"}),
		queued: prometheus.NewCounter(prometheus.CounterOpts{Name: "brokkr_webhook_queued_total",
			Help: "Webhook deliveries that were queued for events."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "brokkr_webhook_attempt_seconds",
			Help: "How long an attempt took.", Buckets: prometheus.ExponentialBuckets(0.002, 3, 10)}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_webhook_in_flight", Help: "Attempts that run now."}),
	}
	for _, c := range webhook.Classes() {
		m.attempts.WithLabelValues(string(c))
	}
	for _, s := range []webhook.Status{webhook.Success, webhook.Failed, webhook.Dead} {
		m.settled.WithLabelValues(string(s))
	}
	r.MustRegister(m.attempts, m.settled, m.queued, m.seconds, m.inFlight)
	return m
}
