package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

func TestAHangingOrFailingCacheCostsLittleAndNeverCorrectness(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"fails", "hangs"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				bad := &badCache{TargetCache: w.cache}
				bad.mode.Store(mode)
				r := w.gateway(options{cache: bad})
				var total time.Duration
				for range 20 {
					a := w.agent(uuid.NewString(), agent.Active)
					w.assign(w.publish(w.stack(uuid.NewString()).ID, "v: 1"), a)
					p := a.start()
					c := r.sync(p, p.request(0))
					if res := c.answer(); res.Revision != 1 || len(*res.Stacks) != 1 {
						t.Fatalf("got %+v, want the target state from the store", res)
					}
					total += c.took
				}
				if total > 200*time.Millisecond || bad.asked.Load() > 3 {
					t.Errorf("20 syncs took %s and asked the cache %d times, want one wait of at most 100ms and then peace", total, bad.asked.Load())
				}
				rec := r.do(w.Context(), noKey(), http.MethodGet, "/health", nil)
				if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "degraded") {
					t.Errorf("health: got %d %s, want 200 degraded", rec.Code, rec.Body)
				}
				bad.mode.Store("")
				time.Sleep(6 * time.Second)
				a := w.agent("later", agent.Active)
				w.assign(w.publish(w.stack("later").ID, "v: 1"), a)
				r.catchUp(a.start())
				synctest.Wait()
				r.catchUp(a.start())
				if got := r.metric("brokkr_gateway_target_cache_total", "hit"); got != 1 {
					t.Errorf("hits after the cache is back: got %v, want 1", got)
				}
			})
		})
	}
}

func TestAFlushedCacheChangesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, c := w.parked(r, 20)
		w.must(w.cache.Flush(w.Context()))
		if c.answer().Stacks != nil {
			t.Error("a flush was answered as a change")
		}
		p.revision = 0
		again := p.start()
		if res := r.catchUp(again); res.Revision != 1 || len(*res.Stacks) != 1 {
			t.Errorf("got %+v, want the whole target state", res)
		}
	})
}

func TestStaleMemoryNeverTakesAnAgentBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		deaf := &cutSignals{Signals: w.signals}
		one, two := w.gateway(options{signals: memorySignals()}), w.gateway(options{signals: deaf})
		a, s := w.agent("a", agent.Active), w.stack("web")
		w.assign(w.publish(s.ID, "v: 1"), a)
		p := a.start()
		one.catchUp(p) // one knows revision 1, and hears no more
		newest := w.publish(s.ID, "v: 2")
		w.assign(newest, a)
		two.catchUp(p)
		if p.revision != 2 {
			t.Fatalf("revision from the other replica: got %d, want 2", p.revision)
		}
		c := one.sync(p, p.request(5))
		if res := c.answer(); res.Stacks != nil || res.Revision != 2 || c.took != 5*time.Second {
			t.Errorf("from the stale replica after %s: got %+v, want parked at revision 2", c.took, res)
		}
	})
}

func TestTheStoreDecidesWhenAnAgentKnowsMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "v: 1")
		w.assign(o, a)
		r := w.gateway(options{})
		p := a.start()
		p.revision = 41 // of a store that was restored from an older state
		res := r.sync(p, p.request(50)).answer()
		if res.Revision != 1 || len(*res.Stacks) != 1 {
			t.Errorf("got %+v, want the store's state at its revision", res)
		}
	})
}

// An agent that has an older revision, and whose newest manifest is another by now, must not be told the same again and again.
func TestAManifestThatIsGoneMakesTheGatewayAskTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		a, s := w.agent("a", agent.Active), w.stack("web")
		p := a.start()
		r.catchUp(p)
		w.assign(w.publish(s.ID, "v: 1"), a)
		told := (*r.sync(p, p.request(0)).answer().Stacks)[0]
		w.silent = true
		newest := w.publish(s.ID, "v: 2")
		w.assign(newest, a)
		if rec := r.do(w.Context(), a.key, http.MethodGet, "/api/v1/manifests/"+told.Checksum, nil); rec.Code != http.StatusNotFound {
			t.Fatalf("the former manifest: got %d, want 404", rec.Code)
		}
		if got := (*r.sync(p, p.request(0)).answer().Stacks)[0]; got.DeploymentObjectID != string(newest.ID) {
			t.Errorf("with the former revision still: got object %s, want the newest, %s", got.DeploymentObjectID, newest.ID)
		}
	})
}

// The same without the question for the manifest: what was told once is not believed for ever.
func TestNewsOfTheMemoryIsCheckedInTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		a, s := w.agent("a", agent.Active), w.stack("web")
		p := a.start()
		r.catchUp(p)
		w.assign(w.publish(s.ID, "v: 1"), a)
		r.sync(p, p.request(0)).answer()
		w.silent = true
		newest := w.publish(s.ID, "v: 2")
		w.assign(newest, a)
		time.Sleep(time.Minute)
		if got := (*r.sync(p, p.request(0)).answer().Stacks)[0]; got.DeploymentObjectID != string(newest.ID) {
			t.Errorf("a minute later, with the former revision still: got object %s, want the newest, %s", got.DeploymentObjectID, newest.ID)
		}
	})
}
