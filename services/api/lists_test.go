package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	transport "github.com/colliery-io/brokkr/services/api/internal/transport/http"
)

// listed is what the OpenAPI document says of a list.
type listed struct {
	op      string
	service any // nil: the api
	sorts   []string
}

// noPages are the operations that answer a list, or look as if they did, and have no pages, each with its reason.
func noPages() map[string]string {
	const queue = "the head of a queue: what the agent may take now, bounded by the server, and taken away by taking it"
	return map[string]string{
		"list_pending_for_agent":     queue,
		"get_pending_agent_webhooks": queue,
		"get_pending_diagnostics":    queue,
		"list_claimed_for_agent":     "what one agent works at, by ?after=, for the agent that starts anew",
		"get_target_state":           "the target is one state: a part of it must never be taken for the whole",
		"list_event_types":           "the closed set of words that this server knows",
		"list_audit_logs":            "the published answer is an object that holds its page; the headers are as everywhere: TestAuditLogsHavePages",
		"list_telemetry_events":      "the published answer is an object with the newest of what is kept for hours, by ?since= and ?limit=",
		"list_telemetry_logs":        "the published answer is an object with the newest of what is kept for hours, by ?since= and ?limit=",
		"list_ws_connections":        "the published answer is an object: the live channels of the replica that answers",
	}
}

// lists returns the operations that answer a list in pages. It fails for those that have none and no reason.
func lists(t *testing.T, doc *openapi3.T) []listed {
	t.Helper()
	var out []listed
	reasons := noPages()
	for _, item := range doc.Paths.Map() {
		op := item.Get
		if op == nil {
			continue
		}
		ok := op.Responses.Value("200")
		array := ok != nil && ok.Value.Content.Get("application/json") != nil && ok.Value.Content.Get("application/json").Schema.Value.Type.Is("array")
		if !array && !strings.HasPrefix(op.OperationID, "list_") {
			continue
		}
		if reasons[op.OperationID] != "" {
			delete(reasons, op.OperationID)
			continue
		}
		sort := op.Parameters.GetByInAndName("query", page.ParamSort)
		if !array || sort == nil || op.Parameters.GetByInAndName("query", page.ParamLimit) == nil || op.Parameters.GetByInAndName("query", page.ParamCursor) == nil {
			t.Errorf("%s answers a list without limit, cursor and sort: give it pages, see CONTRIBUTING.md", op.OperationID)
			continue
		}
		l := listed{op: op.OperationID, service: op.Extensions["x-brokkr-service"]}
		for _, v := range sort.Schema.Value.Enum {
			l.sorts = append(l.sorts, v.(string)) //nolint:forcetypeassert // an enum of strings
		}
		if ok.Value.Headers["Link"] == nil || ok.Value.Headers["X-Total-Count"] == nil {
			t.Errorf("%s does not document its headers Link and X-Total-Count", op.OperationID)
		}
		if op.Responses.Value("400") == nil {
			t.Errorf("%s does not document that it refuses bad queries", op.OperationID)
		}
		out = append(out, l)
	}
	for op := range reasons {
		t.Errorf("%s is said to have no pages, but is no list of the document", op)
	}
	if len(out) < 30 {
		t.Errorf("found %d lists, want all of them", len(out))
	}
	return out
}

