package world

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Request is what one agent asked of its API server.
type Request struct {
	Method, Path, UserAgent string
	DryRun                  bool
	Status                  int
}

func (r Request) String() string { return fmt.Sprintf("%s %s -> %d", r.Method, r.Path, r.Status) }

// Gate lies between one agent and its API server: it counts what the agent asks, and can be shut.
type Gate struct {
	server *httptest.Server
	mu     sync.Mutex
	shut   bool
	seen   []Request
}

// NewGate opens a gate to the API server of cfg until the test ends.
func NewGate(t testing.TB, cfg *rest.Config) *Gate {
	t.Helper()
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatalf("gate: %v", err)
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatalf("gate: %v", err)
	}
	g := &Gate{}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ModifyResponse: func(res *http.Response) error {
			g.note(res.Request, res.StatusCode)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			g.note(r, http.StatusBadGateway)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	g.server.Config.ErrorLog = nil
	t.Cleanup(func() {
		g.server.CloseClientConnections() // watches never end by themselves
		g.server.Close()
	})
	return g
}

func (g *Gate) note(r *http.Request, status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, Request{Method: r.Method, Path: r.URL.Path, UserAgent: r.UserAgent(), DryRun: r.URL.Query().Has("dryRun"), Status: status})
}

// Shut ends all connections and takes no more requests.
func (g *Gate) Shut() {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	g.server.CloseClientConnections()
}

// Open ends Shut.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// Forget drops what was seen.
func (g *Gate) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = nil
}

// Seen is what was asked since the last Forget.
func (g *Gate) Seen() []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Request(nil), g.seen...)
}

// Writes are the requests that may have changed something. Not counted are dry runs, the agent's lease, which it has to
// renew, and reviews of its own rights.
func (g *Gate) Writes() []Request {
	var out []Request
	for _, r := range g.Seen() {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if reads || r.DryRun || strings.Contains(r.Path, "/leases") || strings.Contains(r.Path, "/authorization.k8s.io/") {
			continue
		}
		out = append(out, r)
	}
	return out
}

// Kubeconfig writes a kubeconfig that leads through the gate.
func (g *Gate) Kubeconfig(path, namespace string) error {
	c := api.NewConfig()
	c.Clusters["gate"] = &api.Cluster{Server: g.server.URL}
	c.AuthInfos["gate"] = &api.AuthInfo{}
	c.Contexts["gate"] = &api.Context{Cluster: "gate", AuthInfo: "gate", Namespace: namespace}
	c.CurrentContext = "gate"
	return clientcmd.WriteToFile(*c, path)
}
