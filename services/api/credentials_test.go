package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
)

// keyMade is the answer to a new credential.
type keyMade struct {
	Credential struct {
		ID        tenancy.CredentialID `json:"id"`
		Role      tenancy.Role         `json:"role"`
		State     string               `json:"state"`
		ExpiresAt *time.Time           `json:"expires_at"`
	} `json:"credential"`
	PAK string `json:"pak"`
}

// mint makes a credential and lets it be called by name.
func (w *world) mint(as, name, body string) keyMade {
	w.t.Helper()
	rec := w.checked(as, request{method: "POST", path: "/credentials", body: body})
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("as %s: %d %s", as, rec.Code, rec.Body)
	}
	made := decode[keyMade](w.t, rec)
	w.keys[name] = made.PAK
	return made
}

// whoami is how a replica that remembers nothing answers a key.
func (w *world) whoami(as string) int {
	w.t.Helper()
	key, err := pak.Parse(w.keys[as])
	must(w.t, err)
	if _, err := identity.NewVerifier(w.store.Credentials(), nil, time.Now).Verify(w.t.Context(), key); err != nil {
		return http.StatusUnauthorized
	}
	return http.StatusOK
}

func TestCredentialsAboveTheRoleAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	owner, self := string(w.owner.ID), string(w.agent.ID)
	for name, tt := range map[string]struct {
		as, body string
		status   int
		code     string
	}{
		"admin makes an admin":                {asAdmin, `{"name":"x","role":"admin"}`, 201, ""},
		"operator makes a viewer":             {asOperator, `{"name":"x","role":"viewer"}`, 201, ""},
		"operator makes a generator's":        {asOperator, `{"name":"x","role":"generator","generator_id":"` + owner + `"}`, 201, ""},
		"operator makes an agent's":           {asOperator, `{"name":"x","role":"agent","agent_id":"` + self + `"}`, 201, ""},
		"operator makes an admin":             {asOperator, `{"name":"x","role":"admin"}`, 403, "credential_above_role"},
		"operator makes an operator":          {asOperator, `{"name":"x","role":"operator"}`, 403, "credential_above_role"},
		"viewer makes a viewer":               {asViewer, `{"name":"x","role":"viewer"}`, 403, "operator_required"},
		"generator makes its own":             {asOwner, `{"name":"x"}`, 201, ""},
		"generator makes an admin":            {asOwner, `{"name":"x","role":"admin"}`, 403, "credential_above_role"},
		"generator makes an agent's":          {asOwner, `{"name":"x","role":"agent","agent_id":"` + self + `"}`, 403, "credential_above_role"},
		"generator makes another's":           {asOther, `{"name":"x","generator_id":"` + owner + `","role":"generator"}`, 403, "credential_above_role"},
		"agent makes its own":                 {asSelf, `{"name":"x"}`, 201, ""},
		"agent makes a generator's":           {asSelf, `{"name":"x","role":"generator","generator_id":"` + owner + `"}`, 403, "credential_above_role"},
		"of nobody":                           {asAdmin, `{"name":"x","role":"agent","agent_id":"00000000-0000-4000-8000-000000000000"}`, 404, "agent_not_found"},
		"of the system generator":             {asAdmin, `{"name":"x","role":"generator","generator_id":"` + w.generatorID("__system__") + `"}`, 403, "system_generator_not_a_tenant"},
		"a role that is none":                 {asAdmin, `{"name":"x","role":"king"}`, 400, "invalid_credential"},
		"admins have no generator":            {asAdmin, `{"name":"x","role":"admin","generator_id":"` + owner + `"}`, 400, "invalid_credential"},
		"a generator's without generator":     {asAdmin, `{"name":"x","role":"generator"}`, 400, "invalid_credential"},
		"an agent's without agent":            {asAdmin, `{"name":"x","role":"agent"}`, 400, "invalid_credential"},
		"no name":                             {asAdmin, `{"name":"","role":"viewer"}`, 400, "invalid_credential"},
		"the name of the configuration's key": {asAdmin, `{"name":"preset","role":"admin"}`, 400, "invalid_credential"},
		"an end in the past":                  {asAdmin, `{"name":"x","role":"viewer","expires_at":"2020-01-01T00:00:00Z"}`, 400, "invalid_credential"},
		"a generator id that is none":         {asAdmin, `{"name":"x","role":"generator","generator_id":"x"}`, 400, "invalid_id"},
	} {
		rec := w.do(tt.as, request{method: "POST", path: "/credentials", body: tt.body})
		if rec.Code != tt.status || (tt.code != "" && code(t, rec) != tt.code) {
			t.Errorf("%s: got %d %s, want %d %s", name, rec.Code, rec.Body, tt.status, tt.code)
		}
	}
}

func TestARotationHasAnOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	agentKeys := func() []tenancy.Credential {
		all, err := w.store.Credentials().OfSubject(t.Context(), tenancy.RoleAgent, "", w.agent.ID)
		must(t, err)
		return all
	}
	for name, tt := range map[string]struct {
		as, path, body string
		status         int
		former         int // what the former key is answered afterwards
	}{
		"credential, overlap":          {"first", "/credentials/{id}/rotate", `{"grace_seconds":60}`, 201, 200},
		"credential, at once":          {"second", "/credentials/{id}/rotate", ``, 201, 401},
		"credential, negative overlap": {"third", "/credentials/{id}/rotate", `{"grace_seconds":-1}`, 400, 200},
		"credential, a year":           {"fourth", "/credentials/{id}/rotate", `{"grace_seconds":31536000}`, 400, 200},
		"credential, for ever":         {"fifth", "/credentials/{id}/rotate", `{"grace_seconds":9223372036854775807}`, 400, 200},
		"by an operator":               {"sixth", "/credentials/{id}/rotate", `{"grace_seconds":1}`, 201, 200},
	} {
		made := w.mint(asOwner, tt.as, `{"name":"`+tt.as+`"}`)
		who := tt.as
		if name == "by an operator" {
			who = asOperator
		}
		rec := w.do(who, request{method: "POST", path: strings.ReplaceAll(tt.path, "{id}", string(made.Credential.ID)), body: tt.body})
		if rec.Code != tt.status || w.whoami(tt.as) != tt.former {
			t.Errorf("%s: got %d %s and the former key %d, want %d and %d", name, rec.Code, rec.Body, w.whoami(tt.as), tt.status, tt.former)
		}
		if rec.Code == http.StatusCreated {
			w.keys["new"] = decode[keyMade](t, rec).PAK
			if got := w.whoami("new"); got != http.StatusOK {
				t.Errorf("%s: the new key: got %d", name, got)
			}
		}
	}
	before := time.Now()
	rec := w.checked(asAdmin, request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/rotate-pak", body: `{"grace_seconds":300}`})
	keys := agentKeys()
	if rec.Code != http.StatusOK || len(keys) != 2 || keys[1].RevokedAt == nil || keys[1].RevokedAt.Sub(before) < 299*time.Second || w.whoami(asSelf) != http.StatusOK {
		t.Errorf("the agent's key with an overlap: got %d %s, keys %+v", rec.Code, rec.Body, keys)
	}
	rec = w.checked(asOwner, request{method: "POST", path: "/generators/" + string(w.owner.ID) + "/rotate-pak", body: `{"grace_seconds":300}`})
	if rec.Code != http.StatusCreated || w.whoami(asOwner) != http.StatusOK {
		t.Errorf("the generator's key with an overlap: got %d %s, the former %d", rec.Code, rec.Body, w.whoami(asOwner))
	}
	if rec := w.do(asAdmin, request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/rotate-pak", body: `{"grace_seconds":-5}`}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_grace" {
		t.Errorf("a negative overlap: got %d %s", rec.Code, rec.Body)
	}
}

func TestAKeyThatEndsProlongsItselfByNoWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	body := func(role, more string) string {
		return fmt.Sprintf(`{"name":"short","role":%q,"expires_at":%q%s}`, role, end.Format(time.RFC3339Nano), more)
	}
	subjects := map[string]keyMade{
		"generator": w.mint(asAdmin, "generator", body("generator", `,"generator_id":"`+string(w.owner.ID)+`"`)),
		"agent":     w.mint(asAdmin, "agent", body("agent", `,"agent_id":"`+string(w.agent.ID)+`"`)),
		"viewer":    w.mint(asAdmin, "viewer-key", body("viewer", "")),
		"operator":  w.mint(asAdmin, "operator-key", body("operator", "")),
	}
	w.keys["viewer-short"], w.keys["operator-short"] = subjects["viewer"].PAK, subjects["operator"].PAK
	later := time.Now().Add(1000 * time.Hour).UTC().Format(time.RFC3339)
	for _, as := range []string{"generator", "agent"} {
		made := w.mint(as, as+" made", `{"name":"x","expires_at":"`+later+`"}`)
		if made.Credential.ExpiresAt == nil || made.Credential.ExpiresAt.After(end) {
			t.Errorf("%s made a key that ends %v, after its own end %v", as, made.Credential.ExpiresAt, end)
		}
	}
	for as, role := range map[string]string{"generator": "generator", "agent": "agent", "viewer-short": "viewer", "operator-short": "operator"} {
		rec := w.checked(as, request{method: "POST", path: "/credentials/" + string(subjects[role].Credential.ID) + "/rotate", body: `{"grace_seconds":60}`})
		if made := decode[keyMade](t, rec); rec.Code != http.StatusCreated || made.Credential.ExpiresAt == nil || made.Credential.ExpiresAt.After(end) {
			t.Errorf("%s rotated to %d %s, want an end at %v or before", as, rec.Code, rec.Body, end)
		}
	}
	rec := w.checked("agent", request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/rotate-pak"})
	if rec.Code != http.StatusOK {
		t.Fatalf("rotate-pak: %d %s", rec.Code, rec.Body)
	}
	if c := w.newestCredential(tenancy.RoleAgent, "", w.agent.ID); c.ExpiresAt == nil || c.ExpiresAt.After(end) {
		t.Errorf("rotate-pak by itself: ends %v, want %v or before", c.ExpiresAt, end)
	}
}

func TestTheLastAdminCredentialStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	first := w.newestCredential(tenancy.RoleAdmin, "", "").ID
	for _, c := range func() []tenancy.Credential {
		all, err := w.store.Credentials().OfSubject(t.Context(), tenancy.RoleAdmin, "", "")
		must(t, err)
		return all
	}() {
		if c.Usable(time.Now()) {
			first = c.ID
		}
	}
	path := "/credentials/" + string(first)
	rec := w.checked(asAdmin, request{method: "DELETE", path: path})
	if rec.Code != http.StatusUnprocessableEntity || code(t, rec) != "last_admin_credential" || w.whoami(asAdmin) != http.StatusOK {
		t.Fatalf("the last one: got %d %s, want 422 with the reason", rec.Code, rec.Body)
	}
	w.mint(asAdmin, "second admin", `{"name":"second","role":"admin"}`)
	if rec := w.checked("second admin", request{method: "DELETE", path: path}); rec.Code != http.StatusNoContent || w.whoami(asAdmin) != http.StatusUnauthorized {
		t.Errorf("one of two: got %d %s, and its key %d, want it gone", rec.Code, rec.Body, w.whoami(asAdmin))
	}
	if rec := w.checked("second admin", request{method: "POST", path: path + "/rotate"}); rec.Code != http.StatusUnprocessableEntity || code(t, rec) != "credential_ended" {
		t.Errorf("rotate what has ended: got %d %s", rec.Code, rec.Body)
	}
	if rec := w.checked("second admin", request{method: "DELETE", path: path}); rec.Code != http.StatusNoContent {
		t.Errorf("revoke what has ended: got %d %s, want it to change nothing", rec.Code, rec.Body)
	}
}

func TestCredentialsAreListedWithoutSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for i := range 5 {
		w.mint(asOwner, fmt.Sprint("key", i), fmt.Sprintf(`{"name":"key %d"}`, i))
	}
	type item struct {
		ID    string `json:"id"`
		Role  string `json:"role"`
		State string `json:"state"`
	}
	seen, path := map[string]bool{}, "/credentials?limit=2"
	for range 20 {
		rec := w.checked(asOwner, request{method: "GET", path: path})
		for _, c := range decode[[]item](t, rec) {
			if seen[c.ID] || c.Role != "generator" || c.State != "usable" {
				t.Errorf("%+v is there twice or not the generator's", c)
			}
			seen[c.ID] = true
		}
		next := regexp.MustCompile(`^</api/v1([^>]+)>; rel="next"$`).FindStringSubmatch(rec.Header().Get("Link"))
		if next == nil {
			break
		}
		path = next[1]
	}
	if len(seen) != 6 {
		t.Errorf("pages: got %d credentials, want the first and 5 more", len(seen))
	}
	all := w.checked(asViewer, request{method: "GET", path: "/credentials"})
	if n := len(decode[[]item](t, all)); n < 12 {
		t.Errorf("a viewer sees %d credentials, want all", n)
	}
	for as, key := range w.keys {
		if parts := strings.Split(key, "_"); len(parts) == 3 && strings.Contains(all.Body.String(), parts[2]) {
			t.Errorf("the key of %s is shown", as)
		}
	}
	for _, c := range func() []tenancy.Credential {
		all, err := w.store.Credentials().OfSubject(t.Context(), tenancy.RoleGenerator, w.owner.ID, "")
		must(t, err)
		return all
	}() {
		if strings.Contains(all.Body.String(), c.Hash) {
			t.Error("a hash is shown")
		}
	}
	if got := decode[[]item](t, w.checked(asAdmin, request{method: "GET", path: "/credentials?state=usable&role=viewer"})); len(got) != 1 {
		t.Errorf("usable viewers: got %+v, want one", got)
	}
	if got := decode[[]item](t, w.checked(asAdmin, request{method: "GET", path: "/credentials?agent_id=" + string(w.agent.ID)})); len(got) != 1 {
		t.Errorf("the agent's: got %+v, want one", got)
	}
	if got := decode[[]item](t, w.checked(asAdmin, request{method: "GET", path: "/credentials?generator_id=" + string(w.owner.ID) + "&limit=1000"})); len(got) != 6 {
		t.Errorf("the generator's: got %d, want 6", len(got))
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "cursor=x", "state=gone", "generator_id=x", "agent_id=x"} {
		if rec := w.do(asAdmin, request{method: "GET", path: "/credentials?" + query}); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", query, rec.Code, rec.Body)
		}
	}
}
