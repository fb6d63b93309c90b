package command_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	webhookID   = "66666666-6666-4666-8666-666666666661"
	webhookID2  = "66666666-6666-4666-8666-666666666662"
	deliveryID  = "77777777-7777-4777-8777-777777777771"
	deliveryID2 = "77777777-7777-4777-8777-777777777772"
	eventID     = "88888888-8888-4888-8888-888888888881"
)

// webhookJSON is a webhook; more begins with a comma or is empty.
func webhookJSON(id, name, filters, labels, more string) string {
	return fmt.Sprintf(`{"id":%q,"name":%q,"has_url":true,"has_auth_header":true,"event_types":["deployment.*","stack.deleted"],"filters":%s,"target_labels":%s,
		"enabled":%t,"max_retries":5,"timeout_seconds":30,"created_at":"2026-08-02T10:00:00.123456Z","updated_at":"2026-08-02T10:00:00.123456Z","created_by":"admin"%s}`,
		id, name, filters, labels, labels == "null", more)
}

func deliveryJSON(id, status, next, lastError string) string {
	return fmt.Sprintf(`{"id":%q,"subscription_id":%q,"event_type":"deployment.failed","event_id":%q,"payload":"{\"id\":\"x\"}","target_labels":null,"status":%q,
		"acquired_by":null,"acquired_until":null,"attempts":2,"last_attempt_at":null,"next_retry_at":%s,"last_error":%s,"created_at":"2026-08-02T11:58:00Z","completed_at":null}`,
		id, webhookID, eventID, status, next, lastError)
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	const (
		get      = "GET /webhooks"
		post     = "POST /webhooks"
		put      = "PUT /webhooks/" + webhookID
		testNow  = "POST /webhooks/" + webhookID + "/test"
		again    = "POST /webhook-deliveries/" + deliveryID + "/redeliver"
		feed     = "GET /webhook-deliveries"
		newer    = `,"signing_secret":"brokkr_whsec_made"`
		fromFile = "webhook create ops --url-file testdata/webhook/url.txt --event deployment.*,stack.deleted"
	)
	ops := webhookJSON(webhookID, "ops", `{"agent_id":"`+agentID+`","stack_id":null}`, "null", "")
	made := webhookJSON(webhookID, "ops", "null", "null", newer)
	inside := webhookJSON(webhookID2, "inside", "null", `["dmz","prod"]`, "")
	there := routes{get: {list(ops, inside)}}
	failed := deliveryJSON(deliveryID, "failed", `"2026-08-02T12:00:32Z"`, `"status 503"`)
	dead := deliveryJSON(deliveryID2, "dead", "null", `"the address 10.0.0.1 is not public"`)
	gone := refused(404, "webhook_not_found", "webhook is not there")
	for name, tt := range map[string]struct {
		args   string // '' is an empty argument
		stdin  string
		routes routes
		exit   int
	}{
		"list":                   {"webhook list", "", there, 0},
		"list-wide":              {"webhook list -o wide", "", there, 0},
		"list-name":              {"webhook list ops -o name", "", routes{get + "?name=ops": {list(ops)}}, 0},
		"list-none":              {"webhook list", "", routes{get: {list()}}, 0},
		"get":                    {"webhook get inside", "", there, 0},
		"get-yaml":               {"webhook get ops -o yaml", "", there, 0},
		"get-id":                 {"webhook get " + webhookID + " -o json", "", routes{"GET /webhooks/" + webhookID: {ok(ops)}}, 0},
		"get-id-unknown":         {"webhook get " + webhookID, "", routes{"GET /webhooks/" + webhookID: {gone}}, 1},
		"get-unknown":            {"webhook get other", "", there, 1},
		"get-ambiguous":          {"webhook get ops", "", routes{get: {list(ops, webhookJSON(webhookID2, "ops", "null", "null", ""))}}, 1},
		"create":                 {fromFile, "", routes{post: {created(made)}}, 0},
		"create-name":            {fromFile + " -o name", "", routes{post: {created(made)}}, 0},
		"create-json":            {fromFile + " -o json", "", routes{post: {created(made)}}, 0},
		"create-own-secret":      {fromFile + " --signing-secret-file testdata/webhook/secret.txt", "", routes{post: {created(ops)}}, 0},
		"create-stdin":           {"webhook create ops --url-file - --event *", "https://ops.example.com/x\r\n", routes{post: {created(made)}}, 0},
		"create-stdin-auth":      {"webhook create ops --endpoint https://ops.example.com --auth-header-file - --event *", "Bearer abc\n", routes{post: {created(made)}}, 0},
		"create-all":             {fromFile + " --auth-header Bearer-x --agent edge-1 --stack hello --target-label dmz --target-label prod --max-retries 0 --timeout 1m30s --disabled", "", routes{post: {created(made)}, "GET /agents?name=edge-1": {list(edge1)}, getStacksByName: {list(hello)}}, 0},
		"create-no-agent":        {fromFile + " --agent edge-1", "", routes{"GET /agents?name=edge-1": {list()}}, 1},
		"create-refused":         {fromFile, "", routes{post: {refused(400, "invalid_url_scheme", "url must begin with http:// or https://")}}, 1},
		"create-forbidden":       {fromFile, "", routes{post: {refused(403, "forbidden", "this key may not do that")}}, 1},
		"create-lost":            {fromFile, "", routes{post: {{status: 502}}}, 1},
		"create-file-empty":      {"webhook create ops --url-file testdata/webhook/empty.txt --event *", "", nil, 1},
		"create-file-lines":      {"webhook create ops --url-file testdata/webhook/two.txt --event *", "", nil, 1},
		"create-file-missing":    {"webhook create ops --url-file testdata/webhook/none.txt --event *", "", nil, 1},
		"create-stdin-large":     {"webhook create ops --url-file - --event *", strings.Repeat("x", 65537), nil, 1},
		"create-usage-name":      {"webhook create --url-file x --event *", "", nil, 2},
		"create-usage-url":       {"webhook create ops --event * --url http://broker", "", nil, 2},
		"create-usage-event":     {"webhook create ops --url-file x", "", nil, 2},
		"create-usage-no-event":  {"webhook create ops --url-file x --event ''", "", nil, 2},
		"create-usage-two-urls":  {"webhook create ops --url-file x --endpoint y --event *", "", nil, 2},
		"create-usage-two-stdin": {"webhook create ops --url-file - --auth-header-file - --event *", "x", nil, 2},
		"create-usage-timeout":   {"webhook create ops --url-file x --event * --timeout 1500ms", "", nil, 2},
		"update":                 {"webhook update ops --event * --name ops-2 --max-retries 7", "", there.with(routes{put: {ok(ops)}}), 0},
		"update-rotate":          {"webhook update ops --rotate-signing-secret", "", there.with(routes{put: {ok(made)}}), 0},
		"update-rotate-lost":     {"webhook update ops --rotate-signing-secret", "", there.with(routes{put: {{status: 502}}}), 1},
		"update-clear":           {"webhook update ops --agent '' --auth-header '' --target-label ''", "", there.with(routes{put: {ok(ops)}}), 0},
		"update-add-filter":      {"webhook update ops --stack hello", "", there.with(routes{put: {ok(ops)}, getStacksByName: {list(hello)}}), 0},
		"update-disable":         {"webhook update ops --disable -o name", "", there.with(routes{put: {ok(ops)}}), 0},
		"update-enable":          {"webhook update ops --enable", "", there.with(routes{put: {ok(ops)}}), 0},
		"update-url":             {"webhook update ops --url-file -", "https://new.example.com", there.with(routes{put: {ok(ops)}}), 0},
		"update-refused":         {"webhook update ops --timeout 10m", "", there.with(routes{put: {refused(422, "invalid_webhook", "timeout_seconds is 600, not between 1 and 300")}}), 1},
		"update-usage":           {"webhook update ops -o json", "", nil, 2},
		"update-usage-both":      {"webhook update ops --enable --disable", "", nil, 2},
		"delete":                 {"webhook delete ops --yes", "", there.with(routes{"DELETE /webhooks/" + webhookID: {{status: 204}}}), 0},
		"delete-ask":             {"webhook delete ops", "", there, 2},
		"test":                   {"webhook test ops", "", there.with(routes{testNow: {ok(`{"success":true,"status_code":204,"message":"the receiver took the test event"}`)}}), 0},
		"test-agent":             {"webhook test ops", "", there.with(routes{testNow: {ok(`{"success":true,"status_code":null,"message":"the receiver took the test event"}`)}}), 0},
		"test-json":              {"webhook test ops -o json", "", there.with(routes{testNow: {ok(`{"success":true,"status_code":204,"message":"the receiver took the test event"}`)}}), 0},
		"test-failed":            {"webhook test ops", "", there.with(routes{testNow: {{status: 400, body: `{"code":"webhook_test_failed","message":"the test failed: status 503","details":{"status_code":503}}`}}}), 1},
		"deliveries":             {"webhook deliveries", "", there.with(routes{feed + "?limit=50": {list(failed, dead)}}), 0},
		"deliveries-of-one":      {"webhook deliveries ops --status dead --event deployment.failed -o wide", "", there.with(routes{feed + "?event_type=deployment.failed&limit=50&status=dead&subscription_id=" + webhookID: {list(failed, dead)}}), 0},
		"deliveries-pages":       {"webhook deliveries ops --limit 2 -o name", "", there.with(routes{feed + "?limit=2&subscription_id=" + webhookID: {{status: 200, body: "[" + failed + "]", header: map[string]string{"Link": `</api/v1/webhook-deliveries?cursor=9&limit=2>; rel="next"`}}}, feed + "?cursor=9&limit=2": {{status: 200, body: "[" + dead + "]", header: map[string]string{"Link": `</api/v1/webhook-deliveries?cursor=8&limit=1>; rel="next"`}}}}), 0},
		"deliveries-json":        {"webhook deliveries -o json", "", there.with(routes{feed + "?limit=50": {list(failed)}}), 0},
		"deliveries-none":        {"webhook deliveries ops", "", there.with(routes{feed + "?limit=50&subscription_id=" + webhookID: {list()}}), 0},
		"deliveries-usage":       {"webhook deliveries --status lost", "", nil, 2},
		"deliveries-usage-limit": {"webhook deliveries --limit -1", "", nil, 2},
		"redeliver":              {"webhook redeliver " + deliveryID, "", routes{again: {ok(deliveryJSON(deliveryID, "pending", "null", "null"))}}, 0},
		"redeliver-yaml":         {"webhook redeliver " + deliveryID + " -o yaml", "", routes{again: {ok(deliveryJSON(deliveryID, "pending", "null", "null"))}}, 0},
		"redeliver-disabled":     {"webhook redeliver " + deliveryID, "", routes{again: {refused(422, "webhook_disabled", `webhook "ops" is disabled and delivers nothing; enable it first`)}}, 1},
		"redeliver-in-progress":  {"webhook redeliver " + deliveryID, "", routes{again: {refused(422, "delivery_in_progress", "delivery "+deliveryID+" is being tried right now")}}, 1},
		"redeliver-unknown":      {"webhook redeliver " + deliveryID, "", routes{again: {refused(404, "delivery_not_found", "delivery is not there")}}, 1},
		"redeliver-usage":        {"webhook redeliver ops", "", nil, 2},
		"event-types":            {"webhook event-types", "", routes{"GET /webhooks/event-types": {list(`"stack.created"`, `"deployment.failed"`)}}, 0},
		"event-types-json":       {"webhook event-types -o json", "", routes{"GET /webhooks/event-types": {list(`"stack.created"`)}}, 0},
		"complete":               {"__complete webhook get o", "", there, 0},
		"usage":                  {"webhook creat", "", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := strings.Split(tt.args, " ")
			for i, a := range args {
				if a == "''" {
					args[i] = ""
				}
			}
			got := run{routes: tt.routes, args: args, stdin: tt.stdin}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			for _, secret := range []string{"token=t", "Bearer abc", "long enough"} {
				if strings.Contains(got.out+got.err, secret) {
					t.Errorf("a secret that was read is printed: %s%s", got.out, got.err)
				}
			}
			got.golden(t, t.Name())
		})
	}
}
