package api_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

func TestEnsureAdminOnce(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	var wg sync.WaitGroup
	keys := make(chan *pak.PAK, 8)
	for range cap(keys) {
		wg.Go(func() {
			key, err := api.EnsureAdmin(t.Context(), store, time.Now, rand.Reader, "")
			if err != nil {
				t.Errorf("a racing replica failed: %v", err)
			}
			keys <- key
		})
	}
	wg.Wait()
	close(keys)
	made := 0
	for k := range keys {
		if k != nil {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d replicas made an admin PAK, want 1", made)
	}
}

func TestEnsureAdminPreset(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), memory.New(time.Now)
	preset := func(long string) string {
		sum := sha256.Sum256([]byte(long))
		return hex.EncodeToString(sum[:])
	}
	ensure := func(hash string) {
		t.Helper()
		key, err := api.EnsureAdmin(ctx, store, time.Now, rand.Reader, hash)
		if err != nil || key != nil {
			t.Fatalf("preset %q: key %v, error %v; want neither", hash, key, err)
		}
	}
	usable := func(hash string) bool {
		t.Helper()
		c, err := store.Credentials().ByShort(ctx, hash)
		must(t, err)
		return c.Hash == hash && c.Role == tenancy.RoleAdmin && c.Usable(time.Now().Add(time.Second))
	}
	a, b := preset("a"), preset("b")
	ensure(a)
	ensure(strings.ToUpper(a))
	if !usable(a) {
		t.Error("the preset key is not usable")
	}
	ensure(b)
	if usable(a) || !usable(b) {
		t.Error("another preset must replace the former one")
	}
	ensure(a)
	if usable(a) || !usable(b) {
		t.Error("a revoked preset must stay revoked and change nothing")
	}
	if _, err := api.EnsureAdmin(ctx, store, time.Now, rand.Reader, "abc"); err == nil {
		t.Error("a hash that is none must be refused")
	}
}

func TestPresetKeyAuthenticates(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), memory.New(time.Now)
	key, err := pak.Generate(rand.Reader)
	must(t, err)
	_, err = api.EnsureAdmin(ctx, store, time.Now, rand.Reader, key.Hash())
	must(t, err)
	v := identity.NewVerifier(store.Credentials(), store, time.Now)
	for _, when := range []string{"asked", "remembered"} {
		p, err := v.Verify(ctx, key)
		if err != nil || !p.IsAdmin() {
			t.Errorf("%s: principal %+v, error %v; want an admin", when, p, err)
		}
	}
	stranger, err := pak.Generate(rand.Reader)
	must(t, err)
	if _, err := v.Verify(ctx, stranger); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("another key: %v, want it refused", err)
	}
}

func TestAPresetJoinTokenIsMadeWithTheFirstStartAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	secret, err := join.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := func(store ports.Store, token string) error {
		_, err := api.Prepare(ctx, store, time.Now, rand.Reader, api.Preset{JoinToken: token})
		return err
	}
	// A migrated database has its generators already, before anybody has started on it.
	dsn := testenv.Postgres(t)
	if err := postgres.Migrate(ctx, dsn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	database, err := postgres.Open(ctx, dsn, postgres.Options{ApplicationName: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	for name, store := range map[string]ports.Store{"memory": memory.New(time.Now), "postgres": database} {
		for range 2 {
			if err := start(store, secret.Reveal()+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		found, err := store.Joins().Token(ctx, secret.Short())
		if err != nil || !secret.Matches(found.Hash) || found.MaxUses != 5 || !found.Activate || len(found.Generators) != 1 ||
			found.ExpiresAt.Sub(found.CreatedAt) != 24*time.Hour || !slices.Equal(found.Labels, []string{"default"}) {
			t.Errorf("%s: got %+v, %v; want a token of five uses and one day for active agents of one generator", name, found, err)
		}
	}

	later := memory.New(time.Now)
	if err := start(later, ""); err != nil {
		t.Fatal(err)
	}
	if err := start(later, secret.Reveal()); err != nil {
		t.Fatal(err)
	}
	if found, err := later.Joins().Token(ctx, secret.Short()); !fault.Is(err, fault.NotFound) {
		t.Errorf("a later start made the token %+v, %v", found, err)
	}

	if err := start(memory.New(time.Now), "brokkrjoin_x"); fault.CodeOf(err) != "invalid_join_token" || strings.Contains(err.Error(), "brokkrjoin_x") {
		t.Errorf("got %v, want the token refused and not repeated", err)
	}
}
