package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/observed"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// world is a system of record with signals, in which gateways are replicas.
type world struct {
	*testing.T
	store    *memory.Store
	signals  *memory.Signals
	cache    ports.TargetCache
	live     ports.Live
	channels ports.Channels
	// silent: decisions are not signalled
	silent    bool
	treatment stack.Treatment // of what is decided
	replicas  []*replica
}

// inBubble runs the test in virtual time.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, store: memory.New(time.Now), signals: memory.NewSignals(), cache: memory.NewTargetCache(1 << 20), live: memory.NewLive(), channels: memory.NewChannels(time.Now)}
		defer func() {
			for _, r := range w.replicas {
				r.stop()
			}
		}()
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// subject is an agent with its key.
type subject struct {
	id  agent.ID
	key pak.PAK
}

func (w *world) credential(c tenancy.Credential) pak.PAK {
	w.Helper()
	key, err := pak.Generate(rand.Reader)
	w.must(err)
	c.ID, c.Short, c.Hash, c.CreatedAt = tenancy.CredentialID(uuid.NewString()), key.Short(), key.Hash(), time.Now()
	c.LastUsedAt = &c.CreatedAt // its first use, which is stored at once, was before
	w.must(w.store.Credentials().Insert(w.Context(), c))
	return key
}

func (w *world) agent(name string, status agent.Status) subject {
	w.Helper()
	a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: name, ClusterName: "c-" + name, Status: status, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	w.must(w.store.Agents().Insert(w.Context(), a))
	return subject{id: a.ID, key: w.credential(tenancy.Credential{Name: name, Role: tenancy.RoleAgent, Agent: a.ID})}
}

func (w *world) admin() pak.PAK {
	return w.credential(tenancy.Credential{Name: "admin", Role: tenancy.RoleAdmin})
}

