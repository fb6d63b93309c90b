package work_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
	"github.com/colliery-io/brokkr/services/agent/internal/work"
)

var (
	jobs       = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"} //nolint:gochecknoglobals // constant
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}           //nolint:gochecknoglobals // constant
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}           //nolint:gochecknoglobals // constant
)

// world is a namespace of a real cluster in which orders are done. Its pods pretend to run.
type world struct {
	*testing.T
	namespace string
	client    dynamic.Interface
	cluster   work.Cluster
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cfg, err := kube.Config(kube.Access{Kubeconfig: testenv.Kubeconfigs(t, 1)[0], UserAgent: "work-test"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, namespace: "work-" + uuid.NewString()[:8]}
	if w.client, err = dynamic.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	ns := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": w.namespace}}}
	if _, err := w.client.Resource(namespaces).Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.client.Resource(namespaces).Delete(ctx, w.namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace: %v", err)
		}
	})
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	k, err := kube.New(cfg, kube.Options{Agent: uuid.NewString(), Namespace: w.namespace, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.cluster = work.Cluster{
		Agent: "agent", Home: w.namespace, Kinds: k, Objects: k, Makers: k, Contents: k, Inventories: k.Inventories(), Owned: k.Inventories(), Limits: bundle.DefaultLimits(),
		Scope: plan.Scope{Namespace: w.namespace}, Log: log,
	}
	return w
}

func order(kind, yaml string) wire.WorkOrder {
	return wire.WorkOrder{ID: uuid.NewString(), WorkType: kind, YAMLContent: yaml}
}

// What the pods of the test's clusters pretend to do.
const (
	succeeds = "succeed"
	fails    = "fail"
	runs     = "run" // and never ends
)

// job is an order's bundle whose Job comes to that.
func job(phase string) string { return strings.Replace(jobBundle, "PHASE", phase, 1) }

const jobBundle = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {kubecluster/phase: PHASE}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: example.invalid/none}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
`

// do begins the order; the channel gives its result.
func (w *world) do(ctx context.Context, o wire.WorkOrder) <-chan work.Result {
	out := make(chan work.Result, 1)
	go func() { out <- w.cluster.Do(ctx, o) }()
	return out
}

func (w *world) await(what string, done func() bool) {
	w.Helper()
	for end := time.Now().Add(60 * time.Second); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("%s: not so after a minute", what)
		}
	}
}

func (w *world) has(r schema.GroupVersionResource, name string) bool {
	w.Helper()
	u, err := w.client.Resource(r).Namespace(w.namespace).Get(w.Context(), name, metav1.GetOptions{})
	return err == nil && u.GetDeletionTimestamp() == nil
}

func result(t *testing.T, c <-chan work.Result) work.Result {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(90 * time.Second):
		t.Fatal("the order did not end")
		return work.Result{}
	}
}

func TestAJobThatCompletesIsCleanedUpAndTheRestStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := order("custom", job(succeeds))
	c := w.do(t.Context(), o)
	if r := result(t, c); !r.Success || !strings.Contains(r.Message, "migrate completed") {
		t.Fatalf("got %+v, want a success that names the job", r)
	}
	if !w.has(jobs, "migrate") {
		t.Error("the job is gone before the broker has heard of it")
	}
	// The agent ends before it has told: whoever goes on with the order says the same, and does nothing again.
	before, err := w.client.Resource(jobs).Namespace(w.namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := result(t, w.do(t.Context(), o)); !r.Success || !strings.Contains(r.Message, "migrate completed") {
		t.Errorf("done anew: got %+v, want what it was", r)
	}
	if now, err := w.client.Resource(jobs).Namespace(w.namespace).Get(t.Context(), "migrate", metav1.GetOptions{}); err != nil || now.GetUID() != before.GetUID() {
		t.Errorf("the job is another one: %v, %v", now, err)
	}
	w.cluster.Told(t.Context(), o.ID)
	w.await("the job goes", func() bool { return !w.has(jobs, "migrate") })
	u, err := w.client.Resource(configMaps).Namespace(w.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || len(u.GetAnnotations()) != 0 || len(u.GetLabels()) != 0 {
		t.Errorf("the config map: got %v, %v; want it there, and nobody's", u, err)
	}
	inv, err := w.cluster.Inventories.Load(t.Context(), o.ID)
	if err != nil || inv.Version != "" {
		t.Errorf("inventory: got %+v, %v; want none left", inv, err)
	}
}

func TestAJobThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.do(t.Context(), order("custom", job(fails)))
	if r := result(t, c); r.Success || !r.Retryable || !strings.Contains(r.Message, "exit code 1") {
		t.Fatalf("got %+v, want a failure with the job's reason that may be tried again", r)
	}
	w.await("nothing is left", func() bool { return !w.has(jobs, "migrate") && !w.has(configMaps, "settings") })
}

func TestAJobThatNeverEndsIsStoppedAndNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if r := result(t, w.do(ctx, order("custom", job(runs)))); r.Success || !r.Retryable || !strings.Contains(r.Message, "did not end in time; it waited for") || !strings.Contains(r.Message, "migrate") {
		t.Fatalf("got %+v, want it named", r)
	}
	w.await("nothing is left", func() bool { return !w.has(jobs, "migrate") })
}

func TestWhatTheAPIServerRefusesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct{ kind, yaml, want string }{
		"a broken job":   {"custom", strings.Replace(job(succeeds), "restartPolicy: Never", "restartPolicy: Always", 1), "restartPolicy"},
		"an unknown":     {"custom", "apiVersion: example.invalid/v1\nkind: Thing\nmetadata: {name: a}\n", "Thing"},
		"no shipwright":  {"build", "apiVersion: shipwright.io/v1beta1\nkind: Build\nmetadata: {name: image}\nspec: {}\n", "install Shipwright"},
		"nothing to run": {"build", job(succeeds), "needs one Build"},
		"no manifest":    {"custom", "kind: [", "document 1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if r := result(t, w.do(ctx, order(tc.kind, tc.yaml))); r.Success || r.Retryable || !strings.Contains(r.Message, tc.want) {
			t.Errorf("%s: got %+v, want a final failure that says %q", name, r, tc.want)
		}
		cancel()
	}
	w.await("nothing is left", func() bool { return !w.has(jobs, "migrate") && !w.has(configMaps, "settings") })
}

func TestWhatIsThereIsNotTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings"}, "data": map[string]any{"a": "mine"}}}
	if _, err := w.client.Resource(configMaps).Namespace(w.namespace).Create(t.Context(), mine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := result(t, w.do(t.Context(), order("custom", job(succeeds)))); r.Success || r.Retryable || !strings.Contains(r.Message, "is there already") {
		t.Fatalf("got %+v, want it refused", r)
	}
	u, err := w.client.Resource(configMaps).Namespace(w.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v, _, _ := unstructured.NestedString(u.Object, "data", "a"); v != "mine" || w.has(jobs, "migrate") {
		t.Errorf("got %q, want it as it was and no job", v)
	}
}

// blindfolded does not see an object at its first looks, as if it were made just after.
type blindfolded struct {
	cluster.Objects
	name  string
	looks *int
}

func (b blindfolded) Get(ctx context.Context, as cluster.Identity, t cluster.Target) (*unstructured.Unstructured, error) {
	if t.Name == b.name && *b.looks > 0 {
		*b.looks--
		return nil, fault.New(fault.NotFound, "cluster_not_found", "not yet")
	}
	return b.Objects.Get(ctx, as, t)
}

// An object that somebody makes between the look and the making is not overwritten.
func TestWhatComesInBetweenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings"}, "data": map[string]any{"a": "theirs"}}}
	theirs, err := w.client.Resource(configMaps).Namespace(w.namespace).Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	looks := 2 // before all of them, and before this one
	w.cluster.Objects = blindfolded{w.cluster.Objects, "settings", &looks}
	r := w.cluster.Do(t.Context(), order("custom", job(succeeds)))
	if r.Success || r.Retryable || !strings.Contains(r.Message, "settings is there already") || looks != 0 {
		t.Errorf("got %+v after %d looks", r, 2-looks)
	}
	now, err := w.client.Resource(configMaps).Namespace(w.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || now.GetResourceVersion() != theirs.GetResourceVersion() {
		t.Errorf("theirs was changed: %v, %v", now, err)
	}
}

// What an agent was at when it lost the order is found and removed by the next one; what stays after a success stays.
func TestLeftoversAreFoundAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := order("custom", job(runs))
	done := w.do(ctx, o)
	w.await("the objects are there", func() bool { return w.has(configMaps, "settings") && w.has(jobs, "migrate") })
	cancel()
	result(t, done)
	left, err := w.cluster.Leftovers(t.Context())
	if err != nil || len(left) != 1 || left[0] != o.ID {
		t.Fatalf("left: %v, %v", left, err)
	}
	w.cluster.Undo(t.Context(), o.ID)
	w.await("they are gone", func() bool { return !w.has(configMaps, "settings") && !w.has(jobs, "migrate") })
	if left, err := w.cluster.Leftovers(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left afterwards: %v, %v", left, err)
	}
}

func TestAnOrderIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := order("custom", job(runs))
	ctx, interrupt := context.WithCancel(t.Context())
	c := w.do(ctx, o)
	w.await("the job is there", func() bool { return w.has(jobs, "migrate") })
	before, err := w.client.Resource(jobs).Namespace(w.namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	interrupt()
	result(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c = w.do(ctx, o)
	time.Sleep(3 * time.Second) // it applies again what it finds
	after, err := w.client.Resource(jobs).Namespace(w.namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
	if err != nil || after.GetUID() != before.GetUID() {
		t.Errorf("the job: got %v, want the same one to go on", err)
	}
	if r := result(t, c); r.Success {
		t.Fatalf("got %+v, want it to wait for the job", r)
	}
}

// A stack may have any name: what it has made is never taken for the leftovers of an order.
func TestAStackIsNoLeftover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stack := uuid.NewString()
	if _, err := w.cluster.Inventories.Save(t.Context(), cluster.Inventory{Stack: stack, Name: "work order", Entries: []cluster.Entry{{Key: cluster.Key{Kind: "ConfigMap", Namespace: w.namespace, Name: "theirs"}, Version: "v1"}}}); err != nil {
		t.Fatal(err)
	}
	order := uuid.NewString()
	if _, err := w.cluster.Inventories.Save(t.Context(), cluster.Inventory{Stack: order, Name: "work order", Order: true}); err != nil {
		t.Fatal(err)
	}
	got, err := w.cluster.Leftovers(t.Context())
	if err != nil || len(got) != 1 || got[0] != order {
		t.Errorf("left by orders: %v, %v; want that of the order alone, whatever a stack is called", got, err)
	}
}

// forgetful is a store of inventories that does not take a success.
type forgetful struct{ cluster.Inventories }

func (f forgetful) Save(ctx context.Context, inv cluster.Inventory) (string, error) {
	if inv.Applied != "" {
		return "", fault.New(fault.Forbidden, "cluster_forbidden", "not today")
	}
	return f.Inventories.Save(ctx, inv)
}

// A success that cannot be written down is none: it would be undone when it is found some day, after the broker has been told of it.
func TestASuccessThatCannotBeWrittenDownIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster.Inventories = forgetful{w.cluster.Inventories}
	r := result(t, w.do(t.Context(), order("custom", job(succeeds))))
	if r.Success || !strings.Contains(r.Message, "could not be written down") {
		t.Fatalf("got %+v, want a failure that says so", r)
	}
	w.await("nothing is left", func() bool { return !w.has(jobs, "migrate") && !w.has(configMaps, "settings") })
}

// What others have put into a namespace that the order has made is not taken away with it: the namespace stays, the order's as long as
// it may be tried again, and nobody's then.
func TestANamespaceWithOthersThingsStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.namespace + "-made"
	t.Cleanup(func() {
		if err := w.client.Resource(namespaces).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace: %v", err)
		}
	})
	text := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n---\n" + strings.ReplaceAll(job(runs), "metadata: {name: ", "metadata: {namespace: "+name+", name: ")
	ctx, timeout := context.WithTimeout(t.Context(), 15*time.Second)
	defer timeout()
	o := order("custom", text)
	c := w.do(ctx, o)
	in := func(r schema.GroupVersionResource) dynamic.ResourceInterface {
		return w.client.Resource(r).Namespace(name)
	}
	w.await("the order is at work", func() bool {
		_, err := in(jobs).Get(t.Context(), "migrate", metav1.GetOptions{})
		return err == nil
	})
	theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "theirs"}}}
	if _, err := in(configMaps).Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := result(t, c); r.Success || !r.Retryable || !strings.Contains(r.Message, "stays in part: Namespace "+name+": other things depend on it: ") || !strings.Contains(r.Message, "theirs") {
		t.Fatalf("got %+v, want a failure that says what stays", r)
	}
	stays := func(whose string) {
		t.Helper()
		u, err := w.client.Resource(namespaces).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || u.GetDeletionTimestamp() != nil || u.GetAnnotations()[cluster.AnnotationStack] != whose {
			t.Errorf("the namespace: got %v, %v; want it there, and of %q", u, err, whose)
		}
		if _, err := in(configMaps).Get(t.Context(), "theirs", metav1.GetOptions{}); err != nil {
			t.Errorf("theirs: %v", err)
		}
	}
	stays(o.ID)
	w.await("what was the order's alone is gone", func() bool {
		_, err := in(configMaps).Get(t.Context(), "settings", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	w.cluster.Undo(t.Context(), o.ID) // it was not tried again here
	stays("")
	if left, err := w.cluster.Leftovers(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left afterwards: %v, %v", left, err)
	}
}
