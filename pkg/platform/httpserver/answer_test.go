package httpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testcert"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

const (
	hesitates = time.Second // what the servers of these tests wait for a part
	big       = 64 << 20    // bytes: more than what lies between a handler and a client that does not read
)

// lets answers big bytes at /big and tells how that ended; at /small it answers after longer than a part may take.
func lets(ended chan<- error) http.Handler {
	content := bytes.Repeat([]byte("x"), big)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			_, err := w.Write(content)
			ended <- err
		case "/stream":
			for i := range 3 {
				fmt.Fprintln(w, "part", i)
				if err := http.NewResponseController(w).Flush(); err != nil {
					ended <- err
				}
				time.Sleep(hesitates * 3 / 2)
			}
		default:
			time.Sleep(hesitates * 3 / 2)
			b, err := io.ReadAll(r.Body)
			if err != nil {
				ended <- err
			}
			fmt.Fprintf(w, "parked, with %q", b)
		}
	})
}

// within returns how a handler ended, which it has to do soon after a client has hesitated.
func within(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * hesitates):
		t.Fatal("a handler still writes for a client that does not read")
		return nil
	}
}

// encrypted returns what a server and its clients need for TLS.
func encrypted(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	ca := testcert.New(t)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Pair("server")}, NextProtos: []string{"h2", "http/1.1"}}, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool}
}

// stuck is a connection of a client that stops reading at some moment.
type stuck struct {
	net.Conn
	mu    sync.Mutex
	until chan struct{} // nil: it reads
}

func (s *stuck) Read(b []byte) (int, error) {
	s.mu.Lock()
	until := s.until
	s.mu.Unlock()
	if until != nil {
		<-until
	}
	return s.Conn.Read(b)
}

func (s *stuck) stop(until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = until
}

// over returns a client of HTTP/1.1 or 2, with TLS or without, and its connections as it makes them.
func over(t *testing.T, conf *tls.Config, two bool) (*http.Client, <-chan *stuck) {
	t.Helper()
	conns := make(chan *stuck, 10)
	transport := &http.Transport{
		TLSClientConfig: conf, ForceAttemptHTTP2: two,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			s := &stuck{Conn: c}
			conns <- s
			return s, nil
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, conns
}

func get2(t *testing.T, c *http.Client, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// served is a real server whose answers hesitates bounds, with a client of it; at is its address as a URL.
func served(t *testing.T, encrypts, two bool, ended chan error) (c *http.Client, at string) {
	t.Helper()
	var server, client *tls.Config
	scheme := "http://"
	if encrypts {
		server, client = encrypted(t)
		scheme = "https://"
	}
	addr := serveReal(t, httpserver.Config{Answers: hesitates, TLS: server}, lets(ended))
	c, _ = over(t, client, two)
	return c, scheme + addr
}

// A client that reads nothing of an answer holds it no longer than a part may take, whatever the protocol.
func TestWhoDoesNotReadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tls, two bool }{"http": {}, "https": {tls: true}, "http/2": {tls: true, two: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 10)
			c, at := served(t, tc.tls, tc.two, ended)
			began := time.Now()
			res := get2(t, c, at+"/big")
			if (res.ProtoMajor == 2) != tc.two {
				t.Fatalf("it is %s", res.Proto)
			}
			err := within(t, ended)
			if took := time.Since(began); err == nil || took < hesitates {
				t.Errorf("after %s the write ended with %v, want an error after %s", took, err, hesitates)
			}
			if !tc.two && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the write ended with %v, want that its time was over", err)
			}
			if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= big {
				t.Errorf("the client got %d bytes and %v, want a broken answer", n, err)
			}
			// Of HTTP/2 it costs the stream, not the connection.
			if again := get2(t, c, at+"/small"); again.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %s", again.Status)
			}
		})
	}
}

// One connection of HTTP/2 whose client stops reading altogether ends all of its answers.
func TestAConnectionThatIsNotReadEnds(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 20)
	server, client := encrypted(t)
	addr := serveReal(t, httpserver.Config{Answers: hesitates, TLS: server}, lets(ended))
	c, conns := over(t, client, true)
	get2(t, c, "https://"+addr+"/small")
	conn, forever := <-conns, make(chan struct{})
	defer close(forever)
	conn.stop(forever)
	const streams = 8
	var all sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	for range streams {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/big", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if res, err := c.Do(req); err == nil {
				_ = res.Body.Close()
			}
		})
	}
	for range streams {
		if err := within(t, ended); err == nil {
			t.Error("an answer was written whole though nobody reads")
		}
	}
	leave()
	all.Wait()
}

// Who reads slowly gets everything, however long that takes; who waits in a parked request or a stream is not cut off; and what
// was allowed for one answer is not what the next one on the connection has.
func TestWhoReadsIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tls, two bool }{"http": {}, "http/2": {tls: true, two: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 10)
			c, at := served(t, tc.tls, tc.two, ended)
			res, began, n := get2(t, c, at+"/big"), time.Now(), int64(0)
			for {
				some, err := io.CopyN(io.Discard, res.Body, 2<<20)
				if n += some; errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %s and %d bytes: %v", time.Since(began), n, err)
				}
				time.Sleep(hesitates / 10)
			}
			if err := within(t, ended); err != nil || n != big || time.Since(began) < 2*hesitates {
				t.Errorf("a slow reader got %d of %d bytes in %s, %v", n, big, time.Since(began), err)
			}
			if b, err := io.ReadAll(get2(t, c, at+"/stream").Body); err != nil || strings.Count(string(b), "part") != 3 {
				t.Errorf("a stream with pauses: %q, %v", b, err)
			}
			if b, err := io.ReadAll(get2(t, c, at+"/small").Body); err != nil || !strings.HasPrefix(string(b), "parked") {
				t.Errorf("a parked request: %q, %v", b, err)
			}
			if len(ended) > 0 {
				t.Errorf("a handler was told of %v", <-ended)
			}
		})
	}
}

// A connection that was idle for longer than a part may take still serves: the server asks for the body of the next request, too.
func TestAnIdleConnectionHasNoDeadline(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 10)
	addr := serveReal(t, httpserver.Config{Answers: hesitates}, lets(ended))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for i := range 2 {
		fmt.Fprint(conn, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("request %d: got %q, %v; want to be asked for the body", i, line, err)
		}
		_, _ = in.ReadString('\n')
		fmt.Fprint(conn, "ab")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != `parked, with "ab"` {
			t.Errorf("request %d: got %q, %v", i, b, err)
		}
		_ = res.Body.Close()
		time.Sleep(hesitates * 3 / 2)
	}
}

// What was hijacked is the handler's, also after it has returned.
func TestAHijackedConnectionHasNoDeadline(t *testing.T) {
	t.Parallel()
	addr := serveReal(t, httpserver.Config{Answers: hesitates}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		go func() {
			time.Sleep(hesitates * 3 / 2)
			_, _ = io.WriteString(conn, "still here")
			_ = conn.Close()
		}()
	}))
	if got, _ := speak(t, addr, 0, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); got != "still here" {
		t.Errorf("got %q", got)
	}
}
