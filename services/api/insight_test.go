package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// says stores an event of the agent about the world's object; each has a text of its own.
func (w *world) says(a agent.Agent, status string) agent.Event {
	w.t.Helper()
	text, now := uuid.NewString(), time.Now()
	e, err := w.store.Reports().AddEvent(w.t.Context(), agent.Event{
		ID: agent.EventID(uuid.NewString()), Agent: a.ID, Object: w.object.ID, Type: "DEPLOY", Status: status, Message: &text,
		CreatedAt: now, UpdatedAt: now,
	})
	must(w.t, err)
	return e
}

// feels stores what the agent says of an object's health.
func (w *world) feels(a agent.Agent, o stack.Object, h delivery.Health, summary string) {
	w.t.Helper()
	_, err := w.store.Reports().Record(w.t.Context(), a.ID, time.Now(), []delivery.Report{{
		Stack: o.Stack, Object: o.ID, Sequence: o.Sequence, Phase: delivery.PhaseApplied, Health: h, Summary: summary, ObservedAt: time.Now(),
	}})
	must(w.t, err)
}

type objectHealth struct {
	Overall string `json:"overall_status"`
	Records []struct {
		ID      string          `json:"id"`
		Agent   agent.ID        `json:"agent_id"`
		Status  delivery.Health `json:"status"`
		Summary *string         `json:"summary"`
	} `json:"health_records"`
}

type stackHealth struct {
	Overall string `json:"overall_status"`
	Objects []struct {
		ID       stack.ObjectID `json:"id"`
		Status   string         `json:"status"`
		Healthy  int            `json:"healthy_agents"`
		Degraded int            `json:"degraded_agents"`
		Failing  int            `json:"failing_agents"`
	} `json:"deployment_objects"`
}

func TestHealthOfAnObjectAndItsStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	second := w.newAgentOf("second", "second agent", w.owner)
	w.decide(w.stack, nil, second)
	of := func(o stack.Object) objectHealth {
		t.Helper()
		return decode[objectHealth](t, w.ok(asAdmin, request{method: "GET", path: "/deployment-objects/" + string(o.ID) + "/health"}))
	}
	stackOf := func() stackHealth {
		t.Helper()
		return decode[stackHealth](t, w.ok(asAdmin, request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/health"}))
	}
	if got := of(w.object); got.Overall != "unknown" || len(got.Records) != 0 {
		t.Errorf("before any report: got %+v, want unknown", got)
	}
	if got := stackOf(); got.Overall != "unknown" || len(got.Objects) != 1 || got.Objects[0].ID != w.object.ID {
		t.Errorf("before any report: got %+v, want the newest object, unknown", got)
	}
	summary := `{"pods_ready":1,"pods_total":2,"conditions":[]}`
	w.feels(w.agent, w.object, delivery.HealthHealthy, "")
	w.feels(second, w.object, delivery.HealthProgressing, summary)
	got := of(w.object)
	if got.Overall != "degraded" || len(got.Records) != 2 {
		t.Fatalf("got %+v, want two records, degraded altogether", got)
	}
	for _, r := range got.Records {
		switch {
		case r.Agent == second.ID && (r.Status != delivery.HealthDegraded || r.Summary == nil || *r.Summary != summary):
			t.Errorf("what is progressing: got %+v, want degraded with its summary", r)
		case r.Agent == w.agent.ID && (r.Status != delivery.HealthHealthy || r.Summary != nil):
			t.Errorf("what is healthy: got %+v, want no summary", r)
		}
	}
	if again := of(w.object); again.Records[0].ID != got.Records[0].ID || again.Records[0].ID == again.Records[1].ID {
		t.Errorf("ids of records: got %+v after %+v, want them stable and distinct", again.Records, got.Records)
	}
	newer := w.publish(w.stack)
	w.decide(w.stack, nil, w.agent)
	w.feels(w.agent, newer, delivery.HealthFailing, "")
	if got := of(w.object); len(got.Records) != 1 || got.Records[0].Agent != second.ID {
		t.Errorf("the older object: got %+v, want the record of the agent that still has it", got)
	}
	health := stackOf()
	if health.Overall != "failing" || len(health.Objects) != 2 || health.Objects[0].ID != newer.ID ||
		health.Objects[0].Failing != 1 || health.Objects[1].Degraded != 1 || health.Objects[1].Status != "degraded" {
		t.Errorf("got %+v, want the newer object failing and the older degraded", health)
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	list := func(query string) map[agent.ID]fleet.View {
		t.Helper()
		out := map[agent.ID]fleet.View{}
		for _, v := range decode[[]fleet.View](t, w.ok(asAdmin, request{method: "GET", path: "/fleet" + query})) {
			out[v.Agent] = v
		}
		return out
	}
	must(t, w.store.Agents().Beat(t.Context(), []agent.Heartbeat{{Agent: w.agent.ID, At: time.Now().Add(-90 * time.Second)}}))
	all := list("")
	if len(all) != 4 {
		t.Fatalf("got %d agents, want all four", len(all))
	}
	v := all[w.agent.ID]
	if v.PendingObjects != 2 || v.HeartbeatAgeSeconds == nil || *v.HeartbeatAgeSeconds < 90 || *v.HeartbeatAgeSeconds > 120 || v.Connected || v.LastEventAt != nil {
		t.Errorf("got %+v, want two pending objects and a heartbeat 90 seconds ago", v)
	}
	if mine := list("?pak_id=" + string(w.owner.ID)); len(mine) != 1 || mine[w.agent.ID].Name != w.agent.Name {
		t.Errorf("of the owner: got %+v, want its agent alone", mine)
	}
	for query, want := range map[string]string{
		"?pak_id=" + uuid.NewString():            "generator_not_found",
		"?pak_id=" + w.generatorID("__system__"): "system_generator_not_a_tenant",
		"?pak_id=x":                              "invalid_id",
	} {
		if got := code(t, w.checked(asAdmin, request{method: "GET", path: "/fleet" + query})); got != want {
			t.Errorf("%s: got code %q, want %q", query, got, want)
		}
	}
}

func TestFleetStatusShowsTwentyEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	var last agent.Event
	for range 25 {
		last = w.says(w.agent, "FAILURE")
	}
	w.says(w.otherAgent, "SUCCESS")
	got := decode[struct {
		Record fleet.View `json:"record"`
		Events []struct {
			ID    agent.EventID `json:"id"`
			Agent agent.ID      `json:"agent_id"`
		} `json:"recent_events"`
	}](t, w.ok(asAdmin, request{method: "GET", path: "/agents/" + string(w.agent.ID) + "/fleet-status"}))
	if got.Record.Agent != w.agent.ID || len(got.Events) != 20 || got.Events[0].ID != last.ID || got.Record.SecondsSinceLastEvent == nil {
		t.Errorf("got %+v, want the agent's record and its last 20 events", got)
	}
	if got := code(t, w.checked(asAdmin, request{method: "GET", path: "/agents/" + uuid.NewString() + "/fleet-status"})); got != "agent_not_found" {
		t.Errorf("nobody's: got code %q, want agent_not_found", got)
	}
}

func TestAgentEventsFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	feed := func(query string) []agent.EventID {
		t.Helper()
		out := []agent.EventID{}
		for _, e := range decode[[]struct {
			ID agent.EventID `json:"id"`
		}](t, w.ok(asAdmin, request{method: "GET", path: "/agent-events" + query})) {
			out = append(out, e.ID)
		}
		return out
	}
	if got := feed(""); len(got) != 0 {
		t.Errorf("before any event: got %v, want an empty list", got)
	}
	want := []agent.EventID{}
	for n := range 1203 { // more than two pages
		from := w.agent
		if n%3 == 0 {
			from = w.otherAgent
		}
		want = append([]agent.EventID{w.says(from, "STEP-"+strconv.Itoa(n)).ID}, want...)
	}
	if diff := cmp.Diff(want, feed("")); diff != "" {
		t.Errorf("the feed (-want +got):\n%s", diff)
	}
	if got := feed("?pak_id=" + string(w.owner.ID)); len(got) != len(want) {
		t.Errorf("of the owner: got %d events, want all %d: they are about its stack", len(got), len(want))
	}
	if got := feed("?pak_id=" + string(w.other.ID)); len(got) != 0 {
		t.Errorf("of the other: got %d events, want none", len(got))
	}
	if got := code(t, w.checked(asAdmin, request{method: "GET", path: "/agent-events/" + uuid.NewString()})); got != "agent_event_not_found" {
		t.Errorf("unknown event: got code %q, want agent_event_not_found", got)
	}
}

