package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// auditedOperations returns the operations of the api that change something, with the action that the document promises, or
// none where it says that there is no entry. It has to say one of both.
func auditedOperations(t *testing.T, c contract) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if service, _ := op.Extensions["x-brokkr-service"].(string); method == http.MethodGet || service != "" {
				continue
			}
			action, _ := op.Extensions["x-brokkr-audit"].(string)
			if action != "none" && (!audit.Action(action).Valid() || strings.HasPrefix(action, "api.")) {
				t.Errorf("%s: x-brokkr-audit is %q, want the action that it leaves in the audit log, or none", op.OperationID, action)
			}
			out[op.OperationID] = action
		}
	}
	return out
}

func (w *world) entries() []audit.Entry {
	w.t.Helper()
	list, _, err := w.store.AuditLog().List(w.t.Context(), audit.Filter{}, audit.Page{Limit: 1000})
	must(w.t, err)
	return list
}

func (w *world) credentialOf(as string) tenancy.Credential {
	w.t.Helper()
	parts := strings.Split(w.keys[as], "_")
	c, err := w.store.Credentials().ByShort(w.t.Context(), parts[1])
	must(w.t, err)
	return c
}

// answerID is the id of what an answer is about: its own, or that of the one thing in it.
func answerID(body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	var id string
	if json.Unmarshal(fields["id"], &id) == nil && id != "" {
		return id
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var part struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(fields[name], &part) == nil && part.ID != "" {
			return part.ID
		}
	}
	return ""
}

// Every operation that changes something leaves exactly one entry: who, what, of which thing, from where.
func TestEveryChangeLeavesOneAuditEntry(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for op, want := range auditedOperations(t, c) {
		build := successes()[op]
		if build == nil {
			continue // TestEveryMountedRouteIsDocumentedAndGuarded tells of it
		}
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			before := len(w.entries())
			q := build(w)
			q.header = map[string]string{"User-Agent": "audit-test/1", "X-Request-Id": "request-7"}
			rec := w.do(asAdmin, q)
			if rec.Code >= http.StatusBadRequest {
				t.Fatalf("status %d: %s", rec.Code, rec.Body)
			}
			made := w.entries()
			made = made[:len(made)-before]
			if want == "none" {
				if len(made) != 0 {
					t.Errorf("x-brokkr-audit is none, but it left %+v", made)
				}
				return
			}
			if len(made) != 1 {
				t.Fatalf("left %d entries, want exactly one: %+v", len(made), made)
			}
			checkEntry(t, w, made[0], op, want, q, rec.Body.Bytes())
		})
	}
}

func checkEntry(t *testing.T, w *world, e audit.Entry, op, action string, q request, answer []byte) {
	t.Helper()
	key := w.credentialOf(asAdmin)
	want := audit.Actor{Type: "admin", ID: string(key.ID), Credential: key.ID}
	if op == "join_agent" { // it takes no PAK
		want = audit.Actor{Type: audit.System}
	}
	if e.Actor != want {
		t.Errorf("actor %+v, want the admin with credential %s", e.Actor, key.ID)
	}
	if e.Source.IP != "192.0.2.1" || e.Source.UserAgent != "audit-test/1" || e.Source.RequestID != "request-7" {
		t.Errorf("source %+v, want the request's", e.Source)
	}
	if string(e.Action) != action {
		t.Errorf("action %q, want %q as in x-brokkr-audit: append audit.Did(...) in the use case's transaction", e.Action, action)
	}
	if e.ResourceType != audit.Action(action).ResourceType() {
		t.Errorf("resource type %q of action %s", e.ResourceType, action)
	}
	if e.Action == audit.ConfigReloaded { // of the process: it has no id
		return
	}
	if e.ResourceID == "" || (!strings.Contains(q.path, e.ResourceID) && !strings.Contains(q.body, e.ResourceID) && e.ResourceID != answerID(answer)) {
		t.Errorf("resource %q is neither in the path %s nor the answer's %s", e.ResourceID, q.path, answer)
	}
	switch verb := action[strings.IndexByte(action, '.')+1:]; {
	case strings.HasSuffix(verb, "created"), strings.HasSuffix(verb, "added"):
		if action != "pak.created" && (e.Before != "" || e.After == "") {
			t.Errorf("digests %q -> %q of something new", e.Before, e.After)
		}
	case strings.HasSuffix(verb, "updated"), strings.HasSuffix(verb, "changed"):
		if e.Before == "" || e.After == "" || e.Before == e.After {
			t.Errorf("digests %q -> %q of a change", e.Before, e.After)
		}
	case strings.HasSuffix(verb, "deleted"), strings.HasSuffix(verb, "removed"):
		if e.Before == "" || e.After != "" {
			t.Errorf("digests %q -> %q of something that is gone", e.Before, e.After)
		}
	}
}

