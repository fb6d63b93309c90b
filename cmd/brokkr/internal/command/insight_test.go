package command_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	fleet1 = `{"agent_id":"` + agentID + `","name":"edge-1","cluster_name":"cluster-1","status":"ACTIVE","ws_connected":true,"connected_since":"2026-08-02T11:00:00Z",
		"last_heartbeat":"2026-08-02T11:59:55Z","heartbeat_age_seconds":5,"pending_object_count":2,"pending_work_orders":1,"claimed_work_orders":0,
		"last_event_at":"2026-08-02T11:50:00Z","seconds_since_last_event":600,"health_failing":1,"health_degraded":0,"k8s_reachable":true,"k8s_api_latency_ms":12}`
	fleet2 = `{"agent_id":"` + agentID2 + `","name":"edge-2","cluster_name":"cluster-2","status":"INACTIVE","ws_connected":false,"connected_since":null,
		"last_heartbeat":null,"heartbeat_age_seconds":null,"pending_object_count":0,"pending_work_orders":0,"claimed_work_orders":0,
		"last_event_at":null,"seconds_since_last_event":null,"health_failing":0,"health_degraded":0,"k8s_reachable":null,"k8s_api_latency_ms":null}`

	diagnosticID = "55555555-5555-4555-8555-555555555551"
	postDiagnose = "POST /deployment-objects/" + objectID + "/diagnostics"
	getDiagnosed = "GET /diagnostics/" + diagnosticID
)

func asked(status, rest string) string {
	return fmt.Sprintf(`{"id":%q,"agent_id":%q,"deployment_object_id":%q,"status":%q,"created_at":"2026-08-02T12:00:00Z","expires_at":"2026-08-02T13:00:00Z"%s}`,
		diagnosticID, agentID, objectID, status, rest)
}

const diagnosed = `,"result":{"pod_statuses":"[{\"name\":\"web-1\",\"namespace\":\"web\",\"phase\":\"Running\",\"conditions\":[],\"containers\":[{\"name\":\"app\",\"ready\":false,\"restart_count\":3,\"state\":\"waiting\",\"state_reason\":\"CrashLoopBackOff\",\"state_message\":null}]}]",
	"events":"[{\"event_type\":\"Warning\",\"reason\":\"BackOff\",\"message\":\"restarting\",\"involved_object\":\"web-1\",\"involved_object_kind\":\"Pod\",\"count\":4}]",
	"log_tails":"{\"web-1/app\":\"starting\\nno such host\\n\"}","collected_at":"2026-08-02T12:00:01Z"}`