// away is a cache that does not answer.
type away struct{ ports.Channels }

func (away) Since(context.Context, []agent.ID) (map[agent.ID]time.Time, error) {
	return nil, fault.New(fault.Unavailable, "unavailable", "away")
}

// The fleet view tells who is connected, as gateways say; when nobody can tell, it tells the rest.
func TestTheFleetTellsWhoIsConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	port := memory.NewChannels(time.Now)
	since := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
	_, err := port.Announce(t.Context(), "a gateway", ports.Announcement{Opened: map[agent.ID]time.Time{w.agent.ID: since}, For: time.Hour})
	must(t, err)
	store := w.store.(*memory.Store) //nolint:forcetypeassert // newWorld's is one
	for name, c := range map[string]struct {
		port ports.Channels
		want bool
	}{"told": {port, true}, "cannot be told": {away{port}, false}} {
		h := w.handlerOf(store, func(d *api.Deps) { d.Channels = c.port })
		seen := map[agent.ID]fleet.View{}
		for _, v := range decode[[]fleet.View](t, w.on(h, asAdmin, request{method: "GET", path: "/fleet?limit=3"})) {
			seen[v.Agent] = v
		}
		one := decode[struct{ Record fleet.View }](t, w.on(h, asAdmin, request{method: "GET", path: "/agents/" + string(w.agent.ID) + "/fleet-status"})).Record
		for what, v := range map[string]fleet.View{"list": seen[w.agent.ID], "status": one} {
			if v.Agent != w.agent.ID || v.Connected != c.want || (v.ConnectedSince != nil) != c.want || (c.want && !v.ConnectedSince.Equal(since)) {
				t.Errorf("%s, %s: got %+v, want it connected: %t", name, what, v, c.want)
			}
		}
		if v := seen[w.otherAgent.ID]; v.Agent != w.otherAgent.ID || v.Connected || v.ConnectedSince != nil {
			t.Errorf("%s: the other agent: got %+v, want it not connected", name, v)
		}
	}
}

// breaking fails from the second page of the feed on.
type breaking struct{ *memory.Store }

type breakingInsights struct{ ports.Insights }

func (s breaking) Insights() ports.Insights { return breakingInsights{s.Store.Insights()} }

func (x breakingInsights) Feed(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Event], error) {
	if q.After != nil {
		return page.Page[agent.Event]{}, fault.New(fault.Unavailable, "database_unavailable", "gone")
	}
	return x.Insights.Feed(ctx, scope, q)
}

func TestAFeedThatBreaksIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{}, breaking{memory.New(time.Now)})
	for range 1001 {
		w.says(w.agent, "STEP")
	}
	server := httptest.NewServer(w.handler)
	defer server.Close()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/agent-events", nil)
	must(t, err)
	q.Header.Set("Authorization", w.keys[asAdmin])
	res, err := server.Client().Do(q)
	if err != nil {
		return // cut before the head of the answer was on its way
	}
	defer res.Body.Close() //nolint:errcheck // the test's own
	var list []json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&list); err == nil {
		t.Errorf("got %d events as if they were all, want a broken answer", len(list))
	}
}

