package reconcile_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestTheAPIServerIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, gone := uuid.NewString(), uuid.NewString()
	w.apply(w.stack(gone, configMap("gone", "x")))
	w.wire.down.Store(true)
	s := w.stack(id, configMap("it", "x"))
	w.seq++
	w.engine.Desired([]wire.Stack{s}, []wire.Removed{{StackID: gone, Revision: w.seq}})
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "failed" && strings.Contains(a.Message, "the Kubernetes API server cannot be reached")
	})
	if len(w.reports.removed) != 0 {
		t.Fatal("a removal was acknowledged while the API server is away")
	}
	w.wire.down.Store(false)
	w.engine.Reachable()
	w.reports.await(t, id, isHealthy)
	w.reports.awaitRemoved(t, gone)
	if w.get("v1/configmaps/./gone") != nil {
		t.Error("the removed stack's object is still there")
	}
	w.remove(id)
}

func TestTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "one")))
	w.content.mu.Lock()
	w.content.fail = fault.New(fault.Unavailable, "broker_unreachable", "the broker does not answer")
	w.content.mu.Unlock()
	w.drop("v1/configmaps/./it")
	w.eventually("drift to be corrected from what the agent has", func() bool { return w.value("v1/configmaps/./it") == "one" })
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "two"))}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "fetch: the broker does not answer") })
	w.drop("v1/configmaps/./it")
	w.eventually("drift to be corrected though a newer revision cannot be fetched", func() bool { return w.value("v1/configmaps/./it") == "one" })
	w.content.mu.Lock()
	w.content.fail = nil
	w.content.mu.Unlock()
	w.eventually("the retry", func() bool { return w.value("v1/configmaps/./it") == "two" })
	w.remove(id)
}

func TestARevisionThatIsSupersededInTheMiddleIsFinishedIfTheNewerCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away  bool
		third string
		why   string
	}{
		"the broker is away":    {true, configMap("it", "three") + configMap("dropped", "x") + application, "fetch: the broker does not answer"},
		"its bundle is refused": {false, configMap("it", "three") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 80}]}\n", "Bad_Name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			w.apply(w.stack(id, configMap("it", "one")+configMap("dropped", "x")+application))
			dropped := w.get("v1/configmaps/./dropped").GetUID()

			// The second revision is cut between the config map, which comes first, and the workload, which comes last.
			held, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			hold := func(r *http.Request) {
				if r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") == "" && strings.HasSuffix(r.URL.Path, "/services/web") {
					once.Do(func() { close(held) })
					<-release
				}
			}
			w.wire.before.Store(&hold)
			second := configMap("it", "two") + strings.NewReplacer("port: 80", "port: 81", "web:1", "web:2").Replace(application)
			w.engine.Desired([]wire.Stack{w.stack(id, second)}, nil)
			<-held
			third := w.stack(id, c.third)
			w.content.mu.Lock()
			if c.away {
				w.content.fail = fault.New(fault.Unavailable, "broker_unreachable", "the broker does not answer")
			}
			w.content.mu.Unlock()
			w.engine.Desired([]wire.Stack{third}, nil)
			close(release)

			failed := func(a wire.Applied) bool {
				return a.SequenceID == third.SequenceID && a.Phase == "failed" && strings.Contains(a.Message, c.why)
			}
			w.reports.await(t, id, failed)
			w.eventually("the second revision to be finished", func() bool {
				return strings.Contains(fmt.Sprint(w.get("apps/v1/deployments/./web").Object["spec"]), "web:2")
			})
			w.drop("v1/configmaps/./it")
			w.eventually("drift from it to be corrected", func() bool { return w.value("v1/configmaps/./it") == "two" })
			if u := w.get("v1/configmaps/./dropped"); u == nil || u.GetUID() != dropped {
				t.Errorf("what the second revision drops is taken away before it is known whether the newest wants it: %v", u)
			}
			if r := w.reports.last(id); !failed(r) {
				t.Errorf("got #%d %s %q, want the newest revision's failure told still", r.SequenceID, r.Phase, r.Message)
			}
			w.content.mu.Lock()
			w.content.fail = nil
			w.content.mu.Unlock()
			if c.away {
				w.reports.await(t, id, func(a wire.Applied) bool { return a.SequenceID == third.SequenceID && a.Phase == "applied" })
				if v := w.value("v1/configmaps/./it"); v != "three" {
					t.Errorf("the value is %q, want that of the newest revision", v)
				}
				if u := w.get("v1/configmaps/./dropped"); u == nil || u.GetUID() != dropped {
					t.Errorf("what the newest revision has was made anew: %v", u)
				}
				w.apply(w.stack(id, configMap("it", "three")+application))
				if u := w.get("v1/configmaps/./dropped"); u != nil && u.GetDeletionTimestamp() == nil {
					t.Errorf("what a later revision drops is there still: %v", u)
				}
			}
			w.remove(id)
		})
	}
}

