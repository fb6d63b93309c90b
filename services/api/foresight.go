package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// foresight returns the turns of plans, previews and differences, with their metrics.
func foresight(c Config, t *telemetry.Telemetry) *turn.Turns {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "brokkr_plans_total", Help: "Plans, previews and differences by how they got their turn.",
	}, []string{"outcome"})
	for _, o := range turn.Outcomes() {
		outcomes.WithLabelValues(o)
	}
	out := app.Foresight(c.Plans, c.PlansEach, func(o turn.Outcome) { outcomes.WithLabelValues(string(o)).Inc() })
	t.Registry.MustRegister(outcomes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "brokkr_plans_running", Help: "Plans, previews and differences that are worked out now."},
			func() float64 { return float64(out.Taken()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "brokkr_plans_waiting", Help: "Plans, previews and differences that wait for their turn."},
			func() float64 { return float64(out.Waiting()) }))
	return out
}
