package command_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Ids of the recorded world.
const (
	stackID  = "11111111-1111-4111-8111-111111111111"
	agentID  = "22222222-2222-4222-8222-222222222221"
	agentID2 = "22222222-2222-4222-8222-222222222222"
	genID    = "33333333-3333-4333-8333-333333333333"
	genID2   = "33333333-3333-4333-8333-333333333334"
	objectID = "44444444-4444-4444-8444-444444444441"
	objID2   = "44444444-4444-4444-8444-444444444442"
)

const (
	times     = `"created_at":"2026-08-02T10:00:00.123456Z","updated_at":"2026-08-02T10:00:00.123456Z","deleted_at":null`
	admin     = `{"admin":true,"agent":null,"generator":null,"readonly":false}`
	asGen     = `{"admin":false,"agent":null,"generator":"` + genID + `","readonly":false}`
	asAgent   = `{"admin":false,"agent":"` + agentID + `","generator":null,"readonly":false}`
	generator = `{"id":"` + genID + `",` + times + `,"name":"admin-generator","description":null,"is_active":true,"is_system":false,"last_active_at":null,"registration_policy":"approval"}`
	other     = `{"id":"` + genID2 + `",` + times + `,"name":"team-a","description":"Team A","is_active":true,"is_system":false,"last_active_at":"2026-08-02T11:59:00Z","registration_policy":"open"}`
	keyID     = "55555555-5555-4555-8555-555555555551"
	aKey      = `{"id":"` + keyID + `","name":"dashboard","role":"viewer","generator_id":null,"agent_id":null,"prefix":"brokkr_BRaaaaaa","state":"usable","created_at":"2026-08-02T10:00:00Z","expires_at":null,"revoked_at":null,"last_used_at":"2026-08-02T11:59:00Z"}`
	endingKey = `{"id":"55555555-5555-4555-8555-555555555552","name":"preset","role":"admin","generator_id":null,"agent_id":null,"prefix":null,"state":"ending","created_at":"2026-08-01T10:00:00Z","expires_at":"2026-09-02T10:00:00Z","revoked_at":"2026-08-02T13:00:00Z","last_used_at":null}`
	getHello  = "GET /stacks/" + stackID
	putHello  = "PUT /stacks/" + stackID
	plainly   = `{"prune":"delete","prune_adopted":false,"prune_protected":false,"adopt":"always","drift":"correct","ignore_paths":[],"service_account":""}`
	specially = `{"prune":"orphan","prune_adopted":true,"prune_protected":true,"adopt":"never","drift":"report","ignore_paths":["/spec/replicas"],"service_account":"shop/deployer"}`
	hello     = `{"id":"` + stackID + `",` + times + `,"name":"hello","description":null,"generator_id":"` + genID + `"}`
	gone      = `{"id":"` + stackID + `","created_at":"2026-08-01T12:00:00Z","updated_at":"2026-08-02T09:00:00Z","deleted_at":"2026-08-02T09:00:00Z","name":"hello","description":null,"generator_id":"` + genID + `","restorable_until":"2026-08-09T09:00:00Z"}`
	goneLong  = `{"id":"` + objectID + `","created_at":"2026-06-01T12:00:00Z","updated_at":"2026-07-02T09:00:00Z","deleted_at":"2026-07-02T09:00:00Z","name":"hello","description":null,"generator_id":"` + genID + `","restorable_until":"2026-07-09T09:00:00Z"}`
	edge1     = `{"id":"` + agentID + `",` + times + `,"name":"edge-1","cluster_name":"cluster-1","last_heartbeat":"2026-08-02T11:59:55Z","status":"ACTIVE","k8s_reachable":true,"k8s_api_latency_ms":12,"k8s_reported_at":"2026-08-02T11:59:55Z"}`
	edge2     = `{"id":"` + agentID2 + `",` + times + `,"name":"edge-2","cluster_name":"cluster-2","last_heartbeat":null,"status":"INACTIVE","k8s_reachable":null,"k8s_api_latency_ms":null,"k8s_reported_at":null}`
	edge1b    = `{"id":"` + agentID2 + `",` + times + `,"name":"edge-1","cluster_name":"cluster-9","last_heartbeat":null,"status":"ACTIVE"}`

	manifest  = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  a: \"1\"\n"
	manifest2 = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  a: \"2\"\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n"
)

func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

