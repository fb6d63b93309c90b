package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const (
	unavailable     = "unavailable"
	conflict        = "conflict"
	uniqueViolation = "unique_violation"
)

// translate turns what the driver says about an act into a fault, by code only. A context that has ended comes back as
// itself.
func (s *Store) translate(ctx context.Context, act string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", act, ctx.Err())
	case s.closed.Load():
		return closedFault()
	}
	err = fmt.Errorf("%s: %w", act, err)
	if _, classified := fault.As(err); classified {
		return err
	}
	var pqErr *pq.Error
	switch {
	case errors.As(err, &pqErr):
		return ofCode(pqErr).Because(err)
	case isLost(err):
		return fault.New(fault.Unavailable, unavailable, "the connection to the database is lost").Because(err)
	default:
		return err
	}
}

func closedFault() error { return fault.New(fault.Unavailable, unavailable, "the store is closed") }

// isLost reports whether err means that there is no connection (any more).
func isLost(err error) bool {
	var netErr *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &netErr)
}

// ofCode is the one table from SQLSTATE to fault.
func ofCode(e *pq.Error) *fault.Error {
	switch e.Code {
	case pqerror.UniqueViolation, pqerror.ExclusionViolation:
		return fault.New(fault.Conflict, uniqueViolation, "it exists already").With("constraint", e.Constraint)
	case pqerror.ForeignKeyViolation:
		return fault.New(fault.Refused, "foreign_key_violation", "it refers to something that is not there").With("constraint", e.Constraint)
	case pqerror.CheckViolation:
		return fault.New(fault.Refused, "check_violation", "a value is not allowed").With("constraint", e.Constraint)
	case pqerror.NotNullViolation:
		return fault.New(fault.Refused, "not_null_violation", "a required value is missing").With("column", e.Column)
	case pqerror.TRSerializationFailure, pqerror.TRDeadlockDetected:
		return fault.New(fault.Conflict, conflict, "others changed the same at the same time")
	case pqerror.QueryCanceled, pqerror.LockNotAvailable, pqerror.TransactionTimeout, pqerror.IdleInTransactionSessionTimeout:
		return fault.New(fault.Unavailable, unavailable, "the database did not finish in time")
	case pqerror.ReadOnlySQLTransaction:
		return fault.New(fault.Unavailable, unavailable, "the database is read-only (a standby?)")
	case pqerror.CharacterNotInRepertoire, pqerror.UntranslatableCharacter:
		return fault.New(fault.Invalid, "invalid_text", "a text holds bytes that are not UTF-8, or NUL")
	}
	switch e.Code.Class() {
	case pqerror.ClassConnectionException, pqerror.ClassOperatorIntervention, pqerror.ClassInsufficientResources,
		pqerror.ClassInvalidAuthorizationSpecification, pqerror.ClassInvalidCatalogName:
		return fault.New(fault.Unavailable, unavailable, "the database is not available") // why names users and databases: it is in the cause, for the log
	}
	return fault.New(fault.Internal, "internal_error", "the database refused a statement")
}

// isDuplicate reports whether err is a violation of this unique constraint.
func isDuplicate(err error, constraint string) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Code == pqerror.UniqueViolation && pqErr.Constraint == constraint
}

// isCollision reports whether running the same transaction again may succeed.
func isCollision(err error) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && (pqErr.Code == pqerror.TRSerializationFailure || pqErr.Code == pqerror.TRDeadlockDetected)
}

func notFound(code, what string, id any) error {
	return fault.Newf(fault.NotFound, code, "%s %v is not there", what, id)
}

func stale(what string, id any) error {
	return fault.Newf(fault.Conflict, conflict, "%s %v has changed meanwhile", what, id)
}
