package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func newGenerator(name string) tenancy.Generator {
	return tenancy.Generator{
		ID: tenancy.GeneratorID(uuid.NewString()), Name: name, Active: true, RegistrationPolicy: tenancy.PolicyApproval,
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
}

func exists(t testing.TB, s *postgres.Store, name string) bool {
	t.Helper()
	_, err := s.Generators().ByName(t.Context(), name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		t.Fatalf("get generator: %v", err)
	}
	return err == nil
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good, err := url.Parse(migrated(t))
	if err != nil {
		t.Fatalf("parse dsn: %v", err)
	}
	const free = "127.0.0.1:1"                    // nobody is given this port, not even other tests of this moment
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	const secret = "hunter2"
	nowhere := *good
	nowhere.Path = "/nowhere"
	tests := map[string]struct {
		dsn  string
		kind fault.Kind
		says []string
	}{
		"nobody listens":            {fmt.Sprintf("postgres://brokkr:%s@%s/fleet?sslmode=disable", secret, free), fault.Unavailable, []string{free, `"fleet"`, "refused"}},
		"nobody answers":            {fmt.Sprintf("postgres://brokkr:%s@%s/fleet?sslmode=disable", secret, mute.Addr()), fault.Unavailable, []string{mute.Addr().String(), `"fleet"`, "in time"}},
		"no such database":          {nowhere.String(), fault.Unavailable, []string{good.Host, `"nowhere"`, "does not exist"}},
		"no URL":                    {"postgres://brokkr:" + secret + "@host:port/fleet", fault.Invalid, []string{"postgres://user:password@host:5432/database"}},
		"a URL with a bad escape":   {"postgres://brokkr:" + secret + "%zz@host/fleet", fault.Invalid, []string{"cannot be read"}},
		"key and value, refused":    {fmt.Sprintf("host=127.0.0.1 port=%s user=brokkr password=%s dbname=fleet sslmode=disable", free[strings.LastIndex(free, ":")+1:], secret), fault.Unavailable, []string{free, `"fleet"`}},
		"an unknown kind of TLS":    {"postgres://brokkr:" + secret + "@host/fleet?sslmode=perhaps", fault.Invalid, []string{"cannot be read"}},
		"neither URL nor key=value": {secret, fault.Invalid, []string{"cannot be read"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s, err := postgres.Open(t.Context(), tc.dsn, postgres.Options{ConnectTimeout: time.Second})
			if err == nil {
				_ = s.Close()
				t.Fatal("open: got no error")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("open took %v, want it bounded", took)
			}
			f, ok := fault.As(err)
			if !ok || f.Kind != tc.kind {
				t.Fatalf("open: got %v, want kind %v", err, tc.kind)
			}
			for _, part := range tc.says {
				if !strings.Contains(f.Message, part) {
					t.Errorf("message %q does not say %q", f.Message, part)
				}
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(f.Message, "\n") {
				t.Errorf("error %q shows the password or has several lines", err)
			}
		})
	}
}

// The server ends the session while it commits: nothing of the transaction is there, and the caller knows.
func TestCommitKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, db := open(t, dsn), connect(t, dsn)
	// A deferred check runs inside COMMIT; it is how the test gets into the middle of one.
	for _, ddl := range []string{
		`CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()`,
	} {
		if _, err := db.ExecContext(t.Context(), ddl); err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
	}
	done := make(chan error, 1)
	runs := 0
	go func() {
		done <- s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
			runs++
			if err := tx.Generators().Insert(ctx, newGenerator("half")); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{ID: uuid.NewString(), Type: event.StackChanged})
		})
	}()
	const kill = `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query = 'COMMIT' AND wait_event = 'PgSleep'`
	for end := time.Now().Add(10 * time.Second); len(column(t, db, kill)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no session came into the middle of its commit")
		}
	}
	err := <-done
	if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "commit_unknown" {
		t.Fatalf("write: got %v, want commit_unknown", err)
	}
	if runs != 1 {
		t.Errorf("the closure ran %d times, want once: who knows what became of the first run", runs)
	}
	if exists(t, s, "half") {
		t.Error("half of the transaction is there")
	}
	if n := column(t, db, `SELECT count(*)::text FROM outbox`); n[0] != "0" {
		t.Errorf("outbox has %s events, want none", n[0])
	}
}

