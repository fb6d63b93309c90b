package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestSyncDeliversAtOnceWhatIsNew(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		o := w.publish(s.ID, "kind: ConfigMap")
		w.assign(o, a)
		r := w.gateway(options{})
		p := a.start()
		c := r.sync(p, p.request(50))
		res := c.answer()
		if c.took != 0 {
			t.Errorf("first sync: answered after %s, want at once", c.took)
		}
		if res.Revision != 1 || res.Stacks == nil || len(*res.Stacks) != 1 {
			t.Fatalf("answer: got %+v, want revision 1 with one stack", res)
		}
		got := (*res.Stacks)[0]
		if got.StackID != string(s.ID) || got.StackName != "web" || got.DeploymentObjectID != string(o.ID) || got.Checksum != string(o.Checksum) ||
			got.SequenceID != int64(o.Sequence) || got.Size != o.Size || got.Revision != 1 || got.GeneratorID != string(s.Generator) {
			t.Errorf("stack: got %+v, want that of %+v", got, o)
		}
	})
}

func TestSyncParksUntilASignal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		w.assign(w.publish(s.ID, "v: 1"), a)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		c := r.sync(p, p.request(55))
		time.Sleep(10 * time.Second)
		if c.answered() {
			t.Fatalf("answered without news: %s", c.rec.Body)
		}
		newest := w.publish(s.ID, "v: 2")
		w.assign(newest, a)
		res := c.answer()
		if c.took != 10*time.Second || res.Revision != 2 || (*res.Stacks)[0].DeploymentObjectID != string(newest.ID) {
			t.Errorf("after %s: got %+v, want the new object at the signal", c.took, res)
		}
	})
}

func TestIdleSyncAsksNothingAndIsSmall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		w.assign(w.publish(w.stack("web").ID, "v: 1"), a)
		r := w.gateway(options{})
		p := a.start()
		time.Sleep(1500 * time.Millisecond) // the first probe may come before the subscription; the second finds signals to arrive
		r.catchUp(p)
		r.sync(p, p.request(1)).answer()
		before := r.calls()
		req := p.request(1)
		c := r.sync(p, req)
		res := c.answer()
		if c.took != time.Second || res.Stacks != nil || res.Revision != 1 {
			t.Errorf("after %s: got %+v, want nothing new after the wait", c.took, res)
		}
		sent, _ := json.Marshal(req)
		if len(sent) > 300 || c.rec.Body.Len() > 300 {
			t.Errorf("bodies: sent %d, received %d bytes, want at most 300 each", len(sent), c.rec.Body.Len())
		}
		// the flush of heartbeats is the fleet's, not the sync's
		if got := r.calls() - before; got > 1 {
			t.Errorf("calls to the store: got %d, want none but one flush of heartbeats", got)
		}
	})
}

func TestAnAgentWithoutAssignmentsDoesNotSpin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{})
		p := a.start()
		if res := r.catchUp(p); res.Stacks == nil || len(*res.Stacks) != 0 || res.Revision != 0 {
			t.Fatalf("first: got %+v, want an empty target state", res)
		}
		c := r.sync(p, p.request(20))
		if c.answer(); c.took != 20*time.Second {
			t.Errorf("second: answered after %s, want the whole wait", c.took)
		}
	})
}

func TestNewBootGetsEverythingOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		w.assign(w.publish(w.stack("web").ID, "v: 1"), a)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		again := a.start()
		again.revision = p.revision
		if res := r.catchUp(again); res.Stacks == nil {
			t.Errorf("a new boot with a current revision: got %+v, want everything", res)
		}
		c := r.sync(again, again.request(5))
		if c.answer(); c.took != 5*time.Second {
			t.Errorf("its next: answered after %s, want parked", c.took)
		}
		if got := r.metric("brokkr_gateway_duplicate_agents_total", ""); got != 0 {
			t.Errorf("duplicates after a restart: got %v, want 0", got)
		}
		r.sync(p, p.request(0)).answer()
		if got := r.metric("brokkr_gateway_duplicate_agents_total", ""); got != 1 {
			t.Errorf("duplicates when the former process is still here: got %v, want 1", got)
		}
	})
}

func TestTombstonesAreRepeatedUntilAcknowledged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		keep, gone := w.publish(w.stack("keep").ID, "v: 1"), w.publish(w.stack("gone").ID, "v: 1")
		w.assign(keep, a)
		w.assign(gone, a)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		w.remove(gone, a)
		st, err := w.store.Stacks().Get(w.Context(), tenancy.Everything(), gone.Stack)
		w.must(err)
		want := wire.Removed{StackID: string(gone.Stack), Revision: 3, GeneratorID: string(st.Generator), Policy: &wire.Policy{}}
		for range 2 {
			p.revision = 2
			res := r.catchUp(p)
			if len(*res.Stacks) != 1 || cmp.Diff(res.Removed, []wire.Removed{want}) != "" {
				t.Fatalf("got stacks %+v removed %+v, want one stack and %+v", *res.Stacks, res.Removed, want)
			}
		}
		if c := r.sync(p, p.request(3)); c.answer().Stacks != nil || c.took != 3*time.Second {
			t.Errorf("with the tombstone's revision: answered after %s, want parked", c.took)
		}
		req := p.request(0)
		req.Removed = []wire.Removed{want}
		res := r.sync(p, req).answer()
		if res.Revision != 4 || len(res.Removed) != 0 || len(*res.Stacks) != 1 {
			t.Errorf("after the acknowledgement: got %+v, want revision 4 without tombstone", res)
		}
		if got := w.outbox(event.RemovalAcknowledged); len(got) != 1 || got[0].Stack != gone.Stack {
			t.Errorf("outbox: got %+v, want one removal.acknowledged", got)
		}
	})
}

