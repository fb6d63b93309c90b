package reconcile_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
	"github.com/colliery-io/brokkr/services/agent/internal/reconcile"
)

// patience is how long nothing may happen before a test gives up; while the agent asks things of its API server it goes on, at most
// longest: how long a thousand objects take is the machine's business.
const (
	patience = 60 * time.Second
	longest  = 6 * patience
)

// world is one agent's engine in a namespace of a real cluster, with a broker that is played by the test.
type world struct {
	t         *testing.T
	agent     string
	namespace string // where objects without a namespace go
	resync    time.Duration
	only      bool
	accounts  account.Rules
	rules     []string // health rules of the cluster's owner
	content   *content
	reports   *reports
	tenure    *tenure
	wire      *traffic
	client    dynamic.Interface // the test's own
	kubeCfg   *rest.Config
	seq       int64
	stop      func()
	engine    *reconcile.Engine
}

func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	cfg, err := kube.Config(kube.Access{Kubeconfig: testenv.Kubeconfigs(t, 1)[0], UserAgent: "reconcile-test"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, agent: uuid.NewString(), namespace: "t-" + uuid.NewString()[:8], resync: time.Hour,
		content: &content{bundles: map[string][]byte{}}, tenure: &tenure{}, wire: &traffic{}, kubeCfg: cfg,
	}
	w.reports = newReports(w.wire.asked.Load)
	for _, f := range change {
		f(w)
	}
	if w.client, err = dynamic.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	w.makeNamespace(w.namespace)
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) makeNamespace(name string) {
	w.t.Helper()
	w.create(fmt.Sprintf("v1/namespaces//%s", name), map[string]any{"apiVersion": "v1", "kind": "Namespace"})
	w.t.Cleanup(func() { w.drop("v1/namespaces//" + name) })
}

// start runs an engine as a new process of the agent would.
func (w *world) start() {
	w.t.Helper()
	cfg := rest.CopyConfig(w.kubeCfg)
	cfg.Wrap(w.wire.wrap)
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	k, err := kube.New(cfg, kube.Options{Agent: w.agent, Namespace: w.namespace, Only: w.only, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	compile := func(expression string) (health.Rule, error) {
		r, err := healthrule.New().Compile(expression)
		if err != nil {
			return nil, err
		}
		return r.Health, nil
	}
	rules := health.Parse(w.rules, compile, func(i int, why string) { w.t.Errorf("rule %d %s", i, why) })
	var engine *reconcile.Engine
	watches := k.Watches(func(c cluster.Change) { engine.Changed(c) })
	engine = reconcile.New(reconcile.Config{
		Agent: w.agent, Namespace: "agent-of-" + w.namespace, Scope: plan.Scope{Namespace: w.namespace, Only: w.only}, Accounts: w.accounts, Rules: rules, Compile: compile, Limits: bundle.DefaultLimits(),
		Resync: w.resync, Content: w.content, Reports: w.reports, Metrics: reconcile.NewMetrics(prometheus.NewRegistry()),
		Tracer: noop.NewTracerProvider().Tracer(""), Log: log,
		Cluster: reconcile.Cluster{Kinds: k, Objects: k, Contents: k, Inventories: k.Inventories(), Watches: watches, Tenure: w.tenure},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = watches.Run(ctx) })
	wg.Go(func() { _ = engine.Run(ctx) })
	w.engine = engine
	w.stop = func() { cancel(); wg.Wait() }
}

func (w *world) restart() {
	w.stop()
	w.start()
}

// stack makes an assignment of a bundle to a new or the same stack.
func (w *world) stack(id, yaml string, policy ...wire.Policy) wire.Stack {
	w.seq++
	sum := sha256.Sum256([]byte(yaml))
	s := wire.Stack{
		StackID: id, StackName: "stack-" + id[:4], DeploymentObjectID: uuid.NewString(), SequenceID: w.seq, Revision: w.seq,
		Checksum: hex.EncodeToString(sum[:]), Size: int64(len(yaml)),
	}
	if len(policy) > 0 {
		s.Policy = policy[0]
	}
	w.content.put(s.Checksum, []byte(yaml))
	return s
}

// apply assigns stacks and waits until each is applied; it returns the last report of the first.
func (w *world) apply(stacks ...wire.Stack) wire.Applied {
	w.t.Helper()
	w.engine.Desired(stacks, nil)
	var out wire.Applied
	for i, s := range stacks {
		r := w.reports.await(w.t, s.StackID, func(a wire.Applied) bool { return a.SequenceID == s.SequenceID && a.Phase == "applied" })
		if i == 0 {
			out = r
		}
	}
	return out
}

func (w *world) remove(id string) {
	w.t.Helper()
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.reports.awaitRemoved(w.t, id)
}

// path is version/resource/namespace/name, or group/version/resource/namespace/name.
func (w *world) at(path string) (dynamic.ResourceInterface, string) {
	parts := strings.Split(path, "/")
	if len(parts) == 4 {
		parts = append([]string{""}, parts...)
	}
	r := w.client.Resource(schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]})
	if parts[3] == "" {
		return r, parts[4]
	}
	if parts[3] == "." {
		parts[3] = w.namespace
	}
	return r.Namespace(parts[3]), parts[4]
}

