// Package postgres keeps the system of record in PostgreSQL: ports.Store and ports.Wakeups on sqlx and lib/pq.
//
// Every statement is a constant beside its method. A method outside Write that changes something runs in a transaction
// of its own; one that reads is one statement, so that it sees one moment. Driver errors become faults in one place.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/klauspost/compress/zstd"
	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Options bound what a Store takes of the server. Zero fields mean the defaults.
type Options struct {
	MaxOpen          int           // connections, those of Listen and the one of Ping not counted; default 20
	MaxIdle          int           // connections kept open while idle; default MaxOpen
	MaxLifetime      time.Duration // of a connection; default 30 minutes
	MaxIdleTime      time.Duration // of a connection; default 5 minutes
	ConnectTimeout   time.Duration // of one attempt to connect; default 5 seconds
	StatementTimeout time.Duration // enforced by the server; default 30 seconds
	ApplicationName  string        // shown in pg_stat_activity; default brokkr
	Keys             *seal.Keyring // seals what must not be readable at rest; nil: it lies readable. See CheckKeys
}

func (o Options) withDefaults() Options {
	if o.MaxOpen <= 0 {
		o.MaxOpen = 20
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = o.MaxOpen
	}
	if o.MaxLifetime <= 0 {
		o.MaxLifetime = 30 * time.Minute
	}
	if o.MaxIdleTime <= 0 {
		o.MaxIdleTime = 5 * time.Minute
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 30 * time.Second
	}
	if o.ApplicationName == "" {
		o.ApplicationName = "brokkr"
	}
	return o
}

// Store implements ports.Store and ports.Wakeups. Use Open. It may be used concurrently, and survives restarts of
// the server: what fails meanwhile is Unavailable.
type Store struct {
	repositories
	db      *sqlx.DB
	pulse   *sqlx.DB // one connection, of Ping
	target  target
	packer  *zstd.Encoder
	opener  *zstd.Decoder
	keys    *seal.Keyring // nil: nothing is sealed
	closed  atomic.Bool
	ended   context.Context //nolint:containedctx // ends with the store, and every Listen with it
	endIt   context.CancelFunc
	timeout time.Duration // of a connection attempt
	shelf   atomic.Int64  // Unix time of the hour whose shelves are known to be there
	day     atomic.Int64  // Unix time of the day whose shelf of decisions is known to be there; 0: of none
	maxIdle int
	bell    bell
	records sync.Pool // of *placement.Packer
}

var (
	_ ports.Store   = (*Store)(nil)
	_ ports.Wakeups = (*Store)(nil)
)

// maxBundle bounds what a stored blob may unpack to, in bytes. Far more than publishing admits.
const maxBundle = 256 << 20

// Open connects to the database that dsn names (a postgres:// URL or libpq's key=value form) and waits for it no longer
// than the connect timeout. A dsn that cannot be read is Invalid; a server that cannot be reached is Unavailable, with one
// line that names host, port and database and never the password. Open does not migrate: see Migrate, SchemaCurrent.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	t, err := newTarget(dsn, opts)
	if err != nil {
		return nil, err
	}
	plain, err := pq.NewConnectorConfig(t.config)
	if err != nil {
		return nil, t.unreachable(err)
	}
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	opener, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBundle), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	db := sqlx.NewDb(sql.OpenDB(connector{plain}), "postgres")
	db.SetMaxOpenConns(opts.MaxOpen)
	db.SetMaxIdleConns(opts.MaxIdle)
	db.SetConnMaxLifetime(opts.MaxLifetime)
	db.SetConnMaxIdleTime(opts.MaxIdleTime)
	pulse := sqlx.NewDb(sql.OpenDB(connector{plain}), "postgres")
	pulse.SetMaxOpenConns(1)
	pulse.SetConnMaxLifetime(opts.MaxLifetime)
	s := &Store{db: db, pulse: pulse, target: t, packer: packer, opener: opener, keys: opts.Keys, timeout: opts.ConnectTimeout, maxIdle: opts.MaxIdle}
	s.ended, s.endIt = context.WithCancel(context.Background())
	s.repositories = repositories{session{store: s, on: db}}
	if err := s.Ping(ctx); err != nil {
		_ = s.Close() // the reason why the ping failed is what matters
		return nil, err
	}
	return s, nil
}

// Ping implements ports.Store; it waits no longer than the connect timeout. It has a connection of its own: that all others are
// busy says nothing about the server.
func (s *Store) Ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var one int
	look := func() error { return s.pulse.GetContext(limited, &one, ping) }
	err := look()
	if err != nil && isLost(err) && limited.Err() == nil { // of a server that was restarted: the next one is a new one
		err = look()
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("ping: %w", ctx.Err())
	case s.closed.Load():
		return closedFault()
	default:
		return s.target.unreachable(err)
	}
}

const ping = `SELECT 1`

// Close implements ports.Store. It ends every Listen, and every later call is Unavailable.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.endIt()
	s.opener.Close()
	if err := errors.Join(s.db.Close(), s.pulse.Close()); err != nil {
		return fmt.Errorf("close pool: %w", err)
	}
	return nil
}

// Stats says how the pool is used, for metrics.
func (s *Store) Stats() sql.DBStats { return s.db.Stats() }
