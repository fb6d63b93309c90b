package memory

import (
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// Signals implements ports.Signals within one process. Use NewSignals.
type Signals struct{ batches *fanout[[]ports.Signal] }

var _ ports.Signals = (*Signals)(nil)

// NewSignals returns signals without subscribers.
func NewSignals() *Signals { return &Signals{batches: newFanout[[]ports.Signal](nil)} }

// Publish implements ports.Signals.
func (s *Signals) Publish(ctx context.Context, signals []ports.Signal) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(signals) > 0 {
		s.batches.publish(signals)
	}
	return nil
}

// Subscribe implements ports.Signals.
func (s *Signals) Subscribe(ctx context.Context) (<-chan []ports.Signal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.batches.subscribe(ctx, func(b []ports.Signal) ([]ports.Signal, bool) { return slices.Clone(b), true }), nil
}
