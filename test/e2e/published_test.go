package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// A published agent's calls, in its order and with its shapes: from its first request over REST alone, and with the WebSocket.
func TestPublishedAgent(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	// One address for everything is what a published agent knows: a gateway that passes on what is not its own.
	gate := w.Server("gateway-3", programs.Gateway, "BROKKR__GATEWAY__ADDR", "BROKKR__GATEWAY__PROXY_ADMIN=true", "BROKKR__GATEWAY__API_URL="+w.API.URL())
	gate.Start()
	for name, socket := range map[string]bool{"rest": false, "websocket": true} {
		t.Run(name, func(t *testing.T) { publishedAgent(t, w, gate.URL(), w.Unique(name), socket) })
	}
}

func publishedAgent(t *testing.T, w *world.World, broker, name string, socket bool) {
	id, pak := w.NewAgent(name, name)
	c := world.NewClient(broker, pak)
	self := "/agents/" + id
	search := "/agents/?name=" + name + "&cluster_name=" + name
	must := func(method, path string, body any, status int, out any) world.Answer {
		t.Helper()
		return c.Must(t, method, path, body, status, out)
	}

	// The start.
	if a := must(http.MethodGet, "//readyz", nil, http.StatusOK, nil); string(a.Body) != "Ready" {
		t.Fatalf("/readyz says %q", a.Body)
	}
	var who struct {
		Admin            bool
		Agent, Generator *string
	}
	must(http.MethodPost, "/auth/pak", nil, http.StatusOK, &who)
	if who.Agent == nil || *who.Agent != id || who.Admin || who.Generator != nil {
		t.Fatalf("who am I: %+v", who)
	}
	var ws *websocket.Conn
	if socket {
		conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(broker, "http")+"/internal/ws/agent", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + pak}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		ws = conn
	}
	var found struct{ ID, Status string }
	must(http.MethodGet, search, nil, http.StatusOK, &found)
	if found.ID != id || found.Status != "ACTIVE" {
		t.Fatalf("found %+v", found)
	}
	again := must(http.MethodPost, "/generators/"+w.Tenant.ID+"/register", map[string]any{"agent_id": nil}, http.StatusConflict, nil)
	if again.Problem().Code != "already_registered" {
		t.Errorf("registered again: %s", again.Body)
	}

	// What there is to do.
	s := w.Tenant.NewStack(t, w.Unique("s-"+name[:4]), name)
	o := w.Tenant.Publish(t, s.ID, world.ConfigMap("default", name, "one"))
	w.Admin.Must(t, http.MethodPost, self+"/targets", map[string]any{"agent_id": id, "stack_id": s.ID}, http.StatusCreated, nil)
	if socket {
		awaitFrame(t, ws, "stack_changed", s.ID)
	}

	// A heartbeat, and the look at its status that always follows.
	now := time.Now().UTC()
	if socket {
		say(t, ws, "heartbeat", map[string]any{"agent_id": id, "sent_at": now, "k8s_reachable": true, "k8s_api_latency_ms": 12})
	} else {
		must(http.MethodPost, self+"/heartbeat", map[string]any{"k8s_reachable": true, "k8s_api_latency_ms": 12}, http.StatusNoContent, nil)
	}
	world.Eventually(t, world.Patience, "the heartbeat is seen", func() error {
		var seen struct {
			LastHeartbeat *time.Time `json:"last_heartbeat"`
			Reachable     *bool      `json:"k8s_reachable"`
		}
		if _, err := c.Try(t.Context(), http.MethodGet, search, nil, http.StatusOK, &seen); err != nil {
			return err
		}
		if seen.LastHeartbeat == nil || seen.Reachable == nil || !*seen.Reachable {
			return fmt.Errorf("got %+v", seen)
		}
		return nil
	})

	// Deploying.
	var target []struct {
		ID       string `json:"id"`
		StackID  string `json:"stack_id"`
		Sequence int64  `json:"sequence_id"`
		YAML     string `json:"yaml_content"`
		Checksum string `json:"yaml_checksum"`
		Deletion bool   `json:"is_deletion_marker"`
	}
	world.Eventually(t, world.Patience, "the object is in the target state", func() error {
		if _, err := c.Try(t.Context(), http.MethodGet, self+"/target-state", nil, http.StatusOK, &target); err != nil {
			return err
		}
		if len(target) != 1 || target[0].ID != o.ID || target[0].StackID != s.ID || target[0].YAML == "" || len(target[0].Checksum) != 64 || target[0].Deletion {
			return fmt.Errorf("got %+v", target)
		}
		return nil
	})
	event := map[string]any{"agent_id": id, "deployment_object_id": o.ID, "event_type": "DEPLOY", "status": "SUCCESS", "message": nil}
	if socket {
		full := map[string]any{"id": "00000000-0000-0000-0000-000000000000", "created_at": now, "updated_at": now, "deleted_at": nil}
		for k, v := range event {
			full[k] = v
		}
		say(t, ws, "agent_event", full)
	} else {
		must(http.MethodPost, self+"/events", event, http.StatusCreated, nil)
	}
	health := map[string]any{"pods_ready": 1, "pods_total": 1, "conditions": []string{}}
	if socket {
		text, err := json.Marshal(health)
		if err != nil {
			t.Fatal(err)
		}
		say(t, ws, "agent_health", map[string]any{"id": "00000000-0000-0000-0000-000000000000", "agent_id": id, "deployment_object_id": o.ID, "status": "healthy",
			"summary": string(text), "checked_at": now, "created_at": now, "updated_at": now})
	} else if a := must(http.MethodPatch, self+"/health-status", map[string]any{"deployment_objects": []any{map[string]any{"id": o.ID, "status": "healthy", "summary": health, "checked_at": now}}},
		http.StatusOK, nil); len(a.Body) != 0 {
		t.Errorf("health: got %s", a.Body)
	}
	world.Eventually(t, world.Patience, "the stack is healthy there", func() error {
		st, err := w.Tenant.Status(t.Context(), s.ID)
		if err != nil {
			return err
		}
		if c, ok := st.Of(id); !ok || c.Health != "healthy" {
			return errors.New(c.String())
		}
		return nil
	})

	// A work order.
	var order struct{ ID string }
	w.Admin.Must(t, http.MethodPost, "/work-orders", map[string]any{"work_type": "custom", "yaml_content": world.ConfigMap("default", name, "work"), "target_agent_ids": []string{id}}, http.StatusCreated, &order)
	if socket {
		awaitFrame(t, ws, "work_order", order.ID)
	}
	var orders []struct{ ID, Status string }
	must(http.MethodGet, self+"/work-orders/pending", nil, http.StatusOK, &orders)
	if len(orders) != 1 || orders[0].ID != order.ID || orders[0].Status != "PENDING" {
		t.Fatalf("pending: %+v", orders)
	}
	var claimed struct {
		ClaimedBy string `json:"claimed_by"`
	}
	must(http.MethodPost, "/work-orders/"+order.ID+"/claim", map[string]any{"agent_id": id}, http.StatusOK, &claimed)
	var entry struct {
		Success bool
		Message string `json:"result_message"`
	}
	must(http.MethodPost, "/work-orders/"+order.ID+"/complete", map[string]any{"success": true, "message": "done"}, http.StatusOK, &entry)
	if claimed.ClaimedBy != id || !entry.Success || entry.Message != "done" {
		t.Errorf("claimed %+v, completed %+v", claimed, entry)
	}

	// A diagnostic.
	var question struct{ ID string }
	w.Admin.Must(t, http.MethodPost, "/deployment-objects/"+o.ID+"/diagnostics", map[string]any{"agent_id": id}, http.StatusCreated, &question)
	var questions []struct{ ID string }
	must(http.MethodGet, self+"/diagnostics/pending", nil, http.StatusOK, &questions)
	if len(questions) != 1 || questions[0].ID != question.ID {
		t.Fatalf("questions: %+v", questions)
	}
	must(http.MethodPost, "/diagnostics/"+question.ID+"/claim", nil, http.StatusOK, nil)
	must(http.MethodGet, "/deployment-objects/"+o.ID, nil, http.StatusOK, nil)
	must(http.MethodPost, "/diagnostics/"+question.ID+"/result", map[string]any{"pod_statuses": "[]", "events": "[]", "log_tails": "{}", "collected_at": now}, http.StatusCreated, nil)

	// A webhook.
	w.Admin.Must(t, http.MethodPost, "/webhooks", map[string]any{"name": name, "url": "http://receiver.tools.svc/x", "event_types": []string{"deployment.created"},
		"filters": map[string]any{"stack_id": s.ID}, "target_labels": []string{name}}, http.StatusCreated, nil)
	w.Tenant.Publish(t, s.ID, world.ConfigMap("default", name, "two"))
	var hooks []struct {
		ID, URL, Payload string
		EventType        string `json:"event_type"`
	}
	world.Eventually(t, world.Patience, "the webhook waits", func() error {
		if _, err := c.Try(t.Context(), http.MethodGet, self+"/webhooks/pending", nil, http.StatusOK, &hooks); err != nil {
			return err
		}
		if len(hooks) != 1 {
			return fmt.Errorf("got %+v", hooks)
		}
		return nil
	})
	if hooks[0].URL != "http://receiver.tools.svc/x" || hooks[0].EventType != "deployment.created" || !strings.Contains(hooks[0].Payload, s.ID) {
		t.Errorf("webhook: %+v", hooks[0])
	}
	must(http.MethodPost, "/webhook-deliveries/"+hooks[0].ID+"/result", map[string]any{"success": true, "status_code": 200, "error": nil, "duration_ms": 3}, http.StatusOK, nil)
}

func say(t *testing.T, ws *websocket.Conn, kind string, body any) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "body": body})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, b); err != nil {
		t.Fatal(err)
	}
}

// awaitFrame reads frames until one of the kind has the id.
func awaitFrame(t *testing.T, ws *websocket.Conn, kind, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), world.Patience)
	defer cancel()
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", kind, err)
		}
		var f struct {
			Type string
			Body struct{ ID string }
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Type == kind && f.Body.ID == id {
			return
		}
	}
}
