package certificate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/pkg/platform/certificate"
)

// handshake returns the name of the certificate that s shows, and whether the server believes the client's.
func handshake(t *testing.T, s *certificate.Source, client *tls.Config) (name string, believed bool, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	type outcome struct {
		believed bool
		err      error
	}
	done := make(chan outcome, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			done <- outcome{err: err}
			return
		}
		defer func() { _ = conn.Close() }()
		server := tls.Server(conn, s.Config())
		err = server.Handshake()
		done <- outcome{believed: len(server.ConnectionState().VerifiedChains) > 0, err: err}
	}()
	client.ServerName = "localhost"
	conn, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		<-done
		return "", false, err
	}
	defer func() { _ = conn.Close() }()
	o := <-done
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, o.believed, o.err
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAChangedCertificateIsUsedAndABadOneIsNot(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	one, oneKey := ca.Issue("one")
	two, twoKey := ca.Issue("two")
	dir := t.TempDir()
	files := certificate.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	copyFile(t, one, files.Cert)
	copyFile(t, oneKey, files.Key)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, err := certificate.Load(files, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		copyFile(t, two, files.Cert) // the key is not there yet
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if got := strings.Count(log.String(), "the former one stays"); got != 1 || !strings.Contains(log.String(), files.Cert) {
			t.Errorf("a pair that does not fit was told %d times: %s", got, &log)
		}
		before := s.Config()
		copyFile(t, twoKey, files.Key)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !strings.Contains(log.String(), "has changed") {
			t.Errorf("the new pair is not told of: %s", &log)
		}
		c, err := before.GetConfigForClient(nil)
		if err != nil || c.Certificates[0].Leaf.Subject.CommonName != "two" {
			t.Errorf("a listener that is open already shows %v (%v), want two", c.Certificates[0].Leaf.Subject, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// insisting is a client that shows its certificate whatever authorities the server names.
func insisting(ca *testcert.Authority, pair tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	ca, clients, strangers := testcert.New(t), testcert.New(t), testcert.New(t)
	cert, key := ca.Issue("server")
	plain, err := certificate.Load(certificate.Files{Cert: cert, Key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	asking, err := certificate.Load(certificate.Files{Cert: cert, Key: key, ClientCA: clients.File}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		source   *certificate.Source
		client   *tls.Config
		believed bool
		fails    string
	}{
		"Server":       {plain, &tls.Config{RootCAs: ca.Pool}, false, ""},
		"WrongCA":      {plain, &tls.Config{RootCAs: strangers.Pool}, false, "unknown authority"},
		"TLS 1.2":      {plain, &tls.Config{RootCAs: ca.Pool, MaxVersion: tls.VersionTLS12}, false, ""},
		"TLS 1.1":      {plain, &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false, "protocol version"},
		"NoClientCert": {asking, &tls.Config{RootCAs: ca.Pool}, false, ""},
		"ClientCert":   {asking, &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{clients.Pair("agent")}}, true, ""},
		"Stranger":     {asking, insisting(ca, strangers.Pair("agent")), false, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, believed, err := handshake(t, tt.source, tt.client)
			if believed != tt.believed || (err == nil) != (tt.fails == "") || (err != nil && !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("believed %v, %v; want %v, %q", believed, err, tt.believed, tt.fails)
			}
		})
	}
}

func TestPrepareChangesNothingBeforeItsCommit(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	one, oneKey := ca.Issue("one")
	two, twoKey := ca.Issue("two")
	s, err := certificate.Load(certificate.Files{Cert: one, Key: oneKey}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	shows := func() string {
		name, _, err := handshake(t, s, &tls.Config{RootCAs: ca.Pool})
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	if _, err := s.Prepare(certificate.Files{Cert: two, Key: oneKey}); err == nil || !strings.Contains(err.Error(), two) {
		t.Errorf("a pair that does not fit: %v", err)
	}
	commit, err := s.Prepare(certificate.Files{Cert: two, Key: twoKey})
	if err != nil {
		t.Fatal(err)
	}
	if got := shows(); got != "one" {
		t.Errorf("before the commit it shows %s", got)
	}
	commit()
	if got := shows(); got != "two" || s.Until().Before(time.Now()) {
		t.Errorf("after the commit it shows %s, until %s", got, s.Until())
	}
}

func TestFilesThatCannotBeUsedAreNamed(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t)
	cert, key := ca.Issue("server")
	for want, f := range map[string]certificate.Files{
		"read /does/not/exist: no such file":                                  {Cert: "/does/not/exist", Key: key},
		"read /does/not/exist.key: no such file":                              {Cert: cert, Key: "/does/not/exist.key"},
		"read /does/not/exist.ca: no such file":                               {Cert: cert, Key: key, ClientCA: "/does/not/exist.ca"},
		"the file " + key + " has no certificate in PEM":                      {Cert: cert, Key: key, ClientCA: key},
		"the certificate " + key + " with the key " + key + " cannot be used": {Cert: key, Key: key},
	} {
		if _, err := certificate.Load(f, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := certificate.Authorities(ca.File); err != nil {
		t.Error(err)
	}
	if _, err := certificate.Authorities("/does/not/exist"); err == nil {
		t.Error("a file that is not there was read")
	}
}