// The answer to COMMIT is lost on its way: the change was made, and the caller is told that nobody knows.
func TestCommitWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	dsn, p := throughProxy(t, migrated(t))
	s := open(t, dsn)
	p.cutOnce("COMMIT\x00") // not READ COMMITTED
	runs := 0
	err := s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		runs++
		return tx.Generators().Insert(ctx, newGenerator("made"))
	})
	if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "commit_unknown" {
		t.Fatalf("write: got %v, want commit_unknown", err)
	}
	if runs != 1 {
		t.Errorf("the closure ran %d times, want once", runs)
	}
	for end := time.Now().Add(10 * time.Second); !exists(t, s, "made"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server got the commit, but the change is not there")
		}
	}
}

// Sessions that the server ended, as in a restart, cost the pool nothing but new connections: a full pool of dead ones fails
// neither reads nor writes.
func TestPoolRecovers(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	const size = 6
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{MaxOpen: size})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	db := connect(t, dsn)
	fill := func(round int) error {
		var all, done sync.WaitGroup
		all.Add(size)
		errs := make([]error, size)
		for i := range size {
			done.Go(func() {
				errs[i] = s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
					all.Done()
					all.Wait() // so that every connection is in use
					return tx.Generators().Insert(ctx, newGenerator(fmt.Sprintf("g-%d-%d", round, i)))
				})
			})
		}
		done.Wait()
		return errors.Join(errs...)
	}
	for round := range 4 {
		if err := fill(round); err != nil {
			t.Fatalf("write in round %d: %v", round, err)
		}
		if idle := s.Stats().Idle; idle < size-1 {
			t.Fatalf("got %d idle connections, want a full pool", idle)
		}
		column(t, db, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if round%2 == 0 {
			if !exists(t, s, fmt.Sprintf("g-%d-0", round)) {
				t.Fatal("a generator is not there")
			}
		}
	}
}

// A session that ends in the middle of a closure is an error of the statement or the commit, never a success.
// That all connections are busy says nothing about the server: a process under load stays ready.
func TestAFullPoolIsNotAway(t *testing.T) {
	t.Parallel()
	dsn, p := throughProxy(t, migrated(t))
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{MaxOpen: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	look := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return s.Ping(ctx)
	}
	err = s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Agents().List(ctx, tenancy.Everything()); err != nil {
			return err
		}
		return look()
	})
	if err != nil {
		t.Errorf("while the only connection is busy: %v", err)
	}
	p.cut()
	if err := look(); err != nil {
		t.Errorf("with the next connection after all broke: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := look(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the end: %v, want unavailable", err)
	}
}

func TestSessionEndsInClosure(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, db := open(t, dsn), connect(t, dsn)
	err := s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Generators().Insert(ctx, newGenerator("lost")); err != nil {
			return err
		}
		column(t, db, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		return nil
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("write: got %v, want Unavailable", err)
	}
	if exists(t, s, "lost") {
		t.Error("the transaction of a session that ended is there")
	}
}

