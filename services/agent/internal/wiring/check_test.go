package wiring_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/services/agent/internal/wiring"
)

// check is what `brokkr-agent check` says, given some seconds.
func (w *world) check(more ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Second)
	defer cancel()
	var out strings.Builder
	err := wiring.Check(ctx, "1.2.3", w.environ(more...), map[string]any{"agent.kubeconfig": w.kubeconfig}, &out)
	if long := strings.Split(key, "_")[2]; strings.Contains(out.String(), long) || (err != nil && strings.Contains(err.Error(), long)) {
		w.Error("the key is told")
	}
	return out.String(), err
}

// What is well is told in order, and of what is not the first, with what to do.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := func(status string, heartbeat any, reachable any) map[string]any {
		return map[string]any{"id": w.gateway.agent, "name": "edge-1", "cluster_name": "c-1", "status": status, "last_heartbeat": heartbeat, "k8s_reachable": reachable}
	}
	now := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339Nano) }
	for name, test := range map[string]struct {
		known map[string]any
		more  []string
		lines int
		err   string
	}{
		"at work":       {known("ACTIVE", now(time.Second), true), nil, 4, ""},
		"clocks differ": {known("ACTIVE", now(-time.Hour), nil), nil, 4, ""},
		"a gateway":     {nil, nil, 4, ""},
		"never heard":   {known("ACTIVE", nil, nil), nil, 3, "agent: edge-1 of cluster c-1 has never been heard of"},
		"silent":        {known("ACTIVE", now(2*time.Hour), true), nil, 3, "is silent for 2h0m"},
		"cut off":       {known("ACTIVE", now(time.Second), false), nil, 3, "does not reach its API server"},
		"inactive":      {known("INACTIVE", now(time.Second), true), nil, 3, "brokkr agent activate edge-1"},
		"not joined":    {known("ACTIVE", now(time.Second), true), joining(), 1, "key: the Secret " + w.own + "/brokkr-agent-edge-1 has none: the agent has not joined yet"},
	} {
		w.gateway.change(func() { w.gateway.known = test.known })
		out, err := w.check(test.more...)
		if n := strings.Count(out, "ok  "); n != test.lines || n != strings.Count(out, "\n") {
			t.Errorf("%s: %d lines, want %d:\n%s", name, n, test.lines, out)
		}
		if (err == nil) != (test.err == "") || (err != nil && (!strings.Contains(err.Error(), test.err) || errors.Is(err, context.DeadlineExceeded))) {
			t.Errorf("%s: got %v, want %q", name, err, test.err)
		}
	}
	w.gateway.change(func() { w.gateway.refuse = true })
	if out, err := w.check(); err == nil || !strings.HasPrefix(err.Error(), "broker: ") || strings.Count(out, "\n") != 2 {
		t.Errorf("a key that is not known: got %v:\n%s", err, out)
	}
	if w.get("secrets", w.own, "brokkr-agent-edge-1") != nil || len(w.gateway.joins) > 0 {
		t.Error("a check joined")
	}
}

// What comes while it waits is waited for: here the agent's first word.
func TestCheckWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gateway.change(func() {
		w.gateway.known = map[string]any{"name": "edge-1", "cluster_name": "c-1", "status": "ACTIVE", "last_heartbeat": nil}
	})
	time.AfterFunc(time.Second, func() {
		w.gateway.change(func() {
			w.gateway.known = map[string]any{"name": "edge-1", "cluster_name": "c-1", "status": "ACTIVE", "last_heartbeat": time.Now()}
		})
	})
	if out, err := w.check(); err != nil || !strings.Contains(out, "ok  agent: edge-1 of cluster c-1 is active") {
		t.Errorf("got %v:\n%s", err, out)
	}
}
