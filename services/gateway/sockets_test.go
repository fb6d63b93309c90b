package gateway_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway"
)

// pipes are a network in memory, so that connections live in virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// listen serves a replica and returns a client for it.
func (r *replica) listen() *http.Client {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: r.svc.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(p) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case p.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	stop := r.stop
	r.stop = sync.OnceFunc(func() {
		r.svc.Drain()
		close(p.done)
		transport.CloseIdleConnections()
		_ = srv.Close()
		stop()
	})
	return &http.Client{Transport: transport}
}

// socket is a client's WebSocket.
type socket struct {
	w    *world
	conn *websocket.Conn
	got  chan string
	end  chan error
}

// dial connects; the status is that of a refusal.
func (w *world) dial(c *http.Client, path string, key pak.PAK, protocols ...string) (*socket, int) {
	w.Helper()
	h := http.Header{}
	if key != (pak.PAK{}) {
		h.Set("Authorization", "Bearer "+key.Reveal())
	}
	conn, res, err := websocket.Dial(w.Context(), "ws://gateway"+path, &websocket.DialOptions{HTTPClient: c, HTTPHeader: h, Subprotocols: protocols}) //nolint:bodyclose // the library closes it
	if err != nil {
		if res == nil {
			w.Fatalf("%s: %v", path, err)
		}
		return nil, res.StatusCode
	}
	s := &socket{w: w, conn: conn, got: make(chan string, 1000), end: make(chan error, 1)}
	go func() {
		for {
			_, data, err := conn.Read(context.Background())
			if err != nil {
				s.end <- err
				return
			}
			s.got <- string(data)
		}
	}()
	synctest.Wait()
	return s, http.StatusSwitchingProtocols
}

func (s *socket) say(kind string, body any) {
	s.w.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "body": body})
	s.w.must(err)
	s.w.must(s.conn.Write(s.w.Context(), websocket.MessageText, b))
	synctest.Wait()
}

// heard returns what came within a second, and is joined by line feeds.
func (s *socket) heard() string {
	time.Sleep(time.Second)
	synctest.Wait()
	var out []string
	for {
		select {
		case f := <-s.got:
			out = append(out, f)
			continue
		default:
		}
		return strings.Join(out, "\n")
	}
}

// has checks that each frame is one of type and body, and what those of this type have in their bodies.
func (w *world) has(frames, kind, names string) {
	w.Helper()
	found := false
	for _, text := range strings.Split(frames, "\n") {
		var f map[string]json.RawMessage
		var body map[string]any
		if json.Unmarshal([]byte(text), &f) != nil || len(f) != 2 || json.Unmarshal(f["body"], &body) != nil {
			w.Errorf("frame %s is not one of type and body", text)
			continue
		}
		if string(f["type"]) != `"`+kind+`"` {
			continue
		}
		found = true
		for _, name := range strings.Fields(names) {
			if _, there := body[name]; !there {
				w.Errorf("%s has no %s: %s", kind, name, text)
			}
		}
	}
	if !found {
		w.Errorf("there is no %s among %s", kind, frames)
	}
}

// closed waits for the end and returns its code.
func (s *socket) closed() websocket.StatusCode {
	return websocket.CloseStatus(<-s.end)
}

const agentPath = "/internal/ws/agent"

