package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

// An inactive agent is shown no content, and finds itself all the same: that is how it learns to be active.
func TestAnInactiveAgentIsShownNoContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	object := request{method: http.MethodGet, path: "/deployment-objects/" + string(w.object.ID)}
	if rec := w.checked(asSelf, object); rec.Code != http.StatusOK {
		t.Fatalf("active: got %d %s", rec.Code, rec.Body)
	}
	v, err := w.store.Agents().Get(t.Context(), tenancy.Everything(), w.agent.ID)
	must(t, err)
	v.Status = agent.Inactive
	must(t, w.store.Agents().Update(t.Context(), v))
	if rec := w.checked(asSelf, object); rec.Code != http.StatusForbidden || code(t, rec) != "agent_inactive" {
		t.Errorf("inactive: got %d %s, want 403 agent_inactive", rec.Code, rec.Body)
	}
	for _, path := range []string{"/agents/?name=a1&cluster_name=c-a1", "/agents/" + string(w.agent.ID)} {
		if rec := w.checked(asSelf, request{method: http.MethodGet, path: path}); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "INACTIVE") {
			t.Errorf("inactive: %s: got %d %s", path, rec.Code, rec.Body)
		}
	}
}

// The keys of an inactive generator are refused; what it has published stays. It makes itself neither inactive nor active.
func TestAnInactiveGenerator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/generators/" + string(w.owner.ID)
	set := func(as string, active bool) int {
		rec := w.checked(as, request{method: http.MethodPut, path: path, body: map[bool]string{true: `{"is_active":true}`, false: `{"is_active":false}`}[active]})
		if rec.Code == http.StatusForbidden && code(t, rec) != "admin_required" {
			t.Errorf("refused with %s", rec.Body)
		}
		return rec.Code
	}
	if got := set(asOwner, false); got != http.StatusForbidden {
		t.Errorf("by itself: got %d, want 403", got)
	}
	if got := set(asOwner, true); got != http.StatusOK {
		t.Errorf("a PUT of what is so already: got %d, want 200", got)
	}
	if got := set(asOperator, false); got != http.StatusOK || w.whoami(asOwner) != http.StatusUnauthorized || w.whoami(asOther) != http.StatusOK {
		t.Errorf("inactive: got %d, its key %d, another's %d", got, w.whoami(asOwner), w.whoami(asOther))
	}
	c := w.checked(asAdmin, request{method: http.MethodGet, path: "/credentials/" + string(w.credentialOf(asOwner).ID)})
	if got := decode[struct{ State string }](t, c); got.State != "suspended" {
		t.Errorf("its key is %q, want it suspended", got.State)
	}
	if _, err := w.store.Stacks().Get(t.Context(), tenancy.Everything(), w.stack.ID); err != nil {
		t.Errorf("its stack has gone: %v", err)
	}
	if _, _, err := w.store.Assignments().OfAgent(t.Context(), w.agent.ID); err != nil {
		t.Error(err)
	}
	if got := set(asAdmin, true); got != http.StatusOK || w.whoami(asOwner) != http.StatusOK {
		t.Errorf("active again: got %d, its key %d", got, w.whoami(asOwner))
	}
}

// A key of a generator that is made inactive while a body comes makes no other key either.
func TestAGeneratorThatIsMadeInactiveWhileABodyComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	before := len(w.allCredentials())
	rec := w.doHeld(asOwner, request{method: http.MethodPost, path: "/credentials", body: `{"name":"x"}`}, func() {
		g := w.owner
		g.Active, g.UpdatedAt = false, time.Now()
		must(t, w.store.Generators().Update(t.Context(), g))
	})
	if rec.Code != http.StatusUnauthorized || len(w.allCredentials()) != before {
		t.Errorf("got %d %s, want 401 and no key", rec.Code, rec.Body)
	}
}

// What of a webhook can be written and never read is sent nowhere else than where it was meant to go.
func TestAWebhookThatIsLedElsewhereTakesNoSecretWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for name, tt := range map[string]struct {
		change   string
		field    string // that is asked for; empty: it is done
		anew     bool   // there is a new signing secret
		shown    bool   // and it is shown
		auth     string
		toAgents bool // the webhook has labels before
	}{
		"another host":                  {change: `{"url":"https://evil.example.com/x"}`, field: "auth_header"},
		"another port":                  {change: `{"url":"https://example.com:8443/x"}`, field: "auth_header"},
		"another scheme":                {change: `{"url":"http://example.com/x"}`, field: "auth_header"},
		"another host with a header":    {change: `{"url":"https://new.example.com/x","auth_header":"new"}`, anew: true, shown: true, auth: "new"},
		"another host without a header": {change: `{"url":"https://new.example.com/x","auth_header":""}`, anew: true, shown: true},
		"another host and a secret":     {change: `{"url":"https://new.example.com/x","auth_header":"new","signing_secret":"0123456789abcdef"}`, anew: true, auth: "new"},
		"another path":                  {change: `{"url":"https://EXAMPLE.com:443/elsewhere"}`, auth: "stored"},
		"something else":                {change: `{"name":"other"}`, auth: "stored"},
		"agents":                        {change: `{"target_labels":["mine"]}`, field: "url"},
		"agents with the URL":           {change: `{"target_labels":["mine"],"url":"https://example.com/x"}`, field: "auth_header"},
		"agents with all that they see": {change: `{"target_labels":["mine"],"url":"https://example.com/x","auth_header":"new"}`, anew: true, shown: true, auth: "new"},
		"other agents":                  {change: `{"target_labels":["mine"]}`, field: "url", toAgents: true},
		"the same agents":               {change: `{"target_labels":["prod"]}`, auth: "stored", toAgents: true},
		"the control plane, not agents": {change: `{"target_labels":[]}`, auth: "stored", toAgents: true},
	} {
		id := w.webhook(func(s *webhook.Subscription, to *webhook.Target) {
			*to = webhook.Target{URL: "https://example.com/x", AuthHeader: "stored", Secret: "stored-0123456789"}
			s.HasAuthHeader = true
			if tt.toAgents {
				s.TargetLabels = []string{"prod"}
			}
		})
		rec := w.checked(asOperator, request{method: http.MethodPut, path: "/webhooks/" + id, body: tt.change})
		target, err := w.store.Webhooks().Target(t.Context(), webhook.ID(id))
		must(t, err)
		var got struct {
			Code    string
			Details struct{ Field string }
			Secret  string `json:"signing_secret"`
		}
		must(t, json.Unmarshal(rec.Body.Bytes(), &got))
		if tt.field != "" {
			if rec.Code != http.StatusBadRequest || got.Code != "invalid_webhook" || got.Details.Field != tt.field || target.AuthHeader != "stored" || target.URL != "https://example.com/x" {
				t.Errorf("%s: got %d %s and %q at %q, want that %s is asked for", name, rec.Code, rec.Body, target.AuthHeader, target.URL, tt.field)
			}
			continue
		}
		if rec.Code != http.StatusOK || target.AuthHeader != tt.auth || (target.Secret != "stored-0123456789") != tt.anew || (got.Secret != "") != tt.shown {
			t.Errorf("%s: got %d %s, header %q, secret anew %t", name, rec.Code, rec.Body, target.AuthHeader, target.Secret != "stored-0123456789")
		}
	}
}
