package api_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api"
)

func joinRequests() map[string]func(w *world) request {
	id := func(w *world) string { t, _ := w.storedJoinToken(); return string(t.ID) }
	return map[string]func(w *world) request{
		"list_join_tokens":  func(*world) request { return request{method: "GET", path: "/join-tokens"} },
		"create_join_token": func(*world) request { return request{method: "POST", path: "/join-tokens", body: `{"name":"fleet"}`} },
		"get_join_token":    func(w *world) request { return request{method: "GET", path: "/join-tokens/" + id(w)} },
		"revoke_join_token": func(w *world) request { return request{method: "DELETE", path: "/join-tokens/" + id(w)} },
		"join_agent": func(w *world) request {
			_, secret := w.storedJoinToken()
			return joining(secret.Reveal(), "joined", "")
		},
	}
}

// storedJoinToken puts a token into the store, as nobody's action.
func (w *world) storedJoinToken() (join.Token, join.Secret) {
	w.t.Helper()
	secret, err := join.Generate(rand.Reader)
	must(w.t, err)
	t := join.Token{ID: join.TokenID(uuid.NewString()), Name: "fleet", Short: secret.Short(), Hash: secret.Hash(), MaxUses: 1,
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	must(w.t, w.store.JoinTokens().Insert(w.t.Context(), t))
	return t, secret
}

type joinTokenMade struct {
	JoinToken struct {
		ID    string `json:"id"`
		Uses  int    `json:"uses"`
		State string `json:"state"`
	} `json:"join_token"`
	Token string `json:"token"`
}

func (w *world) joinToken(body string) joinTokenMade {
	w.t.Helper()
	rec := w.do(asAdmin, request{method: "POST", path: "/join-tokens", body: body})
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("make a join token: %d %s", rec.Code, rec.Body)
	}
	return decode[joinTokenMade](w.t, rec)
}

func joining(token, name, claim string) request {
	return request{method: "POST", path: "/agents/join", body: fmt.Sprintf(`{"token":%q,"name":%q,"cluster_name":"c-1","claim":%q}`, token, name, claim)}
}

type joinedAgent struct {
	Agent struct {
		ID     tenancy.AgentID `json:"id"`
		Status string          `json:"status"`
	} `json:"agent"`
	PAK string `json:"pak"`
}

func TestAnAgentJoinsWithWhatTheTokenPresets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	made := w.joinToken(`{"name":"fleet","labels":["prod"],"annotations":{"region":"eu"},"generator_ids":["owner"]}`)
	rec := w.checked(asNobody, joining(made.Token, "edge", ""))
	if rec.Code != http.StatusCreated {
		t.Fatalf("join: %d %s", rec.Code, rec.Body)
	}
	joined := decode[joinedAgent](t, rec)
	w.keys["joined"] = joined.PAK
	path := "/agents/" + string(joined.Agent.ID)
	if joined.Agent.Status != "ACTIVE" || w.do("joined", request{method: "GET", path: path}).Code != http.StatusOK {
		t.Errorf("joined as %+v, want an active agent whose key is good", joined.Agent)
	}
	for part, want := range map[string]string{"/labels": `"prod"`, "/annotations": `"eu"`, "/registrations": string(w.owner.ID)} {
		if rec := w.do("joined", request{method: "GET", path: path + part}); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: got %s, want %s", part, rec.Body, want)
		}
	}
	rec = w.checked(asViewer, request{method: "GET", path: "/join-tokens/" + made.JoinToken.ID})
	if got := decode[struct {
		Uses  int    `json:"uses"`
		State string `json:"state"`
	}](t, rec); got.Uses != 1 || got.State != "used_up" || strings.Contains(rec.Body.String(), strings.Split(made.Token, "_")[2]) {
		t.Errorf("the token afterwards: %s", rec.Body)
	}
	for body, want := range map[string]struct {
		uses int
		ttl  time.Duration
	}{`{"name":"plain"}`: {1, time.Hour}, `{"name":"said","max_uses":7,"ttl_seconds":90}`: {7, 90 * time.Second}} {
		stored, err := w.store.JoinTokens().Get(t.Context(), join.TokenID(w.joinToken(body).JoinToken.ID))
		must(t, err)
		if got := stored.ExpiresAt.Sub(stored.CreatedAt); stored.MaxUses != want.uses || got != want.ttl {
			t.Errorf("%s: %d uses in %s, want %d in %s", body, stored.MaxUses, got, want.uses, want.ttl)
		}
	}
	inactive := w.joinToken(`{"name":"later","activate":false}`)
	if got := decode[joinedAgent](t, w.do(asNobody, joining(inactive.Token, "later", ""))); got.Agent.Status != "INACTIVE" {
		t.Errorf("activate false: got %+v", got)
	}
}

func TestJoinTokensAreRefusedWithOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{AuthFailures: 1000}, memory.New(time.Now))
	usedUp, revoked := w.joinToken(`{"name":"used up"}`), w.joinToken(`{"name":"revoked"}`)
	w.do(asNobody, joining(usedUp.Token, "first", ""))
	w.do(asAdmin, request{method: "DELETE", path: "/join-tokens/" + revoked.JoinToken.ID})
	other := w.joinToken(`{"name":"other"}`)
	over, err := join.Generate(rand.Reader)
	must(t, err)
	must(t, w.store.JoinTokens().Insert(t.Context(), join.Token{ID: join.TokenID(uuid.NewString()), Name: "over", Short: over.Short(), Hash: over.Hash(), MaxUses: 1,
		CreatedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(-time.Second)}))
	wrong := usedUp.Token[:len(usedUp.Token)-1] + "2"
	if wrong == usedUp.Token {
		wrong = usedUp.Token[:len(usedUp.Token)-1] + "3"
	}
	answers := map[string]bool{}
	for name, token := range map[string]string{
		"used up": usedUp.Token, "used up, a name that is there": usedUp.Token, "revoked": revoked.Token, "wrong": wrong, "expired": over.Reveal(),
		"unknown": strings.Replace(other.Token, "brokkrjoin_BR", "brokkrjoin_BRz", 1), "none": "", "a PAK": w.keys[asAdmin],
	} {
		agentName := "next"
		if strings.Contains(name, "there") {
			agentName = "first"
		}
		rec := w.checked(asNobody, joining(token, agentName, ""))
		if rec.Code != http.StatusForbidden || code(t, rec) != "join_refused" {
			t.Errorf("%s: got %d %s", name, rec.Code, rec.Body)
		}
		answers[rec.Body.String()] = true
	}
	if len(answers) != 1 {
		t.Errorf("%d answers, want one: %v", len(answers), answers)
	}
	for name, q := range map[string]request{
		"no name":      joining(other.Token, "", ""),
		"a weak claim": joining(other.Token, "x", "weak"),
	} {
		if rec := w.checked(asNobody, q); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", name, rec.Code, rec.Body)
		}
	}
}

