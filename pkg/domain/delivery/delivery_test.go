package delivery_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// testEnum checks the values of a text enum: distinct, each parsed back, everything else refused.
func testEnum[T ~string](t *testing.T, all []T, want []string, parse func(string) (T, error), kind fault.Kind, code string) {
	t.Helper()
	if len(all) != len(want) {
		t.Fatalf("got %d values, want %d", len(all), len(want))
	}
	known := map[string]bool{}
	for i, v := range all {
		if string(v) != want[i] {
			t.Errorf("value %d: got %q, want %q: the names are on the wire and in the database", i, v, want[i])
		}
		if got, err := parse(string(v)); err != nil || got != v {
			t.Errorf("parse %q: got %q, %v", v, got, err)
		}
		known[string(v)] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " applied", "Applied", "HEALTHY", "healthy\n"})).Draw(t, "text")
		if known[s] {
			return
		}
		if got, err := parse(s); !fault.Is(err, kind) || fault.CodeOf(err) != code || got != "" {
			t.Fatalf("parse %q: got %q, %v, want %v %s", s, got, err, kind, code)
		}
	})
}

func TestPhases(t *testing.T) {
	t.Parallel()
	testEnum(t, delivery.Phases(), []string{"pending", "fetching", "applying", "applied", "failed", "removing", "removed"},
		delivery.ParsePhase, fault.Invalid, "invalid_report")
}

func TestHealths(t *testing.T) {
	t.Parallel()
	testEnum(t, delivery.Healths(), []string{"unknown", "healthy", "progressing", "degraded", "failing"},
		delivery.ParseHealth, fault.Refused, "invalid_health_record")
}
