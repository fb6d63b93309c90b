package httpserver_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

func teapot(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

func TestEveryAnswerSaysWhatBrowsersMustNotDo(t *testing.T) {
	t.Parallel()
	h := httpserver.Secure(http.HandlerFunc(teapot))
	for _, encrypted := range []bool{false, true} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if encrypted {
			r.TLS = &tls.ConnectionState{}
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		want := map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": ""}
		if encrypted {
			want["Strict-Transport-Security"] = "max-age=31536000"
		}
		for k, v := range want {
			if got := rec.Header().Get(k); got != v {
				t.Errorf("TLS %v: %s is %q, want %q", encrypted, k, got, v)
			}
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const page = "https://console.example"
	for name, tt := range map[string]struct {
		allowed []string
		method  string
		origin  string
		asks    bool
		status  int
		origins string // Access-Control-Allow-Origin
	}{
		"Off":             {nil, "GET", page, false, 418, ""},
		"OffAsked":        {nil, "OPTIONS", page, true, 418, ""},
		"Allowed":         {[]string{page}, "GET", page, false, 418, page},
		"AllowedAsked":    {[]string{"http://x", page}, "OPTIONS", page, true, 204, page},
		"Another":         {[]string{page}, "GET", "https://console.example.evil", false, 418, ""},
		"AnotherAsked":    {[]string{page}, "OPTIONS", "http://console.example", true, 418, ""},
		"AnotherPort":     {[]string{page}, "GET", page + ":8443", false, 418, ""},
		"NoPage":          {[]string{page}, "GET", "", false, 418, ""},
		"NullOrigin":      {[]string{page}, "GET", "null", false, 418, ""},
		"OptionsNotAsked": {[]string{page}, "OPTIONS", page, false, 418, page},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := httpserver.NewCORS(tt.allowed).Middleware(http.HandlerFunc(teapot))
			r := httptest.NewRequest(tt.method, "/api/v1/stacks", nil)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if tt.asks {
				r.Header.Set("Access-Control-Request-Method", "DELETE")
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			got := rec.Header()
			if rec.Code != tt.status || got.Get("Access-Control-Allow-Origin") != tt.origins || (got.Get("Vary") == "Origin") != (tt.allowed != nil) {
				t.Errorf("got %d with %v, want %d and origin %q", rec.Code, got, tt.status, tt.origins)
			}
			if tt.status == 204 && (!strings.Contains(got.Get("Access-Control-Allow-Methods"), "DELETE") || !strings.Contains(got.Get("Access-Control-Allow-Headers"), "Authorization")) {
				t.Errorf("asked, it allows %v", got)
			}
			if got.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are allowed")
			}
			known := strings.Join(httpserver.ForBrowsers(), ",")
			for k := range got {
				if strings.HasPrefix(k, "Access-") && !strings.Contains(known, k) {
					t.Errorf("%s is not told to those who pass answers on", k)
				}
			}
		})
	}
}

func TestOriginsChangeAtWork(t *testing.T) {
	t.Parallel()
	c := httpserver.NewCORS(nil)
	h := c.Middleware(http.HandlerFunc(teapot))
	c.Configure([]string{"https://a"})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Origin", "https://a")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Header().Get("Access-Control-Allow-Origin") != "https://a" {
		t.Error("an origin that was added is not allowed")
	}
}

func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://a.example", "http://localhost:5173", "https://[::1]:3000"} {
		if err := httpserver.CheckOrigin(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*", "https://*.example", "a.example", "https://a/", "https://a/x", "https://u@a", "null", "ftp://a", "https://A.example", "https://a?x"} {
		if httpserver.CheckOrigin(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
