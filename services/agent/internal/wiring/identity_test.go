package wiring_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func joining(more ...string) []string {
	return append([]string{"BROKKR__AGENT__PAK=", "BROKKR__AGENT__JOIN_TOKEN=" + joinToken, "BROKKR__AGENT__NAME=edge-1", "BROKKR__AGENT__CLUSTER_NAME=c-1"}, more...)
}

// secret returns a value of the agent's Secret.
func (w *world) secret(name, key string) string {
	w.Helper()
	u := w.get("secrets", w.own, name)
	if u == nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", key)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// A process joins, and its answers are lost; the next one repeats the join and works; a later one has no token and works.
func TestAnAgentJoinsAndKeepsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway
	g.lost = 1000
	p := w.start(joining()...)
	g.await(t, "it has asked to join twice", func() bool { return len(g.joins) >= 2 })
	if err := p.stop(); err != nil {
		t.Fatalf("the end of the first: %v", err)
	}
	g.change(func() { g.lost = 0 })
	s := g.publish(uuid.NewString(), configMap(w.namespace, "app", "one"))
	p = w.start(joining()...)
	g.awaitHealthy(t, s)
	if err := p.stop(); err != nil {
		t.Fatalf("the end of the second: %v", err)
	}
	for _, j := range g.joins {
		if j["claim"] == "" || j["claim"] != g.joins[0]["claim"] || j["name"] != "edge-1" || j["cluster_name"] != "c-1" {
			t.Errorf("joins: %v, want one that is repeated", g.joins)
		}
	}
	if got := w.secret("brokkr-agent-edge-1", "pak"); got != key {
		t.Errorf("the Secret has %q", got)
	}
	asked := len(g.joins)
	g.forget()
	for _, environ := range [][]string{joining(), {"BROKKR__AGENT__PAK=", "BROKKR__AGENT__KEY_SECRET=brokkr-agent-edge-1"}} {
		g.forget()
		p = w.start(environ...)
		g.awaitHealthy(t, s)
		if err := p.stop(); err != nil {
			t.Fatalf("a later end: %v", err)
		}
		if strings.Contains(p.out.String(), strings.Split(joinToken, "_")[2]) || strings.Contains(p.out.String(), g.joins[0]["claim"]) {
			t.Error("the log has the token or the claim")
		}
	}
	if len(g.joins) != asked {
		t.Errorf("later starts joined: %v", g.joins[asked:])
	}
}

// Of processes that start at the same time with one token one joins; the others find its key.
func TestRacersJoinOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.start(joining("BROKKR__AGENT__KEY_SECRET=key")...)
	}
	w.gateway.awaitHealthy(t, w.gateway.publish(uuid.NewString(), configMap(w.namespace, "app", "one")))
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	if len(w.gateway.joins) != 1 || w.secret("key", "agent_name") != "edge-1" {
		t.Errorf("joins: %v", w.gateway.joins)
	}
}

func TestJoinsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := strings.Replace(joinToken, "BRjoined", "BRothers", 1)
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"refused":    {joining("BROKKR__AGENT__JOIN_TOKEN=" + other), "used up; make another one by `brokkr join-token create`"},
		"no token":   {[]string{"BROKKR__AGENT__PAK=", "BROKKR__AGENT__NAME=edge-9"}, w.own + "/brokkr-agent-edge-9 holds no key and no join token is given"},
		"not a join": {joining("BROKKR__AGENT__JOIN_TOKEN=" + key), "agent.join_token is not a join token"},
	} {
		if err := w.start(tt.environ...).wait(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	// A key that a person put there, and that is wrong.
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "stringData": map[string]any{"pak": strings.Replace(key, "BRmade11", "BRmade22", 1)}}}
	u.SetName("wrong")
	if _, err := w.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(w.own).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.start(joining("BROKKR__AGENT__KEY_SECRET=wrong")...).wait(); err == nil || !strings.Contains(err.Error(), "the key of the Secret "+w.own+"/wrong: ") || !strings.Contains(err.Error(), "does not accept the PAK") {
		t.Errorf("a wrong key: got %v", err)
	}
}
