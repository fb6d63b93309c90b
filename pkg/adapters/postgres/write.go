package postgres

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	maxRuns   = 5
	firstWait = 4 * time.Millisecond
)

// transaction is what the statements of one transaction share.
type transaction struct {
	mu      sync.Mutex // one statement at a time; also guards failure
	failure error      // of the first statement that failed: from then on the server refuses everything
	grown   bool       // the outbox has more events

	ordered map[agent.ID]bool // whose report order is locked
}

func (t *transaction) noteOrdered(a agent.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ordered == nil {
		t.ordered = map[agent.ID]bool{}
	}
	t.ordered[a] = true
}

func (t *transaction) hasOrdered(a agent.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ordered[a]
}

func (t *transaction) noteGrown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grown = true
}

func (t *transaction) hasGrown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.grown
}

func (t *transaction) noteFailure(err error) {
	if t.failure == nil {
		t.failure = err
	}
}

// Write implements ports.Store. It runs READ COMMITTED; where a method rests on what it has read, it locks it. A
// connection that breaks during the commit is Unavailable, code commit_unknown: the change may or may not have been made.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	return s.inTransaction(ctx, func(ctx context.Context, in session) error { return fn(ctx, repositories{in}) })
}

func (s *Store) inTransaction(ctx context.Context, fn func(ctx context.Context, in session) error) error {
	for run := 1; ; run++ {
		collided, err := s.runOnce(ctx, fn)
		if err == nil || !collided || run == maxRuns {
			return err
		}
		wait := firstWait << run
		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// runOnce reports, with the error, whether the transaction collided with another one.
func (s *Store) runOnce(ctx context.Context, fn func(ctx context.Context, in session) error) (collided bool, err error) {
	var tx *sqlx.Tx
	err = s.renewed(ctx, func() (err error) {
		tx, err = s.db.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		return err
	})
	if err != nil {
		return false, s.translate(ctx, "begin transaction", err)
	}
	// After a commit it does nothing; after an error or a panic it is what undoes everything. That it fails means
	// that the connection is gone, and the transaction with it.
	defer func() { _ = tx.Rollback() }()
	shared := &transaction{}
	if err := fn(ctx, session{store: s, on: tx, tx: shared}); err != nil {
		return isCollision(err) || isCollision(shared.failure), err
	}
	err = tx.Commit()
	if shared.hasGrown() { // after a failure, too: it may have been made
		s.bell.ring(s)
	}
	if err != nil {
		return isCollision(err) || isCollision(shared.failure), s.commitFault(ctx, err, shared.failure)
	}
	return false, nil
}

// renewed runs a harmless statement again if its connection turned out to be dead, after forgetting all idle ones: a
// restart of the server leaves the pool full of them.
func (s *Store) renewed(ctx context.Context, statement func() error) error {
	err := statement()
	if err == nil || !isLost(err) || ctx.Err() != nil || s.closed.Load() {
		return err
	}
	s.db.SetMaxIdleConns(-1)
	s.db.SetMaxIdleConns(s.maxIdle)
	return statement()
}

func (s *Store) commitFault(ctx context.Context, err, failure error) error {
	const act = "commit"
	var pqErr *pq.Error
	switch {
	case ctx.Err() == nil && errors.Is(err, pq.ErrInFailedTransaction):
		return fault.New(fault.Internal, "internal_error", "the transaction had failed, but its closure went on").Because(failure)
	case ctx.Err() == nil && !errors.As(err, &pqErr):
		return fault.New(fault.Unavailable, "commit_unknown",
			"the connection to the database broke during the commit: the change may or may not have been made").Because(err)
	default:
		return s.translate(ctx, act, err)
	}
}

// session is where the statements of repositories run: on the pool, or in one transaction.
type session struct {
	store *Store
	on    sqlx.ExtContext
	tx    *transaction // nil outside any
}

// atomically runs fn in the session's transaction, or in one of its own.
func (s session) atomically(ctx context.Context, fn func(ctx context.Context, in session) error) error {
	if s.tx != nil {
		return fn(ctx, s)
	}
	return s.store.inTransaction(ctx, fn)
}

// run runs one statement and translates its error; sql.ErrNoRows stays as it is.
func (s session) run(ctx context.Context, act string, statement func() error) error {
	if s.tx == nil { // it only reads: every write is in a transaction
		return s.pass(ctx, act, s.store.renewed(ctx, statement))
	}
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	err := s.pass(ctx, act, statement())
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		s.tx.noteFailure(err)
	}
	return err
}

func (s session) pass(ctx context.Context, act string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return s.store.translate(ctx, act, err)
}

// exec runs a statement and returns the number of rows that it changed.
func (s session) exec(ctx context.Context, act, query string, args ...any) (int64, error) {
	var n int64
	err := s.run(ctx, act, func() error {
		res, err := s.on.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// one returns the first row of a query, or missing if there is none.
func one[R any](ctx context.Context, s session, act string, missing error, query string, args ...any) (R, error) {
	var row R
	err := s.run(ctx, act, func() error { return sqlx.GetContext(ctx, s.on, &row, query, args...) })
	if errors.Is(err, sql.ErrNoRows) {
		return row, missing
	}
	return row, err
}

// many returns all rows of a query.
func many[R any](ctx context.Context, s session, act, query string, args ...any) ([]R, error) {
	var rows []R
	err := s.run(ctx, act, func() error { return sqlx.SelectContext(ctx, s.on, &rows, query, args...) })
	return rows, err
}

// writes returns what fn makes in a transaction.
func writes[T any](ctx context.Context, s session, fn func(ctx context.Context, in session) (T, error)) (T, error) {
	var out T
	err := s.atomically(ctx, func(ctx context.Context, in session) (err error) {
		out, err = fn(ctx, in)
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

// convert maps rows to what they mean.
func convert[R, T any](rows []R, err error, to func(R) T) ([]T, error) {
	if err != nil {
		return nil, err
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = to(r)
	}
	return out, nil
}
