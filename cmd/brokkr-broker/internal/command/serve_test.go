package command_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/command"
	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/internal/testenv"
)

// text is what a process says, which may be read meanwhile.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

// serving runs a broker until the test ends and returns its URL and the admin's key.
func serving(t *testing.T, environ ...string) (url, key string) {
	t.Helper()
	out, logs := &text{}, &text{}
	cmd := command.New("1.2.3", environ, func(string) string { return "" })
	cmd.SetArgs([]string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "off"})
	cmd.SetOut(out)
	cmd.SetErr(logs)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	says := regexp.MustCompile(`Brokkr serves on (\S+)[\s\S]*(brokkr_BR\S+)`)
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if m := says.FindStringSubmatch(out.String()); m != nil {
			return m[1], m[2]
		}
		if len(ended) > 0 {
			break
		}
	}
	t.Fatalf("the broker does not serve:\n%s%s", out, logs)
	return "", ""
}

func TestABrokerOverTLSWantsCertificatesOfAgents(t *testing.T) {
	t.Parallel()
	ca, clients := testcert.New(t), testcert.New(t)
	cert, certKey := ca.Issue("broker")
	url, admin := serving(t, "DATABASE_URL="+testenv.Postgres(t), "BROKKR__SECRETS__KEYS=plaintext",
		"BROKKR__BROKER__TLS_CERT="+cert, "BROKKR__BROKER__TLS_KEY="+certKey, "BROKKR__BROKER__TLS_CLIENT_CA="+clients.File)
	if !strings.HasPrefix(url, "https://localhost:") {
		t.Fatalf("it says that it serves on %s, want https", url)
	}
	client := func(certs ...tls.Certificate) *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool, Certificates: certs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	}
	bare, certified := client(), client(clients.Pair("agent"))
	ask := func(c *http.Client, key, method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		res, err := c.Do(r)
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
	status, body := ask(bare, admin, http.MethodPost, "/api/v1/agents", `{"name":"a","cluster_name":"c","status":"ACTIVE"}`)
	var made struct {
		Agent struct {
			ID string `json:"id"`
		} `json:"agent"`
		PAK string `json:"initial_pak"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("an admin without a certificate: %d %s", status, body)
	}
	for _, path := range []string{"/api/v1/agents/" + made.Agent.ID + "/target-state", "/api/v1/agents/" + made.Agent.ID} { // of gateway and api
		if status, body := ask(bare, made.PAK, http.MethodGet, path, ""); status != http.StatusForbidden || !strings.Contains(body, "client_certificate_required") {
			t.Errorf("%s without a certificate: %d %s", path, status, body)
		}
		if status, body := ask(certified, made.PAK, http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("%s with one: %d %s", path, status, body)
		}
	}
	if status, _ := ask(bare, "", http.MethodGet, "/readyz", ""); status != http.StatusOK {
		t.Errorf("readyz without a certificate: %d", status)
	}
}
