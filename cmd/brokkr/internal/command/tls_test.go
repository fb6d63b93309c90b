package command_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/config"
	"github.com/colliery-io/brokkr/internal/testcert"
)

// everywhere is a server that is not started, on all addresses of this machine.
func everywhere(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "0.0.0.0:0") //nolint:gosec // a test
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	return s
}

func TestWhoseCertificateIsTrusted(t *testing.T) {
	t.Parallel()
	ca, other := testcert.New(t), testcert.New(t)
	admin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"admin":true,"agent":null,"generator":null,"readonly":false}`))
	})
	secure := everywhere(t, admin)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair("broker")}, MinVersion: tls.VersionTLS12}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(admin)
	t.Cleanup(plain.Close)
	at := "https://127.0.0.1" + secure.URL[strings.LastIndexByte(secure.URL, ':'):]
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndexByte(s.URL, ':'):] }
	text := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url  string
		args []string
		env  map[string]string
		exit int
		says []string
	}{
		"unknown":           {at, nil, nil, 1, []string{"cannot reach the broker", "try: name a file with the certificate of the broker's authority in --ca-file or BROKKR_CA_FILE"}},
		"flag":              {at, []string{"--ca-file", ca.File}, nil, 0, []string{"admin at https://"}},
		"environment":       {at, nil, map[string]string{"BROKKR_CA_FILE": ca.File}, 0, []string{"admin at https://"}},
		"flag wins":         {at, []string{"--ca-file", ca.File}, map[string]string{"BROKKR_CA_FILE": other.File}, 0, []string{"admin at https://"}},
		"another authority": {at, []string{"--ca-file", other.File}, nil, 1, []string{"unknown authority", "--ca-file"}},
		"insecure":          {at, []string{"--insecure-skip-verify"}, nil, 0, []string{"admin at https://", "warning: the broker's certificate is not verified"}},
		"insecure by env":   {at, nil, map[string]string{"BROKKR_INSECURE_SKIP_VERIFY": "true"}, 0, []string{"warning: the broker's certificate"}},
		"insecure maybe":    {at, nil, map[string]string{"BROKKR_INSECURE_SKIP_VERIFY": "maybe"}, 1, []string{`BROKKR_INSECURE_SKIP_VERIFY is "maybe"`}},
		"no file":           {at, []string{"--ca-file", "/does/not/exist"}, nil, 1, []string{"(from --ca-file)", "/does/not/exist", "try: name the file"}},
		"no certificate":    {at, []string{"--ca-file", text}, nil, 1, []string{"has no certificate in PEM"}},
		"plain to TLS":      {"http://127.0.0.1" + port(secure), nil, nil, 1, []string{"try: the broker speaks TLS: begin its URL with https://"}},
		"TLS to plain":      {"https://127.0.0.1" + port(plain), nil, nil, 1, []string{"try: the broker speaks plain HTTP: begin its URL with http://"}},
		"another name":      {"https://127.0.0.2" + port(secure), []string{"--ca-file", ca.File}, nil, 1, []string{"try: use a name that the broker's certificate has"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"BROKKR_URL": tt.url, "BROKKR_PAK": adminPAK}
			for k, v := range tt.env {
				env[k] = v
			}
			res := run{loose: true, env: env, args: append([]string{"context", "show"}, tt.args...)}.do(t)
			for _, want := range tt.says {
				if !strings.Contains(res.out+res.err, want) {
					t.Errorf("%s%s: want it to say %q", res.out, res.err, want)
				}
			}
			if res.exit != tt.exit {
				t.Errorf("exit %d, want %d: %s", res.exit, tt.exit, res.err)
			}
		})
	}
}

func TestLoginKeepsWhomItTrusted(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	asked := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"admin":true,"agent":null,"generator":null,"readonly":false}`))
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair("broker")}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	home := t.TempDir()
	env := map[string]string{"XDG_CONFIG_HOME": home}
	res := run{loose: true, env: env, args: []string{"login", "--url", srv.URL, "--pak", adminPAK, "--ca-file", ca.File}}.do(t)
	if res.exit != 0 {
		t.Fatal(res.err)
	}
	if res := (run{loose: true, env: env, args: []string{"context", "show"}}).do(t); res.exit != 0 || asked != 2 {
		t.Errorf("the next command: exit %d after %d requests: %s", res.exit, asked, res.err)
	}
	env["BROKKR_URL"] = strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	if res := (run{loose: true, env: env, args: []string{"context", "show"}}).do(t); res.exit != 1 || asked != 2 ||
		!strings.Contains(res.err, `the key of context "default" is for `+srv.URL) || !strings.Contains(res.err, "BROKKR_PAK or --pak") {
		t.Errorf("the context's key for another URL: exit %d after %d requests: %s", res.exit, asked, res.err)
	}
	env["BROKKR_PAK"] = adminPAK
	if res := (run{loose: true, env: env, args: []string{"context", "show"}}).do(t); res.exit != 1 || !strings.Contains(res.err, "--ca-file") {
		t.Errorf("another URL is trusted for the context's authority: exit %d, %s", res.exit, res.err)
	}
}

