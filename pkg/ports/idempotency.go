package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
)

// Idempotency remembers which requests were done, by the keys that their clients gave them. A record counts for
// idempotency.Keep; one that is older is as good as none, whether it was trimmed already or not.
type Idempotency interface {
	// Get returns what is known of a key at now; NotFound (code idempotency_key_not_found) if nothing.
	Get(ctx context.Context, k idempotency.Key, now time.Time) (idempotency.Record, error)
	// Claim reserves a key until the transaction ends. A key that is used at now is a Conflict (code idempotency_done). One that
	// another transaction has claimed is waited for, or a Conflict (code idempotency_in_progress). Claim saves doing in vain
	// what Mark would refuse: that a key is used once is Mark's promise.
	Claim(ctx context.Context, k idempotency.Key, now time.Time) error
	// Mark stores r, without its answer, in the transaction that does what r speaks of. Of all transactions that mark a key at
	// most one commits in the time that its record counts, the others get a Conflict (code idempotency_done).
	Mark(ctx context.Context, r idempotency.Record) error
	// Answer adds the answer to the record of a key, sealed at rest like blobs are. A key without a record is NotFound.
	Answer(ctx context.Context, k idempotency.Key, a idempotency.Answer) error
	// Trim deletes at most limit records that are older than before, and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}
