package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/colliery-io/brokkr/migrations"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// migrationTimeout bounds one statement of a migration.
const migrationTimeout = 30 * time.Minute

// Migrate brings the schema to the version of this program. However many replicas start together, one migrates
// and the others wait for it. A schema that is newer already is left alone: migrations only expand what older
// programs use. Unavailable if the database cannot be reached, or another one migrates for longer than Patience. A migration
// takes as long as it needs, half an hour for each statement: cut short it would begin from the start the next time.
func Migrate(ctx context.Context, dsn string, logger *slog.Logger, options ...MigrateOption) error {
	var o migrateOptions
	for _, set := range options {
		set(&o)
	}
	return withProvider(ctx, dsn, o, func(t target, p *goose.Provider) error {
		current, wanted, err := p.GetVersions(ctx)
		if err != nil {
			return migrationFault(t, "read schema version", err)
		}
		if current >= wanted {
			return nil
		}
		results, err := p.Up(ctx)
		for _, r := range results {
			logger.InfoContext(ctx, "migrated the database schema", "version", r.Source.Version, "took", r.Duration.String())
		}
		if errors.Is(err, errBusyMigrating) {
			return fault.Newf(fault.Unavailable, "migrating", "another process has migrated the schema at %s for longer than %s", t, o.patience)
		}
		if err != nil {
			return migrationFault(t, "migrate the schema", err)
		}
		return nil
	})
}

// MigrateOption changes what Migrate does.
type MigrateOption func(*migrateOptions)

type migrateOptions struct {
	patience time.Duration
	oldest   int // major version of the server; 0: oldestServer
}

// Patience bounds how long Migrate waits for the database to take a connection, and then for others who migrate; without it, until its context ends.
func Patience(d time.Duration) MigrateOption { return func(o *migrateOptions) { o.patience = d } }

// MigrateDown takes the schema back to a version; 0 drops everything, data included.
func MigrateDown(ctx context.Context, dsn string, version int64, logger *slog.Logger) error {
	return withProvider(ctx, dsn, migrateOptions{}, func(t target, p *goose.Provider) error {
		results, err := p.DownTo(ctx, version)
		for _, r := range results {
			logger.InfoContext(ctx, "took the database schema back", "version", r.Source.Version, "took", r.Duration.String())
		}
		if err != nil {
			return migrationFault(t, "take the schema back", err)
		}
		return nil
	})
}

// Version returns the version of the database's schema (0: none), and the one that this program brings it to.
func Version(ctx context.Context, dsn string) (current, wanted int64, err error) {
	err = withProvider(ctx, dsn, migrateOptions{}, func(t target, p *goose.Provider) error {
		current, wanted, err = p.GetVersions(ctx)
		if err != nil {
			return migrationFault(t, "read schema version", err)
		}
		return nil
	})
	return current, wanted, err
}

const schemaVersion = `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`

// SchemaCurrent says whether the schema is (at least) of this program's version; Unavailable, code schema_outdated, if
// it has to be migrated first.
func (s *Store) SchemaCurrent(ctx context.Context) error {
	wanted, err := newestMigration()
	if err != nil {
		return err
	}
	current, err := one[int64](ctx, s.session(), "read schema version", nil, schemaVersion)
	if pqErr := (*pq.Error)(nil); errors.As(err, &pqErr) && pqErr.Code == pqerror.UndefinedTable {
		current, err = 0, nil
	}
	if err != nil {
		return err
	}
	if current < wanted {
		return fault.Newf(fault.Unavailable, "schema_outdated",
			"the database schema at %s is of version %d, this program needs %d: run `brokkr-broker migrate`", s.target, current, wanted)
	}
	return nil
}

func (s *Store) session() session { return s.repositories.s }

func newestMigration() (int64, error) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	var newest int64
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("read name of migration %s: %w", name, err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

func withProvider(ctx context.Context, dsn string, o migrateOptions, fn func(target, *goose.Provider) error) (err error) {
	t, err := newTarget(dsn, Options{StatementTimeout: migrationTimeout, ApplicationName: "brokkr-migrate"}.withDefaults())
	if err != nil {
		return err
	}
	connector, err := pq.NewConnectorConfig(t.config)
	if err != nil {
		return t.unreachable(err)
	}
	db := sql.OpenDB(connector)
	defer func() {
		if closing := db.Close(); closing != nil && err == nil {
			err = fmt.Errorf("close database: %w", closing)
		}
	}()
	reach, cancel := ctx, func() {}
	if o.patience > 0 {
		reach, cancel = context.WithTimeout(ctx, o.patience)
	}
	err = db.PingContext(reach)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return t.unreachable(err)
	}
	if err := suits(ctx, db, t, cmp.Or(o.oldest, oldestServer)); err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files,
		goose.WithSessionLocker(migrationLock{o.patience}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return fn(t, p)
}

// oldestServer is the first version of PostgreSQL that has all that statements use, which is bit_xor.
const oldestServer = 14

const serverVersion = `SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version')`

// suits refuses servers that are too old, before anything is written: some statements would fail, and these only later.
func suits(ctx context.Context, db *sql.DB, t target, oldest int) error {
	var major int
	var version string
	if err := db.QueryRowContext(ctx, serverVersion).Scan(&major, &version); err != nil {
		return migrationFault(t, "ask for the version of the server", err)
	}
	if major < oldest {
		return fault.Newf(fault.Refused, "server_outdated", "the PostgreSQL at %s is of version %s, and %d or newer is needed: upgrade it, or name another one", t, version, oldest)
	}
	return nil
}

func migrationFault(t target, act string, err error) error {
	if isLost(err) {
		return t.unreachable(err)
	}
	return fmt.Errorf("%s: %w", act, err)
}

// migrationLock makes migrations exclusive by a lock of the session. It asks again and again instead of waiting in the
// server, where a waiting statement would hold up CREATE INDEX CONCURRENTLY of the one who migrates.
type migrationLock struct {
	patience time.Duration // 0: until the context ends
}

// errBusyMigrating says that another one held the lock for longer than the patience.
var errBusyMigrating = errors.New("another process migrates")

var _ lock.SessionLocker = migrationLock{}

const (
	migrationLockID   = 6275786582 // any number that is only ours
	migrationLockAsk  = 100 * time.Millisecond
	tryMigrationLock  = `SELECT pg_try_advisory_lock($1)`
	dropMigrationLock = `SELECT pg_advisory_unlock($1)`
)

// SessionLock implements lock.SessionLocker; it waits until ctx ends or its patience.
func (l migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for begin := time.Now(); ; {
		var got bool
		if err := conn.QueryRowContext(ctx, tryMigrationLock, int64(migrationLockID)).Scan(&got); err != nil {
			return fmt.Errorf("ask for the migration lock: %w", err)
		}
		if got {
			return nil
		}
		if l.patience > 0 && time.Since(begin) >= l.patience {
			return errBusyMigrating
		}
		select {
		case <-time.After(migrationLockAsk):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// SessionUnlock implements lock.SessionLocker.
func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var had bool
	if err := conn.QueryRowContext(ctx, dropMigrationLock, int64(migrationLockID)).Scan(&had); err != nil {
		return fmt.Errorf("give up the migration lock: %w", err)
	}
	if !had {
		return errors.New("give up the migration lock: it was not held")
	}
	return nil
}
