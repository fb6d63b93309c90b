package command_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	orderID  = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1"
	orderID2 = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2"
	jobYAML  = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: i}]}}}\n"
)

func orderJSON(id, status, claimedBy, next, lastError string, retries int) string {
	return fmt.Sprintf(`{"id":%q,"created_at":"2026-08-02T11:00:00Z","updated_at":"2026-08-02T11:00:00Z","work_type":"custom","yaml_content":"kind: Job","status":%q,"claimed_by":%s,
		"claimed_at":null,"claim_ends_at":null,"claim_timeout_seconds":3600,"max_retries":3,"retry_count":%d,"backoff_seconds":60,"next_retry_after":%s,"last_error":%s,"last_error_at":null}`,
		id, status, claimedBy, retries, next, lastError)
}

func finishedJSON(id string, success bool, message string) string {
	return fmt.Sprintf(`{"id":%q,"work_type":"custom","created_at":"2026-08-02T11:00:00Z","claimed_at":"2026-08-02T11:01:00Z","completed_at":"2026-08-02T11:50:00Z","claimed_by":%q,
		"success":%t,"retries_attempted":1,"result_message":%q,"yaml_content":"kind: Job"}`, id, agentID, success, message)
}

func TestWorkOrders(t *testing.T) {
	t.Parallel()
	const (
		post   = "POST /work-orders"
		one    = "GET /work-orders/" + orderID
		entry  = "GET /work-order-log/" + orderID
		agents = "GET /agents"
	)
	pending := orderJSON(orderID, "PENDING", "null", "null", "null", 0)
	claimed := orderJSON(orderID, "CLAIMED", `"`+agentID+`"`, "null", "null", 0)
	waiting := orderJSON(orderID2, "RETRY_PENDING", "null", `"2026-08-02T12:01:00Z"`, `"Job migrate failed"`, 1)
	gone := refused(404, "work_order_not_found", "work order is not there")
	noEntry := refused(404, "work_order_log_entry_not_found", "entry is not there")
	base := routes{agents: {list(edge1)}, "GET /agents?name=edge-1": {list(edge1)}}
	done, failed := finishedJSON(orderID, true, "Job migrate succeeded"), finishedJSON(orderID, false, "Job migrate failed")
	create := "workorder create -f - "
	chart := t.TempDir()
	for name, text := range map[string]string{"Chart.yaml": "apiVersion: v2\nname: once\nversion: 1.0.0\n", "templates/cm.yaml": strings.Replace(manifest, "name: ", "name: {{ .Release.Name }}-", 1)} {
		file := filepath.Join(chart, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"create":            {create + "--label prod", base.with(routes{post: {created(pending)}}), 0},
		"create-all":        {create + "--type build --agent edge-1 --label prod --annotation region=eu --max-retries 0 --backoff 5s --claim-timeout 10m -o name", base.with(routes{post: {created(pending)}}), 0},
		"create-again":      {create + "--label prod -o json", base.with(routes{post: {{status: 502}, created(pending)}}), 0},
		"create-wait":       {create + "--label prod --wait", base.with(routes{post: {created(pending)}, one: {ok(pending), ok(claimed), {status: 503}, ok(claimed), gone}, entry: {ok(done)}}), 0},
		"create-wait-fails": {create + "--label prod --wait", base.with(routes{post: {created(pending)}, one: {gone}, entry: {ok(failed)}}), 1},
		"create-refused":    {create + "--label prod", base.with(routes{post: {refused(400, "invalid_work_order", "max_retries is 101, not between 0 and 100")}}), 1},
		"create-no-file":    {"workorder create -f testdata/none.yaml --label prod", nil, 1},
		"create-chart":      {"workorder create -f " + chart + " --release once --label prod", base.with(routes{post: {created(pending)}}), 0},
		"create-no-release": {"workorder create -f " + chart + " --label prod", nil, 1},
		"create-no-chart":   {create + "--label prod --values x.yaml", nil, 1},
		"create-usage-who":  {create, nil, 2},
		"create-usage-what": {"workorder create --label prod", nil, 2},
		"create-usage-time": {create + "--label prod --backoff 1500ms", nil, 2},
		"list":              {"workorder list", base.with(routes{"GET /work-orders": {list(claimed, waiting)}}), 0},
		"list-filtered":     {"workorder list --status retry_pending --type custom -o name", base.with(routes{"GET /work-orders?status=RETRY_PENDING&work_type=custom": {list(waiting)}}), 0},
		"list-limit": {"workorder list --limit 2 -o name", base.with(routes{
			"GET /work-orders?limit=2":          {{status: 200, body: "[" + claimed + "]", header: map[string]string{"Link": `</x?limit=1&cursor=c>; rel="next"`}}},
			"GET /work-orders?cursor=c&limit=1": {list(waiting)},
		}), 0},
		"list-usage-limit": {"workorder list --limit -1", nil, 2},
		"list-none":        {"workorder ls", base.with(routes{"GET /work-orders": {list()}}), 0},
		"list-forbidden":   {"workorder list", routes{"GET /work-orders": {refused(403, "admin_required", "this key may not do that")}}, 1},
		"list-usage":       {"workorder list --status done", nil, 2},
		"get":              {"workorder get " + orderID, base.with(routes{one: {ok(claimed)}}), 0},
		"get-finished":     {"workorder get " + orderID + " -o yaml", base.with(routes{one: {gone}, entry: {ok(done)}}), 0},
		"get-unknown":      {"workorder get " + orderID, base.with(routes{one: {gone}, entry: {noEntry}}), 1},
		"get-usage":        {"workorder get migrate", nil, 2},
		"delete":           {"workorder delete " + orderID + " --yes", routes{"DELETE /work-orders/" + orderID: {{status: 204}}}, 0},
		"delete-ask":       {"workorder delete " + orderID, nil, 2},
		"delete-unknown":   {"workorder delete " + orderID + " -y", routes{"DELETE /work-orders/" + orderID: {gone}}, 1},
		"log":              {"workorder log", base.with(routes{"GET /work-order-log?limit=100": {list(done, finishedJSON(orderID2, false, "it did not end in time"))}}), 0},
		"log-filtered":     {"workorder log --failed --agent edge-1 --type custom --limit 5 -o name", base.with(routes{"GET /work-order-log?agent_id=" + agentID + "&limit=5&success=false&work_type=custom": {list(failed)}}), 0},
		"log-none":         {"workorder log --succeeded", base.with(routes{"GET /work-order-log?limit=100&success=true": {list()}}), 0},
		"log-usage":        {"workorder log --succeeded --failed", nil, 2},
		"log-usage-limit":  {"workorder log --limit -1", nil, 2},
		"wait":             {"workorder wait " + orderID, base.with(routes{one: {ok(strings.Replace(waiting, orderID2, orderID, 1)), ok(claimed), gone}, entry: {ok(done)}}), 0},
		"wait-timeout":     {"workorder wait " + orderID + " --timeout 1s", base.with(routes{one: {ok(claimed)}}), 1},
		"wait-deleted":     {"workorder wait " + orderID, base.with(routes{one: {ok(claimed), gone}, entry: {noEntry}}), 1},
		"usage":            {"workorder creat", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Fields(tt.args), stdin: jobYAML}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.err = strings.ReplaceAll(got.err, chart, "$CHART")
			if name == "wait-timeout" {
				got.requests = nil // as many as there was time for
			}
			got.golden(t, t.Name())
		})
	}
}
