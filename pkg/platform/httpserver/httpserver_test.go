package httpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func listen(t *testing.T, drain time.Duration, h http.HandlerFunc) *httpserver.Server {
	t.Helper()
	s, err := httpserver.Listen(httpserver.Config{Name: "test", Addr: "127.0.0.1:0", Drain: drain, Log: quietLog()}, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fetch(ctx context.Context, addr string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestATakenAddressIsSaidClearly(t *testing.T) {
	t.Parallel()
	s := listen(t, 0, nil)
	_, err := httpserver.Listen(httpserver.Config{Name: "api (api.addr)", Addr: s.Addr(), Log: quietLog()}, nil)
	if err == nil || !strings.Contains(err.Error(), s.Addr()+" is in use") || !strings.Contains(err.Error(), "api.addr") {
		t.Errorf("got %v, want the address and the setting", err)
	}
	for addr, want := range map[string]string{
		"nonsense":         `x (x.addr): cannot listen on "nonsense", give host:port of this machine: address nonsense: missing port in address`,
		"127.0.0.1:999999": `cannot listen on "127.0.0.1:999999", give host:port of this machine: address 999999: invalid port`,
		"192.0.2.1:0":      `cannot listen on "192.0.2.1:0", give host:port of this machine: bind: cannot assign requested address`,
	} {
		if _, err := httpserver.Listen(httpserver.Config{Name: "x (x.addr)", Addr: addr, Log: quietLog()}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", addr, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestAnUnknownPathIsNamed(t *testing.T) {
	t.Parallel()
	var got error
	httpserver.NotFound(func(_ context.Context, _ http.ResponseWriter, err error) { got = err }).ServeHTTP(httptest.NewRecorder(), get("/api/v1/stakcs"))
	if !fault.Is(got, fault.NotFound) || fault.CodeOf(got) != "not_found" || !strings.Contains(got.Error(), `"/api/v1/stakcs"`) {
		t.Errorf("got %v, want not_found with the path", got)
	}
}

func TestRequestsInFlightAreFinished(t *testing.T) {
	t.Parallel()
	in, out := make(chan struct{}), make(chan struct{})
	s := listen(t, 10*time.Second, func(w http.ResponseWriter, r *http.Request) {
		close(in)
		<-out
		if r.Context().Err() != nil {
			t.Error("the request was cancelled in the drain")
		}
		_, _ = io.WriteString(w, "done")
	})
	ctx, cancel := context.WithCancel(t.Context())
	ran, got := make(chan error, 1), make(chan string, 1)
	go func() { ran <- s.Run(ctx) }()
	go func() {
		b, err := fetch(t.Context(), s.Addr())
		if err != nil {
			b = err.Error()
		}
		got <- b
	}()
	<-in
	cancel()
	select {
	case err := <-ran:
		t.Fatalf("stopped with a request in flight: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(out)
	if b := <-got; b != "done" {
		t.Errorf("answer: got %q, want done", b)
	}
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestARequestThatHangsIsCutAfterTheDrain(t *testing.T) {
	t.Parallel()
	in, ended := make(chan struct{}), make(chan struct{})
	s := listen(t, 50*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	go func() { _, _ = fetch(t.Context(), s.Addr()) }()
	<-in
	cancel()
	if err := <-ran; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run: got %v, want that the drain took too long", err)
	}
	<-ended
}

// serve runs one request through the standard chain and returns the answer and the log.
func serve(t *testing.T, r *http.Request, h http.HandlerFunc) (*httptest.ResponseRecorder, string) {
	t.Helper()
	var logs bytes.Buffer
	chain := httpserver.Standard(slog.New(slog.NewTextHandler(&logs, nil)), "svc", 8, func(_ context.Context, w http.ResponseWriter, err error) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, fault.CodeOf(err))
	}, "/quiet")
	rec := httptest.NewRecorder()
	chain(h).ServeHTTP(rec, r)
	return rec, logs.String()
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func TestRequestIDsAreKeptIfSane(t *testing.T) {
	t.Parallel()
	for given, kept := range map[string]bool{"abc-1": true, "": false, "a b": false, "a\x01": false, strings.Repeat("x", 129): false} {
		r := get("/")
		r.Header.Set(httpserver.RequestID, given)
		var inside string
		rec, log := serve(t, r, func(_ http.ResponseWriter, r *http.Request) { inside = r.Header.Get(httpserver.RequestID) })
		got := rec.Header().Get(httpserver.RequestID)
		if got == "" || (got == given) != kept || inside != got || !strings.Contains(log, got) {
			t.Errorf("%q: answered %q, inside %q, log %q; want it kept: %v, and the same everywhere", given, got, inside, log, kept)
		}
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	rec, log := serve(t, get("/"), func(http.ResponseWriter, *http.Request) { panic("canary") })
	if rec.Code != http.StatusInternalServerError || rec.Body.String() != "internal_error" || !strings.Contains(log, "canary") {
		t.Errorf("got %d %q, log %q, want 500 without the panic, which is logged", rec.Code, rec.Body, log)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the very value is meant
			t.Errorf("an aborted handler: got %v, want it passed on", v)
		}
	}()
	serve(t, get("/"), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{"12345678": false, "123456789": true} {
		var err error
		serve(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), func(_ http.ResponseWriter, r *http.Request) { _, err = io.ReadAll(r.Body) })
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) != want {
			t.Errorf("%d bytes: got %v, want too large: %v", len(body), err, want)
		}
	}
}

func TestQuietPathsAreNotInTheAccessLog(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "four")
	}
	if _, log := serve(t, get("/a/quiet"), h); log != "" {
		t.Errorf("quiet: got %q, want nothing", log)
	}
	if _, log := serve(t, get("/loud"), h); !strings.Contains(log, "status=202") || !strings.Contains(log, "bytes=4") || !strings.Contains(log, "path=/loud") {
		t.Errorf("loud: got %q, want method, path, status and bytes", log)
	}
}

func TestChainIsOutermostFirst(t *testing.T) {
	t.Parallel()
	var got string
	add := func(s string) httpserver.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got += s
				next.ServeHTTP(w, r)
			})
		}
	}
	httpserver.Chain(http.NotFoundHandler(), add("a"), add("b")).ServeHTTP(httptest.NewRecorder(), get("/"))
	if got != "ab" {
		t.Errorf("got %q, want ab", got)
	}
}
