package transport

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
)

type uncounted struct{}

func (uncounted) CountBy(string, string, string, string, ...string) func(string) {
	return func(string) {}
}

// What another process serves is reached by good keys alone, by agents' only with a certificate where that is wanted, and by
// those without a key.
func TestTheEdgeLooksAtKeysForWhatIsBehindIt(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	key := func(change func(*tenancy.Credential)) string {
		t.Helper()
		k, err := pak.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := tenancy.Credential{ID: tenancy.CredentialID(uuid.NewString()), Name: "n", Role: tenancy.RoleAdmin, Short: k.Short(), Hash: k.Hash(), CreatedAt: time.Now()}
		change(&c)
		if err := store.Credentials().Insert(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return k.Reveal()
	}
	a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "a", ClusterName: "c", Status: agent.Active, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := store.Agents().Insert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	admin := key(func(*tenancy.Credential) {})
	ofAgent := key(func(c *tenancy.Credential) { c.Role, c.Agent = tenancy.RoleAgent, a.ID })
	guard := identity.NewGuard(identity.NewVerifier(store.Credentials(), store, time.Now), identity.GuardConfig{Service: "s", PerMinute: 3, AgentCertificates: true}, uncounted{})
	errors := func(_ context.Context, w http.ResponseWriter, err error) {
		http.Error(w, fault.CodeOf(err), http.StatusTeapot)
	}
	behind := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	h := edge(guard, func(h http.Handler) http.Handler { return h }, errors, behind)
	ask := func(authorization string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/stacks", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for who, tc := range map[string]struct {
		key, refused string
	}{
		"an admin": {admin, ""}, "nobody": {"", ""}, "an agent without a certificate": {ofAgent, "client_certificate_required\n"},
	} {
		code, body := ask(tc.key)
		if (tc.refused == "") != (code == http.StatusOK) || body != tc.refused {
			t.Errorf("%s: got %d %q, want %q", who, code, body, tc.refused)
		}
	}
	for range 3 {
		if code, _ := ask("nonsense"); code == http.StatusOK {
			t.Error("a bad key passed")
		}
	}
	if _, body := ask("nonsense"); body != "too_many_failures\n" {
		t.Errorf("after three bad keys: got %q, want the source limited here", body)
	}
	if code, _ := ask(admin); code != http.StatusOK {
		t.Errorf("a known key of that source: got %d", code)
	}
}
