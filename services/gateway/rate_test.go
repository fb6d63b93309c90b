package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/services/gateway"
)

func TestRatesSpareThePulseOfAgents(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a1", agent.Active)
		r := w.gateway(options{config: func(c *gateway.Config) { c.CredentialRate, c.SourceRate = 1, 5 }})
		path := "/api/v1/agents/" + string(a.id)
		limited := func(key pak.PAK, method, path string, body any) bool {
			rec := r.do(w.Context(), key, method, path, body)
			if rec.Code == http.StatusTooManyRequests && (rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `"code":"rate_limited"`)) {
				w.Errorf("refused with %v %s", rec.Header(), rec.Body)
			}
			return rec.Code == http.StatusTooManyRequests
		}
		r.catchUp(a.start()) // its key is known from now on
		passed := 0
		for range 30 {
			if !limited(a.key, "GET", path+"/target-state", nil) {
				passed++
			}
			if limited(a.key, "POST", path+"/heartbeat", map[string]any{}) {
				w.Fatal("a heartbeat is refused")
			}
		}
		r.svc.Configure(func() gateway.Config {
			c := gateway.Defaults()
			c.CredentialRate, c.SourceRate, c.SyncRate = 1, 5, 2
			return c
		}())
		beats := 0
		for range 60 {
			if !limited(a.key, "POST", path+"/heartbeat", map[string]any{}) {
				beats++
			}
		}
		if beats != 20 || r.metric("brokkr_rate_limited_total", "agent") != 40 {
			w.Errorf("%d of 60 heartbeats of one agent passed, %v are counted as refused; want 20 and 40", beats, r.metric("brokkr_rate_limited_total", "agent"))
		}
		r.svc.Configure(func() gateway.Config {
			c := gateway.Defaults()
			c.CredentialRate, c.SourceRate, c.SyncRate = 1, 5, 0
			return c
		}())
		if passed != 10 {
			w.Errorf("%d of 30 requests of a credential passed, want 10", passed)
		}
		r.catchUp(a.start())
		passed = 0
		for range 100 {
			if !limited(pak.PAK{}, "POST", path+"/heartbeat", nil) {
				passed++
			}
		}
		if passed >= 60 || !limited(pak.PAK{}, "GET", "/api/v1/nothing", nil) {
			w.Errorf("%d of 100 requests without a credential passed, want no more than ten seconds' worth", passed)
		}
		for _, probe := range []string{"/healthz", "/readyz", "/health", "/metrics"} {
			if limited(pak.PAK{}, "GET", probe, nil) {
				w.Errorf("%s is limited", probe)
			}
		}
		if r.metric("brokkr_rate_limited_total", "credential") != 20 || r.metric("brokkr_rate_limited_total", "source") < 40 {
			w.Errorf("counted %v of credentials and %v of sources", r.metric("brokkr_rate_limited_total", "credential"), r.metric("brokkr_rate_limited_total", "source"))
		}
	})
}

func TestRatesAndBoundsAreValidated(t *testing.T) {
	t.Parallel()
	c := gateway.Defaults()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	c.SourceRate, c.CredentialRate, c.SyncRate, c.TargetStates = -1, -1, -1, 0
	err := c.Validate()
	for _, key := range []string{"gateway.source_rate", "gateway.credential_rate", "gateway.sync_rate", "gateway.target_states"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("the problems do not name %s: %v", key, err)
		}
	}
}
