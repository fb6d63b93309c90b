package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// ask makes a request about the agent as an admin and returns the answer.
func (w *world) ask(method, rest, body string, status int) map[string]any {
	w.t.Helper()
	rec := w.checked(asAdmin, request{method: method, path: "/agents/" + string(w.agent.ID) + rest, body: body})
	if rec.Code != status {
		w.t.Fatalf("%s %s: got %d: %s, want %d", method, rest, rec.Code, rec.Body, status)
	}
	var out map[string]any
	if status == http.StatusOK && strings.HasPrefix(rec.Body.String(), "{") {
		must(w.t, json.Unmarshal(rec.Body.Bytes(), &out))
	}
	return out
}

// turnedDown makes a request that need not keep the contract, and wants this refusal.
func (w *world) turnedDown(method, rest, body string, status int, code string) {
	w.t.Helper()
	rec := w.do(asAdmin, request{method: method, path: "/agents/" + string(w.agent.ID) + rest, body: body})
	if rec.Code != status || !strings.Contains(rec.Body.String(), `"`+code+`"`) {
		w.t.Errorf("%s %s %.60s: got %d: %s, want %d %s", method, rest, body, rec.Code, rec.Body, status, code)
	}
}

// told counts the events that tell placement of the agent.
func (w *world) told() int {
	w.t.Helper()
	events, _, err := w.store.Outbox().Read(w.t.Context(), ports.Cursor{}, time.Now(), 0, 1000)
	must(w.t, err)
	n := 0
	for _, e := range events {
		if e.Type == event.AgentChanged && e.Agent == w.agent.ID {
			n++
		}
	}
	return n
}

func TestCordonDrainAndUncordon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	before := w.told()
	if got := w.ask("GET", "/cluster", "", 200); got["cordon"] != nil || got["status"] != nil || got["drain"] != nil {
		t.Errorf("at first: got %v, want nothing known", got)
	}
	first := w.ask("POST", "/cordon", `{"reason":"new disks"}`, 200)["cordon"].(map[string]any)
	again := w.ask("POST", "/cordon", `{"reason":"another"}`, 200)["cordon"].(map[string]any)
	if first["reason"] != "new disks" || again["since"] != first["since"] || again["reason"] != "new disks" {
		t.Errorf("cordoned twice: got %v, then %v; want the first to stand", first, again)
	}
	if got := w.told() - before; got != 1 {
		t.Errorf("events after two cordons: got %d, want 1: only what changes something is told", got)
	}
	plan := w.ask("POST", "/drain", `{"budget":1,"dry_run":true}`, 200)
	if plan["dry_run"] != true || plan["drain"] == nil {
		t.Errorf("dry run: got %v, want what would go", plan)
	}
	stacks := plan["drain"].(map[string]any)["stacks"].([]any)
	if len(stacks) == 0 || stacks[0].(map[string]any)["state"] != "waiting" {
		t.Errorf("dry run: got %v, want the stacks that stand there", stacks)
	}
	if got := w.ask("GET", "/cluster", "", 200); got["drain"] != nil || w.told()-before != 1 {
		t.Errorf("after a dry run: got %v, want nothing changed", got["drain"])
	}
	drain := w.ask("POST", "/drain", `{"reason":"old iron"}`, 200)["drain"].(map[string]any)
	if drain["waiting"] != 0.0 || drain["moving"] == 0.0 || drain["done"] != false {
		t.Errorf("drain without a budget: got %v, want all on their way", drain)
	}
	w.ask("DELETE", "/drain", "", 204)
	w.ask("DELETE", "/drain", "", 404)
	if got := w.ask("GET", "/cluster", "", 200); got["drain"] != nil || got["cordon"] == nil {
		t.Errorf("after the drain: got %v, want the cordon alone", got)
	}
	w.ask("POST", "/drain", `{"budget":3}`, 200)
	if got := w.ask("POST", "/uncordon", "", 200); got["drain"] != nil || got["cordon"] != nil {
		t.Errorf("uncordoned: got %v, want neither", got)
	}
	w.turnedDown("POST", "/drain", `{"budget":-1}`, 400, "invalid_drain")
	w.turnedDown("POST", "/cordon", `{"reason":"`+strings.Repeat("x", 1025)+`"}`, 400, "invalid_reason")
	w.turnedDown("DELETE", "/drain", "", 404, "drain_not_found")
}

