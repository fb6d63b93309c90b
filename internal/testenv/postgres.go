package testenv

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
)

// Postgres returns the URL of an empty database that is this test's alone and is dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	return PostgresFrom(t, "template0")
}

// PostgresFrom is Postgres with a database that is a copy of a template, see PostgresTemplate. It takes some 30 ms.
func PostgresFrom(t testing.TB, template string) string {
	t.Helper()
	a := openAdmin(t)
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if _, err := a.db.ExecContext(t.Context(), "CREATE DATABASE "+pq.QuoteIdentifier(name)+" TEMPLATE "+pq.QuoteIdentifier(template)); err != nil {
		t.Fatalf("create database from %s: %v", template, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := a.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pq.QuoteIdentifier(name)+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return a.dsn(name)
}

// PostgresTemplate returns the name of a template database that fill has filled, for PostgresFrom. fill runs once for
// each key on a server, whichever test or test process comes first; the others wait for it. So the key has to change with
// what fill does: a hash of all migrations does it. fill must close its connections.
func PostgresTemplate(t testing.TB, key string, fill func(ctx context.Context, dsn string) error) string {
	t.Helper()
	a := openAdmin(t)
	name, err := a.template(t.Context(), key, fill)
	if err != nil {
		t.Fatalf("make template database: %v", err)
	}
	return name
}

// admin is a superuser's connection to the shared server.
type admin struct {
	db  *sql.DB
	url *url.URL
}

func openAdmin(t testing.TB) *admin {
	t.Helper()
	dsn := os.Getenv(EnvPostgres)
	if dsn == "" {
		Missing(t, EnvPostgres+" is not set")
	}
	u, err := url.Parse(dsn)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		t.Fatalf("%s is not a postgres:// URL", EnvPostgres)
	}
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatalf("open %s: %v", EnvPostgres, err)
	}
	db.SetMaxIdleConns(0) // hundreds of parallel tests must not hold a connection each
	t.Cleanup(func() { _ = db.Close() })
	return &admin{db, u}
}

func (a *admin) dsn(database string) string {
	u := *a.url
	u.Path = "/" + database
	return u.String()
}

func (a *admin) template(ctx context.Context, key string, fill func(context.Context, string) error) (name string, err error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	name = fmt.Sprintf("template_%016x", h.Sum64())
	conn, err := a.db.Conn(ctx) // one session, for the lock is the session's
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(h.Sum64())); err != nil {
		return "", fmt.Errorf("lock: %w", err)
	}
	var done bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&done); err != nil {
		return "", fmt.Errorf("look for template: %w", err)
	}
	if done {
		return name, nil
	}
	unfinished := name + "_new"
	exec := func(query string) error {
		_, err := conn.ExecContext(ctx, query)
		return err
	}
	if err := exec("DROP DATABASE IF EXISTS " + unfinished + " WITH (FORCE)"); err != nil {
		return "", fmt.Errorf("drop unfinished template: %w", err)
	}
	if err := exec("CREATE DATABASE " + unfinished + " TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("create template: %w", err)
	}
	if err := fill(ctx, a.dsn(unfinished)); err != nil {
		return "", fmt.Errorf("fill template: %w", err)
	}
	if err := exec("ALTER DATABASE " + unfinished + " RENAME TO " + name); err != nil {
		return "", fmt.Errorf("finish template: %w", err)
	}
	return name, nil
}
