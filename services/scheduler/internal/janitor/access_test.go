package janitor_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestEndedCredentialsAndJoinTokensAreDeletedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		end := time.Now().Add(time.Hour)
		c := tenancy.Credential{ID: "c", Role: tenancy.RoleViewer, Short: "BRaaaaaa", ExpiresAt: &end, CreatedAt: time.Now()}
		if err := store.Credentials().Insert(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := store.JoinTokens().Insert(t.Context(), join.Token{ID: "t", Short: "BRbbbbbb", MaxUses: 1, ExpiresAt: end, CreatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		j := janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.Credentials(store.Keyring()), janitor.JoinTokens(store.JoinTokens()))
		for _, tt := range []struct {
			wait time.Duration
			left bool
		}{{90 * 24 * time.Hour, true}, {2 * time.Hour, false}} {
			time.Sleep(tt.wait)
			if err := j.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Credentials().ByShort(t.Context(), c.Short); (err == nil) != tt.left {
				t.Errorf("credential after %s: got %v, want it there %v", tt.wait, err, tt.left)
			}
			if _, err := store.JoinTokens().Get(t.Context(), "t"); (err == nil) != tt.left {
				t.Errorf("join token after %s: got %v, want it there %v", tt.wait, err, tt.left)
			}
		}
	})
}