// Each list is asked for by the parameters that the document has, and a published one is answered whole when none is given.
func TestListsAreAsDocumentedAndPublishedOnesWhole(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	routes := map[string]*rpc.ListInfo{}
	for _, r := range transport.Routes(nil, "") {
		routes[r.Op] = r.List
	}
	wholes := map[string]bool{}
	for _, f := range published(t) {
		wholes[f.id] = f.list
	}
	ownPages := map[string]int{"list_work_order_log": 100, "list_deliveries": 50} // as published
	ops := map[string]*openapi3.Operation{}
	for _, item := range c.doc.Paths.Map() {
		if item.Get != nil {
			ops[item.Get.OperationID] = item.Get
		}
	}
	for _, l := range lists(t, c.doc) {
		if l.service != nil {
			continue // the gateway has a test of its own
		}
		info := routes[l.op]
		if info == nil {
			t.Errorf("%s: the route knows nothing of pages", l.op)
			continue
		}
		for _, name := range info.Params {
			if ops[l.op].Parameters.GetByInAndName("query", name) == nil {
				t.Errorf("%s: the parameter %s is not documented", l.op, name)
			}
		}
		for _, p := range ops[l.op].Parameters {
			if own := map[string]bool{"at": true, "after": true}; p.Value.In == "query" && !slices.Contains(info.Params, p.Value.Name) && !own[p.Value.Name] {
				t.Errorf("%s: the parameter %s is documented and not read", l.op, p.Value.Name)
			}
		}
		want, own := ownPages[l.op]
		if !own && !wholes[l.op] {
			want = page.DefaultLimit
		}
		if info.Page != want {
			t.Errorf("%s: %d items when no page is asked for, want %d (0: all, as published)", l.op, info.Page, want)
		}
		if limit := ops[l.op].Parameters.GetByInAndName("query", page.ParamLimit).Schema.Value; *limit.Max != page.MaxLimit || want != 0 && limit.Default != float64(want) {
			t.Errorf("%s: the document says %v items of at most %v, want %d of %d", l.op, limit.Default, *limit.Max, want, page.MaxLimit)
		}
	}
}

// pagesOf asks for a list a page at a time and returns the items of all pages.
func (w *world) pagesOf(q request, limit int) []json.RawMessage {
	w.t.Helper()
	var out []json.RawMessage
	total, next := "", q.path+separator(q.path)+"limit="+strconv.Itoa(limit)
	for pages := 0; next != "" && pages < 100; pages++ {
		rec := w.checked(asAdmin, request{method: http.MethodGet, path: next})
		if rec.Code != http.StatusOK {
			w.t.Fatalf("%s: status %d: %s", next, rec.Code, rec.Body)
		}
		items := decode[[]json.RawMessage](w.t, rec)
		if total == "" {
			total = rec.Header().Get("X-Total-Count")
		}
		if len(items) > limit || total == "" || rec.Header().Get("X-Total-Count") != total {
			w.t.Fatalf("%s: %d items and a total of %s, want at most %d of %s", next, len(items), rec.Header().Get("X-Total-Count"), limit, total)
		}
		out, next = append(out, items...), nextLink(w.t, rec)
	}
	if strconv.Itoa(len(out)) != total {
		w.t.Errorf("%s: %d items on all pages, X-Total-Count %q", q.path, len(out), total)
	}
	return out
}

func separator(path string) string {
	if strings.Contains(path, "?") {
		return "&"
	}
	return "?"
}

// nextLink returns the path of the next page below the prefix, empty if there is none.
func nextLink(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	link := rec.Header().Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if target, ok2 := strings.CutPrefix(target, "</api/v1"); ok && ok2 {
		return target
	}
	t.Fatalf("Link %q is not as RFC 8288 has it", link)
	return ""
}

// fill makes what a list of the world is short of.
func (w *world) fill(op string) {
	w.t.Helper()
	for i := range 3 {
		switch op {
		case "list_webhooks":
			successes()["get_webhook"](w)
		case "list_join_tokens":
			w.storedJoinToken()
		case "list_agent_events":
			w.says(w.agent, "STEP-"+strconv.Itoa(i))
		}
	}
}

