package transport

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Whatever an agent sends as its sync is a message that means the same when it is written and read again, or its mistake.
func FuzzSync(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[]", `{"boot_id":"x","seq":1,"revision":-1,"wait_seconds":99}`, `{"status":{"a":[1,2,{"b":null}]}}`,
		`{"boot_id":"0f8fad5b-d9cb-469f-a165-70867728950e","seq":9223372036854775807,"revision":3,"heartbeat":{"k8s_reachable":true,"k8s_api_latency_ms":12},` +
			`"applied":[{"stack_id":"s","phase":"applied","health":"healthy","observed_at":"2026-01-01T00:00:00Z"}],"removed":[{"stack_id":"s","revision":1}],"work":7}`,
		`{"applied":[{"observed_at":"yesterday"}]}`, `{"seq":1e400}`, `{"applied":null,"more":{"than":"known"}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		read := func(text string) (wire.SyncRequest, error) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(text))
			r.Header.Set("Content-Type", "application/json")
			return rpc.LooseJSON[wire.SyncRequest](r)
		}
		first, err := read(body)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v, want the agent's mistake", body, err)
			}
			return
		}
		written, err := json.Marshal(first)
		if err != nil {
			if strings.Contains(err.Error(), "Time.MarshalJSON") { // a year that RFC 3339 does not have
				return
			}
			t.Fatalf("%q was read and cannot be written: %v", body, err)
		}
		second, err := read(string(written))
		if err != nil {
			t.Fatalf("%q was written as %s, which cannot be read: %v", body, written, err)
		}
		again, err := json.Marshal(second)
		if err != nil || !reflect.DeepEqual(written, again) {
			t.Fatalf("%q: %s, then %s, %v", body, written, again, err)
		}
	})
}
