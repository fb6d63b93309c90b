package gateway_test

import (
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/services/gateway"
)

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
