package api_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/services/api"
)

// watched reads expressions that hold everywhere, and tells of each that is asked once it is armed.
type watched struct {
	mu    sync.Mutex
	asked map[string]bool
	told  func(expression string)
}

type watchedExpr struct {
	w    *watched
	text string
}

func (watchedExpr) Cost() uint64 { return 1 }

func (x watchedExpr) Eval(*placement.Cluster) (bool, error) {
	x.w.mu.Lock()
	told := x.w.told
	if told != nil {
		x.w.asked[x.text] = true
	}
	x.w.mu.Unlock()
	if told != nil {
		told(x.text)
	}
	return true, nil
}

func (w *watched) arm(told func(expression string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told, w.asked = told, map[string]bool{}
}

func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// foreseeing is a world whose owner has so many stacks, each with a policy of an expression of its own.
func foreseeing(t *testing.T, conf api.Config, stacks int) (*world, *watched) {
	t.Helper()
	store := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	x := &watched{}
	w.handler = w.handlerWith(conf, store, func(d *api.Deps) {
		d.CEL = func(expression string) (placement.Expr, error) { return watchedExpr{x, expression}, nil }
	})
	for i := range stacks {
		s := w.newStack(fmt.Sprint("s", i))
		w.publish(s)
		p := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", fmt.Sprintf(`{"name":"p%d","clusters":{"cel":"number %d"}}`, i, i))
		w.ok(asOwner, request{method: "PUT", path: "/stacks/" + string(s.ID) + "/placement-policy", body: `{"policy_id":"` + p.ID + `"}`})
	}
	return w, x
}

func (w *world) planOf(a string) request {
	return request{method: "POST", path: "/placement/plan", body: `{"agents":[{"agent_id":"` + a + `","add_labels":["new"]}]}`}
}

// metric waits until a metric of the api says so.
func (w *world) metric(metric string) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text := w.get("/metrics").Body.String()
		if strings.Contains(text, "\n"+metric+"\n") {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("the metrics never say %s", metric)
		}
	}
}

// A generator has as many plans at work as are its share, so many wait, and the rest is refused; meanwhile others plan.
func TestPlansHaveTurns(t *testing.T) {
	t.Parallel()
	w, x := foreseeing(t, api.Config{Plans: 2, PlansEach: 1}, 1)
	open, entered := make(chan struct{}), make(chan struct{}, 100)
	x.arm(func(string) {
		entered <- struct{}{}
		<-open
	})
	var all sync.WaitGroup
	ask := func(as string, r request) {
		all.Go(func() {
			if rec := w.do(as, r); rec.Code != http.StatusOK {
				t.Errorf("%s, %s: got %d %s, want an answer in the end", as, r.path, rec.Code, rec.Body)
			}
		})
	}
	preview := dryRun(w.stack.ID, manifest, "")
	diff := request{method: "GET", path: "/deployment-objects/" + string(w.object.ID) + "/diff?against=" + string(w.object.ID)}
	ask(asOwner, w.planOf(string(w.agent.ID)))
	<-entered
	ask(asOwner, preview)
	ask(asOwner, diff)
	for range 6 {
		ask(asOwner, w.planOf(string(w.agent.ID)))
	}
	w.metric("brokkr_plans_waiting 8")
	for _, r := range []request{w.planOf(string(w.agent.ID)), preview, diff} {
		rec := w.checked(asOwner, r)
		if rec.Code != http.StatusTooManyRequests || code(t, rec) != "too_many_plans" || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got %d %v %s, want 429 too_many_plans", r.path, rec.Code, rec.Header(), rec.Body)
		}
	}
	under := request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/cordon?plan=x"}
	ask(asOther, w.planOf(string(w.otherAgent.ID)))
	<-entered // the other one works beside the first of the owner's
	w.metric("brokkr_plans_running 2")
	close(open)
	all.Wait()
	w.metric(`brokkr_plans_total{outcome="refused"} 3`)
	w.metric(`brokkr_plans_total{outcome="waited"} 8`)
	w.metric("brokkr_plans_running 0")
	w.refused(asOperator, under, http.StatusConflict, "plan_outdated")
	w.metric(`brokkr_plans_total{outcome="at_once"} 3`)
}

// Nobody decides about the rest of the stacks for a caller who went away.
func TestAPlanEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	const stacks = 20
	w, x := foreseeing(t, api.Config{}, stacks)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	x.arm(func(string) { leave() })
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/placement/plan", bytes.NewBufferString(w.planOf(string(w.agent.ID)).body))
	r.Header.Set("Authorization", "Bearer "+w.keys[asOwner])
	r.Header.Set("Content-Type", "application/json")
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
	if n := x.count(); n != 1 {
		t.Errorf("after the caller had left %d of %d policies were looked at, want 1", n, stacks)
	}
	x.arm(func(string) {})
	w.ok(asOwner, w.planOf(string(w.agent.ID)))
	if n := x.count(); n != stacks {
		t.Errorf("for a caller who stays %d of %d policies were looked at", n, stacks)
	}
}