func TestWhatAnAgentSaysReachesThoseWhoWatchOnAnotherReplica(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s, other := w.agent("a", agent.Active), w.stack("web"), w.stack("other")
		w.assign(w.publish(s.ID, "v: 1"), a)
		one, two := w.gateway(options{}), w.gateway(options{})
		here, there := one.listen(), two.listen()
		owner := w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: s.Generator})
		watch, _ := w.dial(there, "/api/v1/stacks/"+string(s.ID)+"/live", owner)
		said, _ := w.dial(here, agentPath, a.key)
		line := lineOf(s.ID, "hello")
		line.AgentID = string(a.id)
		said.say("pod_log_line", line)
		said.say("k8s_event", wire.K8sEvent{AgentID: string(a.id), StackID: string(s.ID), ObservedAt: time.Now(), Reason: "Pulled", EventType: "Normal"})
		said.say("log_gap", wire.LogGap{AgentID: string(a.id), StackID: string(s.ID), SinceTS: time.Now(), DroppedCount: 3, Reason: "rate_limit"})
		got := watch.heard()
		for _, want := range []string{`{"type":"pod_log_line","body":{"agent_id":"` + string(a.id), `"line":"hello"`, `"type":"k8s_event"`, `"reason":"Pulled"`, `"type":"log_gap"`, `"dropped_count":3`} {
			if !strings.Contains(got, want) {
				t.Errorf("heard %s, want it to have %s", got, want)
			}
		}
		w.has(got, "pod_log_line", "agent_id stack_id namespace pod container ts line")
		w.has(got, "k8s_event", "agent_id stack_id observed_at reason message event_type source involved_object")
		w.has(got, "log_gap", "agent_id stack_id since_ts dropped_count reason")
		if kept := w.logged(s.ID); len(kept) != 1 {
			t.Errorf("kept: got %q, want the line", kept)
		}
		// Frames for others, of others, and of no known kind are dropped, and the connection stays.
		forged := lineOf(s.ID, "forged")
		forged.AgentID = string(w.agent("b", agent.Active).id)
		said.say("pod_log_line", forged)
		foreign := lineOf(other.ID, "foreign")
		foreign.AgentID = string(a.id)
		said.say("pod_log_line", foreign)
		said.say("something_new", 1)
		said.say("pod_log_line", line)
		if got := watch.heard(); strings.Count(got, "pod_log_line") != 1 || !strings.Contains(got, "hello") {
			t.Errorf("heard %s, want the true line alone", got)
		}
		if kept := w.logged(other.ID); len(kept) != 0 {
			t.Errorf("the other stack's log: got %q, want nothing", kept)
		}
		if n := one.metric("brokkr_gateway_frames_total", "dropped"); n != 2 {
			t.Errorf("dropped frames: got %v, want 2", n)
		}
	})
}

func TestReportsOnASocketDoWhatTheyDoOverREST(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		o := w.publish(s.ID, "v: 1")
		w.assign(o, a)
		r := w.gateway(options{})
		said, _ := w.dial(r.listen(), agentPath, a.key)
		said.say("heartbeat", map[string]any{"agent_id": a.id, "sent_at": time.Now(), "k8s_reachable": true, "k8s_api_latency_ms": 12})
		said.say("agent_event", map[string]any{"id": "00000000-0000-0000-0000-000000000000", "agent_id": a.id, "deployment_object_id": o.ID, "event_type": "DEPLOY", "status": "SUCCESS", "message": nil})
		if got := w.outbox(event.DeploymentApplied); len(got) != 1 {
			t.Errorf("outbox: got %d deployment.applied, want 1: webhooks hang on it", len(got))
		}
		said.say("agent_health", map[string]any{"agent_id": a.id, "deployment_object_id": o.ID, "status": "degraded", "checked_at": time.Now(), "summary": `{"pods_ready":1,"pods_total":2,"conditions":[]}`})
		_, held := w.held(a)
		if st := held[0].Status; st.Phase != delivery.PhaseApplied || st.Health != delivery.HealthDegraded || st.Message != "1 of 2 pods ready" {
			t.Errorf("status: got %+v, want applied, degraded, with the reason", st)
		}
		time.Sleep(10 * time.Second) // heartbeats are stored in batches
		found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
		w.must(err)
		if found.Liveness.LastHeartbeat == nil || found.Liveness.K8sLatencyMS == nil || *found.Liveness.K8sLatencyMS != 12 {
			t.Errorf("liveness: got %+v, want the heartbeat", found)
		}
	})
}