func object(id string, sequence int, content string) string {
	return fmt.Sprintf(`{"id":%q,%s,"sequence_id":%d,"stack_id":%q,"yaml_content":%q,"yaml_checksum":%q,"submitted_at":"2026-08-02T11:00:00Z","is_deletion_marker":false}`,
		id, times, sequence, stackID, content, sum(content))
}

// cluster is one line of a status.
func cluster(agent, n, object string, sequence int, applied, phase, health, message, extra string) string {
	if applied == "" {
		applied = "null"
	} else {
		applied = fmt.Sprintf(`{"deployment_object_id":%q,"sequence_id":%d}`, applied, sequence)
	}
	return fmt.Sprintf(`{"agent_id":%q,"agent_name":"edge-%s","cluster_name":"cluster-%s","agent_status":"ACTIVE","last_heartbeat":"2026-08-02T11:59:55Z",
		"state":"assigned","wanted":{"deployment_object_id":%q,"sequence_id":%d},"applied":%s,"phase":%q,"health":%q,"message":%q,
		"since":"2026-08-02T11:58:00Z","reason":"label prod","revision":7,"blocked_on":null%s}`,
		agent, n, n, object, sequence, applied, phase, health, message, extra)
}

func healthyOn(agent, n, object string, sequence int) string {
	return cluster(agent, n, object, sequence, object, "applied", "healthy", "", "")
}

func status(object string, sequence int, hold, clusters, summary string) string {
	return fmt.Sprintf(`{"stack_id":%q,"stack_name":"hello","generator_id":%q,"deployment_object_id":%q,"sequence_id":%d,"checksum":"c","published_at":"2026-08-02T11:57:00Z",
		"hold":%s,"clusters":[%s],"summary":%s}`, stackID, genID, object, sequence, hold, clusters, summary)
}

const (
	summary2 = `{"wanted":2,"applied":2,"healthy":2,"failed":0,"removing":0}`
	summary0 = `{"wanted":0,"applied":0,"healthy":0,"failed":0,"removing":0}`
	hold     = `{"since":"2026-08-02T11:50:00Z","reason":"would remove 2 of 2 clusters","removes":["` + agentID + `","` + agentID2 + `"],"of":2,"fingerprint":"f00d"}`
)

// blockedStatus is a cluster that keeps what it has.
const blockedStatus = `[{"override":"overrides[0].patches[1]","reason":"Deployment web: operation 1 (replace /spec/replicas): nothing is there","deployment_object_id":"` + objectID + `",
	"since":"2026-08-02T11:50:00Z","clusters":[{"agent_id":"` + agentID + `","agent_name":"a1","cluster_name":"c1"}]}]`

func placement(hold, verdicts string) string {
	return fmt.Sprintf(`{"stack_id":%q,"generation":3,"decided_at":"2026-08-02T11:57:01Z","cause":"deployment.created","trace_id":"t1","hold":%s,"verdicts":[%s]}`, stackID, hold, verdicts)
}

const (
	verdictYes = `{"agent_id":"` + agentID + `","cluster":"cluster-1","agent_name":"edge-1","picked":true,"reasons":[{"rule":"label","wanted":"prod","observed":"prod","message":"shares the label prod"}]}`
	verdictNo  = `{"agent_id":"` + agentID2 + `","cluster":"cluster-2","agent_name":"edge-2","picked":false,"reasons":[{"rule":"consent","message":"agent edge-2 has no approved registration with generator admin-generator"},{"rule":"no_match","message":"shares no label"}]}`
)

// folder writes one manifest file and returns its folder.
func folder(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	getStacksByName = "GET /stacks?name=hello"
	getNewest       = "GET /stacks/" + stackID + "/deployment-objects?limit=1"
	postObject      = "POST /stacks/" + stackID + "/deployment-objects"
	postLabels      = "POST /stacks/" + stackID + "/labels"
	getStatus       = "GET /stacks/" + stackID + "/status"
	getPlacement    = "GET /stacks/" + stackID + "/placement"
	getAdminGen     = "GET /generators?name=admin-generator"
	getRollouts     = "GET /stacks/" + stackID + "/rollouts"
	postAuth        = "POST /auth/pak"
)

// with returns base with more routes.
func (r routes) with(more routes) routes {
	all := routes{}
	for _, m := range []routes{r, more} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func list(items ...string) answer {
	s := "["
	for i, v := range items {
		if i > 0 {
			s += ","
		}
		s += v
	}
	return ok(s + "]")
}
