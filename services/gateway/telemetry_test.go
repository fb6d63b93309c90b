package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func (r *replica) telemetry(a subject, req wire.TelemetryRequest) *httptest.ResponseRecorder {
	return r.do(r.w.Context(), a.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/telemetry", req)
}

func lineOf(s stack.ID, text string) wire.PodLogLine {
	return wire.PodLogLine{StackID: string(s), Namespace: "shop", Pod: "web-0", Container: "app", TS: time.Now(), Line: text}
}

// logged is what is kept of the stack's logs.
func (w *world) logged(s stack.ID) []string {
	w.Helper()
	logs, err := w.store.Observations().Logs(w.Context(), tenancy.Everything(), s, observation.Window{Limit: 100_000})
	w.must(err)
	out := []string{}
	for _, l := range logs.Lines {
		out = append(out, l.Text)
	}
	return out
}

func TestTelemetryIsDurableWhenItIsAnsweredAndStoredOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		w.assign(w.publish(s.ID, "v: 1"), a)
		r, other := w.gateway(options{}), w.gateway(options{})
		source := "kubelet"
		req := wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{lineOf(s.ID, "one"), lineOf(s.ID, "two")},
			Events: []wire.K8sEvent{{StackID: string(s.ID), ObservedAt: time.Now(), Reason: "Pulled", EventType: "Normal", Source: &source}},
			Gaps:   []wire.LogGap{{StackID: string(s.ID), SinceTS: time.Now(), DroppedCount: 9, Reason: "rate_limit"}}}
		if got := decode[wire.TelemetryResponse](t, r.telemetry(a, req), http.StatusOK); got != (wire.TelemetryResponse{Accepted: 4}) {
			t.Errorf("got %+v, want 4 accepted", got)
		}
		// The answer was lost, so the agent sends it again, to another replica.
		if got := decode[wire.TelemetryResponse](t, other.telemetry(a, req), http.StatusOK); got != (wire.TelemetryResponse{Repeated: true}) {
			t.Errorf("sent again: got %+v, want repeated", got)
		}
		if got := fmt.Sprint(w.logged(s.ID)); got != "[one two]" {
			t.Errorf("kept: got %s, want each line once", got)
		}
		if n := r.metric("brokkr_gateway_telemetry_total", "stored"); n != 4 {
			t.Errorf("counted as stored: got %v, want 4", n)
		}
	})
}

func TestTelemetryOfOthersStacksIsDropped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		mine, theirs := w.stack("mine"), w.stack("theirs")
		w.assign(w.publish(mine.ID, "v: 1"), a)
		w.assign(w.publish(theirs.ID, "v: 1"), b)
		r := w.gateway(options{})
		req := wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{lineOf(theirs.ID, "forged"), lineOf(mine.ID, "true"), lineOf(stack.ID(uuid.NewString()), "nowhere")}}
		if got := decode[wire.TelemetryResponse](t, r.telemetry(a, req), http.StatusOK); got != (wire.TelemetryResponse{Accepted: 1, Dropped: 2}) {
			t.Errorf("got %+v, want 1 accepted and 2 dropped", got)
		}
		if got := w.logged(theirs.ID); len(got) != 0 {
			t.Errorf("the other's log: got %q, want nothing", got)
		}
		for name, tt := range map[string]struct {
			as     subject
			req    wire.TelemetryRequest
			status int
			code   string
		}{
			"another agent":  {subject{a.id, b.key}, req, http.StatusForbidden, "agent_pak_mismatch"},
			"an admin":       {subject{a.id, w.admin()}, req, http.StatusForbidden, "agent_pak_required"},
			"no number":      {a, wire.TelemetryRequest{BootID: uuid.NewString()}, http.StatusBadRequest, "invalid_telemetry"},
			"no process":     {a, wire.TelemetryRequest{}, http.StatusBadRequest, "invalid_telemetry"},
			"no stack":       {a, wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{{}}}, http.StatusBadRequest, "invalid_telemetry"},
			"too many lines": {a, wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: make([]wire.PodLogLine, observation.MaxItems+1)}, http.StatusBadRequest, "invalid_telemetry"},
		} {
			if got := decode[problemBody](t, r.telemetry(tt.as, tt.req), tt.status); got.Code != tt.code {
				t.Errorf("%s: got code %q, want %q", name, got.Code, tt.code)
			}
		}
	})
}

// batches counts the transactions of observations, and can fail them.
type batches struct {
	ports.Store
	n    atomic.Int64
	down atomic.Bool
}

func (s *batches) Observations() ports.Observations {
	return countedObservations{s.Store.Observations(), s}
}

type countedObservations struct {
	ports.Observations
	s *batches
}

func (o countedObservations) Add(ctx context.Context, at time.Time, p []observation.Parcel) ([]observation.Receipt, error) {
	o.s.n.Add(1)
	if o.s.down.Load() {
		return nil, away()
	}
	return o.Observations.Add(ctx, at, p)
}

func TestManyAgentsShareATransaction(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		s := w.stack("web")
		o := w.publish(s.ID, "v: 1")
		counted := &batches{Store: w.store}
		r := w.gateway(options{store: counted})
		const agents = 50
		var all []subject
		for i := range agents {
			all = append(all, w.agent(fmt.Sprint("a", i), agent.Active))
		}
		w.assign(o, all...)
		done := make(chan int, agents)
		for _, a := range all {
			go func() {
				done <- r.telemetry(a, wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{lineOf(s.ID, "x")}}).Code
			}()
		}
		for range all {
			if status := <-done; status != http.StatusOK {
				t.Errorf("got %d, want 200", status)
			}
		}
		if n := counted.n.Load(); n > 2 {
			t.Errorf("%d agents took %d transactions, want them to share one", agents, n)
		}
		if got := len(w.logged(s.ID)); got != agents {
			t.Errorf("kept: %d lines, want %d", got, agents)
		}
	})
}

func TestTelemetryThatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		w.assign(w.publish(s.ID, "v: 1"), a)
		bad := &batches{Store: w.store}
		r := w.gateway(options{store: bad})
		req := wire.TelemetryRequest{BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{lineOf(s.ID, "x")}}
		bad.down.Store(true)
		if rec := r.telemetry(a, req); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("store away: got %d, want 503 with Retry-After", rec.Code)
		}
		bad.down.Store(false)
		if got := decode[wire.TelemetryResponse](t, r.telemetry(a, req), http.StatusOK); got != (wire.TelemetryResponse{Accepted: 1}) {
			t.Errorf("again: got %+v, want it accepted", got)
		}
	})
}
