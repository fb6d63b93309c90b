package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
)

// AuditLog is what is kept of who changed what. Nothing in it is ever changed, but for the place in the chain that Seal
// gives each entry once.
type AuditLog interface {
	// Append stores complete entries in the transaction of the change that they speak of; one that Check refuses is Internal,
	// so that the change does not happen.
	Append(ctx context.Context, entries ...audit.Entry) error
	// Get returns an entry; NotFound (code audit_log_not_found) if there is none.
	Get(ctx context.Context, id audit.ID) (audit.Entry, error)
	// List returns a page of what f chooses, newest first, with the names that agents and generators have now, and how many
	// entries f chooses altogether.
	List(ctx context.Context, f audit.Filter, p audit.Page) ([]audit.Entry, int, error)
	// Chains returns all chains by number, those whose entries were dropped too.
	Chains(ctx context.Context) ([]audit.Chain, error)
	// Sealed returns the sealed entries of a chain behind seq in its order, at most limit.
	Sealed(ctx context.Context, p audit.Period, seq int64, limit int) ([]audit.Entry, error)
	// Waiting returns how many entries are not sealed yet.
	Waiting(ctx context.Context) (int, error)
}

// AuditKeeper keeps the log sealed and within its retention. Its methods may run in several processes at a time.
type AuditKeeper interface {
	// Seal puts entries that have no place yet, the oldest first and at most limit, at the ends of their chains, and returns
	// how many. What a slower transaction commits later is sealed by a later call. Nobody who appends waits for it.
	Seal(ctx context.Context, limit int) (int, error)
	// Prepare makes room for the entries of a period. A period without room loses nothing, but its entries lie among those
	// of other such periods.
	Prepare(ctx context.Context, p audit.Period) error
	// Drop takes away the entries of a period all at once and marks its chain as dropped at that time; Refused while some of
	// them are not sealed. A period without a chain, or one that was dropped, changes nothing.
	Drop(ctx context.Context, p audit.Period, at time.Time) error
}
