package ports

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

// FinishWorkOrder moves the order o to the log as e, with the event eventID that tells of it. It runs in the transaction tx.
func FinishWorkOrder(ctx context.Context, tx Repositories, o workorder.Order, e workorder.Entry, eventID string) error {
	if err := tx.WorkOrders().Finish(ctx, o.Version, e); err != nil {
		return err
	}
	what := event.WorkOrderCompleted
	if !e.Success {
		what = event.WorkOrderFailed
	}
	return tx.Outbox().Append(ctx, event.Event{
		ID: eventID, Type: what, Agent: e.ClaimedBy, Traceparent: o.Traceparent, Data: e.Data(), At: e.CompletedAt,
	})
}
