package gateway_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/services/gateway"
)

func TestManifestsAreServedToWhomTheyAreAssigned(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		content := strings.Repeat("kind: ConfigMap\n", 1000)
		o := w.publish(w.stack("web").ID, content)
		w.assign(o, a)
		r := w.gateway(options{})
		path := "/api/v1/manifests/" + string(o.Checksum)
		plain := r.do(w.Context(), a.key, http.MethodGet, path, nil)
		if plain.Code != http.StatusOK || plain.Body.String() != content || !strings.Contains(plain.Header().Get("Cache-Control"), "private, immutable") {
			t.Fatalf("plain: got %d, %d bytes, %v", plain.Code, plain.Body.Len(), plain.Header())
		}
		zipped := r.do(w.Context(), a.key, http.MethodGet, path, nil, "Accept-Encoding", "gzip, zstd")
		if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len() > len(content)/10 {
			t.Fatalf("gzip: got %v, %d bytes", zipped.Header(), zipped.Body.Len())
		}
		z, err := gzip.NewReader(bytes.NewReader(zipped.Body.Bytes()))
		w.must(err)
		back, err := io.ReadAll(z)
		w.must(err)
		if sum := sha256.Sum256(back); hex.EncodeToString(sum[:]) != string(o.Checksum) {
			t.Error("gzip: the content's checksum is not the one asked for")
		}
		for _, tag := range []string{plain.Header().Get("ETag"), zipped.Header().Get("ETag")} {
			if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil, "If-None-Match", tag); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 || rec.Header().Get("ETag") != plain.Header().Get("ETag") || tag == "" {
				t.Errorf("with the ETag %q: got %d with %q, want 304 without a body", tag, rec.Code, rec.Header().Get("ETag"))
			}
		}
		if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil, "Accept-Encoding", "gzip;q=0"); rec.Header().Get("Content-Encoding") != "" {
			t.Error("gzip was sent to a client that refuses it")
		}
		for name, tt := range map[string]struct {
			key    pak.PAK
			path   string
			status int
		}{
			"NotAssigned": {b.key, path, http.StatusNotFound},
			"Unknown":     {a.key, "/api/v1/manifests/" + strings.Repeat("0", 64), http.StatusNotFound},
			"NoChecksum":  {a.key, "/api/v1/manifests/..%2fsecret", http.StatusNotFound},
			"Admin":       {w.admin(), path, http.StatusForbidden},
			"Nobody":      {noKey(), path, http.StatusUnauthorized},
		} {
			if rec := r.do(w.Context(), tt.key, http.MethodGet, tt.path, nil); rec.Code != tt.status {
				t.Errorf("%s: got %d, want %d", name, rec.Code, tt.status)
			}
		}
		if got := r.metric("brokkr_gateway_blob_cache_total", "miss"); got != 1 {
			t.Errorf("reads of the blob: got %v, want 1 for all", got)
		}
	})
}

// gateway.blob_cache_bytes: what is not kept in memory is read again for each agent.
func TestManifestsAreKeptAsConfigured(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		config       func(*gateway.Config)
		hits, misses float64
	}{
		"by default":    {nil, 2, 1},
		"without room":  {func(c *gateway.Config) { c.BlobCacheBytes = 0 }, 0, 3},
		"too little":    {func(c *gateway.Config) { c.BlobCacheBytes = 10 }, 0, 3},
		"room for this": {func(c *gateway.Config) { c.BlobCacheBytes = 4096 }, 2, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				a := w.agent("a", agent.Active)
				o := w.publish(w.stack("web").ID, "kind: ConfigMap\n")
				w.assign(o, a)
				r := w.gateway(options{config: c.config})
				for range 3 {
					if rec := r.do(w.Context(), a.key, http.MethodGet, "/api/v1/manifests/"+string(o.Checksum), nil); rec.Code != http.StatusOK || rec.Body.String() != "kind: ConfigMap\n" {
						t.Fatalf("got %d %s", rec.Code, rec.Body)
					}
				}
				if hits, misses := r.metric("brokkr_gateway_blob_cache_total", "hit"), r.metric("brokkr_gateway_blob_cache_total", "miss"); hits != c.hits || misses != c.misses {
					t.Errorf("%v hits and %v misses, want %v and %v", hits, misses, c.hits, c.misses)
				}
			})
		})
	}
}
