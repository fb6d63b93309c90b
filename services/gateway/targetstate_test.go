package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway"
)

// blobs is a store whose contents are asked for under a watch.
type blobs struct {
	ports.Store
	get func(stack.Checksum) error
}

type watchedBlobs struct {
	ports.Blobs
	get func(stack.Checksum) error
}

func (s blobs) Blobs() ports.Blobs { return watchedBlobs{s.Store.Blobs(), s.get} }

func (b watchedBlobs) Get(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	if err := b.get(sum); err != nil {
		return nil, err
	}
	return b.Blobs.Get(ctx, sum)
}

// counting is what an answer is written to, and how much of it there is.
type counting struct {
	http.ResponseWriter
	mu sync.Mutex
	n  int
}

func (c *counting) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.n += len(b)
	c.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

func (c *counting) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func noise(n int) string {
	rnd, b := rand.New(rand.NewPCG(1, uint64(n))), make([]byte, n) //nolint:gosec // content that does not compress
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rnd.IntN(64)]
	}
	return string(b)
}

// A target state of megabytes is written object by object: of what was read for it never more than one content has not
// been written yet.
func TestATargetStateIsNotHeldInMemory(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		const stacks, size = 12, 256 << 10
		a := w.agent("a", agent.Active)
		for i := range stacks {
			w.silent = i < stacks-1
			w.assign(w.publish(w.stack(fmt.Sprint("s", i)).ID, noise(size+i)), a)
		}
		read, most := 0, 0
		to := &counting{ResponseWriter: httptest.NewRecorder()}
		r := w.gateway(options{config: func(c *gateway.Config) { c.BlobCacheBytes = 0 }, store: blobs{w.store, func(stack.Checksum) error {
			most = max(most, read-to.written())
			read += size
			return nil
		}}})
		req := httptest.NewRequestWithContext(w.Context(), http.MethodGet, "/api/v1/agents/"+string(a.id)+"/target-state", http.NoBody)
		req.Header.Set("Authorization", "Bearer "+a.key.Reveal())
		r.svc.Handler().ServeHTTP(to, req)
		if read != stacks*size || to.written() < read {
			t.Fatalf("%d bytes were read and %d written, want %d", read, to.written(), stacks*size)
		}
		if most > 64<<10 {
			t.Errorf("when the next content was read %d bytes of those before were held, want what a buffer holds", most)
		}
	})
}

// The answer is what an encoder makes of the whole, and who has it already is told so without a content being read.
func TestATargetStateIsWrittenAsEver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		path := "/api/v1/agents/" + string(a.id) + "/target-state"
		line := "    <&> \U0001F600 \t\\ é \"quoted\"\n"
		odd := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndata:\n  text: |\n" + line
		long := odd + strings.Repeat(line, 5000)
		w.assign(w.publish(w.stack("odd").ID, odd), a)
		w.assign(w.publish(w.stack("long").ID, long), a)
		gone := w.publish(w.stack("gone").ID, "kind: Gone")
		w.assign(gone, a)
		w.remove(gone, a)
		reads := 0
		r := w.gateway(options{config: func(c *gateway.Config) { c.BlobCacheBytes = 0 }, store: blobs{w.store, func(stack.Checksum) error { reads++; return nil }}})
		rec := r.do(w.Context(), a.key, http.MethodGet, path, nil)
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		got := decode[[]wire.DeploymentObject](w, rec, http.StatusOK)
		w.must(enc.Encode(got))
		if again.String() != rec.Body.String() || len(got) != 3 || got[1].YAMLContent != long || got[2].YAMLContent != odd || got[0].YAMLContent != "" {
			t.Errorf("the answer is not what an encoder makes of it, or says something else (%d objects)", len(got))
		}
		tag, before := rec.Header().Get("ETag"), reads
		if rec.Header().Get("Content-Type") != "application/json" || tag == "" {
			t.Errorf("headers are %v", rec.Header())
		}
		if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil, "If-None-Match", tag); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 || reads != before {
			t.Errorf("who has it already: got %d with %d bytes and %d contents read, want 304 and none", rec.Code, rec.Body.Len(), reads-before)
		}
		if rec := r.do(w.Context(), w.admin(), http.MethodGet, path, nil, "If-None-Match", tag); rec.Code != http.StatusOK {
			t.Errorf("an admin, who sees it without Secrets, has the agent's tag: got %d, want 200", rec.Code)
		}
		w.assign(w.publish(w.stack("new").ID, "kind: New"), a)
		if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil, "If-None-Match", tag); rec.Code != http.StatusOK || rec.Header().Get("ETag") == tag {
			t.Errorf("after a change: got %d, want it whole with another tag", rec.Code)
		}
	})
}