func TestTheNewerConnectionOfAnAgentStays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		one, two := w.gateway(options{}), w.gateway(options{})
		here, there := one.listen(), two.listen()
		first, _ := w.dial(here, agentPath, a.key)
		time.Sleep(time.Second)
		second, _ := w.dial(here, agentPath, a.key)
		if code := first.closed(); code != websocket.StatusPolicyViolation {
			t.Errorf("the former one on the same replica: closed with %d, want 1008", code)
		}
		time.Sleep(time.Second)
		third, _ := w.dial(there, agentPath, a.key)
		if code := second.closed(); code != websocket.StatusPolicyViolation {
			t.Errorf("the former one on the other replica: closed with %d, want 1008", code)
		}
		third.say("heartbeat", map[string]any{"agent_id": a.id, "sent_at": time.Now()})
		type answer struct {
			ConnectedAgents int `json:"connected_agents"`
			LiveSubscribers int `json:"live_subscribers"`
			Connections     []struct {
				AgentID    string `json:"agent_id"`
				MessagesIn int    `json:"messages_in"`
			}
		}
		got := decode[answer](t, one.do(w.Context(), w.admin(), http.MethodGet, "/api/v1/admin/ws/connections", nil), http.StatusOK)
		if got.ConnectedAgents != 1 || len(got.Connections) != 1 || got.Connections[0].AgentID != string(a.id) || got.Connections[0].MessagesIn != 1 {
			t.Errorf("connections, asked at the replica that has none: got %+v, want the one at the other", got)
		}
	})
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s, other := w.agent("a", agent.Active), w.stack("web"), w.stack("other")
		r := w.gateway(options{})
		c := r.listen()
		owner := w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: s.Generator})
		stranger := w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: other.Generator})
		viewer := w.credential(tenancy.Credential{Role: tenancy.RoleViewer})
		stackPath := "/api/v1/stacks/" + string(s.ID) + "/live"
		for _, tt := range []struct {
			name, path string
			key        pak.PAK
			want       int
		}{
			{"agent", agentPath, a.key, 101}, {"admin as agent", agentPath, w.admin(), 403}, {"generator as agent", agentPath, owner, 403}, {"nobody as agent", agentPath, noKey(), 401},
			{"owner", stackPath, owner, 101}, {"admin", stackPath, w.admin(), 101}, {"stranger", stackPath, stranger, 404}, {"agent at a stack", stackPath, a.key, 403}, {"viewer", stackPath, viewer, 403}, {"nobody", stackPath, noKey(), 401},
			{"no stack", "/api/v1/stacks/" + string(other.Generator) + "/live", owner, 404},
			{"fleet", "/api/v1/fleet/live", w.admin(), 101}, {"viewer of the fleet", "/api/v1/fleet/live", viewer, 101}, {"owner at the fleet", "/api/v1/fleet/live", owner, 403}, {"agent at the fleet", "/api/v1/fleet/live", a.key, 403}, {"nobody at the fleet", "/api/v1/fleet/live", noKey(), 401},
		} {
			if _, got := w.dial(c, tt.path, tt.key); got != tt.want {
				t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
			}
		}
		browser, got := w.dial(c, stackPath, noKey(), "brokkr.pak."+owner.Reveal(), "brokkr.v1")
		if got != 101 || browser.conn.Subprotocol() != "brokkr.v1" {
			t.Errorf("key as protocol: got %d, protocol %q, want 101 and brokkr.v1 alone", got, browser.conn.Subprotocol())
		}
		if _, got := w.dial(c, agentPath, noKey(), "brokkr.pak."+a.key.Reveal(), "brokkr.v1"); got != http.StatusUnauthorized {
			t.Errorf("an agent's key as protocol: got %d, want 401: agents can set headers", got)
		}
		for _, path := range []string{"/api/v1/nothing", "/api", "/internal", "/internal/ws/other", "/internal/nothing", "/nothing"} {
			if rec := r.do(w.Context(), owner, http.MethodGet, path, nil); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), `"not_found"`) {
				t.Errorf("%s: got %d %.80s, want 404 not_found", path, rec.Code, rec.Body)
			}
		}
		if rec := r.do(w.Context(), owner, http.MethodGet, stackPath, nil); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "upgrade_required") {
			t.Errorf("without an upgrade: got %d %s", rec.Code, rec.Body)
		}
	})
}

