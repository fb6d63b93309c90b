// Package sealer links the entries of the audit log into their chains, soon after they were committed. One replica at a
// time does it, by a lease; that two do it does no harm.
package sealer

import (
	"context"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const (
	turn  = "scheduler/audit" // the lease
	batch = 500
	spare = 10 * time.Second // a dead replica's work is taken over after this long
)

// Store is what a Sealer works on.
type Store interface {
	AuditKeeper() ports.AuditKeeper
	Leases() ports.Leases
}

// Sealer seals every so often.
type Sealer struct {
	store  Store
	holder string
	every  time.Duration
	count  func(n int)
	log    *slog.Logger
}

// New returns a sealer that looks for new entries that often. count is told how many were sealed; holder names the replica.
func New(store Store, holder string, every time.Duration, count func(n int), log *slog.Logger) *Sealer {
	return &Sealer{store: store, holder: holder, every: every, count: count, log: log}
}

// Run seals until ctx ends, and once more then if the work is this replica's.
func (s *Sealer) Run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	mine := false
	for {
		select {
		case <-ctx.Done():
			if mine {
				s.last(ctx)
			}
			return nil
		case <-next.C:
		}
		var err error
		wait := s.every
		if mine, err = s.once(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "sealing the audit log failed; it is tried again", "error", err.Error())
		} else if !mine {
			wait = max(wait, spare/2)
		}
		next.Reset(wait)
	}
}

// once seals what there is, if no other replica does.
func (s *Sealer) once(ctx context.Context) (mine bool, err error) {
	for {
		if _, mine, err := lease.Take(ctx, s.store.Leases(), turn, s.holder, s.every+spare); err != nil || !mine {
			return false, err
		}
		n, err := s.store.AuditKeeper().Seal(ctx, batch)
		if err != nil {
			return true, err
		}
		s.count(n)
		if n < batch {
			return true, nil
		}
	}
}

// last seals what the last moments brought and gives the work to others.
func (s *Sealer) last(ctx context.Context) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.once(end); err != nil {
		s.log.WarnContext(end, "sealing the audit log failed at the end; another replica or the next start does it", "error", err.Error())
		return
	}
	if err := s.store.Leases().Release(end, turn, s.holder); err != nil {
		s.log.WarnContext(end, "the lease of the audit log was not given up; it ends by itself", "error", err.Error())
	}
}
