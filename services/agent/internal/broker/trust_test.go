package broker_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
)

// over starts a broker that speaks TLS; with clients it wants certificates of theirs.
func over(t *testing.T, ca, clients *testcert.Authority) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"admin":false,"agent":"` + boot + `"}`))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair("broker")}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		s.TLS.ClientCAs, s.TLS.ClientAuth = clients.Pool, tls.RequireAndVerifyClientCert
	}
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "0.0.0.0:0") //nolint:gosec // a test that connects to it by a name that its certificate lacks
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return "https://127.0.0.1" + s.URL[strings.LastIndexByte(s.URL, ':'):]
}

func whoAmI(t *testing.T, url, caFile, cert, certKey string) error {
	t.Helper()
	trust, err := broker.Trust(caFile, cert, certKey)
	if err != nil {
		t.Fatal(err)
	}
	u, err := broker.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = broker.New(u, key, "1.2.3", trust).WhoAmI(t.Context())
	return err
}

func TestTrust(t *testing.T) {
	t.Parallel()
	ca, clients, strangers := testcert.New(t), testcert.New(t), testcert.New(t)
	open, closed := over(t, ca, nil), over(t, ca, clients)
	cert, certKey := clients.Issue("agent")
	other, otherKey := strangers.Issue("agent")
	if err := whoAmI(t, open, ca.File, "", ""); err != nil {
		t.Errorf("a trusted broker: %v", err)
	}
	if err := whoAmI(t, closed, ca.File, cert, certKey); err != nil {
		t.Errorf("with a certificate of its own: %v", err)
	}
	plain := strings.Replace(open, "https", "http", 1)
	wantFault(t, whoAmI(t, open, "", "", ""), fault.Unavailable, "broker_unreachable", "an authority that is not trusted here", "agent.ca_file")
	wantFault(t, whoAmI(t, strings.Replace(open, "127.0.0.1", "127.0.0.2", 1), ca.File, "", ""), fault.Unavailable, "broker_unreachable", "use a name in agent.broker_url that its certificate has")
	wantFault(t, whoAmI(t, closed, ca.File, other, otherKey), fault.Unavailable, "broker_unreachable", "agent.client_cert")
	wantFault(t, whoAmI(t, closed, ca.File, "", ""), fault.Unavailable, "broker_unreachable", "agent.client_cert")
	wantFault(t, whoAmI(t, plain, "", "", ""), fault.Unavailable, "not_a_broker", "expects TLS", "https://")
	unsafe := httptest.NewServer(http.NotFoundHandler())
	defer unsafe.Close()
	wantFault(t, whoAmI(t, strings.Replace(unsafe.URL, "http", "https", 1), "", "", ""), fault.Unavailable, "broker_unreachable", "speaks plain HTTP")
}

func TestARenewedCertificateIsShownAndABadFileNamed(t *testing.T) {
	t.Parallel()
	ca, former, clients := testcert.New(t), testcert.New(t), testcert.New(t)
	url := over(t, ca, clients)
	cert, certKey := former.Issue("agent")
	trust, err := broker.Trust(ca.File, cert, certKey)
	if err != nil {
		t.Fatal(err)
	}
	u, err := broker.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := broker.New(u, key, "1.2.3", trust)
	if _, err := c.WhoAmI(t.Context()); err == nil {
		t.Fatal("a certificate of another authority was taken")
	}
	good, goodKey := clients.Issue("agent")
	for from, to := range map[string]string{good: cert, goodKey: certKey} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Errorf("with the renewed certificate: %v", err)
	}
	for want, files := range map[string][3]string{"agent.ca_file: read /none": {"/none", "", ""}, "agent.client_cert /none": {"", "/none", certKey}} {
		if _, err := broker.Trust(files[0], files[1], files[2]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
