package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// parked starts a process of a fresh agent that has one stack, and parks its next sync.
func (w *world) parked(r *replica, wait int) (*process, *call) {
	w.Helper()
	a := w.agent(uuid.NewString(), agent.Active)
	w.assign(w.publish(w.stack(uuid.NewString()).ID, "v: 1"), a)
	p := a.start()
	r.catchUp(p)
	c := r.sync(p, p.request(wait))
	if c.answered() {
		w.Fatalf("answered at once: %d %s", c.rec.Code, c.rec.Body)
	}
	return p, c
}

func TestALostSignalIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, c := w.parked(r, 55)
		w.silent = true
		w.assign(w.publish(w.stack("more").ID, "v: 1"), p.subject)
		if res := c.answer(); c.took > 30*time.Second || res.Revision != 2 {
			t.Errorf("after %s: got %+v, want the change within 30s", c.took, res)
		}
		if got := r.metric("brokkr_gateway_signals_missed_total", ""); got != 1 {
			t.Errorf("missed signals: got %v, want 1", got)
		}
	})
}

func TestWithoutSignalsTheStoreIsAskedEverySecondOnceForAll(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*cutSignals){
		"PublishingFails": func(s *cutSignals) { s.fails.Store(true) },
		"NothingArrives":  func(s *cutSignals) { s.silent.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				line, store := &cutSignals{Signals: w.signals}, &gatedStore{Store: w.store}
				r := w.gateway(options{signals: line, store: store})
				p, c := w.parked(r, 55)
				var others []*call
				for range 5 {
					_, o := w.parked(r, 55)
					others = append(others, o)
				}
				cut(line)
				w.silent = true
				time.Sleep(5 * time.Second)
				before := store.revisions.Load()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := store.revisions.Load() - before; got < 9 || got > 11 {
					t.Errorf("questions in 10s for 6 parked syncs: got %d, want one a second", got)
				}
				at := time.Now()
				w.assign(w.publish(w.stack("more").ID, "v: 1"), p.subject)
				c.answer()
				if took := c.began.Add(c.took).Sub(at); took > time.Second {
					t.Errorf("change was answered after %s, want within a second", took)
				}
				line.fails.Store(false)
				line.silent.Store(false)
				w.silent = false
				time.Sleep(3 * time.Second)
				if got := r.metric("brokkr_gateway_signals_healthy", ""); got != 1 {
					t.Errorf("signals healthy: got %v, want 1 after the line is whole again", got)
				}
				for _, o := range others {
					if o.answer().Stacks != nil {
						t.Error("another agent's sync was answered with news, want none")
					}
				}
			})
		})
	}
}

func TestDrainSendsAgentsElsewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		_, c := w.parked(r, 55)
		time.Sleep(time.Second)
		r.svc.Drain()
		if res := c.answer(); c.took != time.Second || res.Stacks != nil || res.Revision != 1 || c.rec.Header().Get("Connection") != "close" {
			t.Errorf("after %s: got %+v, Connection %q, want no change at once and close", c.took, res, c.rec.Header().Get("Connection"))
		}
		if rec := r.do(w.Context(), noKey(), http.MethodGet, "/readyz", nil); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("readyz: got %d, want 503", rec.Code)
		}
	})
}

func TestANewerSyncEndsTheOlderOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, older := w.parked(r, 55)
		newer := r.sync(p, p.request(10))
		if older.answer(); older.took != 0 {
			t.Errorf("older: ended after %s, want at once", older.took)
		}
		late := p.request(55)
		late.Seq = 1
		if c := r.sync(p, late); !c.answered() {
			t.Error("a sync that was overtaken on its way is parked, want it ended")
		}
		if newer.answer(); newer.took != 10*time.Second {
			t.Errorf("newer: ended after %s, want its whole wait", newer.took)
		}
		if got := r.metric("brokkr_gateway_parked_syncs", ""); got != 0 {
			t.Errorf("parked: got %v, want 0", got)
		}
	})
}

func TestAClientThatGoesAwayIsForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		_, c := w.parked(r, 55)
		c.leave()
		<-c.done
		if got := r.metric("brokkr_gateway_parked_syncs", ""); got != 0 || c.took != 0 {
			t.Errorf("parked: got %v after %s, want none at once", got, c.took)
		}
		if got := r.metric("brokkr_gateway_syncs_total", "gone"); got != 1 {
			t.Errorf("syncs gone: got %v, want 1", got)
		}
	})
}

func TestTwoReplicasOverOneStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		one, two := w.gateway(options{}), w.gateway(options{})
		p, c := w.parked(one, 55)
		q, d := w.parked(two, 55)
		o := w.publish(w.stack("both").ID, "v: 1")
		w.assign(o, p.subject, q.subject)
		if c.answer().Revision != 2 || d.answer().Revision != 2 {
			t.Error("a replica did not answer its agent with the new revision")
		}
		// the same agent goes on at the other replica
		req := p.request(0)
		req.Revision = 2
		req.Applied = []wire.Applied{{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), Phase: "applied", Health: "healthy"}}
		two.sync(p, req).answer()
		again := req
		one.sync(p, again).answer()
		if got := one.metric("brokkr_gateway_reports_total", "repeated"); got != 1 {
			t.Errorf("the repeated report at the other replica: got %v, want it recognised", got)
		}
	})
}

func TestRestartOfTheGatewayLosesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, c := w.parked(r, 55)
		r.stop()
		c.answer()
		w.assign(w.publish(w.stack("while-away").ID, "v: 1"), p.subject)
		next := w.gateway(options{})
		if res := next.sync(p, p.request(55)).answer(); res.Revision != 2 || len(*res.Stacks) != 2 {
			t.Errorf("after the restart: got %+v, want what changed meanwhile", res)
		}
		p.revision = 2
		calm := next.sync(p, p.request(5))
		if calm.answer().Stacks != nil || calm.took != 5*time.Second {
			t.Error("the following sync was not parked")
		}
	})
}

func TestStoreAwayIsSaidAndParkedSyncsStay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		store := &gatedStore{Store: w.store}
		r := w.gateway(options{store: store})
		p, c := w.parked(r, 55)
		store.down.Store(true)
		late := w.agent("late", agent.Active).start()
		s := r.sync(late, late.request(10))
		if s.rec.Code != http.StatusServiceUnavailable || s.rec.Header().Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q, want 503 with it", s.rec.Code, s.rec.Header().Get("Retry-After"))
		}
		time.Sleep(40 * time.Second)
		if c.answered() {
			t.Fatalf("the parked sync was ended: %d %s", c.rec.Code, c.rec.Body)
		}
		w.silent = true
		w.assign(w.publish(w.stack("more").ID, "v: 1"), p.subject)
		store.down.Store(false)
		if res := c.answer(); res.Revision != 2 || c.took > 42*time.Second {
			t.Errorf("after %s: got %+v, want the change soon after the store is back", c.took, res)
		}
	})
}

