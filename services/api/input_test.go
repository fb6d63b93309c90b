package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Every operation with a JSON body says which field it does not know, refuses another content type and takes no body beyond the
// limit. Those that take whole objects (PUT) ignore what cannot be changed.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	changing := auditedOperations(t, c)
	whole := map[string]bool{"update_agent": true, "update_generator": true, "update_stack": true}
	documents := map[string]bool{"create_placement_policy": true, "update_placement_policy": true} // they tell of problems in words of their own
	for op, build := range successes() {
		if _, ok := changing[op]; !ok {
			continue
		}
		var fields map[string]any
		probe := newWorld(t, c)
		q := build(probe)
		if json.Unmarshal([]byte(q.body), &fields) != nil || fields == nil {
			continue
		}
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := build(w)
			fields := map[string]any{}
			if err := json.Unmarshal([]byte(q.body), &fields); err != nil {
				t.Fatal(err)
			}
			fields["no_such_field"] = 1
			more, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			typed := q
			typed.contentType = "text/plain"
			if rec := w.do(asAdmin, typed); rec.Code != http.StatusUnsupportedMediaType || code(t, rec) != "unsupported_media_type" {
				t.Errorf("text/plain: got %d %s, want 415", rec.Code, rec.Body)
			}
			large := q
			large.body = `{"x":"` + strings.Repeat("x", 17<<20) + `"}`
			if rec := w.do(asAdmin, large); rec.Code != http.StatusRequestEntityTooLarge || code(t, rec) != "body_too_large" {
				t.Errorf("a body beyond the limit: got %d %s, want 413", rec.Code, rec.Body)
			}
			q.body = string(more)
			rec := w.do(asAdmin, q)
			switch {
			case whole[op] && rec.Code >= http.StatusBadRequest:
				t.Errorf("a whole object: got %d %s, want what is not known ignored", rec.Code, rec.Body)
			case documents[op]: // TestInvalidPolicies
			case !whole[op] && (rec.Code != http.StatusBadRequest || code(t, rec) != "unknown_field" || !strings.Contains(rec.Body.String(), "no_such_field")):
				t.Errorf("an unknown field: got %d %s, want 400 unknown_field that names it", rec.Code, rec.Body)
			}
		})
	}
}