func TestRefusedJoinsAreLimitedBySource(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{AuthFailures: 3}, memory.New(time.Now))
	good := w.joinToken(`{"name":"fleet"}`)
	for range 3 {
		if rec := w.do(asNobody, joining("brokkrjoin_x", "x", "")); rec.Code != http.StatusForbidden {
			t.Fatalf("got %d %s", rec.Code, rec.Body)
		}
	}
	if rec := w.checked(asNobody, joining(good.Token, "x", "")); rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" {
		t.Errorf("after three refusals: got %d %s, Retry-After %q", rec.Code, rec.Body, rec.Header().Get("Retry-After"))
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	claim := strings.Repeat("c", 32)
	made := w.joinToken(`{"name":"fleet","max_uses":2}`)
	first := decode[joinedAgent](t, w.checked(asNobody, joining(made.Token, "edge", claim)))
	again := decode[joinedAgent](t, w.checked(asNobody, joining(made.Token, "edge", claim)))
	if first.Agent.ID != again.Agent.ID || first.PAK == again.PAK {
		t.Errorf("again: got %+v after %+v, want the same agent with a new key", again.Agent, first.Agent)
	}
	former, err := w.store.Credentials().OfSubject(t.Context(), tenancy.RoleAgent, "", first.Agent.ID)
	must(t, err)
	if len(former) != 2 || (former[0].RevokedAt == nil) == (former[1].RevokedAt == nil) {
		t.Errorf("keys: %+v, want the former one revoked", former)
	}
	for name, other := range map[string]string{"another claim": strings.Repeat("d", 32), "none": ""} {
		if rec := w.checked(asNobody, joining(made.Token, "edge", other)); rec.Code != http.StatusConflict {
			t.Errorf("%s: got %d %s, want 409", name, rec.Code, rec.Body)
		}
	}
	if rec := w.checked(asNobody, joining(made.Token, "second", claim)); rec.Code != http.StatusCreated {
		t.Errorf("the second use is still there: got %d %s", rec.Code, rec.Body)
	}
	rec := w.checked(asNobody, joining(made.Token, "edge", claim))
	if rec.Code != http.StatusCreated {
		t.Errorf("used up, but by itself: got %d %s", rec.Code, rec.Body)
	}
	w.keys["former"], w.keys["last"] = again.PAK, decode[joinedAgent](t, rec).PAK
	if w.whoami("former") != http.StatusUnauthorized || w.whoami("last") != http.StatusOK {
		t.Error("the last key is not the one that is good")
	}
	if rec := w.checked(asNobody, joining(made.Token, "edge", claim)); rec.Code != http.StatusConflict {
		t.Errorf("once a key was used, were it a moment ago: got %d %s, want 409", rec.Code, rec.Body)
	}
	w.do(asAdmin, request{method: "DELETE", path: "/join-tokens/" + made.JoinToken.ID})
	if rec := w.checked(asNobody, joining(made.Token, "edge", claim)); rec.Code != http.StatusForbidden {
		t.Errorf("revoked: got %d %s, want 403", rec.Code, rec.Body)
	}
}

func TestRacersForTheLastUse(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{AuthFailures: 1000}, memory.New(time.Now))
	made := w.joinToken(`{"name":"fleet","max_uses":3}`)
	codes := make(chan int, 12)
	var wg sync.WaitGroup
	for i := range cap(codes) {
		wg.Go(func() { codes <- w.do(asNobody, joining(made.Token, fmt.Sprint("edge-", i), "")).Code })
	}
	wg.Wait()
	close(codes)
	count := map[int]int{}
	for c := range codes {
		count[c]++
	}
	if count[http.StatusCreated] != 3 || count[http.StatusForbidden] != 9 {
		t.Errorf("answers %v, want 3 that joined and 9 refused", count)
	}
}

func TestJoinTokensThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for body, want := range map[string]string{
		`{"name":""}`:                                    "invalid_join_token",
		`{"name":"x","max_uses":-1}`:                     "invalid_join_token",
		`{"name":"x","ttl_seconds":-1}`:                  "invalid_join_token",
		`{"name":"x","ttl_seconds":9223372036854775807}`: "invalid_join_token",
		`{"name":"x","labels":["a b"]}`:                  "invalid_label",
		`{"name":"x","generator_ids":["nobody"]}`:        "invalid_generator_id",
	} {
		if rec := w.do(asOperator, request{method: "POST", path: "/join-tokens", body: body}); rec.Code != http.StatusBadRequest || code(t, rec) != want {
			t.Errorf("%s: got %d %s, want 400 %s", body, rec.Code, rec.Body, want)
		}
	}
}

// Once a key of the agent was used no answer was lost: token and claim cannot undo a rotation or take the agent over.
func TestAnAgentThatHasUsedItsKeyDoesNotJoinAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	made := w.joinToken(`{"name":"fleet","max_uses":3}`)
	claim := strings.Repeat("c", 32)
	first := decode[joinedAgent](t, w.checked(asNobody, joining(made.Token, "edge", claim)))
	key := w.newestCredential(tenancy.RoleAgent, "", first.Agent.ID)
	must(t, w.store.Credentials().Touch(t.Context(), map[tenancy.CredentialID]time.Time{key.ID: time.Now()}))
	w.keys["first"] = first.PAK
	if rec := w.checked(asNobody, joining(made.Token, "edge", claim)); rec.Code != http.StatusConflict {
		t.Errorf("got %d %s, want 409", rec.Code, rec.Body)
	}
	if w.whoami("first") != http.StatusOK {
		t.Error("the key that is in use was ended")
	}
}