// Every call of a report's transaction fails once: nothing of it may be visible until it all is.
func TestReportsAreAllOrNothing(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		done := false
		inBubble(t, func(w *world) {
			a := w.agent("a", agent.Active)
			o, gone := w.publish(w.stack("web").ID, "v: 1"), w.publish(w.stack("gone").ID, "v: 1")
			w.assign(o, a)
			w.assign(gone, a)
			w.remove(gone, a)
			r := w.gateway(options{})
			p := a.start()
			r.catchUp(p)
			r.stop()
			faulty := w.gateway(options{fails: true, store: porttest.Faulty(w.store, n+1, fault.New(fault.Unavailable, "unavailable", "the test says so"))})
			req := p.request(0)
			req.Applied = []wire.Applied{{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), Phase: "applied", Health: "healthy"}}
			req.Removed = []wire.Removed{{StackID: string(gone.Stack), Revision: 3}}
			c := faulty.sync(p, req)
			<-c.done
			_, held := w.held(a)
			applied, removed := false, true
			for _, h := range held {
				applied = applied || (h.Status != nil && h.Status.Phase == delivery.PhaseApplied)
				removed = removed && h.State != delivery.Removing
			}
			if applied != removed {
				t.Errorf("call %d failed: applied %v, removed %v, want both or none", n+1, applied, removed)
			}
			if c.rec.Code == http.StatusOK && !applied {
				t.Errorf("call %d failed: answered 200 without having stored the reports", n+1)
			}
			done = c.rec.Code == http.StatusOK && n > 12
		})
		if done {
			return
		}
		if n > 40 {
			t.Fatal("no run succeeded")
		}
	}
}

func TestOneTraceGoesFromPublishToHealthy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		c := r.sync(p, p.request(55))
		o := w.publish(s.ID, "v: 1")
		w.assign(o, a)
		res := c.answer()
		p.revision = res.Revision
		const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
		if got := (*res.Stacks)[0].Traceparent; !strings.Contains(got, trace) || got == traceparent {
			t.Errorf("traceparent for the agent: got %q, want the delivery's span in trace %s", got, trace)
		}
		req := p.request(0)
		req.Applied = []wire.Applied{{StackID: string(o.Stack), DeploymentObjectID: string(o.ID), Phase: "applied", Health: "healthy"}}
		r.sync(p, req).answer()
		seen, linked := map[string]bool{}, false
		for _, span := range r.spans.GetSpans() {
			if span.SpanContext.TraceID().String() == trace {
				seen[span.Name] = true
			}
			for _, l := range span.Links {
				linked = linked || (span.Name == "sync" && l.SpanContext.TraceID().String() == trace)
			}
		}
		if !seen["deliver"] || !seen["report"] || !linked {
			t.Errorf("spans in the change's trace: got %v, sync linked %v, want deliver and report, and the link", seen, linked)
		}
	})
}

func TestManyParkedSyncsAreWokenByOneBatch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		const n = 500
		var all []subject
		var calls []*call
		for range n {
			a := w.agent(uuid.NewString(), agent.Active)
			p := a.start()
			r.catchUp(p)
			all = append(all, a)
			calls = append(calls, r.sync(p, p.request(55)))
		}
		if got := r.metric("brokkr_gateway_parked_syncs", ""); got != n {
			t.Fatalf("parked: got %v, want %d", got, n)
		}
		w.assign(w.publish(w.stack("web").ID, "v: 1"), all...)
		for _, c := range calls {
			if res := c.answer(); res.Stacks == nil || len(*res.Stacks) != 1 {
				t.Fatalf("got %+v, want the new stack", res)
			}
		}
	})
}

func TestSyncOfAnotherAgentIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		r := w.gateway(options{})
		req := a.start().request(0)
		for name, tt := range map[string]struct {
			who    subject
			status int
			code   string
		}{
			"OtherAgent": {b, http.StatusForbidden, "agent_pak_mismatch"},
			"Admin":      {subject{key: w.admin()}, http.StatusForbidden, "agent_pak_required"},
		} {
			rec := r.do(context.WithoutCancel(w.Context()), tt.who.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/sync", req)
			if got := decode[problemBody](t, rec, tt.status); got.Code != tt.code {
				t.Errorf("%s: got code %q, want %q", name, got.Code, tt.code)
			}
		}
		if rec := r.do(w.Context(), noKey(), http.MethodPost, "/api/v1/agents/"+string(a.id)+"/sync", req); rec.Code != http.StatusUnauthorized || rec.Body.Len() != 0 {
			t.Errorf("without a key: got %d %q, want 401 without a body", rec.Code, rec.Body)
		}
	})
}
