// Package janitor does what has to be done now and then, for the whole control plane: it removes what nobody needs any
// more and brings up to date what lies there. One replica at a time does it, by a lease.
package janitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const (
	turn  = "scheduler/janitor" // the lease
	every = 10 * time.Minute
	first = 5 * time.Second // after the start
)

// Task is one thing to do. Step does a bounded part of it (seconds, not minutes) and says whether more is left.
type Task struct {
	Name string
	Step func(ctx context.Context, now time.Time) (more bool, err error)
}

// Janitor does its tasks one after the other.
type Janitor struct {
	leases ports.Leases
	holder string
	tasks  []Task
	now    func() time.Time
	log    *slog.Logger
}

// New returns a janitor for these tasks. holder names the replica.
func New(leases ports.Leases, holder string, now func() time.Time, log *slog.Logger, tasks ...Task) *Janitor {
	return &Janitor{leases: leases, holder: holder, tasks: tasks, now: now, log: log}
}

// Run tidies up soon after its start and then every ten minutes, until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	next := time.NewTimer(first)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if err := j.Once(ctx); err != nil && ctx.Err() == nil {
			j.log.WarnContext(ctx, "tidying up failed; it is tried again", "error", err.Error())
		}
		next.Reset(every)
	}
}

// Once does every task to its end, if no other replica does. One that fails holds up no other.
func (j *Janitor) Once(ctx context.Context) error {
	var failed error
	for _, t := range j.tasks {
		mine, err := j.do(ctx, t)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", t.Name, err))
		}
		if !mine || ctx.Err() != nil {
			break
		}
	}
	return failed
}

// do runs t step by step and reports whether the lease is still this replica's.
func (j *Janitor) do(ctx context.Context, t Task) (mine bool, err error) {
	for {
		if _, mine, err := lease.Take(ctx, j.leases, turn, j.holder, 2*every); err != nil || !mine {
			return false, err
		}
		more, err := t.Step(ctx, j.now())
		if err != nil || !more {
			return true, err
		}
	}
}