// Two transactions that lock in opposite order deadlock; the one that the server picks is run again.
func TestDeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	a, b := newGenerator("a"), newGenerator("b")
	for _, g := range []tenancy.Generator{a, b} {
		if err := s.Generators().Insert(t.Context(), g); err != nil {
			t.Fatalf("insert: %v", err)
		}
	}
	runs := make(chan int, 20)
	bothHold := make(chan struct{})
	first := make(chan struct{}, 2)
	go func() {
		<-first
		<-first
		close(bothHold)
	}()
	move := func(x, y tenancy.Generator) error {
		run := 0
		return s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
			run++
			runs <- run
			if err := tx.Generators().Update(ctx, x); err != nil {
				return err
			}
			if run == 1 {
				first <- struct{}{}
				<-bothHold
			}
			return tx.Generators().Update(ctx, y)
		})
	}
	errs := make(chan error, 2)
	go func() { errs <- move(a, b) }()
	go func() { errs <- move(b, a) }()
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatalf("write: %v", err)
	}
	close(runs)
	again := false
	for run := range runs {
		again = again || run > 1
	}
	if !again {
		t.Error("no closure was run again, want a deadlock that was")
	}
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{StatementTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close() //nolint:errcheck // the test's own
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE generators IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatalf("lock: %v", err)
	}
	began := time.Now()
	_, err = s.Generators().ByName(t.Context(), "anybody")
	if !fault.Is(err, fault.Unavailable) || time.Since(began) > 5*time.Second {
		t.Fatalf("a statement that waits for a lock: got %v after %v, want Unavailable soon", err, time.Since(began))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Generators().ByName(ctx, "anybody"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a statement whose context ended: got %v, want DeadlineExceeded", err)
	}
}

// What the schema refuses is told by the contract's codes.
func TestViolations(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	odd := newGenerator("odd")
	odd.RegistrationPolicy = "sometimes"
	nameless := newGenerator("nameless")
	nameless.ID = ""
	broken := newGenerator("bro\x00ken")
	tests := map[string]struct {
		g    tenancy.Generator
		kind fault.Kind
		code string
		key  string
		want string
	}{
		"check":    {odd, fault.Refused, "check_violation", "constraint", "generators_registration_policy"},
		"not null": {nameless, fault.Refused, "not_null_violation", "column", "id"},
		"unique":   {newGenerator(tenancy.AdminGenerator), fault.Conflict, "unique_violation", "constraint", "generators_name"},
		"text":     {broken, fault.Invalid, "invalid_text", "", ""},
	}
	for name, tc := range tests {
		err := s.Generators().Insert(t.Context(), tc.g)
		f, ok := fault.As(err)
		if !ok || f.Kind != tc.kind || f.Code != tc.code {
			t.Errorf("%s: got %v, want %v %s", name, err, tc.kind, tc.code)
			continue
		}
		if tc.key != "" && f.Details[tc.key] != tc.want {
			t.Errorf("%s: details %v, want %s %q", name, f.Details, tc.key, tc.want)
		}
	}
}

// A closure that goes on after the server has refused a statement cannot make its transaction succeed.
func TestIgnoredFailureFailsTheCommit(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	err := s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Generators().Insert(ctx, newGenerator("first")); err != nil {
			return err
		}
		_ = tx.Generators().Insert(ctx, newGenerator("first")) // the mistake
		return nil
	})
	if err == nil {
		t.Fatal("write: got no error")
	}
	if exists(t, s, "first") {
		t.Error("a transaction whose commit failed is there")
	}
}

// What the database says of users and databases is for the log: whoever asks, with any key or none, is told that it is not available.
func TestCallersAreNotToldWhatTheDatabaseSays(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s := open(t, dsn)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin := connect(t, u.String())
	do := func(query string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	do("ALTER DATABASE " + name + " WITH ALLOW_CONNECTIONS false")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'")
	do("ALTER DATABASE " + name + " RENAME TO " + name + "_away")
	_, err = s.Generators().ByName(t.Context(), "x")
	do("ALTER DATABASE " + name + "_away RENAME TO " + name)
	do("ALTER DATABASE " + name + " WITH ALLOW_CONNECTIONS true")
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.Unavailable || f.Message != "the database is not available" {
		t.Fatalf("got %v, want that the database is not available, and no more in the message", err)
	}
	if !strings.Contains(err.Error(), name) {
		t.Errorf("the log would not tell which database is not there: %v", err)
	}
}
