package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/services/api"
)

func (w *world) fetch(path string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// The page and everything that it loads is served here, to anybody, under a policy that lets it load nothing else.
func TestSwaggerUI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for _, path := range []string{"/swagger-ui", "/swagger-ui/"} {
		page := w.fetch(path)
		policy := page.Header().Get("Content-Security-Policy")
		if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") || !strings.Contains(policy, "default-src 'none'") {
			t.Fatalf("%s: got %d, %v", path, page.Code, page.Header())
		}
		if strings.Contains(page.Body.String(), "http:") || strings.Contains(page.Body.String(), "https:") || regexp.MustCompile(`<script>|on\w+=`).MatchString(page.Body.String()) {
			t.Errorf("%s loads from elsewhere or has a script in it:\n%s", path, page.Body)
		}
		parts := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
		if len(parts) != 4 {
			t.Errorf("%s has the parts %v, want 4", path, parts)
		}
		for _, m := range parts {
			plain, packed := w.fetch(m[1]), w.fetch(m[1], "Accept-Encoding", "gzip")
			if plain.Code != http.StatusOK || packed.Code != http.StatusOK || plain.Body.Len() < 100 || plain.Header().Get("Content-Encoding") != "" {
				t.Errorf("%s: got %d with %d bytes, packed %d", m[1], plain.Code, plain.Body.Len(), packed.Code)
			}
			if strings.HasPrefix(m[1], "/swagger-ui/swagger-ui") && (packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len()) {
				t.Errorf("%s is not packed for who can unpack", m[1])
			}
		}
	}
	if got := w.fetch("/docs/openapi.json"); got.Code != http.StatusOK || !strings.Contains(w.fetch("/swagger-ui/start.js").Body.String(), "/docs/openapi.json") {
		t.Error("the page does not read the document that is served")
	}
	for _, path := range []string{"/swagger-ui/other", "/swagger-ui/../openapi", "/swagger-uix", "/api/v1/nothing", "/api", "/internal", "/internal/nothing", "/"} {
		if rec := w.fetch(path); rec.Code != http.StatusNotFound || code(t, rec) != "not_found" {
			t.Errorf("%s: got %d %.80s, want 404 not_found", path, rec.Code, rec.Body)
		}
	}
}

func TestSwaggerUICanBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{NoSwaggerUI: true}, memory.New(time.Now))
	if rec := w.fetch("/swagger-ui"); rec.Code != http.StatusNotFound {
		t.Errorf("got %d, want 404", rec.Code)
	}
	if rec := w.fetch("/docs/openapi.json"); rec.Code != http.StatusOK {
		t.Errorf("the document: got %d, want 200", rec.Code)
	}
}
