package wiring_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/services/gateway/internal/wiring"
)

// gateway.proxy_admin, gateway.api_url, gateway.api_ca_file: one URL serves everything, over TLS that is checked.
func TestOneURLServesEverything(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the api: %s %s", r.URL, r.Header.Get("X-Forwarded-For"))
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair("api")}, MinVersion: tls.VersionTLS12}
	api.StartTLS()
	t.Cleanup(api.Close)
	database := testenv.Postgres(t)
	for reason, c := range map[string]struct {
		environ []string
		status  int
		says    string
	}{
		"passed on":             {[]string{"BROKKR__GATEWAY__PROXY_ADMIN=true", "BROKKR__GATEWAY__API_URL=" + api.URL, "BROKKR__GATEWAY__API_CA_FILE=" + ca.File}, 200, "the api: /api/v1/stacks?limit=1 127.0.0.1"},
		"authority not trusted": {[]string{"BROKKR__GATEWAY__PROXY_ADMIN=true", "BROKKR__GATEWAY__API_URL=" + api.URL}, 503, "api_unavailable"},
		"api away":              {[]string{"BROKKR__GATEWAY__PROXY_ADMIN=true", "BROKKR__GATEWAY__API_URL=http://" + testenv.Nobody(t)}, 503, "api_unavailable"},
		"not by default":        {[]string{"BROKKR__GATEWAY__API_URL=" + api.URL}, 404, "not_found"},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			addr, _ := testenv.Serve(t, wiring.Main, "gateway (gateway.addr)", append(c.environ, "DATABASE_URL="+database,
				"BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off", "BROKKR__GATEWAY__ADDR=127.0.0.1:0")...)
			if status, body := testenv.Ask(t, "http://"+addr+"/api/v1/stacks?limit=1"); status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("got %d %s, want %d and %q", status, body, c.status, c.says)
			}
			if status, body := testenv.Ask(t, "http://"+addr+"/readyz"); status != http.StatusOK || body != "Ready" {
				t.Errorf("/readyz: %d %s, want the gateway's own", status, body)
			}
		})
	}
}