func TestEveryListHasPages(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for _, l := range lists(t, c.doc) {
		if l.service != nil {
			continue
		}
		t.Run(l.op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := successes()[l.op](w)
			q.path, _, _ = strings.Cut(q.path, "?")
			w.fill(l.op)
			whole := decode[[]json.RawMessage](t, w.checked(asAdmin, q))
			if len(whole) == 0 {
				t.Fatal("the world has nothing to list")
			}
			if diff := cmp.Diff(whole, w.pagesOf(q, 1)); diff != "" {
				t.Errorf("pages of one differ from the whole (-whole +pages):\n%s", diff)
			}
			for _, sort := range l.sorts {
				up := w.pagesOf(request{path: q.path + separator(q.path) + "sort=" + sort}, 2)
				if len(up) != len(whole) {
					t.Errorf("by %s: %d items, want %d", sort, len(up), len(whole))
				}
			}
			if rec := w.do(asAdmin, request{method: "GET", path: q.path + separator(q.path) + "limit=1000"}); rec.Code != http.StatusOK {
				t.Errorf("?limit=1000: got %d %s, want the most that can be asked for", rec.Code, rec.Body)
			}
			for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "cursor=garbage", "cursor=e30", "sort=nothing"} {
				rec := w.do(asAdmin, request{method: "GET", path: q.path + separator(q.path) + bad})
				if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_query" {
					t.Errorf("?%s: got %d %s, want 400 invalid_query", bad, rec.Code, rec.Body)
				}
			}
		})
	}
}

func TestAuditLogsHavePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for i := range 5 {
		w.ok(asAdmin, request{method: http.MethodPost, path: "/generators", body: fmt.Sprintf(`{"name":"made-%d"}`, i)})
	}
	type answer struct {
		Logs []struct{ ID string }
	}
	whole := decode[answer](t, w.ok(asAdmin, request{method: "GET", path: "/admin/audit-logs?action=generator.created"}))
	var paged answer
	for next := "/admin/audit-logs?action=generator.created&limit=2&offset=1"; next != ""; {
		rec := w.ok(asAdmin, request{method: "GET", path: next})
		if got := rec.Header().Get("X-Total-Count"); got != strconv.Itoa(len(whole.Logs)) {
			t.Fatalf("%s: X-Total-Count %q, want %d", next, got, len(whole.Logs))
		}
		paged.Logs = append(paged.Logs, decode[answer](t, rec).Logs...)
		next = nextLink(t, rec)
	}
	if diff := cmp.Diff(whole.Logs[1:], paged.Logs); len(whole.Logs) < 5 || diff != "" {
		t.Errorf("behind the first (-whole +pages):\n%s", diff)
	}
}

// What published clients ask for by an offset goes on by cursors, which are not shifted by what comes meanwhile.
func TestDeliveriesByOffset(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	q := successes()["list_deliveries"](w)
	q.path, _, _ = strings.Cut(q.path, "?")
	hook := webhook.ID(strings.Split(q.path, "/")[2])
	deliver := func(n int) {
		var list []webhook.Delivery
		for range n {
			list = append(list, webhook.Delivery{ID: webhook.DeliveryID(uuid.NewString()), Subscription: hook, EventType: event.StackCreated, EventID: uuid.NewString(), Payload: "{}"})
		}
		_, err := w.store.Deliveries().Enqueue(t.Context(), list)
		must(t, err)
	}
	deliver(60)
	whole := decode[[]json.RawMessage](t, w.ok(asAdmin, request{method: "GET", path: q.path + "?limit=1000"}))
	if got := decode[[]json.RawMessage](t, w.ok(asAdmin, q)); len(got) != 50 {
		t.Errorf("without a page: %d items, want 50 as published", len(got))
	}
	rec := w.ok(asAdmin, request{method: "GET", path: q.path + "?limit=10&offset=7"})
	got := decode[[]json.RawMessage](t, rec)
	deliver(3)
	for next := nextLink(t, rec); next != ""; next = nextLink(t, rec) {
		rec = w.ok(asAdmin, request{method: "GET", path: next})
		got = append(got, decode[[]json.RawMessage](t, rec)...)
	}
	if diff := cmp.Diff(whole[7:], got); diff != "" {
		t.Errorf("behind 7 (-want +got):\n%s", diff)
	}
}
