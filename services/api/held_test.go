package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api"
)

// heldBody is a body whose end comes only after something else has happened.
type heldBody struct {
	io.Reader
	meanwhile func()
}

func (b *heldBody) Read(p []byte) (int, error) {
	if b.meanwhile != nil {
		b.meanwhile()
		b.meanwhile = nil
	}
	return b.Reader.Read(p)
}

// doHeld is do of a request that was let in before something happens, and whose body is complete after it.
func (w *world) doHeld(as string, q request, meanwhile func()) *httptest.ResponseRecorder {
	r := w.build(as, q)
	r.Body, r.ContentLength = io.NopCloser(&heldBody{strings.NewReader(q.body), meanwhile}), -1
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

func (w *world) allCredentials() []tenancy.Credential {
	w.t.Helper()
	list, err := w.store.Keyring().Page(w.t.Context(), tenancy.Everything(), tenancy.CredentialList().All(1000))
	must(w.t, err)
	return list.Items
}

// Whoever keeps a request open by its body makes no key after the end of the one that it was let in with.
func TestAKeyThatEndsWhileABodyComesMakesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for name, q := range map[string]struct {
		as         string
		path, body string
	}{
		"generator makes one more":     {asOwner, "/credentials", `{"name":"x"}`},
		"generator rotates all":        {asOwner, "/generators/" + string(w.owner.ID) + "/rotate-pak", `{"grace_seconds":0}`},
		"agent makes one more":         {asSelf, "/credentials", `{"name":"x"}`},
		"agent rotates all":            {asSelf, "/agents/" + string(w.agent.ID) + "/rotate-pak", `{"grace_seconds":0}`},
		"operator makes a viewer":      {asOperator, "/credentials", `{"name":"x","role":"viewer"}`},
		"operator makes a generator":   {asOperator, "/generators", `{"name":"thief"}`},
		"operator makes an agent":      {asOperator, "/agents", `{"name":"thief","cluster_name":"c"}`},
		"operator makes a join token":  {asOperator, "/join-tokens", `{"name":"thief"}`},
		"operator rotates an agent's":  {asOperator, "/agents/" + string(w.agent.ID) + "/rotate-pak", `{"grace_seconds":0}`},
		"operator rotates one of them": {asOperator, "/credentials/" + string(w.credentialOf(asViewer).ID) + "/rotate", `{"grace_seconds":0}`},
	} {
		thief := w.keep(tenancy.Credential{Name: "thief of " + name, Role: w.credentialOf(q.as).Role,
			Generator: w.credentialOf(q.as).Generator, Agent: w.credentialOf(q.as).Agent, CreatedAt: time.Now()})
		before := len(w.allCredentials())
		rec := w.doHeld(thief.Name, request{method: http.MethodPost, path: q.path, body: q.body}, func() {
			_, err := w.store.Keyring().End(t.Context(), thief.ID, time.Now())
			must(t, err)
		})
		if rec.Code != http.StatusUnauthorized || rec.Body.Len() != 0 {
			t.Errorf("%s: got %d %s, want 401", name, rec.Code, rec.Body)
		}
		if after := len(w.allCredentials()); after != before {
			t.Errorf("%s: %d credentials after %d", name, after, before)
		}
		if c := w.credentialOf(q.as); !c.Usable(time.Now()) {
			t.Errorf("%s: the key of its subject has ended: %+v", name, c)
		}
		tokens, err := w.store.JoinTokens().Page(t.Context(), join.List().All(10))
		must(t, err)
		if len(tokens.Items) != 0 {
			t.Errorf("%s: there is a join token: %+v", name, tokens.Items)
		}
	}
	if w.whoami(asViewer) != http.StatusOK {
		t.Error("the key that was to be rotated has ended")
	}
}

// A key in its overlap, or one whose end was set while the body came, prolongs itself by no request that was let in before.
func TestAnEndThatIsSetWhileABodyComesHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	thief := w.keep(tenancy.Credential{Name: "thief", Role: tenancy.RoleAgent, Agent: w.agent.ID, CreatedAt: time.Now()})
	rec := w.doHeld("thief", request{method: http.MethodPost, path: "/credentials", body: `{"name":"x"}`}, func() {
		_, err := w.store.Keyring().End(t.Context(), thief.ID, end)
		must(t, err)
	})
	if made := decode[keyMade](t, rec); rec.Code != http.StatusCreated || made.Credential.ExpiresAt == nil || !made.Credential.ExpiresAt.Equal(end) {
		t.Errorf("got %d %+v, want a key that ends at %v", rec.Code, made, end)
	}
}

// Nothing else changes either by a request whose key has ended a while ago, though it was let in before.
func TestAKeyThatEndsWhileABodyComesChangesNothing(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c)
		rec := w.doHeld(asOwner, request{method: http.MethodPost, path: "/stacks", body: `{"name":"late"}`}, func() {
			_, err := w.store.Keyring().End(t.Context(), w.credentialOf(asOwner).ID, time.Now())
			must(t, err)
			time.Sleep(time.Second) // in which a revocation is felt, also where none is heard
		})
		if rec.Code != http.StatusUnauthorized {
			t.Errorf("got %d %s, want 401", rec.Code, rec.Body)
		}
		if _, err := w.store.Stacks().ByName(t.Context(), w.owner.ID, "late"); err == nil {
			t.Error("the stack was made")
		}
	})
}

// Of rotations at the same time, each by a key of its own that the others end, one key is left.
func TestRacingRotationsLeaveOneKey(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for kind, open := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, c, api.Config{}, open(t))
			for path, subject := range map[string]tenancy.Credential{
				"/generators/" + string(w.owner.ID): {Role: tenancy.RoleGenerator, Generator: w.owner.ID},
				"/agents/" + string(w.agent.ID):     {Role: tenancy.RoleAgent, Agent: w.agent.ID},
			} {
				for range 4 {
					var names []string
					for range 4 {
						k := subject
						k.Name, k.CreatedAt = string(subject.Role)+uuid.NewString(), time.Now()
						names = append(names, w.keep(k).Name)
					}
					var wg sync.WaitGroup
					for _, as := range names {
						wg.Go(func() {
							rec := w.do(as, request{method: http.MethodPost, path: path + "/rotate-pak"})
							if rec.Code != http.StatusCreated && rec.Code != http.StatusOK && rec.Code != http.StatusUnauthorized {
								t.Errorf("%s: got %d %s", path, rec.Code, rec.Body)
							}
						})
					}
					wg.Wait()
					if left := w.usable(subject.Role, subject.Generator, subject.Agent); left != 1 {
						t.Errorf("%s: %d usable keys after rotations, want one", path, left)
					}
				}
			}
		})
	}
}

func (w *world) usable(role tenancy.Role, g tenancy.GeneratorID, a agent.ID) int {
	w.t.Helper()
	list, err := w.store.Credentials().OfSubject(w.t.Context(), role, g, a)
	must(w.t, err)
	n := 0
	for _, c := range list {
		if c.Usable(time.Now()) {
			n++
		}
	}
	return n
}
