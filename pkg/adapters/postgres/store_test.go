package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/migrations"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	porttest.Store(t, func(t *testing.T) (ports.Store, ports.Wakeups) {
		s := open(t, migrated(t))
		return s, s
	})
}

// migrated returns the URL of a migrated database that is the test's alone.
func migrated(t testing.TB) string {
	t.Helper()
	return testenv.PostgresFrom(t, testenv.PostgresTemplate(t, schemaKey(t), func(ctx context.Context, dsn string) error {
		return postgres.Migrate(ctx, dsn, slog.New(slog.DiscardHandler))
	}))
}

// schemaKey changes with the migrations.
func schemaKey(t testing.TB) string {
	t.Helper()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatalf("list migrations: %v", err)
	}
	h := sha256.New()
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		if err != nil {
			t.Fatalf("read migration: %v", err)
		}
		_, _ = h.Write(append([]byte(name), text...)) // never fails
	}
	return "schema " + hex.EncodeToString(h.Sum(nil))
}

// open returns a store on the database.
func open(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{MaxOpen: 10, MaxIdle: 2})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
