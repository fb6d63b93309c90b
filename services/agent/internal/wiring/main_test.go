package wiring_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestFromStartToIdleAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stack := uuid.NewString()
	s := w.gateway.publish(stack, configMap(w.namespace, "app", "one"))
	p := w.start()
	w.gateway.awaitHealthy(t, s)
	// What the cluster is was told, and then the agent parked.
	w.gateway.await(t, "the cluster's status is told", func() bool {
		i := slices.IndexFunc(w.gateway.syncs, func(r wire.SyncRequest) bool { return len(r.Status) > 0 })
		return i >= 0 && w.gateway.syncs[len(w.gateway.syncs)-1].WaitSeconds > 0
	})
	u := w.get("configmaps", w.namespace, "app")
	if u == nil || u.GetLabels()["brokkr.io/stack"] != stack {
		t.Fatalf("got %v, want the object with the stack's label", u)
	}
	for path, want := range map[string]string{"/healthz": "OK", "/readyz": "Ready", "/health": `"status":"ok"`, "/metrics": "brokkr_agent_acting 1"} {
		if got, text := p.ask(path); got != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: got %d, %s; want %s", path, got, text, want)
		}
	}
	if _, text := p.ask("/metrics"); !strings.Contains(text, `brokkr_agent_syncs_total{outcome="changed",service="agent"} 1`) || !strings.Contains(text, "brokkr_agent_kubernetes_up 1") {
		t.Errorf("metrics:\n%s", text)
	}

	// Idle: it is parked and lets the cluster be.
	w.gateway.forget()
	writes := w.gate.writes.Load()
	time.Sleep(3 * time.Second)
	w.gateway.mu.Lock()
	syncs := len(w.gateway.syncs)
	w.gateway.mu.Unlock()
	if syncs > 1 || w.gate.writes.Load() != writes {
		t.Errorf("idle: %d syncs and %d writes in 3 s", syncs, w.gate.writes.Load()-writes)
	}

	// A new process says all of it again and writes nothing.
	if err := p.stop(); err != nil {
		t.Fatalf("the end: %v", err)
	}
	if h := w.holder(); h != "" {
		t.Errorf("the lease is still held by %s", h)
	}
	before := w.gateway.boots()
	w.gateway.forget()
	p = w.start()
	w.gateway.awaitHealthy(t, s)
	if boots := w.gateway.boots(); len(boots) != 1 || slices.Contains(before, boots[0]) {
		t.Errorf("boots: got %v after %v", boots, before)
	}
	if got := w.get("configmaps", w.namespace, "app"); got.GetResourceVersion() != u.GetResourceVersion() || w.gate.writes.Load() != writes {
		t.Errorf("the restarted agent made %d writes", w.gate.writes.Load()-writes)
	}

	w.gateway.remove(stack)
	w.gateway.await(t, "the removal is acknowledged", func() bool { return len(w.gateway.acked) == 1 && len(w.gateway.removed) == 0 })
	if w.get("configmaps", w.namespace, "app") != nil {
		t.Error("the object is still there")
	}
	if err := p.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestAWrongKeyEndsTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gateway.change(func() { w.gateway.refuse = true })
	err := w.start().wait()
	if err == nil || !strings.Contains(err.Error(), "the broker at "+w.gateway.URL+" does not accept the PAK") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one clear line", err)
	}
}

func TestARevokedKeyEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.gateway.publish(uuid.NewString(), configMap(w.namespace, "app", "one"))
	p := w.start()
	w.gateway.awaitHealthy(t, s)
	w.gateway.change(func() { w.gateway.refuse = true })
	w.gateway.publish(uuid.NewString(), configMap(w.namespace, "other", "one")) // ends the parked sync; the fetch is refused
	if line := p.said("sync failed"); !strings.Contains(line["error"].(string), "does not accept the PAK") {
		t.Errorf("got %v", line)
	}
	if got, text := p.ask("/health"); got != http.StatusOK || !strings.Contains(text, `"degraded"`) || !strings.Contains(text, "does not accept the PAK") {
		t.Errorf("/health: got %d, %s", got, text)
	}
	// Drift is corrected all the same.
	if err := w.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(w.namespace).
		Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the object is back", func() bool { return w.get("configmaps", w.namespace, "app") != nil })
	if err := p.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestAPIServerAwayAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate.shut.Store(true)
	s := w.gateway.publish(uuid.NewString(), configMap(w.namespace, "app", "one"))
	p := w.start()
	w.gateway.await(t, "the broker hears that the API server is away", func() bool {
		return slices.ContainsFunc(syncsOf(w.gateway), func(reachable *bool) bool { return reachable != nil && !*reachable })
	})
	p.said("the Kubernetes API server cannot be used")
	if text := p.awaitStatus("/readyz", http.StatusServiceUnavailable); text != "Kubernetes API unreachable" {
		t.Errorf("/readyz: got %q", text)
	}
	w.gate.shut.Store(false)
	w.gateway.awaitHealthy(t, s)
	w.gateway.await(t, "the broker hears that the API server is back", func() bool {
		all := syncsOf(w.gateway)
		last := all[len(all)-1]
		return last != nil && *last
	})
	p.awaitStatus("/readyz", http.StatusOK)
	if n := strings.Count(p.out.String(), "the Kubernetes API server cannot be used"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

// syncsOf returns what each sync said of the API server. The gateway is locked.
func syncsOf(g *gateway) []*bool {
	var out []*bool
	for _, s := range g.syncs {
		out = append(out, s.Heartbeat.K8sReachable)
	}
	return out
}

func TestBrokerAwayAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gateway.change(func() { w.gateway.down = true })
	s := w.gateway.publish(uuid.NewString(), configMap(w.namespace, "app", "one"))
	p := w.start()
	if line := p.said("waiting for the broker"); !strings.Contains(line["error"].(string), w.gateway.URL) {
		t.Errorf("got %v, want where it looks", line)
	}
	p.awaitStatus("/readyz", http.StatusOK)
	if _, text := p.ask("/health"); !strings.Contains(text, "the broker has not answered yet") {
		t.Errorf("/health: %s", text)
	}
	time.Sleep(2 * time.Second) // some tries
	w.gateway.change(func() { w.gateway.down = false })
	w.gateway.awaitHealthy(t, s)
	if n := strings.Count(p.out.String(), "waiting for the broker"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

func TestEndWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate.shut.Store(true)
	p := w.start()
	p.said("the broker knows this agent")
	if err := p.stop(); err != nil {
		t.Errorf("the end while the API server is away: %v", err)
	}
	w.gateway.change(func() { w.gateway.down = true })
	p = w.start()
	p.said("waiting for the broker")
	if err := p.stop(); err != nil {
		t.Errorf("the end while the broker is away: %v", err)
	}
}

func TestOneOfTwoStandsBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, stack := w.gateway, uuid.NewString()
	first := w.start()
	g.awaitHealthy(t, g.publish(stack, configMap(w.namespace, "app", "one")))
	acting := g.boots()[0]

	second := w.start()
	if line := second.said("another process acts for this agent"); !strings.Contains(line["holder"].(string), acting) {
		t.Errorf("got %v, want who it is", line)
	}
	second.awaitStatus("/readyz", http.StatusOK) // or a rolling update would wait for ever
	g.awaitHealthy(t, g.publish(stack, configMap(w.namespace, "app", "two")))
	if boots := g.boots(); !slices.Equal(boots, []string{acting}) {
		t.Errorf("%v sync, want the first only", boots)
	}

	if err := first.stop(); err != nil {
		t.Errorf("the end of the first: %v", err)
	}
	g.forget()
	g.awaitHealthy(t, g.publish(stack, configMap(w.namespace, "app", "three")))
	if boots := g.boots(); slices.Contains(boots, acting) || !strings.Contains(w.holder(), boots[0]) {
		t.Errorf("%v sync and %s holds the lease, want the second", boots, w.holder())
	}

	// The second is so slow that a third takes over.
	leases := w.client.Resource(schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}).Namespace(w.own)
	if _, err := leases.Patch(t.Context(), "brokkr-agent-"+g.agent, types.MergePatchType, []byte(`{"spec":{"holderIdentity":"third"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := second.wait(); err == nil || !strings.Contains(err.Error(), "another has taken over the agent's lease: third") {
		t.Errorf("got %v, want why it has ended", err)
	}
}
