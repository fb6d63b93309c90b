package gateway_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// What an agent has reported is answered whole, as published, or in pages that add up to the same.
func TestEventsOfAnAgentHavePages(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, other, admin := w.agent("a", agent.Active), w.agent("b", agent.Active), w.admin()
		s := w.stack("web")
		o := w.publish(s.ID, "kind: A")
		w.assign(o, a, other)
		for n := range 205 { // two pages and a bit, were it in pages
			from := a
			if n%41 == 40 {
				from = other
			}
			_, err := w.store.Reports().AddEvent(w.Context(), agent.Event{
				ID: agent.EventID(uuid.NewString()), Agent: from.id, Object: o.ID, Type: "DEPLOY", Status: "STEP-" + strconv.Itoa(n),
				CreatedAt: time.Now(), UpdatedAt: time.Now(),
			})
			w.must(err)
		}
		r := w.gateway(options{})
		path := "/api/v1/agents/" + string(a.id) + "/events"
		rec := r.do(w.Context(), admin, http.MethodGet, path, nil)
		whole := decode[[]json.RawMessage](t, rec, http.StatusOK)
		if len(whole) != 200 || rec.Header().Get("X-Total-Count") != "200" || rec.Header().Get("Link") != "" {
			t.Fatalf("whole: %d items, headers %v; want 200 and no next page", len(whole), rec.Header())
		}
		var paged []json.RawMessage
		for next := path + "?limit=30"; next != ""; {
			rec := r.do(w.Context(), a.key, http.MethodGet, next, nil)
			paged = append(paged, decode[[]json.RawMessage](t, rec, http.StatusOK)...)
			if rec.Header().Get("X-Total-Count") != "200" {
				t.Errorf("%s: X-Total-Count %q, want 200", next, rec.Header().Get("X-Total-Count"))
			}
			next = ""
			if link, ok := strings.CutSuffix(rec.Header().Get("Link"), `>; rel="next"`); ok {
				next = strings.TrimPrefix(link, "<")
			}
		}
		if diff := cmp.Diff(whole, paged); diff != "" {
			t.Errorf("pages (-whole +pages):\n%s", diff)
		}
		for query, want := range map[string]int{"?status=STEP-3": 1, "?event_type=REMOVE": 0, "?deployment_object_id=" + string(o.ID): 200, "?generator_id=" + string(s.Generator) + "&limit=7": 7} {
			if got := decode[[]json.RawMessage](t, r.do(w.Context(), admin, http.MethodGet, path+query, nil), http.StatusOK); len(got) != want {
				t.Errorf("%s: %d items, want %d", query, len(got), want)
			}
		}
		for _, bad := range []string{"?limit=0", "?cursor=garbage", "?sort=nothing"} {
			if rec := r.do(w.Context(), admin, http.MethodGet, path+bad, nil); rec.Code != http.StatusBadRequest {
				t.Errorf("%s: got %d, want 400", bad, rec.Code)
			}
		}
	})
}
