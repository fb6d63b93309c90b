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

// auditedOperations returns the operations of the api that change something, with the action that the document promises;
// empty where it promises none.
func auditedOperations(t *testing.T, c contract) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if service, _ := op.Extensions["x-brokkr-service"].(string); method == http.MethodGet || service != "" {
				continue
			}
			action, _ := op.Extensions["x-brokkr-audit"].(string)
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
	if e.Actor != (audit.Actor{Type: "admin", ID: string(key.ID), Credential: key.ID}) {
		t.Errorf("actor %+v, want the admin with credential %s", e.Actor, key.ID)
	}
	if e.Source.IP != "192.0.2.1" || e.Source.UserAgent != "audit-test/1" || e.Source.RequestID != "request-7" {
		t.Errorf("source %+v, want the request's", e.Source)
	}
	if action == "" { // the use case names nothing yet, so that the route stands for it
		if e.Action != audit.Unnamed(op) {
			t.Errorf("action %q: put it into the OpenAPI document as x-brokkr-audit", e.Action)
		}
		return
	}
	if string(e.Action) != action {
		t.Errorf("action %q, want %q as in x-brokkr-audit: append audit.Did(...) in the use case's transaction", e.Action, action)
	}
	if e.ResourceType != audit.Action(action).ResourceType() {
		t.Errorf("resource type %q of action %s", e.ResourceType, action)
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
		if build := successes()[op]; build != nil {
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
			if rec.Code != http.StatusInternalServerError {
				t.Fatalf("status %d with an audit log that cannot be written, want 500: %s", rec.Code, rec.Body)
			}
			if rec := w.do(asAdmin, q); rec.Code >= http.StatusBadRequest {
				t.Errorf("it had happened nevertheless: the same call afterwards answers %d %s", rec.Code, rec.Body)
			}
		})
	}
}
