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
