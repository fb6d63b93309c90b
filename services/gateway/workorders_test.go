package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

type refusal struct {
	Code string `json:"code"`
}

func (r *replica) workOrder(key pak.PAK, o workorder.Order, act string, body map[string]any, status int) wire.WorkOrder {
	r.w.Helper()
	return decode[wire.WorkOrder](r.w, r.do(r.w.Context(), key, http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/"+act, body), status)
}

func (r *replica) refused(key pak.PAK, o workorder.Order, act string, body map[string]any, status int, code string) {
	r.w.Helper()
	rec := r.do(r.w.Context(), key, http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/"+act, body)
	if got := decode[refusal](r.w, rec, status); got.Code != code {
		r.w.Errorf("%s: got code %q, want %q", act, got.Code, code)
	}
}

// events of work orders in the outbox.
func (w *world) orderEvents() []event.Type {
	w.Helper()
	list, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now(), time.Minute, 100)
	w.must(err)
	var out []event.Type
	for _, e := range list {
		out = append(out, e.Type)
	}
	return out
}

func retries(n int32) workorder.Spec {
	second := int32(1)
	return workorder.Spec{MaxRetries: &n, Backoff: &second}
}

func TestAWorkOrderIsClaimedDoneAndLogged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		o := w.workOrder(retries(1), a)
		r := w.gateway(options{})
		pending := decode[[]wire.WorkOrder](t, r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/work-orders/pending", nil), http.StatusOK)
		if len(pending) != 1 || pending[0].YAMLContent != configMap("work") || pending[0].Status != "PENDING" || pending[0].ClaimedBy != nil {
			t.Fatalf("pending: got %+v, want the order with its manifests", pending)
		}
		if none := decode[[]wire.WorkOrder](t, r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/work-orders/pending?work_type=build", nil), http.StatusOK); len(none) != 0 {
			t.Errorf("pending builds: got %+v, want none", none)
		}
		r.refused(b.key, o, "claim", map[string]any{"agent_id": b.id}, http.StatusNotFound, "work_order_not_claimable")
		r.refused(b.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusForbidden, "agent_pak_mismatch")
		if got := r.workOrder(a.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusOK); got.Status != "CLAIMED" || *got.ClaimedBy != string(a.id) {
			t.Fatalf("claim: got %+v", got)
		}
		r.refused(a.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusNotFound, "work_order_not_claimable")
		claimed := decode[[]wire.WorkOrder](t, r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/work-orders/claimed", nil), http.StatusOK)
		if len(claimed) != 1 || claimed[0].ID != string(o.ID) {
			t.Errorf("claimed: got %+v, want the order", claimed)
		}
		got := r.workOrder(a.key, o, "renew", map[string]any{"lease_seconds": 30}, http.StatusOK)
		if want := time.Now().Add(30 * time.Second); !got.ClaimEndsAt.Equal(want.UTC()) {
			t.Errorf("renewed until %s, want %s", got.ClaimEndsAt, want)
		}
		r.refused(a.key, o, "renew", map[string]any{"lease_seconds": 1}, http.StatusBadRequest, "invalid_work_order")
		r.refused(b.key, o, "complete", map[string]any{"success": true}, http.StatusNotFound, "work_order_not_found")

		for range 2 { // its answer may be lost
			rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/complete", map[string]any{"success": true, "message": "sha256:abc"})
			entry := decode[wire.WorkOrderLog](t, rec, http.StatusOK)
			if !entry.Success || *entry.ResultMessage != "sha256:abc" || *entry.ClaimedBy != string(a.id) || entry.YAMLContent != configMap("work") {
				t.Errorf("complete: got %+v", entry)
			}
		}
		if got, want := fmt.Sprint(w.orderEvents()), "[workorder.claimed workorder.completed]"; got != want {
			t.Errorf("events: got %s, want %s", got, want)
		}
		w.tells(w.outbox(event.WorkOrderClaimed)[0], "agent_id claimed_at work_order_id work_type", map[string]any{"agent_id": string(a.id), "work_order_id": string(o.ID)})
		w.tells(w.outbox(event.WorkOrderCompleted)[0], "agent_id completed_at result_message success work_order_log_id work_type",
			map[string]any{"agent_id": string(a.id), "success": true, "result_message": "sha256:abc"})
	})
}

func TestAFailedWorkOrderIsTriedAgainAndEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.workOrder(retries(1), a)
		r := w.gateway(options{})
		claim, fail := map[string]any{"agent_id": a.id}, map[string]any{"success": false, "message": "no disk"}
		complete := "/api/v1/work-orders/" + string(o.ID) + "/complete"
		r.workOrder(a.key, o, "claim", claim, http.StatusOK)
		rec := r.do(w.Context(), a.key, http.MethodPost, complete, fail)
		if got := decode[map[string]string](t, rec, http.StatusAccepted); got["status"] != "retry_scheduled" || len(got) != 1 {
			t.Errorf("first failure: got %v, want exactly the published answer", got)
		}
		r.refused(a.key, o, "claim", claim, http.StatusNotFound, "work_order_not_claimable")
		r.refused(a.key, o, "complete", fail, http.StatusForbidden, "work_order_not_claimed_by_agent")
		stored, err := w.store.WorkOrders().Get(w.Context(), tenancy.Everything(), o.ID)
		w.must(err)
		next, _, due := stored.Advance(time.Now().Add(time.Minute).UTC(), time.Hour)
		if !due {
			t.Fatal("the retry is not due after a minute")
		}
		w.must(w.store.WorkOrders().Update(w.Context(), next))
		r.workOrder(a.key, o, "claim", claim, http.StatusOK)
		entry := decode[wire.WorkOrderLog](t, r.do(w.Context(), a.key, http.MethodPost, complete, fail), http.StatusOK)
		if entry.Success || entry.RetriesAttempted != 1 || *entry.ResultMessage != "no disk" {
			t.Errorf("last failure: got %+v", entry)
		}
		if got, want := fmt.Sprint(w.orderEvents()), "[workorder.claimed workorder.claimed workorder.failed]"; got != want {
			t.Errorf("events: got %s, want %s", got, want)
		}
	})
}

