package testenv_test

import (
	"context"
	"database/sql"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/internal/testenv"
)

func query(t *testing.T, dsn, q string) (int, error) {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	return n, db.QueryRow(q).Scan(&n)
}

func TestPostgresTemplateIsFilledOnceAndCloned(t *testing.T) {
	t.Parallel()
	var filled atomic.Int32
	fill := func(ctx context.Context, dsn string) error {
		filled.Add(1)
		db, err := sql.Open("postgres", dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(ctx, "CREATE TABLE a AS SELECT 7 AS v")
		return err
	}
	key := t.Name() + time.Now().String()
	for range 4 {
		t.Run("clone", func(t *testing.T) {
			t.Parallel()
			dsn := testenv.PostgresFrom(t, testenv.PostgresTemplate(t, key, fill))
			var v int
			db, err := sql.Open("postgres", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.QueryRow("SELECT v FROM a").Scan(&v); err != nil || v != 7 {
				t.Errorf("got %d, %v, want 7", v, err)
			}
			if _, err := db.Exec("DELETE FROM a"); err != nil {
				t.Error(err)
			}
			if got := filled.Load(); got != 1 {
				t.Errorf("filled %d times, want once", got)
			}
		})
	}
	if _, err := query(t, testenv.Postgres(t), "SELECT v FROM a"); err == nil {
		t.Error("a database that was to be empty has the template's table")
	}
}

func TestRedisServer(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedisServer(t)
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.ReadTimeout = -1, 200*time.Millisecond
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	ctx := t.Context()
	if err := c.Set(ctx, "a", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, "a").Err(); err == nil {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, "a").Err(); err != nil {
		t.Errorf("after resume: %v", err)
	}
	s.Kill()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a killed server answers")
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Exists(ctx, "a").Result(); err != nil || n != 0 {
		t.Errorf("after restart: got %d keys, %v, want an empty server", n, err)
	}
	if other := testenv.Redis(t); other == s.URL() {
		t.Error("two tests' servers are the same")
	}
}

func TestKubeconfigsAreDifferent(t *testing.T) {
	t.Parallel()
	paths := testenv.Kubeconfigs(t, 2)
	if len(paths) != 2 || paths[0] == paths[1] {
		t.Errorf("got %q, want two different ones", paths)
	}
}

func TestProc(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.ProcSpec{
		Path: "/bin/sh", Args: []string{"-c", `trap 'echo bye; exit 3' TERM; echo "listening for $WHOM"; while :; do sleep 0.05; done`},
		Env: []string{"WHOM=you"}, ReadyLog: "listening",
	})
	if got := p.WaitLog(t, "for", time.Second); got != "listening for you" {
		t.Errorf("got line %q", got)
	}
	if code := p.Terminate(t, 5*time.Second); code != 3 {
		t.Errorf("got exit code %d, want 3", code)
	}
	p.WaitLog(t, "bye", time.Second)

	q := testenv.Start(t, testenv.ProcSpec{Path: "/bin/sleep", Args: []string{"60"}})
	q.Kill()
	if err := syscall.Kill(q.PID(), 0); err == nil {
		t.Error("alive after Kill")
	}
}