func TestARevocationAndADrainEndConnections(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b, s := w.agent("a", agent.Active), w.agent("b", agent.Active), w.stack("web")
		r := w.gateway(options{})
		c := r.listen()
		owner := w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: s.Generator})
		revoked, _ := w.dial(c, agentPath, a.key)
		stays, _ := w.dial(c, agentPath, b.key)
		watch, _ := w.dial(c, "/api/v1/stacks/"+string(s.ID)+"/live", owner)
		_, err := w.store.Credentials().Revoke(w.Context(), tenancy.RoleAgent, "", a.id, time.Now())
		w.must(err)
		_, err = w.store.Credentials().Revoke(w.Context(), tenancy.RoleGenerator, s.Generator, "", time.Now())
		w.must(err)
		began := time.Now()
		for name, x := range map[string]*socket{"agent": revoked, "watcher": watch} {
			if code := x.closed(); code != websocket.StatusPolicyViolation || time.Since(began) > time.Second {
				t.Errorf("%s: closed with %d after %s, want 1008 within a second", name, code, time.Since(began))
			}
		}
		time.Sleep(5 * time.Minute) // pings keep the other one
		if stays.heard(); len(stays.end) != 0 {
			t.Error("another agent's connection has ended")
		}
		r.svc.Drain()
		if code := stays.closed(); code != websocket.StatusServiceRestart {
			t.Errorf("drain: closed with %d, want 1012", code)
		}
		if _, got := w.dial(c, agentPath, b.key); got != http.StatusServiceUnavailable {
			t.Errorf("in a drain: got %d, want 503", got)
		}
	})
}

func TestTheFleetIsShownWhileItChanges(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		w.agent("idle", agent.Active)
		one, two := w.gateway(options{}), w.gateway(options{})
		watch, _ := w.dial(one.listen(), "/api/v1/fleet/live", w.admin())
		time.Sleep(5 * time.Second)
		if got := watch.heard(); got != "" {
			t.Errorf("heard %s, want nothing while nothing changes", got)
		}
		w.dial(two.listen(), agentPath, a.key)
		time.Sleep(5 * time.Second)
		if got := watch.heard(); strings.Count(got, "fleet_update") != 1 || !strings.Contains(got, `"agent_id":"`+string(a.id)) || !strings.Contains(got, `"ws_connected":true`) {
			t.Errorf("heard %s, want the agent that is connected now", got)
		} else {
			w.has(got, "fleet_update", "agent_id name cluster_name status ws_connected connected_since last_heartbeat heartbeat_age_seconds pending_object_count "+
				"pending_work_orders claimed_work_orders last_event_at seconds_since_last_event health_failing health_degraded k8s_reachable k8s_api_latency_ms")
		}
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		s := w.stack("web")
		r := w.gateway(options{config: func(c *gateway.Config) { c.AgentSockets, c.LiveWatchers = 1, 1 }})
		c, admin := r.listen(), w.admin()
		for name, tt := range map[string]struct {
			path   string
			one, n pak.PAK
		}{
			"agents":   {agentPath, w.agent("a", agent.Active).key, w.agent("b", agent.Active).key},
			"watchers": {"/api/v1/stacks/" + string(s.ID) + "/live", admin, admin},
		} {
			if _, got := w.dial(c, tt.path, tt.one); got != 101 {
				t.Errorf("%s: got %d, want 101", name, got)
			}
			if _, got := w.dial(c, tt.path, tt.n); got != http.StatusTooManyRequests {
				t.Errorf("%s: one too many: got %d, want 429", name, got)
			}
		}
	})
}