func TestInsight(t *testing.T) {
	t.Parallel()
	found := routes{getStacksByName: {list(hello)}}
	one := status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7), summary2)
	ill := status(objectID, 7, "null", cluster(agentID, "1", objectID, 7, objectID, "applied", "degraded", "0 of 1 ready", ""), summary2)
	going := status(objectID, 7, "null", cluster(agentID, "1", objectID, 7, "", "applying", "unknown", "", ""), summary2)
	answered := routes{postDiagnose: {created(asked("pending", ""))}, getDiagnosed: {
		ok(`{"request":` + asked("claimed", "") + `}`), ok(`{"request":` + asked("completed", "") + diagnosed + `}`),
	}}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"fleet":        {"get fleet", routes{"GET /fleet": {list(fleet1, fleet2)}}, 0},
		"fleet-wide":   {"get fleet cluster-1 -o wide", routes{"GET /fleet": {list(fleet1, fleet2)}}, 0},
		"fleet-nobody": {"get fleet x", routes{"GET /fleet": {list(fleet1)}}, 0},
		"fleet-denied": {"get fleet", routes{"GET /fleet": {refused(403, "admin_required", "only an admin may do this")}}, 1},

		"wait-healthy": {"wait hello", found.with(routes{getStatus: {ok(going), ok(going), ok(one)}, getRollouts: {list()}}), 0},
		"wait-applied": {"wait hello --for=applied", found.with(routes{getStatus: {ok(going), ok(ill)}, getRollouts: {list()}}), 0},
		"wait-applied-waves": {"wait hello --for=applied", found.with(routes{getStatus: {ok(ill)}, getRollouts: {list(strings.ReplaceAll(rolloutJSON("progressing", "", false), objID2, objectID))},
			"GET /rollouts/" + rolloutID: {ok(rolloutJSON("progressing", "", true)), ok(rolloutJSON("progressing", "", true)), ok(strings.ReplaceAll(rolloutJSON("progressing", "", true), `"admitted_at":null`, `"admitted_at":"2026-08-02T11:59:00Z"`))}}), 0},
		"wait-health":         {"wait hello --for=health=degraded", found.with(routes{getStatus: {ok(ill)}}), 0},
		"wait-timeout":        {"wait hello --timeout 150ms", found.with(routes{getStatus: {ok(ill)}, getPlacement: {ok(placement("null", verdictYes))}}), 1},
		"wait-removed":        {"wait " + stackID + " --for=removed", routes{getStatus: {ok(one), refused(404, "stack_not_found", "gone")}}, 0},
		"wait-nothing":        {"wait hello", found.with(routes{getStatus: {ok(strings.Replace(strings.Replace(one, `"sequence_id":7`, `"sequence_id":null`, 1), `"deployment_object_id":"`+objectID+`"`, `"deployment_object_id":null`, 1))}}), 1},
		"wait-usage":          {"wait hello --for=lunch", nil, 2},
		"wait-usage-health":   {"wait hello --for=health=odd", nil, 2},
		"wait-unknown":        {"wait hello", routes{getStacksByName: {list()}}, 1},
		"diagnose":            {"diagnose hello", found.with(answered).with(routes{getStatus: {ok(one)}}), 0},
		"diagnose-cluster":    {"diagnose hello --cluster cluster-1 -o json", found.with(answered).with(routes{getStatus: {ok(one)}}), 0},
		"diagnose-elsewhere":  {"diagnose hello --cluster cluster-9", found.with(routes{getStatus: {ok(one)}}), 1},
		"diagnose-nowhere":    {"diagnose hello", found.with(routes{getStatus: {ok(status(objectID, 7, "null", "", summary0))}}), 1},
		"diagnose-no-answer":  {"diagnose hello --timeout 150ms", found.with(routes{getStatus: {ok(one)}, postDiagnose: {created(asked("pending", ""))}, getDiagnosed: {ok(`{"request":` + asked("pending", "") + `}`)}}), 1},
		"diagnose-expired":    {"diagnose hello", found.with(routes{getStatus: {ok(one)}, postDiagnose: {created(asked("pending", ""))}, getDiagnosed: {ok(`{"request":` + asked("expired", "") + `}`)}}), 1},
		"diagnose-not-for-us": {"diagnose hello", found.with(routes{getStatus: {ok(one)}, postDiagnose: {refused(403, "admin_required", "only an admin may do this")}}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run{routes: tt.routes, args: strings.Fields(tt.args)}.do(t)
			if res.exit != tt.exit {
				t.Errorf("exit %d, want %d: %s", res.exit, tt.exit, res.err)
			}
			// How often is looked until the time is over depends on the machine.
			if name == "wait-timeout" || name == "diagnose-no-answer" {
				res.requests = res.requests[:min(3, len(res.requests))]
				res.err = onceEach(res.err)
			}
			res.golden(t, "TestInsight-"+name)
		})
	}
}

// onceEach leaves out repeated lines.
func onceEach(text string) string {
	seen, out := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		if !seen[line] {
			out += line
		}
		seen[line] = true
	}
	return out
}

