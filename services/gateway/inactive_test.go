package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// set changes the status of an agent, as an admin does.
func (w *world) set(a subject, s agent.Status) {
	w.Helper()
	found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
	w.must(err)
	found.Status = s
	w.must(w.store.Agents().Update(w.Context(), found))
	synctest.Wait()
}

// An agent that was set inactive gets no content and no work, by none of the routes of agents, from the moment on at which it was; what
// it does to find out whether it is active it may do.
func TestAnInactiveAgentIsGivenNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, withSecret)
		w.assign(o, a)
		d := w.ask(a, o)
		r := w.gateway(options{})
		own := "/api/v1/agents/" + string(a.id)
		routes := []struct {
			method, path string
			body         any
			status       int // while the agent is active
		}{
			{http.MethodGet, own + "/target-state", nil, http.StatusOK},
			{http.MethodGet, own + "/target-state?mode=incremental", nil, http.StatusOK},
			{http.MethodGet, "/api/v1/manifests/" + string(o.Checksum), nil, http.StatusOK},
			{http.MethodGet, own + "/webhooks/pending", nil, http.StatusOK},
			{http.MethodGet, own + "/diagnostics/pending", nil, http.StatusOK},
			{http.MethodGet, own + "/work-orders/pending", nil, http.StatusOK},
			{http.MethodPost, own + "/events", map[string]any{"agent_id": a.id, "deployment_object_id": o.ID, "event_type": "DEPLOY", "status": "SUCCESS"}, http.StatusCreated},
			{http.MethodPatch, own + "/health-status", map[string]any{"deployment_objects": []any{map[string]any{"id": o.ID, "status": "healthy", "checked_at": time.Now()}}}, http.StatusOK},
			{http.MethodPost, own + "/telemetry", map[string]any{"boot_id": uuid.NewString(), "seq": 1}, http.StatusOK},
			{http.MethodPost, "/api/v1/diagnostics/" + string(d) + "/claim", nil, http.StatusOK},
		}
		ask := func(active bool) {
			for _, x := range routes {
				rec := r.do(w.Context(), a.key, x.method, x.path, x.body)
				switch {
				case active && rec.Code != x.status:
					t.Errorf("active: %s %s: got %d %s, want %d", x.method, x.path, rec.Code, rec.Body, x.status)
				case !active && (rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), `"agent_inactive"`) || strings.Contains(rec.Body.String(), "hunter")):
					t.Errorf("inactive: %s %s: got %d %s, want 403 agent_inactive", x.method, x.path, rec.Code, rec.Body)
				}
			}
		}
		claim := routes[len(routes)-1]
		routes = routes[:len(routes)-1]
		ask(true)
		routes = append(routes, claim)
		w.set(a, agent.Inactive)
		ask(false)
		for path, want := range map[string]int{"/api/v1/auth/pak": http.StatusOK, own + "/heartbeat": http.StatusNoContent} {
			if rec := r.do(w.Context(), a.key, http.MethodPost, path, nil); rec.Code != want {
				t.Errorf("inactive: %s: got %d %s, want %d: so it starts, and waits", path, rec.Code, rec.Body, want)
			}
		}
		if rec := r.do(w.Context(), w.admin(), http.MethodGet, own+"/target-state", nil); rec.Code != http.StatusOK {
			t.Errorf("an admin sees what it would have: got %d %s", rec.Code, rec.Body)
		}
		w.set(a, agent.Active)
		ask(true)
		before := r.calls()
		if rec := r.do(w.Context(), a.key, http.MethodGet, own+"/target-state", nil); rec.Code != http.StatusOK || r.calls() != before {
			t.Errorf("got %d with %d calls of the store, want none: who takes part is remembered", rec.Code, r.calls()-before)
		}
	})
}

// A channel ends with the deactivation. An agent that is inactive is refused one with what a published agent takes for "not now": five
// refusals by 403 and it never asks again.
func TestAnInactiveAgentHasNoChannel(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		r := w.gateway(options{})
		c := r.listen()
		ends, _ := w.dial(c, agentPath, a.key)
		stays, _ := w.dial(c, agentPath, b.key)
		began := time.Now()
		w.set(a, agent.Inactive)
		if code := ends.closed(); code != websocket.StatusTryAgainLater || time.Since(began) > time.Second {
			t.Errorf("closed with %d after %s, want 1013 at once", code, time.Since(began))
		}
		if _, got := w.dial(c, agentPath, a.key); got != http.StatusUnprocessableEntity {
			t.Errorf("inactive: got %d, want 422", got)
		}
		if stays.heard(); len(stays.end) != 0 {
			t.Error("another agent's channel has ended")
		}
		w.set(a, agent.Active)
		if _, got := w.dial(c, agentPath, a.key); got != http.StatusSwitchingProtocols {
			t.Errorf("active again: got %d, want a channel", got)
		}
	})
}

// A connection ends when its key does, not with the next ping: at expires_at, and at the end of an overlap that was set meanwhile.
func TestAPlannedEndEndsAConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		r := w.gateway(options{})
		c := r.listen()
		at := time.Now()
		end := at.Add(7 * time.Second)
		owner := w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: s.Generator, ExpiresAt: &end})
		watch, _ := w.dial(c, "/api/v1/stacks/"+string(s.ID)+"/live", owner)
		channel, _ := w.dial(c, agentPath, a.key)
		time.Sleep(time.Second)
		_, err := w.store.Credentials().Revoke(w.Context(), tenancy.RoleAgent, "", a.id, at.Add(9*time.Second))
		w.must(err)
		for _, x := range []struct {
			who  string
			conn *socket
			want time.Duration
		}{{"watcher", watch, 7 * time.Second}, {"agent", channel, 9 * time.Second}} {
			if code := x.conn.closed(); code != websocket.StatusPolicyViolation || time.Since(at) != x.want {
				t.Errorf("%s: closed with %d after %s, want 1008 after %s", x.who, code, time.Since(at), x.want)
			}
		}
	})
}
