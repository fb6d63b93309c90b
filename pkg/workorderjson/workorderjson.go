// Package workorderjson writes work orders as the v1 contract shows them. Api and gateway both show them, and have to show them alike.
package workorderjson

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Order returns the message about an order with its manifests.
func Order(o workorder.Order, content []byte) wire.WorkOrder {
	out := wire.WorkOrder{
		ID: string(o.ID), CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(), WorkType: o.Type, YAMLContent: string(content), Status: string(o.Status),
		ClaimTimeoutSeconds: int64(o.ClaimTimeout / time.Second), MaxRetries: o.MaxRetries, RetryCount: o.Retries,
		BackoffSeconds: int64(o.Backoff / time.Second), NextRetryAfter: o.NextRetryAfter, LastError: o.LastError, LastErrorAt: o.LastErrorAt,
		Traceparent: o.Traceparent,
	}
	if o.Claim != nil {
		by, at, ends := string(o.Claim.Agent), o.Claim.At.UTC(), o.Claim.EndsAt.UTC()
		out.ClaimedBy, out.ClaimedAt, out.ClaimEndsAt = &by, &at, &ends
	}
	return out
}

// Entry returns the message about an entry of the log with its manifests.
func Entry(e workorder.Entry, content []byte) wire.WorkOrderLog {
	out := wire.WorkOrderLog{
		ID: string(e.ID), WorkType: e.Type, CreatedAt: e.CreatedAt.UTC(), ClaimedAt: e.ClaimedAt, CompletedAt: e.CompletedAt.UTC(), Success: e.Success,
		RetriesAttempted: e.Retries, ResultMessage: e.Message, YAMLContent: string(content),
	}
	if e.ClaimedBy != "" {
		by := string(e.ClaimedBy)
		out.ClaimedBy = &by
	}
	return out
}
