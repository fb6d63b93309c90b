package wiring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/services/agent/internal/wiring"
)

const (
	patience    = 60 * time.Second
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// world is a broker that the test plays, and a real API server behind a gate.
type world struct {
	*testing.T
	gateway    *gateway
	gate       *gate
	kubeconfig string
	client     dynamic.Interface
	namespace  string // for objects
	own        string // the agent's; the test does not make it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cfg, err := kube.Config(kube.Access{Kubeconfig: testenv.Kubeconfigs(t, 1)[0], UserAgent: "wiring-test"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, gateway: newGateway(t), gate: newGate(t, cfg), namespace: "w-" + uuid.NewString()[:8]}
	w.own = w.namespace + "-agent"
	if w.client, err = dynamic.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	w.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	c := api.NewConfig()
	c.Clusters["gate"] = &api.Cluster{Server: w.gate.URL}
	c.Contexts["gate"] = &api.Context{Cluster: "gate"}
	c.CurrentContext = "gate"
	if err := clientcmd.WriteToFile(*c, w.kubeconfig); err != nil {
		t.Fatal(err)
	}
	namespaces := w.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(w.namespace)
	if _, err := namespaces.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range []string{w.namespace, w.own} {
			if err := namespaces.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("delete namespace %s: %v", name, err)
			}
		}
	})
	return w
}

// get returns an object by resource and name, nil if it is not there.
func (w *world) get(resource, namespace, name string) *unstructured.Unstructured {
	w.Helper()
	r := schema.GroupVersionResource{Version: "v1", Resource: resource}
	if resource == "leases" {
		r.Group = "coordination.k8s.io"
	}
	u, err := w.client.Resource(r).Namespace(namespace).Get(w.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	return u
}

// holder is who has the agent's lease.
func (w *world) holder() string {
	w.Helper()
	u := w.get("leases", w.own, "brokkr-agent-"+w.gateway.agent)
	if u == nil {
		return ""
	}
	h, _, _ := unstructured.NestedString(u.Object, "spec", "holderIdentity")
	return h
}

// environ is an agent's whole environment.
func (w *world) environ(more ...string) []string {
	return append([]string{
		"BROKKR__AGENT__PAK=" + key, "BROKKR__AGENT__BROKER_URL=" + w.gateway.URL, "BROKKR__AGENT__ADDR=127.0.0.1:0",
		"BROKKR__AGENT__NAMESPACE=" + w.own, "BROKKR__AGENT__RESYNC=1h",
	}, more...)
}

// process is an agent within the test's process.
type process struct {
	*world
	out  output
	done chan struct{}
	err  error // once done is closed
	end  context.CancelFunc
}

// start runs an agent; the test's end ends it.
func (w *world) start(more ...string) *process {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{world: w, done: make(chan struct{}), end: cancel}
	go func() {
		defer close(p.done)
		p.err = wiring.Main(ctx, "1.2.3", w.environ(more...), map[string]any{"agent.kubeconfig": w.kubeconfig}, &p.out)
	}()
	w.Cleanup(func() {
		cancel()
		<-p.done
		if w.Failed() {
			w.Logf("the agent's log:\n%s", &p.out)
		}
		if strings.Contains(p.out.String(), strings.Split(key, "_")[2]) {
			w.Error("the log has the key")
		}
	})
	return p
}

// stop is what SIGTERM does; it returns how the process ended.
func (p *process) stop() error {
	p.Helper()
	p.end()
	return p.wait()
}

func (p *process) wait() error {
	p.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.Fatalf("the agent still runs after %s", patience)
		return nil
	}
}

// eventually waits until ok.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

// said waits for a line of the log and returns its values.
func (p *process) said(message string) map[string]any {
	p.Helper()
	var found map[string]any
	p.eventually("the log has "+message, func() bool {
		for line := range strings.Lines(p.out.String()) {
			var v map[string]any
			if json.Unmarshal([]byte(line), &v) == nil && strings.Contains(v["msg"].(string), message) {
				found = v
			}
		}
		return found != nil
	})
	return found
}

// ask returns the status and the text of an endpoint.
func (p *process) ask(path string) (int, string) {
	p.Helper()
	address, _ := p.said("listening")["address"].(string)
	res, err := http.Get("http://" + address + path)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (p *process) awaitStatus(path string, status int) string {
	p.Helper()
	var text string
	p.eventually(path+" answers as wanted", func() bool {
		var got int
		got, text = p.ask(path)
		return got == status
	})
	return text
}

// output is a log that can be read meanwhile.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// gate stands before the API server. Shut, it ends connections without a word.
type gate struct {
	*httptest.Server
	shut   atomic.Bool
	writes atomic.Int64 // but dry runs and the lease
	delay  atomic.Int64 // of such a write, in nanoseconds
	logs   atomic.Pointer[http.HandlerFunc]
}

func newGate(t *testing.T, cfg *rest.Config) *gate {
	t.Helper()
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	g := &gate{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.shut.Load() {
			panic(http.ErrAbortHandler)
		}
		if logs := g.logs.Load(); logs != nil && strings.HasSuffix(r.URL.Path, "/log") { // as the node's kubelet would
			(*logs)(w, r)
			return
		}
		if r.Method != http.MethodGet && !r.URL.Query().Has("dryRun") && !strings.Contains(r.URL.Path, "/leases") {
			g.writes.Add(1)
			time.Sleep(time.Duration(g.delay.Load()))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})
	return g
}