// wellRoutes are those of a world in which everything is fine, by the clock of the tests.
func wellRoutes() routes {
	clock := map[string]string{"Date": "Sun, 02 Aug 2026 12:00:00 GMT"}
	return routes{
		"GET /healthz": {{status: 200, body: "OK", header: clock}}, "GET /readyz": {{status: 200, body: "Ready", header: clock}},
		"GET /health":  {{status: 200, body: `{"status":"ok","components":[{"name":"database","status":"ok","required":true}]}`, header: clock}},
		"GET /version": {ok(`{"version":"v1.2.3","api":"v1"}`)}, postAuth: {ok(`{"admin":true,"agent":null,"generator":null,"readonly":false,"role":"admin"}`)},
		"GET /agents": {list(edge1)}, "GET /stacks": {list(hello)},
		getStatus: {ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7), summary2))},
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	blocked := strings.Replace(cluster(agentID2, "2", objectID, 7, "", "pending", "unknown", "", ""), `"blocked_on":null`, `"blocked_on":"agent edge-2 is inactive"`, 1)
	failed := cluster("x3", "3", objectID, 7, "", "failed", "unknown", "quota exceeded", "")
	silent := strings.NewReplacer("2026-08-02T11:59:55Z", "2026-08-02T11:00:00Z").Replace(edge1)
	twice := strings.NewReplacer(`"k8s_reachable"`, `"duplicate_since":"2026-08-02T11:50:00Z","k8s_reachable"`, `"edge-1"`, `"edge-0"`).Replace(edge1)
	cut := strings.NewReplacer(`"k8s_reachable":true`, `"k8s_reachable":false`, `"edge-1"`, `"edge-3"`, `"ACTIVE"`, `"INACTIVE"`).Replace(edge1)
	late := map[string]string{"Date": "Sun, 02 Aug 2026 11:00:00 GMT"}
	for name, tt := range map[string]struct {
		args   string
		change routes
		exit   int
	}{
		"well":      {"doctor", nil, 0},
		"well-json": {"doctor -o json", nil, 0},
		"ill": {"doctor", routes{
			"GET /agents": {list(silent, edge2, twice, cut)}, "GET /version": {ok(`{"version":"v1.0.0"}`)},
			"GET /healthz": {{status: 200, body: "OK", header: late}},
			getStatus:      {ok(status(objectID, 7, hold, blocked+","+failed, summary2))},
		}, 1},
		"not-ready": {"doctor", routes{
			"GET /readyz": {{status: 503, body: "database unavailable"}},
			"GET /health": {{status: 503, body: `{"status":"failing","components":[{"name":"database","status":"failing","required":true,"error":"refused"},{"name":"redis","status":"failing","required":false,"error":"away"}]}`}},
		}, 1},
		"no-broker":     {"doctor", routes{"GET /healthz": {{status: 404, body: "not here"}}}, 1},
		"bad-key":       {"doctor", routes{postAuth: {{status: 401}}}, 1},
		"agents-key":    {"doctor", routes{postAuth: {ok(asAgent)}}, 1},
		"generator":     {"doctor", routes{postAuth: {ok(asGen)}, "GET /agents": {list()}}, 0},
		"nowhere":       {"doctor", routes{getStatus: {ok(status(objectID, 7, "null", "", summary0))}}, 0},
		"no-stacks":     {"doctor", routes{"GET /stacks": {refused(403, "stacks_list_denied", "no")}}, 0},
		"stack-is-gone": {"doctor", routes{getStatus: {refused(404, "stack_not_found", "gone")}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run{routes: wellRoutes().with(tt.change), args: strings.Fields(tt.args)}.do(t)
			if res.exit != tt.exit {
				t.Errorf("exit %d, want %d: %s%s", res.exit, tt.exit, res.out, res.err)
			}
			res.golden(t, "TestDoctor-"+name)
		})
	}
}

// unpack returns the files of an archive by name, without its folder.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", h.Name, h.Mode)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		out[name] = string(text)
	}
}

func TestSupportBundleHasNoSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tgz")
	other := "brokkr_BRothr11_7Jm3xqLwqVn2YtRk9cTzBd5hPsWfUgEa"
	leaky := strings.Replace(healthyOn(agentID, "1", objectID, 7), `"message":""`, `"message":"login with `+other+` refused"`, 1)
	world := wellRoutes().with(routes{
		"GET /fleet": {list(fleet1)}, "GET /agents/" + agentID + "/labels": {list(`{"label":"prod"}`)}, "GET /agents/" + agentID + "/registrations": {list()},
		"GET /agents/" + agentID + "/fleet-status": {ok(`{"record":` + fleet1 + `,"recent_events":[]}`)},
		getStatus: {ok(status(objectID, 7, "null", leaky, summary2))}, getPlacement: {refused(http.StatusForbidden, "stack_not_accessible", "no: "+other)},
		"GET /stacks/" + stackID + "/labels": {list()},
	})
	res := run{routes: world, args: []string{"support-bundle", "-o", path}}.do(t)
	if res.exit != 0 || strings.TrimSpace(res.out) != path {
		t.Fatalf("exit %d: %s%s", res.exit, res.out, res.err)
	}
	for _, q := range res.requests {
		if strings.Contains(q, "deployment-objects") || strings.Contains(q, "manifests") {
			t.Errorf("manifests are asked for: %s", q)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	files := unpack(t, path)
	for _, name := range []string{
		"version.json", "whoami.json", "process/readyz.json", "process/health.json", "doctor.json", "config.yaml", "fleet.json", "agents.json", "stacks.json",
		"agents/" + agentID + "/fleet-status.json", "stacks/" + stackID + "/status.json", "bundle.json",
	} {
		if files[name] == "" {
			t.Errorf("%s is not in the bundle", name)
		}
	}
	for name, text := range files {
		for _, secret := range []string{adminPAK, other, "GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8", "7Jm3xqLwqVn2YtRk9cTzBd5hPsWfUgEa"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a key: %s", name, text)
			}
		}
	}
	if !strings.Contains(files["stacks/"+stackID+"/status.json"], "login with *** refused") || !strings.Contains(files["bundle.json"], "stacks/"+stackID+"/placement.json") {
		t.Errorf("want the message without the key, and the missing placement named:\n%s\n%s", files["stacks/"+stackID+"/status.json"], files["bundle.json"])
	}
	if res := (run{routes: world, args: []string{"support-bundle", "-o", path}}).do(t); res.exit != 1 {
		t.Errorf("a second one to the same file: exit %d, want it refused", res.exit)
	}
	if kept := unpack(t, path); len(kept) != len(files) {
		t.Errorf("the first bundle was changed")
	}
}

func TestSupportBundleHidesTheConfigurationsKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b.tgz")
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "brokkr"), 0o700); err != nil {
		t.Fatal(err)
	}
	const canary = "plain-canary-that-looks-like-no-key"
	conf := "current-context: prod\ncontexts:\n- name: prod\n  url: http://broker\n  pak: " + canary + "\n"
	if err := os.WriteFile(filepath.Join(home, "brokkr", "config.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	world := wellRoutes().with(routes{
		"GET /fleet": {refused(403, "admin_required", "no")}, "GET /agents": {list()}, "GET /stacks": {list()},
	})
	res := run{routes: world, args: []string{"support-bundle", "-o", path}, env: map[string]string{"XDG_CONFIG_HOME": home}}.do(t)
	if res.exit != 0 {
		t.Fatalf("exit %d: %s", res.exit, res.err)
	}
	files := unpack(t, path)
	if !strings.Contains(files["config.yaml"], "***") || !strings.Contains(files["config.yaml"], "prod") {
		t.Errorf("config.yaml: got %s, want the context with its key hidden", files["config.yaml"])
	}
	for name, text := range files {
		if strings.Contains(text, canary) {
			t.Errorf("%s holds the key of the configuration", name)
		}
	}
}
