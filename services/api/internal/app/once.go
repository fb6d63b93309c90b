package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
)

// Recall returns the request that was done under a key, nil if there was none within a day.
func (a *App) Recall(ctx context.Context, k idempotency.Key) (*idempotency.Record, error) {
	r, err := a.Store.Idempotency().Get(ctx, k, a.now())
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil //nolint:nilnil // nothing is known
	case err != nil:
		return nil, fmt.Errorf("recall the request of an idempotency key: %w", err)
	default:
		return &r, nil
	}
}

// Remember keeps what the request that was done under a key was answered with, for those who ask again.
func (a *App) Remember(ctx context.Context, k idempotency.Key, answer idempotency.Answer) error {
	if err := a.Store.Idempotency().Answer(ctx, k, answer); err != nil {
		return fmt.Errorf("keep the answer of an idempotency key: %w", err)
	}
	return nil
}
