package postgres_test

import (
	"database/sql"
	"io/fs"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/migrations"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// lying returns which parts of decisions there are, and how many records lie in each that has some.
func lying(t *testing.T, db *sql.DB) (parts, filled []string) {
	t.Helper()
	return column(t, db, `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'decisions'::regclass ORDER BY name`),
		column(t, db, `SELECT tableoid::regclass || ' ' || count(*) FROM decisions GROUP BY tableoid::regclass::text, tableoid ORDER BY tableoid::regclass::text`)
}

func wantParts(t *testing.T, db *sql.DB, when string, parts, filled []string) {
	t.Helper()
	p, f := lying(t, db)
	if diff := cmp.Diff(parts, p) + cmp.Diff(filled, f); diff != "" {
		t.Errorf("%s, parts and records (-want +got):\n%s", when, diff)
	}
}

// Records lie in the shelf of their day, if it is there; a shelf that is old goes whole, but for what is newest about its stack.
func TestDecisionsLieByTheDay(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db, store := connect(t, dsn), open(t, dsn)
	d := deciding(t, store, 3)
	at := func(day int) time.Time { return time.Date(2031, 3, day, 23, 0, 0, 0, time.UTC) }
	keep := func(before, until time.Time) {
		t.Helper()
		if more, err := store.History().Keep(t.Context(), before, until, 100); more || err != nil {
			t.Fatalf("keep: more %v, %v", more, err)
		}
	}
	never := at(1).AddDate(-1, 0, 0)
	early := d.about(d.stacks[0], at(1), "a")
	d.commit(t, early)
	wantParts(t, db, "without days", []string{"decisions_rest"}, []string{"decisions_rest 1"})

	keep(never, at(2))
	d.commit(t, d.about(d.stacks[0], at(1).Add(time.Minute), "a", "b"), d.about(d.stacks[1], at(1), "a", "b"))
	still := d.about(d.stacks[2], at(2), "a")
	d.commit(t, still, d.about(d.stacks[1], at(1).Add(time.Hour-time.Microsecond), "a")) // of two days: the older goes to the rest
	d.commit(t, d.about(d.stacks[0], at(2), "a"))
	three := []string{"decisions_20310301", "decisions_20310302", "decisions_rest"}
	wantParts(t, db, "with two days", three, []string{"decisions_20310301 2", "decisions_20310302 2", "decisions_rest 2"})
	d.read(t, still)

	keep(at(1).Add(-time.Hour), at(2))
	wantParts(t, db, "within the first day", three, []string{"decisions_20310301 2", "decisions_20310302 2", "decisions_rest 2"})
	// a record from before midnight is trimmed with the first day; the newest of the second stack stays
	keep(at(2).Add(-22*time.Hour), at(3))
	next := []string{"decisions_20310302", "decisions_20310303", "decisions_rest"}
	wantParts(t, db, "after the first day", next, []string{"decisions_20310302 2", "decisions_rest 1"})

	d.commit(t, d.about(d.stacks[0], at(3), "b"))
	keep(at(3), at(4))
	wantParts(t, db, "after the second day", []string{"decisions_20310303", "decisions_20310304", "decisions_rest"}, []string{"decisions_20310303 1", "decisions_rest 2"})
	d.read(t, still)

	// a day that is made and gone is no longer written to
	keep(never, at(2))
	d.commit(t, d.about(d.stacks[0], at(2), "a"))
	keep(at(4), at(4))
	last := d.about(d.stacks[0], at(2).Add(time.Minute), "a")
	d.commit(t, last)
	_, filled := lying(t, db)
	if want := []string{"decisions_rest 4"}; !slices.Equal(filled, want) {
		t.Errorf("records: got %v, want %v", filled, want)
	}
}

// Days wait for who reads them only for a moment; what could not be dropped goes the next time.
func TestReadersKeepDaysOfDecisions(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db, store := connect(t, dsn), open(t, dsn)
	d := deciding(t, store, 1)
	day := time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)
	if _, err := store.History().Keep(t.Context(), day, day, 100); err != nil {
		t.Fatal(err)
	}
	d.commit(t, d.about(d.stacks[0], day, "a"))
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // it may be over
	var n int
	if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM decisions`).Scan(&n); err != nil || n != 1 {
		t.Fatalf("read %d decisions, %v", n, err)
	}
	later := day.AddDate(0, 0, 5)
	if _, err := store.History().Keep(t.Context(), later, later, 100); err == nil {
		t.Fatal("a day was dropped under its reader")
	}
	// the day before it has gone: it was made later than the reader looked
	wantParts(t, db, "while it is read", []string{"decisions_20310301", "decisions_20310305", "decisions_20310306", "decisions_rest"}, []string{"decisions_20310301 1"})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.History().Keep(t.Context(), later, later, 100); err != nil {
		t.Fatal(err)
	}
	if _, filled := lying(t, db); !slices.Equal(filled, []string{"decisions_rest 1"}) {
		t.Errorf("records: got %v, want the newest in the rest", filled)
	}
}

// What lies by the day is there when the schema goes back to the one before, and forward again.
func TestDaysOfDecisionsOverMigrations(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	store := open(t, dsn)
	d := deciding(t, store, 2)
	if _, err := store.History().Keep(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), 100); err != nil {
		t.Fatal(err)
	}
	made := []ports.Commit{d.about(d.stacks[0], time.Now(), "a", "b"), d.about(d.stacks[1], time.Now(), "a")}
	d.commit(t, made...)
	name, err := fs.Glob(migrations.Files, "*_decision_days.sql")
	if err != nil || len(name) != 1 {
		t.Fatalf("migrations %v, %v", name, err)
	}
	number, err := strconv.ParseInt(name[0][:5], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.MigrateDown(t.Context(), dsn, number-1, quietLog); err != nil {
		t.Fatal(err)
	}
	db := connect(t, dsn)
	if left := column(t, db, `SELECT count(*) FROM decisions`); left[0] != "2" {
		t.Fatalf("%s records after the way down, want 2", left[0])
	}
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatal(err)
	}
	wantParts(t, db, "after the way up", []string{"decisions_rest"}, []string{"decisions_rest 2"})
	d.read(t, made...)
}
