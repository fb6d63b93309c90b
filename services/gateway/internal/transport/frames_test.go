package transport

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const itself = "11111111-1111-4111-8111-111111111111"

func frameSeeds() map[string]string { // frame -> code of the refusal
	return map[string]string{
		`{"type":"heartbeat","body":{"agent_id":"` + itself + `","sent_at":"2026-03-01T12:00:00Z","k8s_reachable":true,"k8s_api_latency_ms":3}}`: "",
		`{"type":"agent_event","body":{"id":"00000000-0000-0000-0000-000000000000","agent_id":"` + itself + `","deployment_object_id":"x"}}`:     "",
		`{"type":"agent_health","body":{"agent_id":"` + itself + `","status":"healthy","summary":"{}"}}`:                                         "",
		`{"type":"k8s_event","body":{"agent_id":"` + itself + `","involved_object":{"kind":"Pod"},"source":null}}`:                               "",
		`{"type":"pod_log_line","body":{"agent_id":"` + itself + `","line":"\u0000"}}`:                                                           "",
		`{"type":"log_gap","body":{"agent_id":"` + itself + `","dropped_count":-1}}`:                                                             "",
		`{"type":"heartbeat","body":{"agent_id":"22222222-2222-4222-8222-222222222222"}}`:                                                        "agent_id_mismatch",
		`{"type":"pod_log_line","body":{"line":"whose?"}}`:                                                                                       "agent_id_mismatch",
		`{"type":"work_order","body":{}}`:     "unknown_frame",
		`{"type":"pod_log_line","body":[]}`:   "invalid_frame",
		`{"type":"pod_log_line"}`:             "invalid_frame",
		`{"type":"pod_log_line","body":null}`: "agent_id_mismatch",
		`[]`:                                  "invalid_frame", ``: "invalid_frame", `null`: "unknown_frame", `{"type":1}`: "invalid_frame",
	}
}

func TestReadFrame(t *testing.T) {
	t.Parallel()
	for text, code := range frameSeeds() {
		_, err := readFrame(itself, []byte(text))
		if got := fault.CodeOf(err); (code == "") != (err == nil) || code != "" && (got != code || !fault.Is(err, fault.Invalid)) {
			t.Errorf("%s: got %v (%s), want code %q, Invalid", text, err, got, code)
		}
	}
}

// FuzzReadFrame looks for frames that break the reader, or that pass without being of the agent that sends them.
func FuzzReadFrame(f *testing.F) {
	for text := range frameSeeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readFrame(itself, data)
		if err != nil {
			return
		}
		var of string
		switch {
		case r.heartbeat != nil:
			of = r.heartbeat.AgentID
		case r.event != nil:
			of = r.event.AgentID
		case r.health != nil:
			of = r.health.AgentID
		case r.offered.Event != nil:
			of = r.offered.Event.AgentID
		case r.offered.Line != nil:
			of = r.offered.Line.AgentID
		case r.offered.Gap != nil:
			of = r.offered.Gap.AgentID
		}
		if of != itself {
			t.Fatalf("%s passed as a frame of %q", data, of)
		}
	})
}