// What cannot be read whole is not sent as if it were: at the beginning it is an error, later the connection breaks.
func TestATargetStateThatCannotBeReadIsNoTargetState(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		last := w.publish(w.stack("last").ID, "kind: Last")
		w.assign(last, a)
		first := w.publish(w.stack("first").ID, noise(100_000))
		w.assign(first, a)
		bad := last.Checksum
		r := w.gateway(options{config: func(c *gateway.Config) { c.BlobCacheBytes = 0 }, store: blobs{w.store, func(sum stack.Checksum) error {
			if sum == bad {
				return fault.New(fault.Unavailable, "unavailable", "the store is away")
			}
			return nil
		}}})
		path := "/api/v1/agents/" + string(a.id) + "/target-state"
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("an error in the middle: %v, want the connection broken", err)
				}
			}()
			rec := r.do(w.Context(), a.key, http.MethodGet, path, nil)
			t.Errorf("an error in the middle: got %d with %d bytes", rec.Code, rec.Body.Len())
		}()
		bad = first.Checksum
		if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("ETag") != "" {
			t.Errorf("an error before anything was sent: got %d %v", rec.Code, rec.Header())
		}
	})
}

// So many target states are on their way at a time, and two of one agent; the others wait a while.
func TestTargetStatesHaveTurns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		w.assign(w.publish(w.stack("web").ID, "kind: Web"), a, b)
		r := w.gateway(options{config: func(c *gateway.Config) { c.TargetStates = 3 }})
		reads := make(chan struct{})
		var all sync.WaitGroup
		ask := func(s subject) { // for a client that does not read yet
			all.Go(func() {
				req := httptest.NewRequestWithContext(w.Context(), http.MethodGet, "/api/v1/agents/"+string(s.id)+"/target-state", http.NoBody)
				req.Header.Set("Authorization", "Bearer "+s.key.Reveal())
				r.svc.Handler().ServeHTTP(&idle{ResponseWriter: httptest.NewRecorder(), until: reads}, req)
			})
		}
		for range 4 {
			ask(a)
		}
		synctest.Wait()
		path := "/api/v1/agents/" + string(a.id) + "/target-state"
		if rec := r.do(w.Context(), a.key, http.MethodGet, path, nil); rec.Code != http.StatusTooManyRequests || !strings.Contains(rec.Body.String(), `"too_many_target_states"`) || rec.Header().Get("Retry-After") == "" {
			t.Errorf("the fifth of one agent: got %d %v %s, want 429", rec.Code, rec.Header(), rec.Body)
		}
		if got := r.targets(b, ""); len(got) != 1 {
			t.Errorf("another agent meanwhile: %+v", got)
		}
		time.Sleep(11 * time.Second) // the two that wait are refused
		if n := r.metric("brokkr_gateway_target_states_total", "refused"); n != 3 {
			t.Errorf("%v were refused, want 3", n)
		}
		close(reads)
		all.Wait()
		if got := r.targets(a, ""); len(got) != 1 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// idle is a connection of somebody who does not read yet.
type idle struct {
	http.ResponseWriter
	until chan struct{}
}

func (i *idle) Write(b []byte) (int, error) {
	<-i.until
	return i.ResponseWriter.Write(b)
}