func TestTaints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	before := w.told()
	made := w.ask("PUT", "/taints", `{"key":"gpu","value":"a100","effect":"nOpLaCe"}`, 200)
	if made["effect"] != "NoPlace" || made["value"] != "a100" {
		t.Errorf("made: got %v", made)
	}
	if again := w.ask("PUT", "/taints", `{"key":"gpu","value":"a100","effect":"NoPlace"}`, 200); again["since"] != made["since"] {
		t.Errorf("put again: got %v, want the time of %v", again, made)
	}
	w.ask("PUT", "/taints", `{"key":"gpu","effect":"Evict"}`, 200)
	if got := w.told() - before; got != 2 {
		t.Errorf("events: got %d, want 2", got)
	}
	if got := w.ask("GET", "/cluster", "", 200)["taints"].([]any); len(got) != 2 {
		t.Errorf("taints: got %v, want two", got)
	}
	w.ask("DELETE", "/taints/gpu", "", 204)
	w.ask("DELETE", "/taints/gpu", "", 404)
	w.ask("DELETE", "/taints/gpu?effect=Evict", "", 404)
	for _, bad := range []string{`{"key":"","effect":"Evict"}`, `{"key":"a b","effect":"Evict"}`, `{"key":"a","effect":"NoSchedule"}`, `{"key":"a","value":"b c","effect":"Evict"}`} {
		w.turnedDown("PUT", "/taints", bad, 400, "invalid_taint")
	}
	w.turnedDown("DELETE", "/taints/gpu", "", 404, "agent_taint_not_found")
	for n := range cluster.MaxTaints {
		w.ask("PUT", "/taints", fmt.Sprintf(`{"key":"k%d","effect":"NoPlace"}`, n), 200)
	}
	w.turnedDown("PUT", "/taints", `{"key":"one-more","effect":"NoPlace"}`, 422, "too_many_taints")
}

type clusterAnswer struct {
	AgentName    string  `json:"agent_name"`
	Reachability string  `json:"reachability"`
	Freshness    string  `json:"freshness"`
	Version      *string `json:"kubernetes_version"`
	Nodes        *int    `json:"nodes"`
	Requested    *struct {
		CPU int64 `json:"cpu_millicores"`
	} `json:"requested"`
	Available *struct {
		CPU int64 `json:"cpu_millicores"`
	} `json:"available"`
	Unknown  map[string]string `json:"unknown"`
	Taints   []cluster.Taint   `json:"taints"`
	Cordon   *cluster.Cordon   `json:"cordon"`
	Drain    *cluster.Drain    `json:"drain"`
	Assigned int               `json:"assigned_stacks"`
}

// A list of clusters tells what is known of each, null for what is not, and can be narrowed by it.
func TestListClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	list := func(query string) []clusterAnswer {
		return answer[[]clusterAnswer](w, asAdmin, "GET", "/clusters"+query, "")
	}
	all := list("")
	w.drained(1)
	w.tainted()
	_, err := w.store.Clusters().Report(t.Context(), w.agent.ID, cluster.Status{
		KubernetesVersion: "v1.36.3", Nodes: 3, ReadyNodes: 3, Allocatable: cluster.Resources{CPU: 4000},
		Unknown: map[cluster.Part]string{cluster.PartRequested: "pods are forbidden"},
	}, time.Now().UTC())
	must(t, err)
	got := list("?taint=maintenance&draining=true&cordoned=true&freshness=current&label=prod&name=" + w.agent.Name)
	if len(got) != 1 || got[0].AgentName != w.agent.Name {
		t.Fatalf("the drained cluster: got %+v", got)
	}
	c := got[0]
	if c.Version == nil || *c.Version != "v1.36.3" || c.Nodes == nil || *c.Nodes != 3 || len(c.Taints) != 1 || c.Cordon == nil || c.Drain == nil || c.Drain.Budget != 1 || c.Assigned == 0 {
		t.Errorf("got %+v", c)
	}
	if c.Requested != nil || c.Available != nil || c.Unknown["requested"] != "pods are forbidden" {
		t.Errorf("what the agent may not read: got requested %v, available %v, unknown %v", c.Requested, c.Available, c.Unknown)
	}
	rest := list("?freshness=none")
	if len(rest) != len(all)-1 || rest[0].Version != nil || rest[0].Nodes != nil || rest[0].Cordon != nil {
		t.Errorf("those that have told nothing: got %+v, want the other %d with nulls", rest, len(all)-1)
	}
	if got := list("?draining=false"); len(got) != len(all)-1 {
		t.Errorf("not drained: got %d, want %d", len(got), len(all)-1)
	}
	for _, bad := range []string{"?cordoned=maybe", "?freshness=rotten", "?reachability=far", "?status=asleep"} {
		if rec := w.do(asAdmin, request{method: "GET", path: "/clusters" + bad}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_query" {
			t.Errorf("%s: got %d %s, want 400 invalid_query", bad, rec.Code, rec.Body)
		}
	}
}