func TestAFailureThatIsNotRetryableEndsTheOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.workOrder(retries(5), a)
		r := w.gateway(options{})
		r.workOrder(a.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusOK)
		rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/complete", map[string]any{"success": false, "message": "no such kind", "retryable": false})
		if got := decode[wire.WorkOrderLog](t, rec, http.StatusOK); got.Success || got.RetriesAttempted != 0 || *got.ResultMessage != "no such kind" {
			t.Errorf("got %+v, want the entry of a failure at once", got)
		}
		w.tells(w.outbox(event.WorkOrderFailed)[0], "agent_id completed_at result_message success work_order_log_id work_type", map[string]any{"success": false})
	})
}

// Security lesson 4: nil equals nil.
func TestAnUnclaimedWorkOrderIsCompletedByNoAgent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.workOrder(retries(0), a)
		r := w.gateway(options{})
		r.refused(a.key, o, "complete", map[string]any{"success": true}, http.StatusForbidden, "work_order_not_claimed_by_agent")
		r.refused(a.key, o, "renew", map[string]any{}, http.StatusForbidden, "work_order_not_claimed_by_agent")
		rec := r.do(w.Context(), w.admin(), http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/complete", map[string]any{"success": true})
		if got := decode[wire.WorkOrderLog](t, rec, http.StatusOK); got.ClaimedBy != nil {
			t.Errorf("by an admin: got %+v, want an entry that nobody claimed", got)
		}
		w.tells(w.outbox(event.WorkOrderCompleted)[0], "agent_id completed_at result_message success work_order_log_id work_type", map[string]any{"agent_id": nil})
	})
}

func TestOfManyAgentsOneClaims(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var all []subject
		for i := range 10 {
			all = append(all, w.agent(fmt.Sprintf("a%d", i), agent.Active))
		}
		o := w.workOrder(retries(0), all...)
		r, other := w.gateway(options{}), w.gateway(options{})
		codes := make([]int, len(all))
		var wg sync.WaitGroup
		for i, a := range all {
			wg.Go(func() {
				codes[i] = []*replica{r, other}[i%2].do(w.Context(), a.key, http.MethodPost, "/api/v1/work-orders/"+string(o.ID)+"/claim", map[string]any{"agent_id": a.id}).Code
			})
		}
		wg.Wait()
		won := 0
		for _, c := range codes {
			switch c {
			case http.StatusOK:
				won++
			case http.StatusNotFound:
			default:
				t.Errorf("a racer got %d, want 200 or 404", c)
			}
		}
		if won != 1 {
			t.Errorf("%d of %d claimed it, want one", won, len(all))
		}
	})
}

func TestAnInactiveAgentGetsNoWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Inactive)
		o := w.workOrder(retries(0), a)
		r := w.gateway(options{})
		r.refused(a.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusForbidden, "agent_inactive")
	})
}

func TestManifestsComeInAnswersThatAnAgentCanHold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		big := "# " + strings.Repeat("x", 5<<20) + "\n"
		var orders []workorder.Order
		for range 3 {
			orders = append(orders, w.workOrderOf(retries(1), big, a))
			time.Sleep(time.Millisecond)
		}
		huge := w.workOrderOf(retries(1), big+big, a)
		r := w.gateway(options{})
		list := func(what string) []string {
			rec := r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/work-orders/"+what, nil)
			var ids []string
			for _, o := range decode[[]wire.WorkOrder](t, rec, http.StatusOK) {
				ids = append(ids, o.ID)
			}
			return ids
		}
		if got := list("pending"); !slices.Equal(got, []string{string(orders[0].ID)}) {
			t.Errorf("pending: %v, want the first alone: two are more than 8 MiB", got)
		}
		for _, o := range append(orders, huge) {
			time.Sleep(time.Millisecond)
			r.workOrder(a.key, o, "claim", map[string]any{"agent_id": a.id}, http.StatusOK)
		}
		var all []string
		for after := ""; ; {
			page := list("claimed?after=" + after)
			if len(page) == 0 {
				break
			}
			if len(page) > 1 {
				t.Errorf("claimed: %d at once, want one", len(page))
			}
			all = append(all, page...)
			after = page[len(page)-1]
		}
		if want := []string{string(orders[0].ID), string(orders[1].ID), string(orders[2].ID), string(huge.ID)}; !slices.Equal(all, want) {
			t.Errorf("claimed: %v, want %v", all, want)
		}
		rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/work-orders/"+string(huge.ID)+"/renew", map[string]any{"lease_seconds": 30})
		if rec.Code != http.StatusOK || rec.Body.Len() > 1000 {
			t.Errorf("renew: %d with %d bytes, want no manifests", rec.Code, rec.Body.Len())
		}
	})
}