// asked stores a request of the world's object at its agent.
func (w *world) asked() diagnostic.Request {
	w.t.Helper()
	now := time.Now()
	r := diagnostic.Request{ID: diagnostic.ID(uuid.NewString()), Agent: w.agent.ID, Object: w.object.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	must(w.t, w.store.Diagnostics().Insert(w.t.Context(), r))
	got, _, err := w.store.Diagnostics().Get(w.t.Context(), tenancy.Everything(), r.ID)
	must(w.t, err)
	return got
}

func TestADiagnosticIsAskedAndAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	before := w.end()
	ask := func(body string) *httptest.ResponseRecorder {
		return w.checked(asAdmin, request{method: "POST", path: "/deployment-objects/" + string(w.object.ID) + "/diagnostics", body: body})
	}
	type asked struct {
		ID        diagnostic.ID     `json:"id"`
		Status    diagnostic.Status `json:"status"`
		By        *string           `json:"requested_by"`
		CreatedAt time.Time         `json:"created_at"`
		ExpiresAt time.Time         `json:"expires_at"`
	}
	got := decode[asked](t, ask(`{"agent_id":"`+string(w.agent.ID)+`","requested_by":"me","retention_minutes":5}`))
	if got.Status != diagnostic.Pending || got.By == nil || *got.By != "me" || got.ExpiresAt.Sub(got.CreatedAt) != 5*time.Minute {
		t.Errorf("got %+v, want it pending for five minutes", got)
	}
	if events := w.since(before); len(events) != 1 || events[0].Type != event.DiagnosticRequested || events[0].Agent != w.agent.ID || events[0].Object != w.object.ID {
		t.Errorf("events: got %+v, want one diagnostic.requested", events)
	}
	stored, _, err := w.store.Diagnostics().Get(t.Context(), tenancy.Everything(), got.ID)
	must(t, err)
	claimed, err := stored.Claim(time.Now())
	must(t, err)
	must(t, w.store.Diagnostics().Move(t.Context(), stored, claimed, nil))
	done, err := claimed.Complete(time.Now())
	must(t, err)
	must(t, w.store.Diagnostics().Move(t.Context(), claimed, done, &diagnostic.Result{
		ID: diagnostic.ResultID(uuid.NewString()), Request: got.ID, PodStatuses: "[]", Events: "[]", CollectedAt: time.Now(), CreatedAt: time.Now(),
	}))
	for _, as := range []string{asAdmin, asSelf} {
		whole := decode[struct {
			Request asked `json:"request"`
			Result  *struct {
				PodStatuses string  `json:"pod_statuses"`
				LogTails    *string `json:"log_tails"`
			} `json:"result"`
		}](t, w.ok(as, request{method: "GET", path: "/diagnostics/" + string(got.ID)}))
		if whole.Request.Status != diagnostic.Completed || whole.Result == nil || whole.Result.PodStatuses != "[]" || whole.Result.LogTails != nil {
			t.Errorf("as %s: got %+v, want it completed with its result", as, whole)
		}
	}
	for body, want := range map[string]string{
		`{"agent_id":"` + uuid.NewString() + `"}`:                         "agent_not_found",
		`{"agent_id":"x"}`:                                                "invalid_diagnostic_request",
		`{"agent_id":"` + string(w.agent.ID) + `","retention_minutes":0}`: "invalid_diagnostic_request",
		`{"agent_id":"` + string(w.agent.ID) + `","requested_by":"` + strings.Repeat("m", 257) + `"}`: "invalid_diagnostic_request",
	} {
		rec := w.do(asAdmin, request{method: "POST", path: "/deployment-objects/" + string(w.object.ID) + "/diagnostics", body: body})
		if got := code(t, rec); got != want {
			t.Errorf("%s: got code %q, want %q", body, got, want)
		}
	}
	nothing := request{method: "POST", path: "/deployment-objects/" + uuid.NewString() + "/diagnostics", body: `{"agent_id":"` + string(w.agent.ID) + `"}`}
	if got := code(t, w.checked(asAdmin, nothing)); got != "deployment_object_not_found" {
		t.Errorf("of no object: got code %q, want deployment_object_not_found", got)
	}
}

func TestADiagnosticThatNobodyAnswersExpiresAndGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for expired, want := range map[time.Duration]int{time.Minute: http.StatusOK, time.Hour + time.Minute: http.StatusNotFound} {
		now := time.Now()
		r := diagnostic.Request{ID: diagnostic.ID(uuid.NewString()), Agent: w.agent.ID, Object: w.object.ID, CreatedAt: now.Add(-3 * time.Hour), ExpiresAt: now.Add(-expired)}
		must(t, w.store.Diagnostics().Insert(t.Context(), r))
		rec := w.checked(asAdmin, request{method: "GET", path: "/diagnostics/" + string(r.ID)})
		if rec.Code != want || (want == http.StatusOK && !strings.Contains(rec.Body.String(), `"status":"expired"`)) {
			t.Errorf("expired %v ago: got %d %s, want %d", expired, rec.Code, rec.Body, want)
		}
	}
}
