package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/api"
)

func (w *world) observe(a agent.ID, at time.Time, n int) {
	w.t.Helper()
	p := observation.Parcel{Agent: a, Gaps: []observation.Gap{{Stack: w.stack.ID, Since: at, Dropped: 4, Reason: observation.GapRateLimit}}}
	for i := range n {
		p.Lines = append(p.Lines, observation.Line{Stack: w.stack.ID, Namespace: "shop", Pod: "web-0", Container: "app", At: at, Text: fmt.Sprint("line ", i)})
		p.Events = append(p.Events, observation.Event{Stack: w.stack.ID, ObservedAt: at, Reason: "Pulled", Message: fmt.Sprint("event ", i), Type: "Normal",
			Object: observation.Object{Kind: "Pod", Name: "web-0"}})
	}
	_, err := w.store.Observations().Add(w.t.Context(), at, []observation.Parcel{p})
	must(w.t, err)
}

func TestTheHistoryOfAStackIsShownWithWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	now := time.Now()
	w.observe(w.agent.ID, now.Add(-7*time.Hour), 3) // too old to be shown, whether or not it is there yet
	w.observe(w.agent.ID, now.Add(-2*time.Hour), 3)
	w.observe(w.agent.ID, now.Add(-time.Minute), 3)
	path := "/stacks/" + string(w.stack.ID)
	type answer struct {
		Retention struct {
			Ceiling   int        `json:"retention_ceiling_seconds"`
			Effective int        `json:"effective_retention_seconds"`
			Oldest    *time.Time `json:"oldest_available_ts"`
			Hint      string     `json:"long_term_sink_hint"`
		}
		Lines, Events, Gaps []map[string]any
	}
	for query, want := range map[string]struct{ rows, gaps int }{
		"": {6, 2}, "?limit=2": {2, 2}, "?limit=100000": {6, 2},
		"?since=" + url.QueryEscape(now.Add(-time.Hour).Format(time.RFC3339)): {3, 1},
	} {
		logs := decode[answer](t, w.checked(asOwner, request{method: "GET", path: path + "/logs" + query}))
		events := decode[answer](t, w.checked(asOwner, request{method: "GET", path: path + "/events" + query}))
		if len(logs.Lines) != want.rows || len(events.Events) != want.rows || len(logs.Gaps) != want.gaps {
			t.Errorf("%q: got %d lines, %d events and %d gaps, want %+v", query, len(logs.Lines), len(events.Events), len(logs.Gaps), want)
		}
		for _, r := range []answer{logs, events} {
			if r.Retention.Ceiling != 21600 || r.Retention.Effective != 21600 || !strings.Contains(r.Retention.Hint, "Datadog") {
				t.Errorf("retention: got %+v", r.Retention)
			}
			if o := r.Retention.Oldest; o == nil || o.Before(now.Add(-3*time.Hour)) || o.After(now.Add(-time.Hour)) {
				t.Errorf("oldest: got %v, want two hours ago", o)
			}
		}
		if last := logs.Lines[len(logs.Lines)-1]; last["line"] != "line 2" || last["agent_id"] != string(w.agent.ID) {
			t.Errorf("last line: got %v, want the newest", last)
		}
	}
	for _, query := range []string{"since=yesterday", "limit=0", "limit=x"} {
		rec := w.do(asOwner, request{method: "GET", path: path + "/logs?" + query})
		if rec.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", query, rec.Code)
		}
	}
}

func TestAConfiguredRetentionIsFelt(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	must(t, err)
	svc, err := api.New(t.Context(), api.Config{}, api.Deps{Store: store, Wakeups: store, Sender: outbound.ToTheWorld(nil), Telemetry: tel, Retention: time.Hour})
	must(t, err)
	w.handler = svc.Handler()
	w.observe(w.agent.ID, time.Now().Add(-2*time.Hour), 3)
	rec := w.checked(asOwner, request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/logs"})
	if body := rec.Body.String(); !strings.Contains(body, `"lines":[]`) || !strings.Contains(body, `"effective_retention_seconds":3600`) || !strings.Contains(body, `"oldest_available_ts":null`) {
		t.Errorf("got %s, want nothing from before one hour ago", body)
	}
}
