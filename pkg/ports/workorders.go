package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

// WorkOrders are the orders that are not finished. An agent's scope sees those that it has claimed and those that are
// for it; a generator's sees none.
type WorkOrders interface {
	Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Order, error)
	// Page returns a page of all orders, as workorder.List says.
	Page(ctx context.Context, q page.Query) (page.Page[workorder.Order], error)
	// Claimable returns at most limit pending orders for the agent, of this type (empty: any), oldest first.
	Claimable(ctx context.Context, a agent.ID, kind string, limit int) ([]workorder.Order, error)
	// ClaimedBy returns the orders that the agent has claimed, oldest claim first.
	ClaimedBy(ctx context.Context, a agent.ID) ([]workorder.Order, error)
	// Due returns at most limit orders with which something happens by now for the passing of time alone: claims that are
	// over, retries that are due, and those that have been pending since unclaimed or longer.
	Due(ctx context.Context, now, unclaimed time.Time, limit int) ([]workorder.Order, error)

	// Insert stores o. Its blob must have been put and the agents that it names must be live.
	Insert(ctx context.Context, o workorder.Order) error
	// Update stores status, claim, retries and errors of an order if its version is still o.Version; else Conflict. Of
	// several that claim at once, one wins.
	Update(ctx context.Context, o workorder.Order) error
	// Finish moves the order to the log as e if its version is still this one; else Conflict.
	Finish(ctx context.Context, version int64, e workorder.Entry) error
	// Delete removes an order, whoever is at it.
	Delete(ctx context.Context, id workorder.ID) error
}

// WorkOrderLog is what became of work orders. An agent's scope sees its own entries; a generator's sees none.
type WorkOrderLog interface {
	Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Entry, error)
	// Page returns a page of all entries, as workorder.LogList says.
	Page(ctx context.Context, q page.Query) (page.Page[workorder.Entry], error)
	// Trim deletes at most limit entries that were completed before, and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}