// A key goes to no other broker than the one of its context, and who sends one unencrypted over a network is told each time.
func TestKeysGoToTheirBrokerAlone(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64 // with a key
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			asked.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"admin":true,"agent":null,"generator":null,"readonly":false}`))
	}))
	t.Cleanup(srv.Close)
	home := t.TempDir()
	file := config.File{CurrentContext: "prod"}.With(config.Context{Name: "prod", URL: "https://brokkr.example.com", PAK: adminPAK})
	if err := file.Save(filepath.Join(home, "brokkr", "config.yaml")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		env  map[string]string
		exit int
		sent int64
		says string
	}{
		"by flag":          {[]string{"--url", srv.URL, "context", "show"}, nil, 1, 0, `the key of context "prod" is for https://brokkr.example.com; it is not sent to ` + srv.URL + " (from --url)"},
		"by environment":   {[]string{"get", "stacks"}, map[string]string{"BROKKR_URL": srv.URL}, 1, 0, "(from BROKKR_URL)"},
		"doctor":           {[]string{"--url", srv.URL, "doctor"}, nil, 1, 0, "it is not sent to " + srv.URL},
		"a key of its own": {[]string{"--url", srv.URL, "--pak", adminPAK, "context", "show"}, nil, 0, 1, "admin at " + srv.URL},
	} {
		asked.Store(0)
		env := map[string]string{"XDG_CONFIG_HOME": home}
		for k, v := range tt.env {
			env[k] = v
		}
		res := run{loose: true, env: env, args: tt.args}.do(t)
		if res.exit != tt.exit || asked.Load() != tt.sent || !strings.Contains(res.out+res.err, tt.says) {
			t.Errorf("%s: exit %d, %d requests with a key, want %d and %d, and %q:\n%s%s", name, res.exit, asked.Load(), tt.exit, tt.sent, tt.says, res.out, res.err)
		}
	}
	for url, warned := range map[string]bool{"http://192.0.2.1:1": true, "http://127.0.0.1:1": false, "https://192.0.2.1:1": false} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is dialled
		res := run{loose: true, ctx: ctx, env: map[string]string{"BROKKR_URL": url, "BROKKR_PAK": adminPAK}, args: []string{"get", "stacks"}}.do(t)
		if strings.Contains(res.err, "warning: "+url+" is plain http") != warned {
			t.Errorf("%s: %s; want a warning: %v", url, res.err, warned)
		}
	}
}

// Who trusts an authority for the broker's certificate is told how an agent does, too.
func TestAgentsAreToldWhomToTrust(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"agent":` + edge1 + `,"initial_pak":"` + madePAK + `"}`))
			return
		}
		_, _ = w.Write([]byte(`[{"id":"00000000-0000-4000-8000-000000000001","name":"admin-generator"}]`))
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair("broker")}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	env := map[string]string{"BROKKR_URL": srv.URL, "BROKKR_PAK": adminPAK, "BROKKR_CA_FILE": ca.File}
	for url, told := range map[string]bool{srv.URL: true, "http://plain": false} {
		res := run{loose: true, env: env, args: []string{"agent", "create", "edge-1", "--cluster-name", "cluster-1", "--broker-url", url}}.do(t)
		if res.exit != 0 || strings.Contains(res.out, "BROKKR__AGENT__CA_FILE="+ca.File+" ") != told {
			t.Errorf("at %s: exit %d, %s%s; the authority told: want %v", url, res.exit, res.out, res.err, told)
		}
	}
}
