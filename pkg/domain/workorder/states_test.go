package workorder_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/statechart"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

// docs/state/work-order.md draws what becomes of a work order, whatever is done to it and when.
func TestStatesAreDrawn(t *testing.T) {
	t.Parallel()
	walked := statechart.Walked{}
	type moment struct {
		o  workorder.Order
		at time.Time
	}
	seen := map[string]bool{}
	queue := []moment{{order(t), now()}}
	walked.Step(statechart.Nothing, string(queue[0].o.Status))
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		key := fmt.Sprint(from.o.Status, from.o.Retries)
		if seen[key] {
			continue
		}
		seen[key] = true
		walked.Step(string(from.o.Status), statechart.Nothing) // an admin may delete it at any time
		took := func(next workorder.Order, e *workorder.Entry, at time.Time) {
			if e != nil {
				walked.Step(string(from.o.Status), statechart.Nothing)
				return
			}
			walked.Step(string(from.o.Status), string(next.Status))
			queue = append(queue, moment{next, at})
		}
		if next, err := from.o.ClaimFor(mine, from.at); err == nil {
			took(next, nil, from.at)
		}
		if next, err := from.o.Renew(mine, workorder.MinLease, from.at); err == nil {
			took(next, nil, from.at)
		}
		for _, by := range []workorder.Completer{{Agent: mine}, {Agent: theirs}, {Anybody: true}} {
			for _, r := range []workorder.Result{{Success: true}, {Retryable: true}, {}} {
				if next, e, err := from.o.Complete(by, r, from.at); err == nil {
					took(next, e, from.at)
				}
			}
		}
		for _, later := range []time.Duration{0, time.Minute, time.Hour, long} {
			if next, e, due := from.o.Advance(from.at.Add(later), time.Hour); due {
				took(next, e, from.at.Add(later))
			}
		}
	}
	walked.Check(t, "work-order")
}