// A refused call changes nothing and leaves nothing; failed authentications are counted as metrics.
func TestRefusedCallsLeaveNoAuditEntry(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	w := newWorld(t, c)
	before := len(w.entries())
	for op := range auditedOperations(t, c) {
		if build := successes()[op]; build != nil && op != "join_agent" { // which needs no PAK
			w.do(asNobody, build(w))
			w.do(asRevoked, build(w))
		}
	}
	w.do(asOther, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID)})
	if made := w.entries(); len(made) != before {
		t.Errorf("left %+v", made[:len(made)-before])
	}
}

// muted is a store whose audit log cannot be written.
type muted struct{ *memory.Store }

func (m muted) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	return m.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, mutedRepositories{tx}) })
}

type mutedRepositories struct{ ports.Repositories }

func (r mutedRepositories) AuditLog() ports.AuditLog { return mutedLog{r.Repositories.AuditLog()} }

type mutedLog struct{ ports.AuditLog }

var errMuted = errors.New("the audit log is full")

func (mutedLog) Append(context.Context, ...audit.Entry) error { return errMuted }

func TestNoChangeWithoutItsAuditEntry(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for op, action := range auditedOperations(t, c) {
		build := successes()[op]
		if build == nil || action == "none" {
			continue
		}
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			inner := memory.New(time.Now)
			w := newWorldOf(t, c, api.Config{}, inner)
			loud := w.handlerOf(muted{inner})
			q := build(w)
			r := w.build(asAdmin, q)
			rec := httptest.NewRecorder()
			loud.ServeHTTP(rec, r)
			if rec.Code != http.StatusInternalServerError || code(t, rec) != "internal_error" {
				t.Fatalf("status %d with an audit log that cannot be written, want 500: %s", rec.Code, rec.Body)
			}
			if rec := w.do(asAdmin, q); rec.Code >= http.StatusBadRequest {
				t.Errorf("it had happened nevertheless: the same call afterwards answers %d %s", rec.Code, rec.Body)
			}
		})
	}
}

// seal seals what there is and returns the newest chain.
func (w *world) seal() audit.Period {
	w.t.Helper()
	_, err := w.store.AuditKeeper().Seal(w.t.Context(), 1000)
	must(w.t, err)
	chains, err := w.store.AuditLog().Chains(w.t.Context())
	must(w.t, err)
	return chains[len(chains)-1].Period
}

type auditPage struct {
	Logs []struct {
		ID        string  `json:"id"`
		Action    string  `json:"action"`
		ActorName *string `json:"actor_name"`
		IP        *string `json:"ip_address"`
	} `json:"logs"`
	Total, Count, Limit, Offset int
	NextCursor                  string `json:"next_cursor"`
}

func TestAuditLogIsPagedAndFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.do(asOwner, request{method: "PUT", path: "/stacks/" + string(w.stack.ID), body: `{"description":"one"}`})
	w.do(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/labels/tier%2Fweb"})
	ask := func(query string) auditPage {
		t.Helper()
		rec := w.checked(asAdmin, request{method: "GET", path: "/admin/audit-logs" + query})
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, rec.Code, rec.Body)
		}
		return decode[auditPage](t, rec)
	}
	of := ask("?actor_type=generator&actor_id=" + string(w.owner.ID))
	if of.Total != 2 || of.Logs[0].Action != "stack.label_removed" || of.Logs[1].Action != "stack.updated" || *of.Logs[0].ActorName != "owner" || *of.Logs[0].IP != "192.0.2.1" {
		t.Errorf("the owner's: got %+v, want its two changes, newest first", of)
	}
	if got := ask("?resource_id=" + string(w.stack.ID) + "&action=stack.*&limit=2"); got.Total != 3 || got.Count != 2 || got.Limit != 2 || got.NextCursor == "" {
		t.Errorf("of the stack: got %+v, want 2 of 3", got)
	} else if rest := ask("?resource_id=" + string(w.stack.ID) + "&action=stack.*&limit=2&cursor=" + got.NextCursor); rest.Count != 1 || rest.Logs[0].Action != "stack.created" || rest.NextCursor != "" {
		t.Errorf("the second page: got %+v, want the first entry", rest)
	}
	if got := ask("?offset=1&limit=1&resource_id=" + string(w.stack.ID)); got.Offset != 1 || got.Logs[0].Action != "stack.updated" {
		t.Errorf("by offset: got %+v", got)
	}
	if got := ask("?to=1999-01-01T00:00:00Z"); got.Total != 0 || got.Logs == nil {
		t.Errorf("long ago: got %+v, want an empty list", got)
	}
	if got := ask("?limit=100000"); got.Limit != 1000 {
		t.Errorf("limit %d, want at most 1000", got.Limit)
	}
	for _, query := range []string{"?actor_id=x", "?resource_id=x", "?from=yesterday", "?to=9999-12-31T00:00:00Z", "?limit=many", "?offset=-1", "?cursor=%21"} {
		rec := w.do(asAdmin, request{method: "GET", path: "/admin/audit-logs" + query})
		if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_query" {
			t.Errorf("%s: got %d %s, want 400 invalid_query", query, rec.Code, rec.Body)
		}
	}
}

