package gateway_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (w *world) known(a subject) cluster.Known {
	w.Helper()
	all, err := w.store.Clusters().Known(w.Context(), tenancy.Everything(), []agent.ID{a.id})
	w.must(err)
	return all[a.id]
}

// changes counts the events that tell placement of an agent's status.
func (w *world) changes() int {
	w.Helper()
	events, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now(), 0, 1000)
	w.must(err)
	n := 0
	for _, e := range events {
		if e.Type == event.AgentChanged && e.Data["change"] == "status" {
			n++
		}
	}
	return n
}

func TestClusterStatusIsStoredBeforeTheAnswerAndToldWhenItDiffers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		status := func(text string) {
			req := p.request(0)
			req.Status = json.RawMessage(text)
			r.sync(p, req).answer()
		}
		status(`{"kubernetes_version":"v1.36.3","nodes":3,"ready_nodes":2,"apis":["v1","apps/v1","v1"],"unknown":{"requested":"pods are forbidden"}}`)
		k := w.known(a)
		if k.ReportedAt == nil || k.Status.ReadyNodes != 2 || len(k.Status.APIs) != 2 || k.Status.APIs[0] != "apps/v1" || k.Status.Knows(cluster.PartRequested) {
			t.Fatalf("stored: got %+v, want the normal status", k)
		}
		if got := w.changes(); got != 1 {
			t.Errorf("events after the first: got %d, want 1", got)
		}
		first := *k.ReportedAt
		time.Sleep(time.Minute)
		p.boot = a.start().boot // a new process tells it again
		p.seq = 0
		status(`{"kubernetes_version":"v1.36.3","ready_nodes":2,"nodes":3,"apis":["apps/v1","v1"],"unknown":{"requested":"pods are forbidden"}}`)
		k = w.known(a)
		if got := w.changes(); got != 1 || !k.ReportedAt.After(first) || !k.ChangedAt.Equal(first) {
			t.Errorf("told again: %d events, reported %s, changed %s; want one event, and only the report moved", got, k.ReportedAt, k.ChangedAt)
		}
		status(`{"kubernetes_version":"v1.37.0","nodes":3,"ready_nodes":3}`)
		if got := w.changes(); got != 2 || w.known(a).Status.KubernetesVersion != "v1.37.0" {
			t.Errorf("another status: %d events, %+v", got, w.known(a).Status)
		}
		// An older report of the same process changes nothing.
		req := p.request(0)
		req.Seq, req.Status = 1, json.RawMessage(`{"kubernetes_version":"v1.0.0"}`)
		r.sync(p, req).answer()
		if got := w.changes(); got != 2 || w.known(a).Status.KubernetesVersion != "v1.37.0" {
			t.Errorf("an older report: %d events, %+v", got, w.known(a).Status)
		}
	})
}

func TestABadClusterStatusIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		for _, text := range []string{`[]`, `{"nodes":1,"ready_nodes":2}`, `{"facts":{"":{"text":"x"}}}`} {
			req := p.request(0)
			req.Status = json.RawMessage(text)
			c := r.sync(p, req)
			<-c.done
			if c.rec.Code != 400 {
				t.Errorf("%s: got %d: %s, want 400", text, c.rec.Code, c.rec.Body)
			}
		}
		if k := w.known(a); k.ReportedAt != nil {
			t.Errorf("stored: %+v, want nothing", k)
		}
	})
}
