package command_test

import (
	"strings"
	"testing"
)

const (
	retention = `"retention":{"retention_ceiling_seconds":21600,"effective_retention_seconds":21600,"oldest_available_ts":null,"long_term_sink_hint":""}`
	logsOf    = `{` + retention + `,"lines":[
		{"id":"1","agent_id":"a1","stack_id":"` + stackID + `","namespace":"shop","pod":"web-0","container":"app","ts":"2026-08-02T11:59:00Z","line":"started \u001b[31mred","created_at":"2026-08-02T11:59:01Z"},
		{"id":"2","agent_id":"a2","stack_id":"` + stackID + `","namespace":"shop","pod":"web-1","container":"app","ts":"2026-08-02T11:59:02Z","line":"ready","created_at":"2026-08-02T11:59:03Z"}],
		"gaps":[{"agent_id":"a1","stack_id":"` + stackID + `","since_ts":"2026-08-02T11:58:00Z","dropped_count":7,"reason":"rate_limit"}]}`
	eventsOf = `{` + retention + `,"events":[{"id":"1","agent_id":"a1","stack_id":"` + stackID + `","observed_at":"2026-08-02T11:59:00Z","reason":"BackOff","message":"restarting","event_type":"Warning","source":"kubelet",
		"involved_object":{"api_version":"v1","kind":"Pod","namespace":"shop","name":"web-0","uid":"u"},"created_at":"2026-08-02T11:59:01Z"}]}`
	twoAgents = `[{"id":"a1",` + times + `,"name":"one","cluster_name":"east","status":"ACTIVE"},{"id":"a2",` + times + `,"name":"two","cluster_name":"west","status":"ACTIVE"}]`
)

func TestLogsAndEventsAreShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args     []string
		path     string
		answer   string
		out, err string
		exit     int
	}{
		"logs": {[]string{"logs", stackID}, "/logs?limit=500", logsOf,
			"east shop/web-0/app started [31mred\nwest shop/web-1/app ready\n", "7 lines are missing since 2026-08-02T11:58:00Z: rate_limit", 0},
		"of a cluster": {[]string{"logs", stackID, "--cluster", "west"}, "/logs?limit=500", logsOf, "west shop/web-1/app ready\n", "", 0},
		"since":        {[]string{"logs", stackID, "--since", "10m", "--tail", "5"}, "/logs?limit=5&since=2026-08-02T11%3A50%3A00Z", logsOf, "east shop/web-0/app", "", 0},
		"nothing":      {[]string{"logs", stackID}, "/logs?limit=500", `{` + retention + `,"lines":[],"gaps":[]}`, "", "nothing is kept", 0},
		"events": {[]string{"events", stackID}, "/events?limit=500", eventsOf,
			"2026-08-02T11:59:00Z east Warning BackOff Pod/web-0 restarting\n", "", 0},
		"too many": {[]string{"logs", stackID, "--tail", "5001"}, "/logs", "", "", "--tail is 5001", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run{args: tt.args, routes: routes{"GET /agents": {ok(twoAgents)}, "GET /stacks/" + stackID + tt.path: {ok(tt.answer)}}}.do(t)
			if res.exit != tt.exit || !strings.HasPrefix(res.out, tt.out) || (strings.HasSuffix(tt.out, "\n") && res.out != tt.out) || !strings.Contains(res.err, tt.err) {
				t.Errorf("got %d\n%s%s, want %d\n%s%s", res.exit, res.out, res.err, tt.exit, tt.out, tt.err)
			}
		})
	}
}
