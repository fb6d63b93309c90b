package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// ask stores a request of the object's state at the agent, for an hour.
func (w *world) ask(a subject, o stack.Object) diagnostic.ID {
	w.Helper()
	r := diagnostic.Request{ID: diagnostic.ID(uuid.NewString()), Agent: a.id, Object: o.ID, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	w.must(w.store.Diagnostics().Insert(w.Context(), r))
	return r.ID
}

func (r *replica) pendingDiagnostics(key pak.PAK, a subject) []wire.DiagnosticRequest {
	r.w.Helper()
	return decode[[]wire.DiagnosticRequest](r.w, r.do(r.w.Context(), key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/diagnostics/pending", nil), http.StatusOK)
}

func (r *replica) claim(key pak.PAK, d diagnostic.ID) *httptest.ResponseRecorder {
	return r.do(r.w.Context(), key, http.MethodPost, "/api/v1/diagnostics/"+string(d)+"/claim", nil)
}

func (r *replica) answer(key pak.PAK, d diagnostic.ID, change func(body map[string]any)) *httptest.ResponseRecorder {
	body := map[string]any{"pod_statuses": `[]`, "events": `[]`, "collected_at": time.Now()}
	if change != nil {
		change(body)
	}
	return r.do(r.w.Context(), key, http.MethodPost, "/api/v1/diagnostics/"+string(d)+"/result", body)
}

const withSecret = `apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {password: aHVudGVyMmh1bnRlcjI=}
stringData: {token: "plain-token"}
`

func TestAnAgentClaimsAndAnswersADiagnostic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, withSecret)
		w.assign(o, a)
		r := w.gateway(options{})
		if got := r.pendingDiagnostics(a.key, a); len(got) != 0 {
			t.Fatalf("pending before: got %+v, want none", got)
		}
		d := w.ask(a, o)
		got := r.pendingDiagnostics(a.key, a)
		if len(got) != 1 || got[0].ID != string(d) || got[0].StackID != string(o.Stack) || got[0].Status != "pending" || got[0].ClaimedAt != nil {
			t.Fatalf("pending: got %+v, want the one with its stack", got)
		}
		if rec := r.answer(a.key, d, nil); decode[problemBody](t, rec, http.StatusConflict).Code != "diagnostic_not_claimed" {
			t.Errorf("answer without a claim: got %s", rec.Body)
		}
		claimed := decode[wire.DiagnosticRequest](t, r.claim(a.key, d), http.StatusOK)
		if claimed.Status != "claimed" || claimed.ClaimedAt == nil {
			t.Errorf("claimed: got %+v", claimed)
		}
		if rec := r.claim(a.key, d); decode[problemBody](t, rec, http.StatusConflict).Code != "diagnostic_already_claimed" {
			t.Errorf("claim again: got %s", rec.Body)
		}
		if got := r.pendingDiagnostics(a.key, a); len(got) != 0 {
			t.Errorf("pending when claimed: got %+v, want none", got)
		}
		time.Sleep(diagnostic.ClaimFor)
		if got := r.pendingDiagnostics(a.key, a); len(got) != 1 {
			t.Errorf("pending when the claim is old: got %+v, want it again", got)
		}
		decode[wire.DiagnosticRequest](t, r.claim(a.key, d), http.StatusOK)
		for want, change := range map[string]func(map[string]any){
			"pod_statuses": func(b map[string]any) { b["pod_statuses"] = "{}" },
			"events":       func(b map[string]any) { b["events"] = "" },
			"log_tails":    func(b map[string]any) { b["log_tails"] = "[]" },
			"collected_at": func(b map[string]any) { delete(b, "collected_at") },
		} {
			got := decode[problemBody](t, r.answer(a.key, d, change), http.StatusBadRequest)
			if got.Code != "invalid_diagnostic_result" || !strings.Contains(got.Message, want) {
				t.Errorf("bad %s: got %+v", want, got)
			}
		}
		result := decode[wire.DiagnosticResult](t, r.answer(a.key, d, func(b map[string]any) {
			b["pod_statuses"] = `[{"name":"web-1","state_message":"login with hunter2hunter2"}]`
			b["log_tails"] = `{"web-1/app":"aHVudGVyMmh1bnRlcjI= and plain-token\nready"}`
		}), http.StatusCreated)
		if result.RequestID != string(d) || !strings.Contains(result.PodStatuses, "login with ***") || *result.LogTails != `{"web-1/app":"*** and ***\nready"}` {
			t.Errorf("result: got %+v, want it without the Secret's values", result)
		}
		stored, answer, err := w.store.Diagnostics().Get(w.Context(), tenancy.Everything(), d)
		w.must(err)
		if stored.Status != diagnostic.Completed || answer == nil || answer.PodStatuses != result.PodStatuses {
			t.Errorf("stored: got %+v with %+v", stored, answer)
		}
		if got := w.outbox(event.DiagnosticCompleted); len(got) != 1 || got[0].Agent != a.id {
			t.Errorf("outbox: got %+v, want one diagnostic.completed", got)
		}
		if rec := r.answer(a.key, d, nil); decode[problemBody](t, rec, http.StatusConflict).Code != "diagnostic_not_claimed" {
			t.Errorf("answer again: got %s", rec.Body)
		}
	})
}

func TestADiagnosticIsTheAskedAgentsAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		o := w.publish(w.stack("web").ID, withSecret)
		w.assign(o, a, b)
		r, admin := w.gateway(options{}), w.admin()
		d := w.ask(a, o)
		for _, id := range []diagnostic.ID{d, diagnostic.ID(uuid.NewString())} {
			for what, rec := range map[string]*httptest.ResponseRecorder{"claim": r.claim(b.key, id), "answer": r.answer(b.key, id, nil)} {
				if got := decode[problemBody](t, rec, http.StatusNotFound).Code; got != "diagnostic_not_found" {
					t.Errorf("%s by another: got code %q", what, got)
				}
			}
		}
		if rec := r.do(w.Context(), b.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/diagnostics/pending", nil); rec.Code != http.StatusForbidden {
			t.Errorf("pending of another: got %d, want 403", rec.Code)
		}
		if got := r.pendingDiagnostics(admin, a); len(got) != 1 {
			t.Errorf("pending as an admin: got %+v", got)
		}
		if got := decode[problemBody](t, r.answer(admin, d, nil), http.StatusForbidden).Code; got != "agent_pak_required" {
			t.Errorf("answer by an admin: got code %q", got)
		}
		decode[wire.DiagnosticRequest](t, r.claim(admin, d), http.StatusOK)
	})
}

func TestOneOfManyClaimsADiagnostic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, withSecret)
		one, two := w.gateway(options{}), w.gateway(options{})
		d := w.ask(a, o)
		var codes [8]int
		var racers sync.WaitGroup
		for i := range codes {
			r := one
			if i%2 == 1 {
				r = two
			}
			racers.Go(func() { codes[i] = r.claim(a.key, d).Code })
		}
		racers.Wait()
		won := 0
		for _, c := range codes {
			switch c {
			case http.StatusOK:
				won++
			case http.StatusConflict:
			default:
				t.Errorf("got status %d, want 200 or 409", c)
			}
		}
		if won != 1 {
			t.Errorf("%d claims succeeded, want one", won)
		}
	})
}