type auditReport struct {
	OK       bool
	Entries  int
	Unsealed int
	Broken   *struct {
		Chain    string
		Sequence int
		Reason   string
	}
}

// spoiled is a store whose audit log somebody has changed behind Brokkr's back.
type spoiled struct {
	*memory.Store
	spoil func(audit.Entry) (audit.Entry, bool)
}

func (s spoiled) AuditLog() ports.AuditLog { return spoiledLog{s.Store.AuditLog(), s.spoil} }

type spoiledLog struct {
	ports.AuditLog
	spoil func(audit.Entry) (audit.Entry, bool)
}

func (l spoiledLog) Sealed(ctx context.Context, p audit.Period, seq int64, limit int) ([]audit.Entry, error) {
	list, err := l.AuditLog.Sealed(ctx, p, seq, limit)
	out := list[:0]
	for _, e := range list {
		if e, keep := l.spoil(e); keep {
			out = append(out, e)
		}
	}
	return out, err
}

func TestVerifyFindsTheFirstWrongEntry(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	inner := memory.New(time.Now)
	w := newWorldOf(t, c, api.Config{}, inner)
	w.seal()
	w.do(asOwner, request{method: "PUT", path: "/stacks/" + string(w.stack.ID), body: `{"description":"one"}`})
	ask := func(h http.Handler) auditReport {
		t.Helper()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, w.build(asAdmin, request{method: "GET", path: "/admin/audit-logs/verify"}))
		if rec.Code != http.StatusOK {
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		return decode[auditReport](t, rec)
	}
	whole := ask(w.handler)
	if !whole.OK || whole.Entries < 10 || whole.Unsealed != 1 || whole.Broken != nil {
		t.Fatalf("untouched: got %+v, want all right, and one not sealed", whole)
	}
	for name, tc := range map[string]struct {
		spoil func(audit.Entry) (audit.Entry, bool)
		at    int
	}{
		"changed": {func(e audit.Entry) (audit.Entry, bool) {
			if e.Seq == 4 {
				e.Actor.Type = "generator"
			}
			return e, true
		}, 4},
		"changed, with a new hash": {func(e audit.Entry) (audit.Entry, bool) {
			if e.Seq == 4 {
				e.Actor.Type = "generator"
				e.Hash = e.Sum()
			}
			return e, true
		}, 4},
		"deleted":         {func(e audit.Entry) (audit.Entry, bool) { return e, e.Seq != 3 }, 3},
		"the end deleted": {func(e audit.Entry) (audit.Entry, bool) { return e, e.Seq < int64(whole.Entries) }, whole.Entries},
		"moved": {func(e audit.Entry) (audit.Entry, bool) {
			if e.Seq == 2 || e.Seq == 3 {
				e.Seq = 5 - e.Seq
			}
			return e, true
		}, 2},
	} {
		got := ask(w.handlerOf(spoiled{inner, tc.spoil}))
		if got.OK || got.Broken == nil || got.Broken.Sequence != tc.at || got.Broken.Chain == "" || got.Broken.Reason == "" {
			t.Errorf("%s: got %+v (%+v), want entry %d", name, got, got.Broken, tc.at)
		}
	}
}
