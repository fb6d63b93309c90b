package process

import "github.com/prometheus/client_golang/prometheus"

// pool is what is told of a pool of connections, each a number of this moment.
type pool struct {
	inUse, idle, most func() float64
	waits, waited     func() float64 // since the start: calls that waited for a connection, and for how many seconds
}

// watch registers the pool's metrics with reg under brokkr_<name>_.
func (p pool) watch(reg prometheus.Registerer, name, server string) {
	name = "brokkr_" + name + "_"
	connections := func(state string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name + "connections", Help: "Connections to " + server + " by state.",
			ConstLabels: prometheus.Labels{"state": state}}, value)
	}
	counter := func(metric, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name + metric, Help: help}, value)
	}
	reg.MustRegister(connections("in_use", p.inUse), connections("idle", p.idle),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name + "connections_max", Help: "Connections to " + server + " that this process may have."}, p.most),
		counter("connection_waits_total", "Calls that had to wait for a connection to "+server+".", p.waits),
		counter("connection_wait_seconds_total", "Seconds that calls have waited for a connection to "+server+".", p.waited))
}
