package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	trimBatch   = 5000
	rewrapBatch = 500
	keyBatch    = 2000
	recordBatch = 500 // records of decisions, which are large
)

// Outbox removes events that are older than keep.
func Outbox(o ports.Outbox, keep time.Duration) Task {
	return Task{Name: "trim the outbox", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := o.Trim(ctx, now.Add(-keep), trimBatch)
		return n == trimBatch, err
	}}
}

// AgentEvents removes what agents told last longer ago than keep.
func AgentEvents(r ports.Reports, keep time.Duration) Task {
	return Task{Name: "trim events of agents", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := r.TrimEvents(ctx, now.Add(-keep), trimBatch)
		return n == trimBatch, err
	}}
}

// Secrets seals with the current key what is sealed with a former one or lies readable. Values that cannot be opened hold up no
// other, and are told of once, at the end.
func Secrets(s ports.Secrets) Task {
	return Task{Name: "seal with the current key", Step: func(ctx context.Context, _ time.Time) (bool, error) {
		n, err := s.Rewrap(ctx, rewrapBatch)
		if n == rewrapBatch {
			return true, nil // an error is of values that the next step meets again, or is the next step's too
		}
		return false, err
	}}
}

// Diagnostics deletes requests that are forgotten, with their answers.
func Diagnostics(d ports.Diagnostics) Task {
	return Task{Name: "trim diagnostics", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := d.Trim(ctx, now, trimBatch)
		return n == trimBatch, err
	}}
}

// Idempotency removes the keys of requests that were done too long ago to count.
func Idempotency(i ports.Idempotency) Task {
	return Task{Name: "forget idempotency keys", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := i.Trim(ctx, now.Add(-idempotency.Keep), keyBatch)
		return n == keyBatch, err
	}}
}

// aDay is how far ahead there is room for records of decisions.
const aDay = 24 * time.Hour

// Decisions removes the records of decisions that are older than keep, but the newest about each stack, and makes room for those of
// the next day.
func Decisions(h ports.History, keep time.Duration) Task {
	return Task{Name: "trim decisions", Step: func(ctx context.Context, now time.Time) (bool, error) {
		return h.Keep(ctx, now.Add(-keep), now.Add(aDay), recordBatch)
	}}
}
