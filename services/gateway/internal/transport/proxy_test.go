package transport

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

func TestProxyPassesRequestsOn(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.RequestURI()+" "+r.Host+" "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Forwarded-For"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(b)
	}))
	defer api.Close()
	target, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(Proxy(target, nil, slog.New(slog.DiscardHandler)))
	defer front.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/api/v1/stacks?limit=3", strings.NewReader(`"x"`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	res, err := front.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	want := "POST /api/v1/stacks?limit=3 " + req.Host + " Bearer key 192.0.2.1, 127.0.0.1"
	if res.StatusCode != http.StatusCreated || string(body) != `"x"` || res.Header.Get("X-Seen") != want {
		t.Errorf("got %d %q, the api saw %q, want 201 and %q", res.StatusCode, body, res.Header.Get("X-Seen"), want)
	}
}

func TestProxyLeavesToTheGatewayWhatBrowsersMayDo(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(httpserver.Secure(httpserver.NewCORS([]string{"https://a"}).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Kept", "yes")
	}))))
	defer api.Close()
	target, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/stacks", nil)
	r.Header.Set("Origin", "https://a")
	rec := httptest.NewRecorder()
	httpserver.Secure(Proxy(target, nil, slog.New(slog.DiscardHandler))).ServeHTTP(rec, r)
	got := rec.Header()
	if len(got.Values("X-Frame-Options")) != 1 || got.Get("Access-Control-Allow-Origin") != "" || got.Get("X-Kept") != "yes" {
		t.Errorf("got %v, want one X-Frame-Options, no origin, and the rest kept", got)
	}
}

func TestProxyNamesAnAbsentAPI(t *testing.T) {
	t.Parallel()
	const gone = "http://127.0.0.1:1" // nobody is given this port, not even other tests of this moment
	target, err := url.Parse(gone)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	Proxy(target, nil, slog.New(slog.DiscardHandler)).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/stacks", nil))
	var body struct {
		Code, Message string
		Details       map[string]any
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if rec.Code != http.StatusServiceUnavailable || body.Code != "api_unavailable" || !strings.Contains(body.Message, gone) || rec.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %+v, Retry-After %q, want 503 naming %s", rec.Code, body, rec.Header().Get("Retry-After"), gone)
	}
}

func TestAcceptsGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "gzip": true, "zstd, GZIP": true, "gzip;q=0": false, "gzip; q=0.5": true, "br": false, "*": true, "identity, *;q=0": false, "gzip;q=x": false,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}
