package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
	"github.com/colliery-io/brokkr/services/gateway/internal/target"
)

// Metrics of a gateway.
type Metrics struct {
	Syncs      *prometheus.CounterVec // by outcome
	SignalLag  prometheus.Histogram
	Losses     prometheus.Counter
	Missed     prometheus.Counter
	Healthy    prometheus.Gauge
	Sweeps     *prometheus.CounterVec // by outcome
	Cache      *prometheus.CounterVec // by result
	Blobs      *prometheus.CounterVec // by result
	Heartbeats prometheus.Counter
	Duplicates prometheus.Counter
	Reports    *prometheus.CounterVec // by kind
	Delivery   prometheus.Histogram
	Applied    prometheus.Histogram
	Telemetry  *prometheus.CounterVec // by outcome
	Frames     *prometheus.CounterVec // by outcome
	States     *prometheus.CounterVec // by outcome
}

// NewMetrics registers the metrics with reg. pending tells how many heartbeats wait.
func NewMetrics(reg prometheus.Registerer, h *hub.Hub, pending func() int) *Metrics {
	m := &Metrics{
		Syncs: counters("syncs_total", "Answered syncs by outcome.", "outcome"),
		SignalLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "brokkr_gateway_signal_lag_seconds", Help: "Time from publishing a probe signal to receiving it here.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		Losses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "brokkr_gateway_signal_losses_total", Help: "Times that signals may have been lost (new connection, slow reader).",
		}),
		Missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "brokkr_gateway_signals_missed_total", Help: "Parked syncs whose change was found by asking the store and not by a signal.",
		}),
		Healthy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "brokkr_gateway_signals_healthy", Help: "1 while probe signals come back.",
		}),
		Sweeps: counters("sweeps_total", "Comparisons of all parked syncs with the store by outcome.", "outcome"),
		Cache:  counters("target_cache_total", "Questions to the cache of target states by result.", "result"),
		Blobs:  counters("blob_cache_total", "Questions to the cache of manifest blobs by result.", "result"),
		Heartbeats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "brokkr_gateway_heartbeats_flushed_total", Help: "Heartbeats stored (one an agent and flush).",
		}),
		Duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "brokkr_gateway_duplicate_agents_total", Help: "Syncs that showed two processes using one agent's identity.",
		}),
		Reports:   counters("reports_total", "Reports of agents by kind.", "kind"),
		Telemetry: counters("telemetry_total", "Kubernetes events, log lines and gaps by what became of them.", "outcome"),
		States:    counters("target_states_total", "Target states with contents by how they got their turn.", "outcome"),
		Frames:    counters("frames_total", "Frames of agents' WebSockets by what became of them.", "outcome"),
		Delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "brokkr_gateway_delivery_seconds", Help: "Time from waking a sync to its changed answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		Applied: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "brokkr_gateway_assigned_to_applied_seconds", Help: "Time from an assignment to the agent's report that it is applied; the time for which an agent is away counts.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 18),
		}),
	}
	for _, o := range turn.Outcomes() { // before anybody asks, there have been none
		m.States.WithLabelValues(o)
	}
	reg.MustRegister(m.Syncs, m.SignalLag, m.Losses, m.Missed, m.Healthy, m.Sweeps, m.Cache, m.Blobs, m.Heartbeats, m.Duplicates, m.Reports, m.Delivery, m.Applied, m.Telemetry, m.Frames, m.States,
		gauge("parked_syncs", "Syncs that are parked now.", h.Parked),
		gauge("known_agents", "Agents that were here in the last minutes.", h.Agents),
		gauge("heartbeats_pending", "Heartbeats that wait for the next flush.", pending),
	)
	return m
}

// Watch adds gauges of what is connected and waits.
func Watch(reg prometheus.Registerer, agents, subscribers, waiting func() int, dropped func() int64) {
	reg.MustRegister(
		gauge("agent_sockets", "Agents that are connected by WebSocket.", agents),
		gauge("live_subscribers", "Connections that watch live.", subscribers),
		gauge("telemetry_waiting_bytes", "Telemetry that waits to be stored.", waiting),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "brokkr_gateway_live_dropped_total", Help: "Frames that those who watch live have lost because they did not keep up."},
			func() float64 { return float64(dropped()) }),
	)
}

func counters(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_gateway_" + name, Help: help}, []string{label})
}

func gauge(name, help string, value func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "brokkr_gateway_" + name, Help: help}, func() float64 { return float64(value()) })
}

// CountCache counts one question to the cache of target states.
func (m *Metrics) CountCache(r target.Result) { m.Cache.WithLabelValues(string(r)).Inc() }

// CountBlob counts one question to the cache of blobs.
func (m *Metrics) CountBlob(hit bool) {
	result := target.Miss
	if hit {
		result = target.Hit
	}
	m.Blobs.WithLabelValues(string(result)).Inc()
}
