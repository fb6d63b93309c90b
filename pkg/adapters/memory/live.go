package memory

import (
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// Live implements ports.Live within one process. Use NewLive.
type Live struct{ batches *fanout[ports.LiveBatch] }

var _ ports.Live = (*Live)(nil)

// NewLive returns live channels without subscribers.
func NewLive() *Live { return &Live{batches: newFanout(ports.LiveBatch{Lost: true})} }

// Publish implements ports.Live.
func (l *Live) Publish(ctx context.Context, batches []ports.LiveBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, b := range batches {
		if len(b.Frames) > 0 {
			b.Lost, b.Frames = false, slices.Clone(b.Frames)
			l.batches.publish(b)
		}
	}
	return nil
}

// Subscribe implements ports.Live.
func (l *Live) Subscribe(ctx context.Context, topic string) (<-chan ports.LiveBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := l.batches.subscribe(ctx, func(b ports.LiveBatch) (ports.LiveBatch, bool) { return b, b.Topic == topic || b.Lost })
	out := make(chan ports.LiveBatch)
	go func() {
		defer close(out)
		for b := range in {
			b.Topic = topic
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