// outbox returns the events of a type that happened.
func (w *world) outbox(kind event.Type) []event.Event {
	w.Helper()
	list, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now().Add(time.Hour), 0, 1000)
	w.must(err)
	var out []event.Event
	for _, e := range list {
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestReportsAreDurableOrderedAndOnlyAboutOnesOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		mine, theirs := w.publish(w.stack("mine").ID, "v: 1"), w.publish(w.stack("theirs").ID, "v: 1")
		w.assign(mine, a)
		w.assign(theirs, b)
		r := w.gateway(options{})
		p := a.start()
		r.catchUp(p)
		line := func(st, o string, phase delivery.Phase, health delivery.Health) wire.Applied {
			return wire.Applied{StackID: st, DeploymentObjectID: o, SequenceID: 999, Phase: string(phase), Health: string(health), ObservedAt: time.Now()}
		}
		req := p.request(0)
		req.Applied = []wire.Applied{
			line(string(mine.Stack), string(mine.ID), delivery.PhaseApplied, delivery.HealthProgressing),
			line(string(theirs.Stack), string(theirs.ID), delivery.PhaseFailed, delivery.HealthFailing),
			line(string(mine.Stack), string(theirs.ID), delivery.PhaseFailed, delivery.HealthFailing),
		}
		r.sync(p, req).answer()
		_, held := w.held(a)
		st := held[0].Status
		if st == nil || st.Phase != delivery.PhaseApplied || st.Health != delivery.HealthProgressing || st.Sequence != mine.Sequence {
			t.Fatalf("status: got %+v, want applied, progressing, with the object's own sequence", st)
		}
		if _, other := w.held(b); other[0].Status != nil {
			t.Errorf("status of another agent's stack: got %+v, want none", other[0].Status)
		}
		old := req
		old.Applied = []wire.Applied{line(string(mine.Stack), string(mine.ID), delivery.PhaseFailed, delivery.HealthFailing)}
		r.sync(p, old).answer() // the same seq
		if _, held := w.held(a); held[0].Status.Phase != delivery.PhaseApplied {
			t.Errorf("after a repeated seq: got %s, want it ignored", held[0].Status.Phase)
		}
		healthy := p.request(0)
		healthy.Applied = []wire.Applied{line(string(mine.Stack), string(mine.ID), delivery.PhaseApplied, delivery.HealthHealthy)}
		r.sync(p, healthy).answer()
		if got := w.outbox(event.DeploymentApplied); len(got) != 1 || got[0].Traceparent != traceparent || got[0].Data["stack_id"] != string(mine.Stack) {
			t.Errorf("outbox: got %+v, want deployment.applied once for one apply, although the health changed", got)
		}
		if got := r.metric("brokkr_gateway_assigned_to_applied_seconds", ""); got != 1 {
			t.Errorf("assignments whose way was measured: got %v, want one for one apply", got)
		}
		failed := p.request(0)
		failed.Applied = []wire.Applied{line(string(mine.Stack), string(mine.ID), delivery.PhaseFailed, delivery.HealthFailing)}
		failed.Applied[0].Message = "no such kind" + strings.Repeat("é", 1<<20)
		r.sync(p, failed).answer()
		got := w.outbox(event.DeploymentFailed)
		if len(got) != 1 {
			t.Fatalf("outbox: got %d of deployment.failed, want one", len(got))
		}
		said, _ := got[0].Data["message"].(string)
		if !strings.HasPrefix(said, "no such kindé") || len(said) > delivery.MaxMessage || !utf8.ValidString(said) {
			t.Errorf("its message: got %d bytes that begin with %.20q, want the beginning of what was said, at most %d bytes: events are read by the hundred", len(said), said, delivery.MaxMessage)
		}
	})
}

func TestBadSyncsAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{})
		for name, tt := range map[string]struct {
			bad  func(*wire.SyncRequest)
			code string
		}{
			"Boot":     {func(q *wire.SyncRequest) { q.BootID = "x" }, "invalid_sync"},
			"Seq":      {func(q *wire.SyncRequest) { q.Seq = 0 }, "invalid_sync"},
			"Wait":     {func(q *wire.SyncRequest) { q.WaitSeconds = 56 }, "invalid_sync"},
			"Revision": {func(q *wire.SyncRequest) { q.Revision = -1 }, "invalid_sync"},
			"Turn":     {func(q *wire.SyncRequest) { q.Turn = new(int64); *q.Turn = -1 }, "invalid_sync"},
			"Phase": {func(q *wire.SyncRequest) {
				q.Applied = []wire.Applied{{StackID: uuid.NewString(), DeploymentObjectID: uuid.NewString(), Phase: "odd"}}
			}, "invalid_report"},
			"Removal": {func(q *wire.SyncRequest) { q.Removed = []wire.Removed{{StackID: uuid.NewString()}} }, "invalid_report"},
		} {
			req := a.start().request(0)
			tt.bad(&req)
			rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/sync", req)
			if got := decode[problemBody](t, rec, http.StatusBadRequest); got.Code != tt.code {
				t.Errorf("%s: got code %q, want %q", name, got.Code, tt.code)
			}
		}
	})
}

type problemBody struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details"`
}

func TestInactiveAgentIsToldHowToBecomeActive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Inactive)
		r := w.gateway(options{})
		p := a.start()
		c := r.sync(p, p.request(50))
		<-c.done
		if got := decode[problemBody](t, c.rec, http.StatusForbidden); got.Code != "agent_inactive" || c.rec.Header().Get("Retry-After") != "5" {
			t.Errorf("got %+v with Retry-After %q, want agent_inactive and 5", got, c.rec.Header().Get("Retry-After"))
		}
		time.Sleep(3 * time.Second)
		found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
		w.must(err)
		if found.Liveness.LastHeartbeat == nil || *found.Liveness.K8sLatencyMS != 7 {
			t.Errorf("liveness: got %+v, want its heartbeat counted", found.Liveness)
		}
		found.Status = agent.Active
		w.must(w.store.Agents().Update(w.Context(), found))
		r.catchUp(p)

		c = r.sync(p, p.request(55))
		found, err = w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
		w.must(err)
		found.Status = agent.Inactive
		w.must(w.store.Agents().Update(w.Context(), found))
		<-c.done
		if c.rec.Code != http.StatusForbidden || c.took > time.Second {
			t.Errorf("deactivated while parked: got %d after %s, want 403 at once", c.rec.Code, c.took)
		}
	})
}

func TestHeartbeatsAreOneStatementAndFlushedOnStop(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		var all []subject
		for range 20 {
			all = append(all, w.agent(uuid.NewString(), agent.Active))
		}
		for _, a := range all {
			if rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/heartbeat", nil); rec.Code != http.StatusNoContent {
				t.Fatalf("heartbeat: got %d %s, want 204", rec.Code, rec.Body)
			}
		}
		before := r.calls()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.calls() - before; got != 1 {
			t.Errorf("statements for 20 heartbeats: got %d, want 1", got)
		}
		if got := r.metric("brokkr_gateway_heartbeats_flushed_total", ""); got != 20 {
			t.Errorf("heartbeats flushed: got %v, want 20", got)
		}
		at := time.Now()
		r.do(w.Context(), all[0].key, http.MethodPost, "/api/v1/agents/"+string(all[0].id)+"/heartbeat", map[string]any{"k8s_reachable": false, "k8s_api_latency_ms": 12})
		r.stop()
		found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), all[0].id)
		w.must(err)
		if l := found.Liveness; !l.LastHeartbeat.Equal(at) || *l.K8sReachable || *l.K8sLatencyMS != 12 || !l.K8sReportedAt.Equal(at) {
			t.Errorf("after the stop: got %+v, want the last heartbeat with what it said of the cluster", found.Liveness)
		}
	})
}

// Two processes with one identity are shown, also when each of them talks to a replica of its own; a restart is not.
func TestTwoProcessesOfOneAgentAreShown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		near, far := w.gateway(options{}), w.gateway(options{})
		twice, restarted := w.agent("twice", agent.Active), w.agent("restarted", agent.Active)
		since := func(a subject) *time.Time {
			found, err := w.store.Agents().Get(w.Context(), tenancy.Everything(), a.id)
			w.must(err)
			return found.Liveness.DuplicateSince
		}
		hear := func(r *replica, p *process) time.Time {
			at := time.Now()
			r.catchUp(p)
			time.Sleep(20 * time.Second)
			return at
		}
		first, second := twice.start(), twice.start()
		hear(near, first)
		hear(far, second)
		if got := since(twice); got != nil {
			t.Errorf("after one change: got %v, want nothing, it may be a restart", got)
		}
		began := hear(near, first)
		hear(far, second)
		if got := since(twice); got == nil || !got.Equal(began) {
			t.Errorf("in turns: got %v, want %s", got, began)
		}
		for range 10 {
			hear(far, second)
		}
		if got := since(twice); got != nil {
			t.Errorf("after the first process went: got %v, want nothing", got)
		}
		old := restarted.start()
		hear(near, old)
		hear(near, old)
		next := restarted.start()
		hear(far, next)
		hear(near, next)
		if got := since(restarted); got != nil {
			t.Errorf("a restart: got %v, want nothing", got)
		}
	})
}
