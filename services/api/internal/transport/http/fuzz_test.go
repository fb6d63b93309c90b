package http

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
)

// Whatever stands in a query is understood within its bounds, or refused as the caller's mistake.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"", "limit=1&offset=2", "limit=-1", "limit=99999999999999999999", "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00%2B01:00", "from=0000-01-01T00:00:00Z",
		"actor_id=0F8FAD5B-D9CB-469F-A165-70867728950E", "cursor=MjAyNg", "action=stack.*", "%zz", "a=%00", ";", "chain=2026-13", "name=%ff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/admin/audit-logs", nil)
		r.URL.RawQuery = query
		q, err := auditRequest(r)
		if err != nil && (!fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_query") {
			t.Fatalf("%q: %v, want invalid_query", query, err)
		}
		if err == nil {
			if q.page.Limit < 1 || q.page.Limit > auditMaxLimit || q.page.Offset < 0 {
				t.Fatalf("%q: limit %d, offset %d", query, q.page.Limit, q.page.Offset)
			}
			if (q.filter.ActorID != "" && !id.Valid(q.filter.ActorID)) || (q.filter.ResourceID != "" && !id.Valid(q.filter.ResourceID)) {
				t.Fatalf("%q: %+v has an id that is none", query, q.filter)
			}
			if m := q.page.After; m != nil {
				again := *markOf(audit.Entry{At: m.At.UTC(), ID: m.ID})
				r.URL.RawQuery = "cursor=" + again
				if back, err := queryMark(r.URL.Query()); err != nil || !back.At.Equal(m.At) || back.ID != m.ID {
					t.Fatalf("%q: the cursor comes back as %v, %v", query, back, err)
				}
			}
			for _, at := range []time.Time{q.filter.From, q.filter.To} {
				if !at.IsZero() && (at.Year() < 1969 || at.Year() > 9999) {
					t.Fatalf("%q: the time %s cannot be kept", query, at)
				}
			}
		}
		if _, err := verifyRequest(r); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%q: %v", query, err)
		}
	})
}
