package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// An admin may look at an agent's target state, but what Secrets hold is the agent's and the owner's affair.
func TestSecretsInATargetStateAreForTheAgentAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		w.assign(w.publish(w.stack("web").ID, "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: canary-7f3a}\n"), a)
		r := w.gateway(options{})
		path := "/api/v1/agents/" + string(a.id) + "/target-state"
		for who, tt := range map[string]struct {
			rec  string
			sees bool
		}{
			"agent": {r.do(w.Context(), a.key, http.MethodGet, path, nil).Body.String(), true},
			"admin": {r.do(w.Context(), w.admin(), http.MethodGet, path, nil).Body.String(), false},
		} {
			if got := strings.Contains(tt.rec, "canary-7f3a"); got != tt.sees || !strings.Contains(tt.rec, "login") {
				t.Errorf("as %s: the value shows: %t, want %t: %s", who, got, tt.sees, tt.rec)
			}
		}
	})
}
