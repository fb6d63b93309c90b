package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// gateway is a bare one: it has one manifest for everybody and parks whoever has it.
type gateway struct {
	mu     sync.Mutex
	syncs  []wire.SyncRequest
	agents map[string]bool
	parked chan struct{} // closed to answer them
}

const content = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func (g *gateway) handler(t *testing.T) http.Handler {
	sum := sha256.Sum256([]byte(content))
	checksum := hex.EncodeToString(sum[:])
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/manifests/"+checksum, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(content)) })
	mux.HandleFunc("POST /api/v1/agents/{id}/sync", func(w http.ResponseWriter, r *http.Request) {
		var req wire.SyncRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer key-of-"+r.PathValue("id") {
			t.Errorf("agent %s came with %q", r.PathValue("id"), got)
		}
		g.mu.Lock()
		g.syncs = append(g.syncs, req)
		g.agents[r.PathValue("id")] = true
		parked := g.parked
		g.mu.Unlock()
		res := wire.SyncResponse{Revision: 1, Next: wire.Next{WaitSeconds: 55}}
		if req.Revision == 0 {
			res.Stacks = &[]wire.Stack{{StackID: "s", DeploymentObjectID: "o", SequenceID: 1, Checksum: checksum, Size: int64(len(content))}}
		} else if req.WaitSeconds > 0 {
			select {
			case <-parked:
			case <-r.Context().Done():
				return
			}
		}
		_ = json.NewEncoder(w).Encode(res)
	})
	return mux
}

func TestAFleetAppliesAndComesBackAfterAStorm(t *testing.T) {
	t.Parallel()
	g := &gateway{agents: map[string]bool{}, parked: make(chan struct{})}
	server := httptest.NewServer(g.handler(t))
	defer server.Close()
	c := Config{Gateway: server.URL, Seed: 42, Life: Life{ThinkMax: 20 * time.Millisecond}}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		c.Agents = append(c.Agents, Identity{ID: id, Name: id, PAK: "key-of-" + id})
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	within, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	if err := f.Connected(within); err != nil {
		t.Fatal(err)
	}
	acks, err := f.WaitAcks(within, "o", 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(acks) != 5 || !slices.IsSortedFunc(acks, time.Time.Compare) {
		t.Errorf("got acknowledgements at %v, want five in order", acks)
	}
	before := f.Counts.Connects.Load()
	if n := f.Storm(1, 1); n != 5 {
		t.Errorf("the storm met %d agents, want 5", n)
	}
	for f.Counts.Connects.Load() < before+5 {
		if within.Err() != nil {
			t.Fatalf("%d of 5 agents came back: %v", f.Counts.Connects.Load()-before, f.Err())
		}
		time.Sleep(5 * time.Millisecond) // there is nothing to wait on but their coming
	}
	if got := f.Counts.Damage.Load(); got != 0 {
		t.Errorf("%d damaged answers: %v", got, f.Err())
	}
	if in, out := f.Counts.BytesIn.Load(), f.Counts.BytesOut.Load(); in == 0 || out == 0 {
		t.Errorf("counted %d bytes in and %d out", in, out)
	}
	if f.Counts.Manifests.Load() != 5 || f.Counts.Reports.Load() < 5 {
		t.Errorf("fetched %d manifests and told %d reports, want 5 and as many", f.Counts.Manifests.Load(), f.Counts.Reports.Load())
	}
}

func TestStormsAreSeeded(t *testing.T) {
	t.Parallel()
	met := func(seed, number uint64) int {
		c := Config{Gateway: "http://127.0.0.1:1", Seed: seed, Agents: make([]Identity, 1000)}
		f, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return f.Storm(number, 0.3)
	}
	if a, b := met(1, 1), met(1, 1); a != b || a < 200 || a > 400 {
		t.Errorf("the same storm met %d and %d of 1,000, want the same three in ten", a, b)
	}
}

func TestABadURLIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://x"} {
		if _, err := New(Config{Gateway: bad}); err == nil || !strings.Contains(err.Error(), "http://host:port") {
			t.Errorf("%q: got %v, want what it must look like", bad, err)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	var x Times
	if x.Quantile(0.5) != 0 {
		t.Error("there is a median of nothing")
	}
	for i := 1; i <= 1000; i++ {
		x.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := x.Quantile(q); got < want*97/100 || got > want*103/100 {
			t.Errorf("quantile %v: got %s, want about %s", q, got, want)
		}
	}
	if x.Max() != time.Second || x.Count() != 1000 {
		t.Errorf("got %d up to %s", x.Count(), x.Max())
	}
	if x.Reset(); x.Count() != 0 || x.Max() != 0 {
		t.Error("a reset forgets nothing")
	}
}
