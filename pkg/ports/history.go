package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// History is the kept records of decisions, those of deleted stacks too. A generator's scope sees those about its own
// stacks, an agent's none.
type History interface {
	// Page returns a page of the records about a stack, as placement.RecordList says; none if scope does not see the stack.
	Page(ctx context.Context, scope tenancy.Scope, s stack.ID, q page.Query) (page.Page[placement.Record], error)
	// At returns the record that was the newest at a moment; NotFound, code decision_not_found, if none is kept from then.
	At(ctx context.Context, scope tenancy.Scope, s stack.ID, at time.Time) (placement.Record, error)
	// Keep deletes records that are older than before, at most limit, and makes room for those of the day until then; more says that
	// some are left. The newest about each stack stays. An adapter that keeps records by the day drops whole days, however many they
	// are, and none sooner: up to a day of what is older stays. Commits do not depend on it.
	Keep(ctx context.Context, before, until time.Time, limit int) (more bool, err error)
}
