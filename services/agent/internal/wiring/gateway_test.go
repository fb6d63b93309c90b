package wiring_test

import (
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

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
)

const key = "brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"

const joinToken = "brokkrjoin_BRjoined_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"

// gateway is a broker with one agent, played by the test over HTTP.
type gateway struct {
	*httptest.Server
	agent string

	mu        sync.Mutex
	down      bool // takes connections and ends them without a word
	refuse    bool // does not accept the key
	revision  int64
	stacks    []wire.Stack
	removed   []wire.Removed
	manifests map[string]string
	news      chan struct{} // closed at each change of anything in here
	syncs     []wire.SyncRequest
	applied   []wire.Applied
	acked     []wire.Removed
	lines     []wire.PodLogLine
	ended     chan struct{}
	joins     []map[string]string // requests
	known     map[string]any      // of the agent; nil: this gateway tells nothing
	lost      int                 // joins whose answers do not arrive
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{agent: uuid.NewString(), manifests: map[string]string{}, news: make(chan struct{}), ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/auth/pak", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"admin": false, "agent": g.agent, "generator": nil, "readonly": false})
	})
	mux.HandleFunc("POST /api/v1/agents/{id}/sync", g.sync)
	mux.HandleFunc("GET /api/v1/agents/{id}", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.known == nil || r.PathValue("id") != g.agent {
			http.Error(w, `{"code":"not_found","message":"no such route"}`, http.StatusNotFound)
			return
		}
		answer(w, g.known)
	})
	mux.HandleFunc("POST /api/v1/agents/{id}/telemetry", func(w http.ResponseWriter, r *http.Request) {
		var req wire.TelemetryRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, `{"code":"invalid_telemetry","message":"bad"}`, http.StatusBadRequest)
			return
		}
		g.change(func() { g.lines = append(g.lines, req.Lines...) })
		answer(w, wire.TelemetryResponse{Accepted: len(req.Events) + len(req.Lines) + len(req.Gaps)})
	})
	mux.HandleFunc("GET /api/v1/manifests/{sum}", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if m, ok := g.manifests[r.PathValue("sum")]; ok {
			_, _ = w.Write([]byte(m))
			return
		}
		http.Error(w, `{"code":"not_found","message":"no such manifest"}`, http.StatusNotFound)
	})
	mux.HandleFunc("POST /api/v1/agents/join", g.join)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		down, refuse := g.down, g.refuse || (r.Header.Get("Authorization") != "Bearer "+key && r.URL.Path != "/api/v1/agents/join")
		g.mu.Unlock()
		switch {
		case down:
			panic(http.ErrAbortHandler)
		case refuse:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		close(g.ended)
		g.Close()
	})
	return g
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// change does something to the gateway and wakes all who wait for something.
func (g *gateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.news)
	g.news = make(chan struct{})
}

func (g *gateway) sync(w http.ResponseWriter, r *http.Request) {
	var req wire.SyncRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || r.PathValue("id") != g.agent {
		http.Error(w, `{"code":"invalid_sync","message":"bad"}`, http.StatusBadRequest)
		return
	}
	g.change(func() {
		g.syncs = append(g.syncs, req)
		g.applied = append(g.applied, req.Applied...)
		for _, ack := range req.Removed {
			g.acked = append(g.acked, ack)
			if i := slices.Index(g.removed, ack); i >= 0 {
				g.removed = slices.Delete(slices.Clone(g.removed), i, i+1)
				g.revision++
			}
		}
	})
	end := time.After(time.Duration(req.WaitSeconds) * time.Second)
	for {
		g.mu.Lock()
		news, revision := g.news, g.revision
		res := wire.SyncResponse{Revision: revision, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}}
		if revision != req.Revision {
			stacks := slices.Clone(g.stacks)
			res.Stacks, res.Removed = &stacks, g.removed
		}
		g.mu.Unlock()
		if res.Stacks != nil || req.WaitSeconds == 0 {
			answer(w, res)
			return
		}
		select {
		case <-news:
		case <-end:
			answer(w, res)
			return
		case <-r.Context().Done():
			return
		case <-g.ended:
			return
		}
	}
}

// join makes the agent for one claim.
func (g *gateway) join(w http.ResponseWriter, r *http.Request) {
	var req map[string]string
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || r.Header.Get("Authorization") != "" {
		http.Error(w, `{"code":"invalid_request","message":"bad"}`, http.StatusBadRequest)
		return
	}
	var lost bool
	g.change(func() {
		g.joins = append(g.joins, req)
		if lost = g.lost > 0; lost {
			g.lost--
		}
	})
	switch {
	case lost:
		panic(http.ErrAbortHandler)
	case req["token"] != joinToken:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"code":"join_refused","message":"the join token is not accepted: it is wrong, has expired, was revoked or is used up"}`))
	default:
		w.WriteHeader(http.StatusCreated)
		answer(w, map[string]any{"agent": map[string]any{"id": g.agent, "name": req["name"]}, "pak": key})
	}
}

// publish makes a new revision of a stack desired and returns it.
func (g *gateway) publish(stack, yaml string) wire.Stack {
	sum := sha256.Sum256([]byte(yaml))
	s := wire.Stack{StackID: stack, StackName: "stack", GeneratorID: uuid.NewString(), DeploymentObjectID: uuid.NewString(),
		Checksum: hex.EncodeToString(sum[:]), Size: int64(len(yaml)), Traceparent: traceparent}
	g.change(func() {
		g.revision++
		s.Revision, s.SequenceID = g.revision, g.revision
		g.manifests[s.Checksum] = yaml
		g.stacks = append(slices.DeleteFunc(g.stacks, func(o wire.Stack) bool { return o.StackID == stack }), s)
	})
	return s
}

// remove makes a tombstone of a stack.
func (g *gateway) remove(stack string) {
	g.change(func() {
		g.revision++
		g.stacks = slices.DeleteFunc(g.stacks, func(o wire.Stack) bool { return o.StackID == stack })
		g.removed = append(g.removed, wire.Removed{StackID: stack, Revision: g.revision})
	})
}

// await waits until ok, which is asked with the lock held, at each change.
func (g *gateway) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		g.mu.Lock()
		done, news := ok(), g.news
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-timeout:
			g.mu.Lock()
			defer g.mu.Unlock()
			t.Fatalf("waited %s in vain until %s; reports: %+v", patience, what, g.applied)
		}
	}
}

// awaitHealthy waits for the report that the object is applied and healthy.
func (g *gateway) awaitHealthy(t *testing.T, s wire.Stack) {
	t.Helper()
	g.await(t, "the stack is healthy", func() bool {
		return slices.ContainsFunc(g.applied, func(a wire.Applied) bool {
			return a.DeploymentObjectID == s.DeploymentObjectID && a.Phase == "applied" && a.Health == "healthy"
		})
	})
}

// boots returns the processes that have synced.
func (g *gateway) boots() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, s := range g.syncs {
		if !slices.Contains(out, s.BootID) {
			out = append(out, s.BootID)
		}
	}
	return out
}

// forget drops what has been seen so far.
func (g *gateway) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.syncs, g.applied, g.acked = nil, nil, nil
}

func configMap(namespace, name, text string) string {
	return strings.Join([]string{"apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: " + name, "  namespace: " + namespace, "data:", "  text: " + text, ""}, "\n")
}
