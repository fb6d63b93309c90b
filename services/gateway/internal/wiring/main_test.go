package wiring_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/services/gateway/internal/wiring"
)

// The whole process serves while its Redis is away, and says what it misses; where things are is for the log alone.
func TestProcess(t *testing.T) {
	t.Parallel()
	away := testenv.Nobody(t)
	addr, logs := testenv.Serve(t, wiring.Main, "gateway (gateway.addr)", "DATABASE_URL="+testenv.Postgres(t), "REDIS_URL=redis://"+away,
		"BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off", "BROKKR__GATEWAY__ADDR=127.0.0.1:0")
	for path, want := range map[string]string{"/healthz": "OK", "/readyz": "Ready"} {
		if status, body := testenv.Ask(t, "http://"+addr+path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want 200 %s", path, status, body, want)
		}
	}
	if status, body := testenv.Ask(t, "http://"+addr+"/api/v1/agents/0b1f7c1e-6a53-4c0e-9a44-0d0ac0a5c001/target-state"); status != http.StatusUnauthorized || body != "" {
		t.Errorf("without a key: %d %q, want 401 and nothing", status, body)
	}
	status, body := testenv.Ask(t, "http://"+addr+"/health")
	if status != http.StatusOK || !strings.Contains(body, `"status":"degraded"`) || !strings.Contains(body, `"name":"signals","status":"failing"`) {
		t.Errorf("/health: %d %s, want 200, degraded by its signals", status, body)
	}
	if strings.Contains(body, away) {
		t.Errorf("/health tells everybody where Redis is: %s", body)
	}
	if said := logs.String(); !strings.Contains(said, away) {
		t.Errorf("the log does not say which Redis is away:\n%s", said)
	}
}

func TestAStartThatCannotSucceedSaysWhy(t *testing.T) {
	t.Parallel()
	testenv.BadStarts(t, wiring.Main, "gateway")
}
