package wiring

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/internal/testenv"
)

// started runs an api process until the test ends and returns its address and what it says.
func started(t *testing.T, environ ...string) (string, fmt.Stringer) {
	t.Helper()
	return testenv.Serve(t, Main, "api (api.addr)", environ...)
}

func call(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", key)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestProcess(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + testenv.Postgres(t), "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__API__ADDR=127.0.0.1:0", "BROKKR__ADMIN__ADDR=off"}
	addr, out := started(t, environ...)
	key := regexp.MustCompile(`brokkr_BR\w+`).FindString(out.String())
	if key == "" {
		t.Fatalf("the first start shows no admin PAK:\n%s", out)
	}
	base := "http://" + addr + "/api/v1"
	status, body := call(t, "POST", base+"/stacks", key, `{"name":"web"}`)
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("create a stack: %d %s (%v)", status, body, err)
	}
	for _, step := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/stacks", `{"name":"web"}`, 409},
		{"POST", "/stacks/" + made.ID + "/labels", `"env:prod"`, 201},
		{"POST", "/stacks/" + made.ID + "/labels", `"env:prod"`, 409},
		{"POST", "/stacks/" + made.ID + "/deployment-objects", `{"yaml_content":"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}`, 201},
		{"GET", "/stacks/" + made.ID + "/deployment-objects", "", 200},
		{"GET", "/stacks/" + made.ID + "/status", "", 200},
		{"GET", "/stacks/" + made.ID + "/placement", "", 200},
		{"PUT", "/stacks/" + made.ID, `{"name":"web2"}`, 200},
		{"POST", "/agents", `{"name":"a","cluster_name":"c","labels":["env:prod"],"annotations":{"k":"v"}}`, 201},
		{"POST", "/agents", `{"name":"a","cluster_name":"c"}`, 409},
		{"POST", "/generators", `{"name":"ci"}`, 201},
		{"GET", "/paks", "", 200},
		{"DELETE", "/stacks/" + made.ID, "", 204},
		{"GET", "/stacks/" + made.ID, "", 404},
	} {
		if status, body := call(t, step.method, base+step.path, key, step.body); status != step.status {
			t.Errorf("%s %s: %d, want %d: %s", step.method, step.path, status, step.status, body)
		}
	}
	if status, body := call(t, "GET", "http://"+addr+"/readyz", "", ""); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	_, again := started(t, environ...)
	if strings.Contains(again.String(), "admin's PAK") {
		t.Error("the second start shows an admin PAK again")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := load([]string{"DATABASE_URL=postgres://u:secret@h/db", "LOG_LEVEL=debug", "BROKKR__API__ADDR=:1", "BROKKR__LIMITS__BODY=2048",
		"BROKKR__LIMITS__TIMEOUT=3s", "BROKKR__LIMITS__TRUSTED_PROXIES=10.0.0.0/8", "BROKKR__BROKER__PAK_HASH=ab", "BROKKR__ADMIN__ADDR=off"})
	if err != nil {
		t.Fatal(err)
	}
	if s.API.Addr != ":1" || s.Log.Level != "debug" || s.Limits.Body != 2048 || s.Limits.Timeout != 3*time.Second || s.Admin.Addr != "off" ||
		len(s.Limits.TrustedProxies) != 1 || s.Broker.PAKHash.Reveal() != "ab" || s.Database.URL.Reveal() != "postgres://u:secret@h/db" {
		t.Errorf("settings are not those of the environment: %+v", s)
	}
	_, err = load([]string{"BROKKR__LIMITS__BODY=1", "BROKKR__LIMITS__TRUSTED_PROXIES=here", "BROKKR__LOG__LEVEL=loud"})
	for _, want := range []string{"DATABASE_URL", "limits.body", "limits.trusted_proxies", "log.level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the problems %v do not name %s", err, want)
		}
	}
}

func TestAStartThatCannotSucceedSaysWhy(t *testing.T) {
	t.Parallel()
	testenv.BadStarts(t, Main, "api")
}

func TestTheProcessReloadsItsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "brokkr.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\nlimits: {auth_failures: 60, timeout: 30s}\n")
	addr, out := started(t, "DATABASE_URL="+testenv.Postgres(t), "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__API__ADDR=127.0.0.1:0", "BROKKR__ADMIN__ADDR=off",
		"BROKKR_CONFIG_FILE="+file)
	base := "http://" + addr + "/api/v1"
	key := regexp.MustCompile(`brokkr_BR\w+`).FindString(out.String())
	reload := func() string {
		status, body := call(t, "POST", base+"/admin/config/reload", key, "")
		if status != http.StatusOK {
			t.Fatalf("reload: %d %s", status, body)
		}
		return body
	}
	for _, want := range []string{`"success":true`, `{"key":"cors.origins","old_value":"","new_value":"https://console.example"}`, `{"key":"log.level","old_value":"info","new_value":"debug"}`, `{"key":"limits.auth_failures","old_value":"60","new_value":"1"}`, `"needs_restart":["limits.timeout"]`} {
		write("log: {level: info}\nlimits: {auth_failures: 60, timeout: 30s}\n")
		reload()
		write("log: {level: debug}\nlimits: {auth_failures: 1, timeout: 29s}\ncors: {origins: [\"https://console.example\"]}\n")
		if body := reload(); !strings.Contains(body, want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
	preflight, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, base+"/stacks", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	preflight.Header.Set("Origin", "https://console.example")
	preflight.Header.Set("Access-Control-Request-Method", "POST")
	res, err := http.DefaultClient.Do(preflight)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "https://console.example" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a page of an origin that was allowed by a reload: %s with %v", res.Status, res.Header)
	}
	if status, _ := call(t, "GET", "http://"+addr+"/healthz", "", ""); status != http.StatusOK || !strings.Contains(out.String(), `"path":"/healthz"`) {
		t.Errorf("healthz: %d; at level debug the log has it:\n%s", status, out)
	}
	statuses := []int{}
	for range 2 {
		status, _ := call(t, "GET", base+"/stacks", "nonsense", "")
		statuses = append(statuses, status)
	}
	if statuses[0] != 401 || statuses[1] != 429 {
		t.Errorf("with one failure a minute: %v, want 401 and 429", statuses)
	}
	write("log: {level: loud}\n")
	if body := reload(); !strings.Contains(body, `"success":false`) || !strings.Contains(body, "log.level is") || !strings.Contains(body, `"changes":[]`) {
		t.Errorf("a level that is none: %s", body)
	}
}

func TestTheListenerSpeaksTLS(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	cert, key := ca.Issue("one")
	file := filepath.Join(t.TempDir(), "brokkr.yaml")
	write := func(cert, key string) {
		if err := os.WriteFile(file, []byte("api: {tls_cert: \""+cert+"\", tls_key: \""+key+"\"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, key)
	addr, out := started(t, "DATABASE_URL="+testenv.Postgres(t), "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__API__ADDR=127.0.0.1:0", "BROKKR__ADMIN__ADDR=off",
		"BROKKR_CONFIG_FILE="+file)
	pak := regexp.MustCompile(`brokkr_BR\w+`).FindString(out.String())
	ask := func(method, path string) (*http.Response, string) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", pak)
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	shown := func() string {
		res, _ := ask("GET", "/healthz")
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") == "" || res.Header.Get("X-Frame-Options") != "DENY" {
			t.Fatalf("healthz: %s by %s with %v", res.Status, res.Proto, res.Header)
		}
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "one" {
		t.Errorf("it shows %s", got)
	}
	if status, body := call(t, "GET", "http://"+addr+"/healthz", "", ""); status != http.StatusBadRequest || !strings.Contains(body, "HTTPS server") {
		t.Errorf("plain HTTP: %d %s", status, body)
	}
	two, twoKey := ca.Issue("two")
	write(two, key)
	if _, body := ask("POST", "/api/v1/admin/config/reload"); !strings.Contains(body, `"success":false`) || !strings.Contains(body, "api.tls_cert") || shown() != "one" {
		t.Errorf("a key that does not fit: %s", body)
	}
	write(two, twoKey)
	if _, body := ask("POST", "/api/v1/admin/config/reload"); !strings.Contains(body, `"key":"api.tls_cert"`) || shown() != "two" {
		t.Errorf("another certificate: %s", body)
	}
	write("", "")
	if _, body := ask("POST", "/api/v1/admin/config/reload"); !strings.Contains(body, "only when the process starts anew") {
		t.Errorf("no certificate: %s", body)
	}
}