func (w *world) stack(name string) stack.Stack {
	w.Helper()
	g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "g-" + name, Active: true, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	w.must(w.store.Generators().Insert(w.Context(), g))
	s := stack.Stack{ID: stack.ID(uuid.NewString()), Name: name, Generator: g.ID, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	w.must(w.store.Stacks().Insert(w.Context(), s))
	return s
}

func (w *world) publish(s stack.ID, content string) stack.Object {
	w.Helper()
	sum, err := w.store.Blobs().Put(w.Context(), []byte(content))
	w.must(err)
	o, err := w.store.Objects().Insert(w.Context(), stack.Object{
		ID: stack.ObjectID(uuid.NewString()), Stack: s, Checksum: sum, Size: int64(len(content)), Traceparent: traceparent,
		SubmittedAt: time.Now(), CreatedAt: time.Now(), UpdatedAt: time.Now(),
	})
	w.must(err)
	return o
}

// decide gives the object to the agents, or takes its stack from them, as the scheduler does.
func (w *world) decide(o stack.Object, state delivery.State, to ...subject) {
	w.Helper()
	subjects, err := w.store.Facts().Subjects(w.Context(), []stack.ID{o.Stack})
	w.must(err)
	lease, err := w.store.Leases().Acquire(w.Context(), "shard", "test", time.Minute)
	w.must(err)
	var changes []placement.Change
	for _, a := range to {
		found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
		w.must(err)
		changes = append(changes, placement.Change{Agent: a.id, State: state, Treatment: w.treatment, Object: o.ID, Version: found.Version})
	}
	revisions, err := w.store.Decisions().Commit(w.Context(), ports.Commit{
		Lease: lease, Stack: o.Stack, StackVersion: subjects[0].Version, Generation: subjects[0].Generation, Changes: changes,
		Record: placement.Record{Traceparent: traceparent, At: time.Now()},
	})
	w.must(err)
	if w.silent {
		return
	}
	var batch []ports.Signal
	for a, r := range revisions {
		batch = append(batch, ports.Signal{Agent: a, Revision: r})
	}
	w.must(w.signals.Publish(w.Context(), batch))
	synctest.Wait()
}

func (w *world) assign(o stack.Object, to ...subject) {
	w.Helper()
	w.decide(o, delivery.Assigned, to...)
}
func (w *world) remove(o stack.Object, from ...subject) {
	w.Helper()
	w.decide(o, delivery.Removing, from...)
}

// held is what the store says of the agent.
func (w *world) held(a subject) (delivery.Revision, []delivery.Wanted) {
	w.Helper()
	r, list, err := w.store.Assignments().OfAgent(w.Context(), a.id)
	w.must(err)
	return r, list
}

// replica is one running gateway.
type replica struct {
	w       *world
	svc     *gateway.Service
	spans   *tracetest.InMemoryExporter
	tel     *telemetry.Telemetry
	verify  *identity.Verifier
	stop    func()
	stopped sync.Once
}

// options change what a replica sees of the world.
type options struct {
	store    ports.Store
	wakeups  ports.Wakeups
	signals  ports.Signals
	cache    ports.TargetCache
	config   func(*gateway.Config)
	admin    http.Handler
	channels ports.Channels
	fails    bool // Run may end with an error, because the store is faulty
}

// gateway starts a replica and waits until it has settled.
func (w *world) gateway(o options) *replica {
	w.Helper()
	if o.store == nil {
		o.store = w.store
	}
	if o.wakeups == nil {
		o.wakeups = w.store
	}
	if o.signals == nil {
		o.signals = w.signals
	}
	if o.cache == nil {
		o.cache = w.cache
	}
	if o.channels == nil {
		o.channels = w.channels
	}
	r := &replica{w: w, spans: tracetest.NewInMemoryExporter()}
	tel, err := telemetry.New(w.Context(), telemetry.Config{Service: "test", Version: "test", LogLevel: "error", Output: w.Output(), Exporter: r.spans})
	w.must(err)
	r.tel = tel
	seen := observed.Store(o.store, tel.Tracer("store"), tel.Registry)
	r.verify = identity.NewVerifier(seen.Credentials(), o.wakeups, time.Now)
	c := gateway.Defaults()
	if o.config != nil {
		o.config(&c)
	}
	r.svc, err = gateway.New(w.Context(), c, gateway.Deps{
		Store: seen, Wakeups: o.wakeups, Signals: o.signals, Targets: o.cache, Live: w.live, Channels: o.channels, Verifier: r.verify, Telemetry: tel,
		Clock: time.Now, Version: "test", Admin: o.admin,
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{r.verify.Run, r.svc.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil && !o.fails {
				w.Errorf("run: %v", err)
			}
		})
	}
	r.stop = func() {
		r.stopped.Do(func() {
			cancel()
			running.Wait()
		})
	}
	w.replicas = append(w.replicas, r)
	synctest.Wait()
	return r
}

// calls counts the calls to the store so far.
func (r *replica) calls() int {
	r.w.Helper()
	families, err := r.tel.Registry.Gather()
	r.w.must(err)
	n := 0
	for _, f := range families {
		if f.GetName() == "brokkr_store_duration_seconds" {
			for _, m := range f.GetMetric() {
				n += int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return n
}

// metric sums a counter or gauge, or what a histogram has seen, over its labels, or those with the label value.
func (r *replica) metric(name, label string) float64 {
	r.w.Helper()
	families, err := r.tel.Registry.Gather()
	r.w.must(err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := label == ""
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == label
			}
			if f.GetName() == name && match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// do makes one request; the body is JSON if there is one.
func (r *replica) do(ctx context.Context, key pak.PAK, method, path string, body any, header ...string) *httptest.ResponseRecorder {
	r.w.Helper()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		r.w.must(err)
		content = bytes.NewReader(b)
	}
	req := httptest.NewRequestWithContext(ctx, method, path, content)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != (pak.PAK{}) {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.svc.Handler().ServeHTTP(rec, req)
	return rec
}

// marked fails for an answer that cannot be found in logs and traces. What agents say all the time, and what is asked of the
// process, has no trace.
func (w *world) marked(req *http.Request, rec *httptest.ResponseRecorder) {
	w.Helper()
	quiet := !strings.HasPrefix(req.URL.Path, "/api/") || slices.ContainsFunc([]string{"/sync", "/heartbeat", "/telemetry"}, func(s string) bool { return strings.HasSuffix(req.URL.Path, s) })
	if rec.Header().Get("X-Request-Id") == "" || !quiet && len(rec.Header().Get("Traceparent")) != 55 {
		w.Errorf("%s %s: answer %d has request id %q and traceparent %q", req.Method, req.URL.Path, rec.Code, rec.Header().Get("X-Request-Id"), rec.Header().Get("Traceparent"))
	}
}

func decode[T any](t testing.TB, rec *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if rec.Code != status {
		t.Fatalf("status: got %d, want %d: %s", rec.Code, status, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("body %q: %v", rec.Body, err)
	}
	return v
}

// process is one start of an agent, which syncs.
type process struct {
	subject
	boot     string
	seq      int64
	revision int64
	work     *int64 // follows work if not nil
}

func (a subject) start() *process { return &process{subject: a, boot: uuid.NewString()} }

// call is a sync under way.
type call struct {
	w     *world
	done  chan struct{}
	rec   *httptest.ResponseRecorder
	began time.Time
	took  time.Duration
	leave context.CancelFunc
}

// request makes the process's next request.
func (p *process) request(wait int) wire.SyncRequest {
	p.seq++
	yes, ms := true, int32(7)
	return wire.SyncRequest{BootID: p.boot, Seq: p.seq, Revision: p.revision, WaitSeconds: wait, Work: p.work, Heartbeat: wire.Heartbeat{K8sReachable: &yes, K8sAPILatencyMS: &ms}}
}

// sync begins a sync and waits until it is answered or parked.
func (r *replica) sync(p *process, req wire.SyncRequest) *call {
	r.w.Helper()
	ctx, cancel := context.WithCancel(r.w.Context())
	c := &call{w: r.w, done: make(chan struct{}), began: time.Now(), leave: cancel}
	go func() {
		defer close(c.done)
		defer cancel()
		c.rec = r.do(ctx, p.key, http.MethodPost, "/api/v1/agents/"+string(p.id)+"/sync", req)
		c.took = time.Since(c.began)
	}()
	synctest.Wait()
	return c
}

func (c *call) answered() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// answer waits for the answer of a sync that must succeed.
func (c *call) answer() wire.SyncResponse {
	c.w.Helper()
	<-c.done
	return decode[wire.SyncResponse](c.w, c.rec, http.StatusOK)
}

// catchUp syncs until the process has everything, and keeps its revision.
func (r *replica) catchUp(p *process) wire.SyncResponse {
	r.w.Helper()
	res := r.sync(p, p.request(0)).answer()
	p.revision = res.Revision
	return res
}
