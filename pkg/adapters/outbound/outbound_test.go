package outbound_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func request(url string) webhook.Request {
	return webhook.Request{
		URL: url, AuthHeader: "Bearer secret-1", EventType: "stack.created", DeliveryID: "d1", Signature: "t=1,v1=ab",
		Body: `{"id":"e1"}`, Timeout: 5 * time.Second,
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		got <- r
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	o := outbound.ToTheWorld(loopback()).Send(t.Context(), request(srv.URL+"/hook?x=1"))
	if !o.Success || o.StatusCode != 202 || o.Class != webhook.Delivered || o.Error != "" || o.Took <= 0 {
		t.Fatalf("got %+v, want success", o)
	}
	r := <-got
	body, _ := io.ReadAll(r.Body)
	if r.Method != "POST" || r.RequestURI != "/hook?x=1" || string(body) != `{"id":"e1"}` {
		t.Errorf("got %s %s %s", r.Method, r.RequestURI, body)
	}
	for header, want := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer secret-1",
		"X-Brokkr-Event-Type": "stack.created", "X-Brokkr-Delivery-Id": "d1", "X-Brokkr-Signature": "t=1,v1=ab"} {
		if r.Header.Get(header) != want {
			t.Errorf("%s: got %q, want %q", header, r.Header.Get(header), want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	var followed atomic.Bool
	handlers := map[string]http.HandlerFunc{
		"/500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "secret-of-the-inside", http.StatusInternalServerError)
		},
		"/redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
		},
		"/followed": func(http.ResponseWriter, *http.Request) { followed.Store(true) },
		"/hang":     func(http.ResponseWriter, *http.Request) { <-hang },
		"/big": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"/abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handlers[r.URL.Path](w, r) }))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hang) }) // first, or the server would wait for it
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(secure.Close)
	sender := outbound.ToTheWorld(loopback())
	for name, tt := range map[string]struct {
		url     string
		class   webhook.Class
		status  int
		says    string
		timeout time.Duration
	}{
		"ServerError": {srv.URL + "/500", webhook.WrongAnswer, 500, "answered 500", 0},
		"Redirect":    {srv.URL + "/redirect", webhook.WrongAnswer, 307, "redirects are not followed", 0},
		"Hang":        {srv.URL + "/hang", webhook.TimedOut, 0, "no answer within 50ms", 50 * time.Millisecond},
		"Big":         {srv.URL + "/big", webhook.Delivered, 200, "", 0},
		"Abort":       {srv.URL + "/abort", webhook.Unreachable, 0, "broke off", 0},
		"Refused":     {"http://127.0.0.1:1", webhook.Unreachable, 0, "refuses the connection", 0},
		"NoName":      {"http://nothing.invalid/secret-2", webhook.Unreachable, 0, "cannot be resolved", 0},
		"Certificate": {secure.URL, webhook.Unreachable, 0, "certificate is not valid", 0},
		"NoTLS":       {strings.Replace(srv.URL, "http:", "https:", 1), webhook.Unreachable, 0, "", 0},
		"NoURL":       {"http://[secret-3", webhook.Unsendable, 0, "cannot be read", 0},
	} {
		r := request(tt.url)
		if tt.timeout != 0 {
			r.Timeout = tt.timeout
		}
		o := sender.Send(t.Context(), r)
		if o.Class != tt.class || o.StatusCode != tt.status || !strings.Contains(o.Error, tt.says) || o.Success != (tt.class == webhook.Delivered) {
			t.Errorf("%s: got %+v, want %s %d that says %q", name, o, tt.class, tt.status, tt.says)
		}
		if strings.Contains(o.Error, "secret-") || strings.Contains(o.Error, "127.0.0.1") {
			t.Errorf("%s: the error shows a secret: %s", name, o.Error)
		}
	}
	if followed.Load() {
		t.Error("the redirect was followed")
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if o := sender.Send(stopped, request(srv.URL+"/500")); o.Success || !strings.Contains(o.Error, "stops") {
		t.Errorf("a sender that stops: got %+v", o)
	}
}

// The check is made on the address, whatever the name says; and no proxy of the environment stands in between.
func TestNamesDoNotHideAddresses(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the receiver was called") }))
	defer srv.Close()
	t.Setenv("HTTP_PROXY", srv.URL)
	t.Setenv("http_proxy", srv.URL)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"} {
		o := outbound.ToTheWorld(nil).Send(t.Context(), request("http://"+host+":"+port))
		if o.Success || (o.Class != webhook.Forbidden && o.Class != webhook.Unreachable) {
			t.Errorf("%s: got %+v, want it refused", host, o)
		}
	}
	o := outbound.ToTheWorld(nil).Send(t.Context(), request("http://169.254.169.254/latest/meta-data"))
	if o.Class != webhook.Forbidden || !strings.Contains(o.Error, "metadata") {
		t.Errorf("metadata: got %+v, want it refused", o)
	}
}
