package diagnostic_test

import (
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/statechart"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
)

// docs/state/diagnostic.md draws what becomes of a request, whatever is done to it and when.
func TestStatesAreDrawn(t *testing.T) {
	t.Parallel()
	walked := statechart.Walked{}
	var walk func(r diagnostic.Request, now time.Time, steps int)
	walk = func(r diagnostic.Request, now time.Time, steps int) {
		if steps == 0 {
			return
		}
		from := r.At(now).Status
		took := func(next diagnostic.Request, now time.Time) {
			if next.Forgotten(now) {
				walked.Step(string(from), statechart.Nothing)
				return
			}
			walked.Step(string(from), string(next.At(now).Status))
			walk(next, now, steps-1)
		}
		if next, err := r.Claim(now); err == nil {
			took(next, now)
		}
		if next, err := r.Complete(now); err == nil {
			took(next, now)
		}
		for _, later := range []time.Duration{diagnostic.ClaimFor, time.Hour} {
			at := now.Add(later)
			if r.At(at).Status != from || r.Forgotten(at) {
				took(r, at)
				continue
			}
			walk(r, at, steps-1) // nothing has happened to it but time
		}
	}
	walked.Step(statechart.Nothing, string(asked().Status))
	walk(asked(), start, 6)
	walked.Check(t, "diagnostic")
}
