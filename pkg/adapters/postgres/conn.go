package postgres

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// connector makes connections that prepare each statement once: planning costs more than running most of ours, and
// all of them are constants. (sql.Stmt would do so too, but takes a second connection to prepare in a transaction,
// which a pool that is full of transactions never gets.)
type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := dc.(fullConn)
	if !ok {
		_ = dc.Close() // nothing was done with it
		return nil, fmt.Errorf("the driver's %T lacks what a store needs", dc)
	}
	return &conn{fullConn: full, prepared: map[string]fullStmt{}}, nil
}

// maxPrepared bounds what a connection keeps prepared: all constant statements, and as many of those that are composed
// (pages.go).
const maxPrepared = 600

// fullConn is what lib/pq's connections can do.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is used by one goroutine at a time, as database/sql promises.
type conn struct {
	fullConn
	prepared map[string]fullStmt
}

var (
	_ driver.ExecerContext  = (*conn)(nil)
	_ driver.QueryerContext = (*conn)(nil)
)

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(ctx, args)
	c.forgetIfStale(query, err)
	return res, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	c.forgetIfStale(query, err)
	return rows, err
}

func (c *conn) statement(ctx context.Context, query string) (fullStmt, error) {
	if s, ok := c.prepared[query]; ok {
		return s, nil
	}
	ds, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := ds.(fullStmt)
	if !ok {
		return nil, fmt.Errorf("the driver's %T lacks what a store needs", ds)
	}
	if len(c.prepared) >= maxPrepared {
		for old, stmt := range c.prepared { // any one: which is as good as another
			delete(c.prepared, old)
			if err := stmt.Close(); err != nil {
				return nil, err
			}
			break
		}
	}
	c.prepared[query] = s
	return s, nil
}

// forgetIfStale drops a statement that the server does not know any more, or cannot run since the schema has changed.
func (c *conn) forgetIfStale(query string, err error) {
	if pq.As(err, pqerror.InvalidSQLStatementName, pqerror.FeatureNotSupported) != nil {
		delete(c.prepared, query)
	}
}
