package wiring_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// The program itself, ended by SIGTERM in the middle of a write: the object in hand is finished, what is known is told,
// the lease is given back, and the status is 0.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	program := testenv.Build(t, "./services/agent/cmd/brokkr-agent")
	p := testenv.Start(t, testenv.ProcSpec{Path: program, Args: []string{"start", "--kubeconfig", w.kubeconfig}, Env: w.environ(), ReadyLog: "this process acts"})
	g := w.gateway
	w.gate.delay.Store(int64(time.Second))
	before := w.gate.writes.Load()
	s := g.publish(uuid.NewString(), strings.Join([]string{configMap(w.namespace, "a", "one"), configMap(w.namespace, "b", "one")}, "---\n"))
	w.eventually("it writes", func() bool { return w.gate.writes.Load() > before+1 }) // the inventory comes first
	if code := p.Terminate(t, patience); code != 0 {
		t.Errorf("got status %d, want 0", code)
	}
	if w.get("configmaps", w.namespace, "a") == nil {
		t.Error("the object in hand was not finished")
	}
	if h := w.holder(); h != "" {
		t.Errorf("the lease is still held by %s", h)
	}
	g.await(t, "the last report is told", func() bool {
		return len(g.applied) > 0 && g.applied[len(g.applied)-1].DeploymentObjectID == s.DeploymentObjectID
	})
}

func TestNamespacedAgentKeepsToItsNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("BROKKR__AGENT__NAMESPACE="+w.namespace, "BROKKR__AGENT__NAMESPACED=true")
	w.gateway.awaitHealthy(t, w.gateway.publish(uuid.NewString(), strings.Replace(configMap("", "app", "one"), "  namespace: \n", "", 1)))
	if w.get("configmaps", w.namespace, "app") == nil {
		t.Error("an object without namespace is not in the agent's")
	}
	beyond := w.gateway.publish(uuid.NewString(), configMap("default", "app-"+w.namespace, "one"))
	var told wire.Applied
	w.gateway.await(t, "it is told what the agent may not do", func() bool {
		for _, a := range w.gateway.applied {
			if a.DeploymentObjectID == beyond.DeploymentObjectID && a.Phase == "failed" {
				told = a
			}
		}
		return told.StackID != ""
	})
	if !strings.Contains(told.Message, "confined to namespace "+w.namespace) {
		t.Errorf("got %q", told.Message)
	}
	if err := p.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// In the agent's own namespace nothing is written for a stack by the agent's rights, unless the setting says that it may be.
func TestTheOwnNamespaceIsNoPlaceForStacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start()
	s := w.gateway.publish(uuid.NewString(), configMap(w.own, "app", "one"))
	w.gateway.await(t, "it is told where nothing may be written", func() bool {
		for _, a := range w.gateway.applied {
			if a.DeploymentObjectID == s.DeploymentObjectID && a.Phase == "failed" && strings.Contains(a.Message, "agent.protected_namespaces (kube-system, "+w.own+")") {
				return true
			}
		}
		return false
	})
	if w.get("configmaps", w.own, "app") != nil {
		t.Error("it was written all the same")
	}
	if err := p.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	p = w.start("BROKKR__AGENT__PROTECTED_NAMESPACES=kube-system")
	w.gateway.awaitHealthy(t, s)
	if err := p.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// What an agent does about a change belongs to the trace that began when it was published.
func TestTheTraceOfAChangeGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	var exported strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/v1/traces" {
			t.Errorf("traces go to %s", r.URL.Path)
		}
		if _, err := io.Copy(&exported, r.Body); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	p := w.start("BROKKR__OTLP__ENDPOINT=" + collector.URL)
	w.gateway.awaitHealthy(t, w.gateway.publish(uuid.NewString(), configMap(w.namespace, "app", "one")))
	if err := p.stop(); err != nil {
		t.Fatalf("the end: %v", err)
	}
	trace, err := hex.DecodeString(strings.Split(traceparent, "-")[1])
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{string(trace), "agent.healthy", "brokkr-agent", "HTTP GET"} {
		if !strings.Contains(exported.String(), want) {
			t.Errorf("the exported spans have no %q", want)
		}
	}
	if strings.Contains(exported.String(), "HTTP POST") {
		t.Error("a sync makes a trace of its own")
	}
}

func TestStartsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	taken := httptest.NewServer(nil)
	defer taken.Close()
	address := strings.TrimPrefix(taken.URL, "http://")
	for variable, want := range map[string]string{
		"BROKKR__AGENT__ADDR=" + address:        "address " + address + " is in use",
		"BROKKR__AGENT__PAK=":                   "agent.pak is empty",
		"BROKKR__AGENT__BROKER_URL=":            "agent.broker_url is empty",
		"BROKKR__AGENT__NAM=x":                  "agent.nam (BROKKR__AGENT__NAM) is not a setting",
		"BROKKR_CONFIG_FILE=/there/is/no.yaml":  "/there/is/no.yaml",
		"BROKKR__AGENT__BROKER_URL=broker:3000": "not an http:// or https:// URL",
	} {
		if err := w.start(variable).wait(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", variable, err, want)
		}
	}
	w.kubeconfig = "/there/is/no/kubeconfig"
	if err := w.start().wait(); err == nil || !strings.Contains(err.Error(), w.kubeconfig) {
		t.Errorf("no kubeconfig: got %v", err)
	}
}
