package observed_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/observed"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
)

// The decorator changes nothing: it passes the suite of what it wraps.
func TestConformance(t *testing.T) {
	t.Parallel()
	porttest.Store(t, func(*testing.T) (ports.Store, ports.Wakeups) {
		m := memory.New(time.Now)
		return observed.Store(m, noop.NewTracerProvider().Tracer(""), prometheus.NewRegistry()), m
	})
}

func TestOutcomeIsMeasured(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := observed.Store(memory.New(time.Now), noop.NewTracerProvider().Tracer(""), reg)
	if _, err := s.Credentials().ByShort(t.Context(), "BRnobody"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("ByShort = %v, want NotFound", err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["role"] == "Credentials" && labels["method"] == "ByShort" && labels["outcome"] == "not_found" && m.GetHistogram().GetSampleCount() == 1 {
			return
		}
	}
	t.Fatalf("no observation of Credentials.ByShort not_found in %v", families)
}