// get returns nil if the object is not there.
func (w *world) get(path string) *unstructured.Unstructured {
	w.t.Helper()
	r, name := w.at(path)
	u, err := r.Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) create(path string, object map[string]any) *unstructured.Unstructured {
	w.t.Helper()
	r, name := w.at(path)
	u := &unstructured.Unstructured{Object: object}
	u.SetName(name)
	out, err := r.Create(context.Background(), u, metav1.CreateOptions{FieldManager: "somebody"})
	if err != nil {
		w.t.Fatalf("create %s: %v", path, err)
	}
	return out
}

func (w *world) patch(path, json string) {
	w.t.Helper()
	r, name := w.at(path)
	if _, err := r.Patch(context.Background(), name, types.MergePatchType, []byte(json), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		w.t.Fatalf("patch %s: %v", path, err)
	}
}

// status sets the Ready condition of a custom resource, as its controller would.
func (w *world) status(path, ready, message string) {
	w.t.Helper()
	r, name := w.at(path)
	body := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"message":%q}]}}`, ready, message)
	if _, err := r.Patch(context.Background(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "controller"}, "status"); err != nil {
		w.t.Fatalf("set the status of %s: %v", path, err)
	}
}

func (w *world) drop(path string) {
	w.t.Helper()
	r, name := w.at(path)
	if err := r.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		w.t.Errorf("delete %s: %v", path, err)
	}
}

// eventually waits until ok; what says for what.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s in vain for %s; last reports:\n%s", patience, what, w.reports)
		}
	}
}

// tenure says whether the engine's process is the one that acts.
type tenure struct{ lost atomic.Bool }

func (h *tenure) Holds(context.Context) error {
	if h.lost.Load() {
		return fault.New(fault.Unavailable, "lease_not_held", "another process acts for this agent")
	}
	return nil
}

// content is what the broker would serve.
type content struct {
	mu      sync.Mutex
	bundles map[string][]byte
	fail    error
	block   string // checksum that hangs until its request is given up
	panics  string // checksum at which the engine meets what nobody thought of
	fetched int
}

func (c *content) put(sum string, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bundles[sum] = b
}

func (c *content) Manifest(ctx context.Context, sum string, _ int64) ([]byte, error) {
	c.mu.Lock()
	c.fetched++
	b, ok, err, hang, panics := c.bundles[sum], c.bundles[sum] != nil, c.fail, c.block == sum, c.panics == sum
	c.mu.Unlock()
	if panics {
		panic("a surprise")
	}
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "not_found", "no such manifest")
	}
	return b, err
}

// traffic counts what changes the cluster, and can cut the line.
type traffic struct {
	down   atomic.Bool
	writes atomic.Int64
	reads  atomic.Int64
	asked  atomic.Int64 // requests of any kind

	reject   atomic.Bool // objects are not given; watches go on
	rejected atomic.Int64

	fail   atomic.Pointer[func(*http.Request) bool] // cuts the line for requests of which it says so
	before atomic.Pointer[func(*http.Request)]      // is called with each request first, and may hold it up

	mu    sync.Mutex
	lines []string
}

func (f *traffic) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if f.down.Load() {
			return nil, errors.New("connect: connection refused")
		}
		if f.reject.Load() && r.URL.Query().Get("watch") == "" {
			f.rejected.Add(1)
			return nil, errors.New("connect: connection refused")
		}
		if fail := f.fail.Load(); fail != nil && (*fail)(r) {
			return nil, errors.New("connect: connection refused")
		}
		f.asked.Add(1)
		if before := f.before.Load(); before != nil {
			(*before)(r)
		}
		if r.Method == http.MethodGet {
			f.reads.Add(1)
		}
		if r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == "" {
			f.writes.Add(1)
			f.mu.Lock()
			f.lines = append(f.lines, r.Method+" "+r.URL.Path)
			f.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reports is what the broker would be told.
type reports struct {
	mu      sync.Mutex
	applied map[string][]wire.Applied
	removed map[string]wire.Removed
	news    chan struct{}
	asked   func() int64 // how many requests the agent has made to its API server
}

func newReports(asked func() int64) *reports {
	return &reports{asked: asked, applied: map[string][]wire.Applied{}, removed: map[string]wire.Removed{}, news: make(chan struct{})}
}

func (r *reports) Applied(a wire.Applied, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied[a.StackID] = append(r.applied[a.StackID], a)
	close(r.news)
	r.news = make(chan struct{})
}

func (r *reports) Removed(x wire.Removed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed[x.StackID] = x
	close(r.news)
	r.news = make(chan struct{})
}

// removal returns the last acknowledgement of a stack's removal.
func (r *reports) removal(stack string) wire.Removed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removed[stack]
}

// all returns what was reported of a stack so far.
func (r *reports) all(stack string) []wire.Applied {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.applied[stack])
}

func (r *reports) last(stack string) wire.Applied {
	if l := r.all(stack); len(l) > 0 {
		return l[len(l)-1]
	}
	return wire.Applied{}
}

// await waits until the last report of a stack is as wanted.
func (r *reports) await(t *testing.T, stack string, ok func(wire.Applied) bool) wire.Applied {
	t.Helper()
	for over := r.impatience(); ; {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		if a := r.last(stack); a.StackID != "" && ok(a) {
			return a
		}
		if over() {
			t.Fatalf("stack %s was not reported as expected, and nothing was asked of the API server for %s; reports:\n%s", stack, patience, r)
		}
		select {
		case <-news:
		case <-time.After(time.Second):
		}
	}
}

func (r *reports) awaitRemoved(t *testing.T, stack string) {
	t.Helper()
	for over := r.impatience(); ; {
		r.mu.Lock()
		_, ok := r.removed[stack]
		news := r.news
		r.mu.Unlock()
		if ok {
			return
		}
		if over() {
			t.Fatalf("stack %s was not removed, and nothing was asked of the API server for %s; reports:\n%s", stack, patience, r)
		}
		select {
		case <-news:
		case <-time.After(time.Second):
		}
	}
}

// impatience tells when there is nothing to wait for any more.
func (r *reports) impatience() func() bool {
	began := time.Now()
	last, since := r.asked(), began
	return func() bool {
		if n := r.asked(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > patience || time.Since(began) > longest
	}
}

func (r *reports) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, list := range r.applied {
		for _, a := range list {
			fmt.Fprintf(&b, "%s #%d %s %s %s\n", a.StackID, a.SequenceID, a.Phase, a.Health, a.Message)
		}
	}
	return b.String()
}

func listOptions(selector string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: selector}
}

func isHealthy(a wire.Applied) bool { return a.Phase == "applied" && a.Health == "healthy" }
