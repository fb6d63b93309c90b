package delivery_test

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

func TestPublishedHealth(t *testing.T) {
	t.Parallel()
	for _, h := range delivery.Healths() {
		want := h
		if h == delivery.HealthProgressing {
			want = delivery.HealthDegraded
		}
		if got := h.Published(); got != want {
			t.Errorf("%s is published as %s, want %s", h, got, want)
		}
	}
}

func TestWorstHealth(t *testing.T) {
	t.Parallel()
	type healths = []delivery.Health
	for reason, c := range map[string]struct {
		of   healths
		want delivery.Health
	}{
		"of nothing is unknown":           {nil, delivery.HealthUnknown},
		"all are healthy":                 {healths{"healthy", "healthy"}, delivery.HealthHealthy},
		"one that is silent spoils it":    {healths{"healthy", "unknown"}, delivery.HealthUnknown},
		"progressing is told":             {healths{"unknown", "progressing", "healthy"}, delivery.HealthProgressing},
		"degraded is worse":               {healths{"progressing", "degraded", "unknown"}, delivery.HealthDegraded},
		"failing is the worst of all":     {healths{"degraded", "healthy", "failing", "unknown"}, delivery.HealthFailing},
		"one alone is the worst of these": {healths{"degraded"}, delivery.HealthDegraded},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			if got := delivery.Worst(c.of...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
