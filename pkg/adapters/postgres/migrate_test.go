package postgres_test

import (
	"database/sql"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/migrations"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

var quietLog = slog.New(slog.DiscardHandler)

// connect returns a connection pool of the test's own, beside the store.
func connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatalf("open database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// column returns the first column of a query.
func column(t testing.TB, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out = append(out, s.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// describe returns all columns, constraints and indexes of our tables.
func describe(t testing.TB, db *sql.DB) []string {
	t.Helper()
	out := column(t, db, `SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, coalesce(column_default, generation_expression, ''))
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version' ORDER BY 1`)
	out = append(out, column(t, db, `SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version' ORDER BY 1`)...)
	return append(out, column(t, db, `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'goose_db_version' ORDER BY 1`)...)
}

// downwards returns the versions below the newest one, which need not be without gaps, and 0, in descending order.
func downwards(t *testing.T) []int64 {
	t.Helper()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatalf("list migrations: %v", err)
	}
	out := []int64{0}
	for _, name := range names[:len(names)-1] {
		number, _, _ := strings.Cut(name, "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatalf("migration %s has no number: %v", name, err)
		}
		out = append(out, v)
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

func TestMigrateUpDownUp(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	db := connect(t, dsn)
	current, wanted, err := postgres.Version(t.Context(), dsn)
	if err != nil || current != 0 || wanted == 0 {
		t.Fatalf("version of an empty database: got %d of %d, %v; want 0 of some", current, wanted, err)
	}
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	first := describe(t, db)
	if len(first) < 100 {
		t.Fatalf("the migrated schema has %d parts, want a schema", len(first))
	}
	for _, version := range downwards(t) {
		if err := postgres.MigrateDown(t.Context(), dsn, version, quietLog); err != nil {
			t.Fatalf("migrate down to %d: %v", version, err)
		}
		// numbers may have gaps: then it is at the nearest one below
		if got, _, err := postgres.Version(t.Context(), dsn); err != nil || got > version {
			t.Fatalf("version after the way down: got %d, %v; want %d at most", got, err, version)
		}
	}
	if left := describe(t, db); len(left) != 0 {
		t.Fatalf("left after the way down:\n%s", strings.Join(left, "\n"))
	}
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatalf("migrate again: %v", err)
	}
	if diff := cmp.Diff(first, describe(t, db)); diff != "" {
		t.Fatalf("schema after up, down, up (-first +second):\n%s", diff)
	}
}

func TestMigrateMakesTheFirstGenerators(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	system, err := s.Generators().ByName(t.Context(), tenancy.SystemGenerator)
	if err != nil || !system.System || !system.Active {
		t.Fatalf("system generator: got %+v, %v; want an active system one", system, err)
	}
	admin, err := s.Generators().ByName(t.Context(), tenancy.AdminGenerator)
	if err != nil || admin.System || !admin.Active {
		t.Fatalf("admin generator: got %+v, %v; want an active one", admin, err)
	}
}

// A server that is too old is named, with what to do, before anything is written.
func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	err := postgres.Migrate(t.Context(), dsn, quietLog, postgres.Oldest(99))
	if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "and 99 or newer is needed: upgrade it") {
		t.Errorf("got %v, want it refused", err)
	}
	if left := describe(t, connect(t, dsn)); len(left) != 0 {
		t.Errorf("it was refused after this was written:\n%s", strings.Join(left, "\n"))
	}
}

// Replicas that start together migrate once, and none of them goes on before the schema is there.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	const replicas = 8
	var wg sync.WaitGroup
	errs := make([]error, replicas)
	currents := make([]error, replicas)
	for i := range replicas {
		wg.Go(func() {
			if errs[i] = postgres.Migrate(t.Context(), dsn, quietLog); errs[i] != nil {
				return
			}
			s, err := postgres.Open(t.Context(), dsn, postgres.Options{MaxOpen: 1})
			if err != nil {
				currents[i] = err
				return
			}
			currents[i] = s.SchemaCurrent(t.Context())
			_ = s.Close()
		})
	}
	wg.Wait()
	for i := range replicas {
		if errs[i] != nil || currents[i] != nil {
			t.Errorf("replica %d: migrate: %v, schema current: %v", i, errs[i], currents[i])
		}
	}
	twice := column(t, connect(t, dsn), `SELECT version_id::text FROM goose_db_version GROUP BY version_id HAVING count(*) > 1`)
	if len(twice) != 0 {
		t.Errorf("migrations that ran more than once: %v", twice)
	}
}

func TestSchemaCurrent(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	s := open(t, dsn)
	outdated := func(when string) {
		t.Helper()
		err := s.SchemaCurrent(t.Context())
		if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "schema_outdated" {
			t.Fatalf("%s: got %v, want schema_outdated", when, err)
		}
	}
	outdated("an empty database")
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	if err := s.SchemaCurrent(t.Context()); err != nil {
		t.Fatalf("a migrated database: %v", err)
	}
	_, wanted, err := postgres.Version(t.Context(), dsn)
	if err != nil {
		t.Fatalf("version: %v", err)
	}
	if err := postgres.MigrateDown(t.Context(), dsn, wanted-1, quietLog); err != nil {
		t.Fatalf("migrate down: %v", err)
	}
	outdated("one version behind")
}

// An old program beside a newer schema neither fails nor takes anything back: the upgrade of the others is under way.
func TestMigrateLeavesANewerSchemaAlone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	if _, err := connect(t, dsn).ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatalf("pretend a newer version: %v", err)
	}
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	if err := open(t, dsn).SchemaCurrent(t.Context()); err != nil {
		t.Fatalf("schema current: %v", err)
	}
}

// Who waits for another one that migrates does so for a while; who migrates is bounded by nothing of the kind.
func TestPatienceIsForOthersAlone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	_, wanted, err := postgres.Version(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.MigrateDown(t.Context(), dsn, wanted-1, quietLog); err != nil {
		t.Fatal(err)
	}
	const patience = 400 * time.Millisecond
	tx, err := connect(t, dsn).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // it may be over
	// The version is noted in a table that somebody has locked: the migration stands still, past the patience.
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE goose_db_version IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	slow := make(chan error, 1)
	go func() { slow <- postgres.Migrate(t.Context(), dsn, quietLog, postgres.Patience(patience)) }()
	watch := connect(t, dsn)
	for end := time.Now().Add(time.Minute); column(t, watch, `SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)[0] == "0"; {
		if time.Now().After(end) {
			t.Fatal("nobody migrates")
		}
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	err = postgres.Migrate(t.Context(), dsn, quietLog, postgres.Patience(patience))
	if took := time.Since(begin); !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "migrating" || took < patience {
		t.Errorf("beside one that migrates: got %v after %s, want Unavailable after %s", err, took, patience)
	}
	if len(slow) > 0 {
		t.Fatalf("the migration ended with %v", <-slow)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("a migration that takes longer than the patience: %v", err)
	}
}
