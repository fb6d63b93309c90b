package redis_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/pkg/adapters/redis"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// encrypted answers PONG to PING over TLS, and an error to all else, as a server does that knows nothing new.
func encrypted(t *testing.T, cert tls.Certificate) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	return l.Addr().String()
}

// answer reads commands, arrays of strings, of which only the first word matters here.
func answer(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // it is over
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		said := ""
		switch line := strings.ToLower(lines.Text()); line {
		case "ping":
			said = "+PONG\r\n"
		case "hello", "client":
			said = "-ERR unknown command\r\n"
		}
		if _, err := conn.Write([]byte(said)); err != nil {
			return
		}
	}
}

// A server whose certificate is of an authority that the system does not know is one of ours by ca_file, and no other is.
func TestTheAuthorityOfTheServerIsNamed(t *testing.T) {
	t.Parallel()
	ours, others := testcert.New(t), testcert.New(t)
	url := "rediss://" + encrypted(t, ours.Pair("redis")) + "?protocol=2&read_timeout=20s"
	ping := func(caFile string) error {
		c, err := redis.Open(url, caFile)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // nothing is kept
		return c.Ping(t.Context()).Err()
	}
	if err := ping(ours.File); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	for _, file := range []string{"", others.File} {
		if err, unknown := ping(file), (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
			t.Errorf("ca_file %q: got %v, want an unknown authority", file, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".absent"} {
		if _, err := redis.Open(url, file); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "redis.ca_file") {
			t.Errorf("%s: got %v, want it to be refused", file, err)
		}
	}
}