func TestASlowStackDelaysNoOtherAndIsSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	slow := w.stack(id, configMap("it", "slow"))
	w.content.mu.Lock()
	w.content.block = slow.Checksum
	w.content.mu.Unlock()
	other := w.stack(uuid.NewString(), configMap("other", "x"))
	w.engine.Desired([]wire.Stack{slow, other}, nil)
	w.reports.await(t, other.StackID, isHealthy)
	w.apply(w.stack(id, configMap("it", "quick")))
	if w.value("v1/configmaps/./it") != "quick" {
		t.Error("the newer revision is not applied")
	}
	w.remove(id)
}

func TestAHangingRemovalIsSupersededByANewAssignment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	held := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n"
	w.apply(w.stack(id, held))
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.eventually("the deletion to begin", func() bool { return w.get("v1/configmaps/./held").GetDeletionTimestamp() != nil })
	w.engine.Desired([]wire.Stack{w.stack(id, held)}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "applying" && strings.Contains(a.Message, "being deleted, to be created again when gone")
	})
	w.patch("v1/configmaps/./held", `{"metadata":{"finalizers":null}}`)
	w.reports.await(t, id, isHealthy)
	w.patch("v1/configmaps/./held", `{"metadata":{"finalizers":null}}`)
	if len(w.reports.removed) != 0 {
		t.Error("a removal was acknowledged that did not come to its end")
	}
}

func TestASecretsValueIsNeverReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: it}\ntype: kubernetes.io/tls\nstringData: {password: canary-value}\n"
	w.engine.Desired([]wire.Stack{w.stack(id, text)}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" && strings.Contains(a.Message, "Secret") })
	if strings.Contains(w.reports.String(), "canary") {
		t.Errorf("a value was reported: %s", w.reports)
	}
}

func TestAPanicAtOneStackIsItsProblemAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, other := uuid.NewString(), uuid.NewString()
	s := w.stack(id, configMap("it", "x"))
	w.content.mu.Lock()
	w.content.panics = s.Checksum
	w.content.mu.Unlock()
	w.engine.Desired([]wire.Stack{s}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "failed" && strings.Contains(a.Message, "the agent failed at this stack")
	})
	w.apply(w.stack(other, configMap("other", "x")))
	w.content.mu.Lock()
	w.content.panics = ""
	w.content.mu.Unlock()
	w.reports.await(t, id, isHealthy) // the retry
}

func TestARefusedRevisionLeavesTheFormerInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "one")))
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "two")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 80}]}\n")}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.eventually("drift from the former revision to be corrected", func() bool { return w.value("v1/configmaps/./it") == "one" })
	if r := w.reports.last(id); r.Phase != "failed" || r.SequenceID != 2 {
		t.Errorf("got #%d %s, want the newer revision's failure told still", r.SequenceID, r.Phase)
	}
	w.apply(w.stack(id, configMap("it", "three")+application))
	if w.value("v1/configmaps/./it") != "three" {
		t.Error("the mended revision is not applied")
	}
}

func TestAFailingLookIsRepeatedInPeace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "one")+application))
	bad := configMap("it", "two") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 80}]}\n"
	w.engine.Desired([]wire.Stack{w.stack(id, bad)}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
	w.wire.reject.Store(true)
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.patch("apps/v1/deployments/./web", `{"spec":{"replicas":7}}`)
	asked := w.wire.rejected.Load
	w.eventually("the agent to try", func() bool { return asked() > 0 })
	before := asked()
	time.Sleep(time.Second)
	if n := asked() - before; n > 20 {
		t.Errorf("%d requests in a second: the agent does not rest", n)
	}
	w.wire.reject.Store(false)
	w.eventually("the drift to be corrected after all", func() bool { return w.value("v1/configmaps/./it") == "one" })
}

func TestARevisionThatFailsHalfWayCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "one")+application))
	// The namespace of the last object is never there: it is refused once the first ones are written.
	late := "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {serviceAccountName: b, containers: [{name: c, image: \"registry.example/c:1\"}]}\n"
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "two")+application+late)}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "failed" })
	if w.value("v1/configmaps/./it") != "two" {
		t.Fatal("the revision did not fail half-way")
	}
	before := w.engine.Rounds()
	time.Sleep(2 * time.Second)
	if n := w.engine.Rounds() - before; n > 50 {
		t.Errorf("%d rounds in two seconds", n)
	}
}

func TestAFailingWebhookHoldsUpItsObjectsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.resync = 300 * time.Millisecond })
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: hooked, labels: {hook: w}}\n"))
	hook := "admissionregistration.k8s.io/v1/validatingwebhookconfigurations//" + w.namespace
	t.Cleanup(func() { w.drop(hook) })
	w.create(hook, map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": []any{map[string]any{
		"name": "nobody.example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Fail",
		"clientConfig":      map[string]any{"url": "https://127.0.0.1:1/"},
		"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": w.namespace}},
		"objectSelector":    map[string]any{"matchLabels": map[string]any{"hook": "w"}},
		"rules":             []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"*"}, "resources": []any{"configmaps"}}},
	}}})
	w.reports.await(t, id, func(a wire.Applied) bool {
		return strings.Contains(a.Message, "hooked") && strings.Contains(a.Message, "webhook")
	})
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.eventually("the drift of the other to be corrected", func() bool { return w.value("v1/configmaps/./it") == "ours" })
	w.drop(hook)
	w.reports.await(t, id, isHealthy)
}
