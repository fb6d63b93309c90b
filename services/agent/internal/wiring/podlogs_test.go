package wiring_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// chatty is a pod that opted in.
func chatty(namespace string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: chatty, namespace: %s, annotations: {brokkr.io/stream-logs: "true"}}
spec: {containers: [{name: main, image: absent.invalid/main}]}
`, namespace)
}

// A process tells the log of its stack's pod, until the stack is taken from it; it does not with agent.pod_logs 0.
func TestTheLogOfAPodThatOptedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened, closed := make(chan struct{}, 10), make(chan struct{}, 10)
	serve := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(out, "%s hello from %s\n", time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano), r.URL.Query().Get("container"))
		out.(http.Flusher).Flush()
		opened <- struct{}{}
		<-r.Context().Done()
		closed <- struct{}{}
	})
	w.gate.logs.Store(&serve)
	stack := uuid.NewString()
	s := w.gateway.publish(stack, chatty(w.namespace))
	p := w.start("BROKKR__AGENT__POD_LOGS=0")
	w.gateway.awaitHealthy(t, s)
	time.Sleep(3 * time.Second)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if len(opened) != 0 {
		t.Error("a log was asked for with agent.pod_logs 0")
	}

	p = w.start("BROKKR__AGENT__POD_LOGS=1")
	w.gateway.await(t, "the line is told", func() bool { return len(w.gateway.lines) > 0 })
	w.gateway.mu.Lock()
	l := w.gateway.lines[0]
	w.gateway.mu.Unlock()
	if l.StackID != stack || l.Namespace != w.namespace || l.Pod != "chatty" || l.Container != "main" || l.Line != "hello from main" {
		t.Errorf("got %+v", l)
	}
	counted := `brokkr_agent_log_lines_total{outcome="sent",service="agent"} 1`
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // the agent counts it when it has the answer
		if _, text := p.ask("/metrics"); strings.Contains(text, counted) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the line is not counted")
		}
	}
	w.gateway.remove(stack)
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the log is still followed though the stack is not the agent's")
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// A missing right is told by the health and in the log, and nothing else suffers.
func TestALogThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refuse := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(http.StatusForbidden)
		fmt.Fprint(out, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"cannot get resource pods/log","reason":"Forbidden","code":403}`)
	})
	w.gate.logs.Store(&refuse)
	s := w.gateway.publish(uuid.NewString(), chatty(w.namespace))
	p := w.start()
	w.gateway.awaitHealthy(t, s)
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		if _, text := p.ask("/health"); strings.Contains(text, "cannot get resource pods/log") {
			break
		}
		if time.Now().After(end) {
			_, text := p.ask("/health")
			t.Fatalf("health: %s", text)
		}
	}
	if got, _ := p.ask("/readyz"); got != http.StatusOK {
		t.Errorf("readyz: got %d", got)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	// the health check, which may say so too, says it of itself
	if n := strings.Count(p.out.String(), `"what":"the logs of pods in namespace `+w.namespace+`","error":"cannot get resource pods/log"`); n != 1 {
		t.Errorf("the log says it %d times, want once", n)
	}
}
