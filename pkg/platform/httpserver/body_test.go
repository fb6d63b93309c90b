package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
)

// serveReal runs a server on a real listener for the time of the test and returns its address.
func serveReal(t *testing.T, c httpserver.Config, h http.Handler) string {
	t.Helper()
	c.Name, c.Addr, c.Log = "test", "127.0.0.1:0", quietLog()
	s, err := httpserver.Listen(c, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s.Addr()
}

// speak sends parts of a request with a pause before each but the first, and returns what the server answers until it closes
// the connection.
func speak(t *testing.T, addr string, pause time.Duration, parts ...string) (string, time.Duration) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	start := time.Now()
	go func() {
		for i, p := range parts {
			if i > 0 {
				time.Sleep(pause)
			}
			if _, err := io.WriteString(conn, p); err != nil {
				return
			}
		}
	}()
	if err := conn.SetReadDeadline(start.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server holds on to the connection")
	}
	return string(answer), time.Since(start)
}

func echo(patience, whole time.Duration) http.Handler {
	errs := problem.Writer{Log: quietLog()}
	return httpserver.PatientBody(patience, whole)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			if fault.CodeOf(err) != "body_too_slow" {
				err = fault.New(fault.Internal, "internal_error", "not slow").Because(err)
			}
			errs.Write(r.Context(), w, err)
			return
		}
		// It is parked for longer than a body may pause: the deadline was the body's alone.
		select {
		case <-time.After(2 * patience):
			_, _ = w.Write(b)
		case <-r.Context().Done():
		}
	}))
}

const post10 = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"

func TestSlowBodiesAreCutOff(t *testing.T) {
	t.Parallel()
	const patience = 300 * time.Millisecond
	addr := serveReal(t, httpserver.Config{}, echo(patience, time.Hour))
	answer, took := speak(t, addr, time.Hour, post10+"01234")
	if !strings.HasPrefix(answer, "HTTP/1.1 408 ") || !strings.Contains(answer, "body_too_slow") || took < patience || took > 30*patience {
		t.Errorf("half a body: after %s got %q, want 408 body_too_slow and a closed connection soon after %s", took, answer, patience)
	}
	if answer, _ := speak(t, addr, patience/6, post10+"01", "23", "45", "67", "89"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.HasSuffix(answer, "0123456789") {
		t.Errorf("a body in parts: got %q, want it taken", answer)
	}
	addr = serveReal(t, httpserver.Config{}, echo(patience, patience))
	if answer, _ := speak(t, addr, patience/2, post10+"01", "23", "45", "67", "89"); !strings.HasPrefix(answer, "HTTP/1.1 408 ") {
		t.Errorf("drop by drop: got %q, want 408 when the whole takes too long", answer)
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	t.Parallel()
	addr := serveReal(t, httpserver.Config{Headers: 200 * time.Millisecond}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request without its headers was served")
	}))
	if answer, took := speak(t, addr, time.Hour, "GET / HTTP/1.1\r\nHost: x\r\n"); strings.Contains(answer, "200") || took > 10*time.Second {
		t.Errorf("after %s got %q, want the connection closed", took, answer)
	}
}
