package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type leases struct{ s session }

type leaseRow struct {
	Name   string    `db:"name"`
	Holder string    `db:"holder"`
	Epoch  int64     `db:"epoch"`
	Until  time.Time `db:"until"`
}

func (r leaseRow) lease() ports.Lease {
	l := ports.Lease(r)
	l.Until = micro(r.Until)
	return l
}

const acquireLease = `INSERT INTO leases AS l (name, holder, epoch, until)
	VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond')
	ON CONFLICT (name) DO UPDATE SET
		holder = EXCLUDED.holder,
		epoch = CASE WHEN l.holder = EXCLUDED.holder THEN l.epoch ELSE l.epoch + 1 END,
		until = clock_timestamp() + $3 * interval '1 microsecond'
	WHERE l.holder = EXCLUDED.holder OR l.until <= clock_timestamp()
	RETURNING name, holder, epoch, until`

// Acquire implements ports.Leases.
func (r leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (ports.Lease, error) {
	held := fault.Newf(fault.Conflict, "lease_held", "lease %s is held by another", name)
	return writes(ctx, r.s, func(ctx context.Context, in session) (ports.Lease, error) {
		row, err := one[leaseRow](ctx, in, "acquire lease", held, acquireLease, name, holder, ttl.Microseconds())
		return row.lease(), err
	})
}

// The row stays, with nobody as its holder: the next one's epoch must be greater.
const releaseLease = `UPDATE leases SET holder = '', until = 'epoch' WHERE name = $1 AND holder = $2`

// Release implements ports.Leases.
func (r leases) Release(ctx context.Context, name, holder string) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "release lease", releaseLease, name, holder)
		return err
	})
}

// Check implements ports.Leases.
func (r leases) Check(ctx context.Context, l ports.Lease) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error { return in.checkLease(ctx, l) })
}

const listLeases = `SELECT name, holder, epoch, until FROM leases
	WHERE starts_with(name, $1) AND until > clock_timestamp() ORDER BY name`

// List implements ports.Leases.
func (r leases) List(ctx context.Context, prefix string) ([]ports.Lease, error) {
	rows, err := many[leaseRow](ctx, r.s, "list leases", listLeases, prefix)
	return convert(rows, err, leaseRow.lease)
}
