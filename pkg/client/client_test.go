package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/client"
)

type answer struct {
	status int
	header map[string]string
	body   string
	drop   bool // close the connection instead of answering
}

// played is what a server was asked, and how long the client waited between.
type played struct {
	mu       sync.Mutex
	requests []string
	waits    []time.Duration
}

func (p *played) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// serve plays answers in turn; the last one stays.
func serve(t *testing.T, answers ...answer) (*client.Client, *played) {
	t.Helper()
	p := &played{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.requests = append(p.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		a := answers[min(len(p.requests), len(answers))-1]
		p.mu.Unlock()
		if a.drop {
			panic(http.ErrAbortHandler)
		}
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{URL: srv.URL + "/", PAK: "brokkr_x", UserAgent: "test", RequestTimeout: 5 * time.Second,
		Sleep: func(_ context.Context, d time.Duration) error { p.waits = append(p.waits, d); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

func TestRetries(t *testing.T) {
	t.Parallel()
	get := func(c *client.Client) error { _, err := c.Stack(t.Context(), "s"); return err }
	create := func(c *client.Client) error {
		_, err := c.CreateStack(t.Context(), client.NewStack{Name: "s"})
		return err
	}
	label := func(c *client.Client) error { _, err := c.AddStackLabel(t.Context(), "s", "a/b"); return err }
	remove := func(c *client.Client) error { return c.DeleteStack(t.Context(), "s") }
	ok := answer{status: 200, body: `{"id":"s"}`}
	for name, tt := range map[string]struct {
		reason  string
		answers []answer
		do      func(*client.Client) error
		want    int // requests
		fails   bool
	}{
		"Limited":         {"429 is repeated", []answer{{status: 429}, ok}, get, 2, false},
		"BadGateway":      {"502 too", []answer{{status: 502}, ok}, get, 2, false},
		"Unavailable":     {"503 too", []answer{{status: 503}, ok}, get, 2, false},
		"GatewayTimeout":  {"504 too", []answer{{status: 504}, ok}, get, 2, false},
		"Dropped":         {"a broken connection too", []answer{{drop: true}, ok}, get, 2, false},
		"Truncated":       {"half an answer too", []answer{{status: 200, header: map[string]string{"Content-Length": "100"}, body: `{"id":`}, ok}, get, 2, false},
		"Bounded":         {"not for ever", []answer{{status: 503}}, get, 4, true},
		"Internal":        {"500 is not repeated", []answer{{status: 500}, ok}, get, 1, true},
		"NotFound":        {"404 is not repeated", []answer{{status: 404}, ok}, get, 1, true},
		"Create":          {"what makes something is not repeated", []answer{{status: 503}, ok}, create, 1, true},
		"CreateDropped":   {"not even when no answer came", []answer{{drop: true}, ok}, create, 1, true},
		"Label":           {"a label may be added twice", []answer{{drop: true}, {status: 409}}, label, 2, false},
		"Delete":          {"a deletion may be repeated, and then finds nothing", []answer{{drop: true}, {status: 404}}, remove, 2, false},
		"DeleteUnknown":   {"but at first that is an error", []answer{{status: 404}}, remove, 1, true},
		"RetryAfterLong":  {"a server that asks for minutes is not waited for", []answer{{status: 429, header: map[string]string{"Retry-After": "300"}}, ok}, get, 1, true},
		"RetryAfterShort": {"one that asks for seconds is", []answer{{status: 503, header: map[string]string{"Retry-After": "7"}}, ok}, get, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := serve(t, tt.answers...)
			err := tt.do(c)
			if (err != nil) != tt.fails {
				t.Errorf("%s: error = %v", tt.reason, err)
			}
			requests := p.seen()
			// A dropped connection may be repeated by net/http itself before we see it, so more are not wrong there.
			if len(requests) != tt.want && !tt.answers[0].drop {
				t.Errorf("%s: %d requests, want %d", tt.reason, len(requests), tt.want)
			}
			if tt.want == 1 && len(requests) != 1 {
				t.Errorf("%s: requests = %v, want one", tt.reason, requests)
			}
			if name == "RetryAfterShort" && (len(p.waits) != 1 || p.waits[0] != 7*time.Second) {
				t.Errorf("waits = %v, want the 7s that the server asked for", p.waits)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = io.WriteString(w, `{}`)
	}))
	defer srv.Close()
	c, err := client.New(client.Options{URL: srv.URL + "/prefix/api/v1/", PAK: "brokkr_x", UserAgent: "brokkr-cli/1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveStackLabel(t.Context(), "s", "a/b c"); err != nil {
		t.Fatal(err)
	}
	if got.RequestURI != "/prefix/api/v1/stacks/s/labels/a%2Fb%20c" {
		t.Errorf("request = %s", got.RequestURI)
	}
	for k, want := range map[string]string{"Authorization": "Bearer brokkr_x", "User-Agent": "brokkr-cli/1", "Accept": "application/json"} {
		if got.Header.Get(k) != want {
			t.Errorf("%s = %q, want %q", k, got.Header.Get(k), want)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	c, p := serve(t,
		answer{status: 200, header: map[string]string{"Link": `<https://elsewhere/x?cursor=2>; rel="next", </y?a=b>; rel="first"`}, body: `[{"id":"1"}]`},
		answer{status: 200, body: `[{"id":"2"}]`})
	all, err := c.Agents(t.Context(), "n")
	if err != nil || len(all) != 2 {
		t.Errorf("Agents = %v, %v; want both pages", all, err)
	}
	if requests, want := p.seen(), "GET /api/v1/agents?cursor=2"; len(requests) != 2 || requests[1] != want {
		t.Errorf("requests = %v, want the second to be %s", requests, want)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer answer
		want   string // end of the error
	}{
		"Body":     {answer{status: 409, header: map[string]string{"X-Request-Id": "r1"}, body: `{"code":"unique_violation","message":"it exists"}`}, "it exists (409 unique_violation, request id r1)"},
		"Empty":    {answer{status: 401}, "the broker does not accept the key (401)"},
		"Text":     {answer{status: 418, header: map[string]string{"Content-Type": "text/plain; charset=utf-8"}, body: "short and stout\n"}, "short and stout (418)"},
		"HTML":     {answer{status: 404, header: map[string]string{"Content-Type": "text/html"}, body: "<html>x"}, "the broker answered Not Found (404)"},
		"Redirect": {answer{status: 301, header: map[string]string{"Location": "https://new/"}}, "the broker answered Moved Permanently (301)"},
		"NotAPI":   {answer{status: 200, header: map[string]string{"Content-Type": "text/html"}, body: "<html>x"}, "(text/html) is not what a Brokkr broker sends: invalid character '<' looking for beginning of value"},
		"Nothing":  {answer{status: 200}, "is not what a Brokkr broker sends: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, tt.answer)
			_, err := c.Stack(t.Context(), "s")
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("error = %v, want one that ends with %q", err, tt.want)
			}
		})
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	c, err := client.New(client.Options{URL: srv.URL, RequestTimeout: 20 * time.Millisecond, Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Stack(t.Context(), "s")
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want a timeout that names the broker", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := c.Stack(ctx, "s"); !errors.Is(err, why) {
		t.Errorf("error after cancel = %v, want its cause", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	const base = "http://127.0.0.1:1" // nobody is given this port, not even other tests of this moment
	c, err := client.New(client.Options{URL: base, Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Stack(t.Context(), "s")
	if err == nil || !strings.Contains(err.Error(), base) || !strings.Contains(err.Error(), "connection refused") || !client.IsTemporary(err) {
		t.Errorf("error = %v, want one that names %s", err, base)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://localhost:3000": "http://localhost:3000", " https://b.example/ ": "https://b.example",
		"https://b/api/v1/": "https://b", "https://b/x/api/v1": "https://b/x", "http://[::1]:3000?a=b#c": "http://[::1]:3000",
		"": "", "localhost:3000": "", "ftp://x": "", "http://": "", "http://u:secret@b": "", "http://b:x y": "",
	} {
		u, err := client.ParseURL(in)
		switch {
		case want == "" && err == nil:
			t.Errorf("ParseURL(%q) = %s, want an error", in, u)
		case want == "" && strings.Contains(err.Error(), "secret"):
			t.Errorf("ParseURL(%q) repeats the password: %v", in, err)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("ParseURL(%q) = %v, %v; want %s", in, u, err, want)
		}
	}
}
