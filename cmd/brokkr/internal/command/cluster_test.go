package command_test

import (
	"strings"
	"testing"
	"time"
)

const (
	getAgentsLike = "GET /agents?q=cluster-1"
	getCluster    = "GET /agents/" + agentID + "/cluster"
	postCordon    = "POST /agents/" + agentID + "/cordon"
	postUncordon  = "POST /agents/" + agentID + "/uncordon"
	postDrain     = "POST /agents/" + agentID + "/drain"
	deleteDrain   = "DELETE /agents/" + agentID + "/drain"
	taints        = "/agents/" + agentID + "/taints"

	taintGPU    = `{"key":"gpu","value":"a100","effect":"NoPlace","since":"2026-08-02T11:00:00Z"}`
	cordoned    = `{"since":"2026-08-02T11:30:00Z","by":"admin 5555","reason":"new disks"}`
	allocatable = `{"cpu_millicores":12000,"memory_bytes":51539607552,"pods":330,"gpus":2}`
	requested   = `{"cpu_millicores":4500,"memory_bytes":17179869184,"pods":80,"gpus":0}`
	available   = `{"cpu_millicores":7500,"memory_bytes":34359738368,"pods":250,"gpus":2}`

	summary1 = `{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","agent_status":"ACTIVE","reachability":"reachable","unreachable_since":null,
		"last_heartbeat":"2026-08-02T11:59:55Z","k8s_reachable":true,"freshness":"current","status_reported_at":"2026-08-02T10:00:00Z","kubernetes_version":"v1.36.3","nodes":3,"ready_nodes":2,
		"architectures":["amd64","arm64"],"allocatable":` + allocatable + `,"requested":` + requested + `,"available":` + available + `,"unknown":{},
		"taints":[` + taintGPU + `],"cordon":` + cordoned + `,"drain":{"since":"2026-08-02T11:30:00Z","budget":2},"assigned_stacks":4,"pending_object_count":1,"health_failing":1,"health_degraded":1}`
	summary2nd = `{"agent_id":"` + agentID2 + `","agent_name":"edge-2","cluster_name":"cluster-2","agent_status":"ACTIVE","reachability":"unreachable","unreachable_since":"2026-08-02T11:00:00Z",
		"last_heartbeat":"2026-08-02T11:00:00Z","k8s_reachable":true,"freshness":"stale","status_reported_at":"2026-08-02T10:00:00Z","kubernetes_version":"v1.35.0","nodes":1,"ready_nodes":1,
		"architectures":["amd64"],"allocatable":` + allocatable + `,"requested":null,"available":null,"unknown":{"requested":"pods are forbidden"},
		"taints":[],"cordon":null,"drain":null,"assigned_stacks":0,"pending_object_count":0,"health_failing":0,"health_degraded":0}`
	summary3 = `{"agent_id":"22222222-2222-4222-8222-222222222223","agent_name":"edge-3","cluster_name":"cluster-3","agent_status":"INACTIVE","reachability":"never_connected","unreachable_since":null,
		"last_heartbeat":null,"k8s_reachable":null,"freshness":"none","status_reported_at":null,"kubernetes_version":null,"nodes":null,"ready_nodes":null,
		"architectures":[],"allocatable":null,"requested":null,"available":null,"unknown":{},
		"taints":[],"cordon":null,"drain":null,"assigned_stacks":0,"pending_object_count":0,"health_failing":0,"health_degraded":0}`
)

// known is what the API tells of cluster-1; the parts are JSON.
func known(reachability, status, taints, cordon, drain string) string {
	reported, free, silent := "null", "null", "null"
	if reachability == "unreachable" {
		silent = `"2026-08-02T11:59:55Z"`
	}
	if status != "null" {
		reported, free = `"2026-08-02T10:00:00Z"`, available
	}
	return `{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","reachability":"` + reachability + `","unreachable_since":` + silent + `,"last_heartbeat":"2026-08-02T11:59:55Z",
		"k8s_reachable":true,"status":` + status + `,"status_reported_at":` + reported + `,"status_changed_at":` + reported + `,"available":` + free + `,"taints":[` + taints + `],"cordon":` + cordon + `,
		"drain":` + drain + `,"assigned_stacks":2,"leaving_stacks":0,"dry_run":false}`
}

func drained(budget, moving, waiting, done, stacks string) string {
	return `{"since":"2026-08-02T11:58:00Z","by":"admin 5555","reason":"old iron","budget":` + budget + `,"moving":` + moving + `,"waiting":` + waiting + `,"done":` + done + `,"stacks":[` + stacks + `]}`
}

func leaving(id, name, state, elsewhere string) string {
	return `{"stack_id":"` + id + `","stack_name":"` + name + `","state":"` + state + `","released_at":null,"elsewhere":` + elsewhere + `}`
}

func TestClusters(t *testing.T) {
	t.Parallel()
	const (
		dbID   = "11111111-1111-4111-8111-111111111112"
		logID  = "11111111-1111-4111-8111-111111111113"
		pinID  = "11111111-1111-4111-8111-111111111114"
		heldID = "11111111-1111-4111-8111-111111111115"
		oldID  = "11111111-1111-4111-8111-111111111116"
	)
	found := routes{getAgentsLike: {list(edge1, strings.ReplaceAll(edge2, "cluster-2", "cluster-11"))}}
	all := routes{"GET /clusters": {list(summary1, summary2nd, summary3)}}
	bare := known("reachable", "null", "", "null", "null")
	shut := known("reachable", "null", "", cordoned, "null")
	report := `{"kubernetes_version":"v1.36.3","nodes":3,"ready_nodes":2,"allocatable":` + allocatable + `,"requested":` + requested + `,"architectures":["amd64"],
		"apis":["apps/v1","v1"],"facts":{"price":{"number":2.5,"until":"2026-12-31T23:00:00Z"},"zone":{"text":"north"}}}`
	blind := `{"nodes":0,"ready_nodes":0,"allocatable":{"cpu_millicores":0,"memory_bytes":0,"pods":0,"gpus":0},"requested":{"cpu_millicores":0,"memory_bytes":0,"pods":0,"gpus":0},
		"kubernetes_version":"v1.36.3","facts":{"zone":{"text":"north"}},"unknown":{"nodes":"nodes is forbidden","requested":"pods is forbidden","facts":"configmaps is forbidden"}}`
	running := drained("2", "1", "1", "false", leaving(stackID, "hello", "removing", "1")+","+leaving(dbID, "db", "waiting", "0"))
	parts := routes{
		"GET /agents/" + agentID + "/labels": {list(`{"id":"1","agent_id":"` + agentID + `","label":"prod"}`)}, "GET /agents/" + agentID + "/annotations": {list(`{"id":"1","agent_id":"` + agentID + `","key":"region","value":"eu"}`)},
		"GET /agents/" + agentID + "/placement": {list(`{"stack_id":"` + stackID + `","stack_name":"hello","generator_id":"` + genID + `","state":"assigned","wanted":{"deployment_object_id":"` + objectID + `","sequence_id":7},"phase":"applied","health":"healthy","since":"2026-08-02T11:00:00Z","reason":"both have the label \"prod\"","policy":null,"blocked_on":null}`)},
	}
	plan := `{"id":"p","unchanged":1,"warnings":[],"stacks":[
		{"stack_id":"` + stackID + `","stack_name":"hello","stays":1,"gains":[{"agent_id":"` + agentID2 + `","agent_name":"edge-2","cluster_name":"cluster-2","reason":"picked"}],"loses":[{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","reason":"drained"}],"hold":null,"unmet":null},
		{"stack_id":"` + dbID + `","stack_name":"db","stays":0,"gains":[],"loses":[{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","reason":"drained"}],"hold":null,"unmet":{"wanted":1,"picked":0,"reason":"no cluster fits"}},
		{"stack_id":"` + logID + `","stack_name":"log","stays":2,"gains":[],"loses":[{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","reason":"drained"}],"hold":null,"unmet":null},
		{"stack_id":"` + heldID + `","stack_name":"held","stays":0,"gains":[],"loses":[],"hold":` + hold + `,"unmet":null}]}`
	would := known("reachable", "null", "", cordoned, drained("0", "6", "0", "false", strings.Join([]string{
		leaving(dbID, "db", "released", "0"), leaving(heldID, "held", "released", "0"), leaving(stackID, "hello", "released", "1"),
		leaving(logID, "log", "released", "2"), leaving(oldID, "old", "removing", "0"), leaving(pinID, "pin", "released", "0"),
	}, ",")))
	ask := routes{postDrain: {ok(strings.Replace(would, `"dry_run":false`, `"dry_run":true`, 1))}, "POST /placement/plan": {ok(plan)}}
	step := func(drain string) answer { return ok(known("reachable", "null", "", cordoned, drain)) }
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"fleet":          {"fleet", all, 0},
		"fleet-wide":     {"fleet -o wide", all, 0},
		"fleet-filters":  {"fleet --label prod -l eu --unreachable --stale --cordoned --draining --taint gpu", routes{"GET /clusters?cordoned=true&draining=true&freshness=stale&label=prod&label=eu&reachability=unreachable&taint=gpu": {list()}}, 0},
		"fleet-one":      {"fleet cluster-2 -o name", all, 0},
		"fleet-unknown":  {"fleet nowhere", all, 1},
		"fleet-usage":    {"fleet --label=", nil, 2},
		"fleet-denied":   {"fleet", routes{"GET /clusters": {refused(403, "admin_required", "only an admin may do this")}}, 1},
		"fleet-complete": {"__complete fleet cl", routes{"GET /agents": {list(edge1, edge2)}}, 0},
		"fleet-none":     {"fleet", routes{"GET /clusters": {list()}}, 0},
		"get":            {"get clusters", all, 0},
		"get-one":        {"get cluster edge-1 -o yaml", all, 0},

		"describe":           {"describe cluster cluster-1", found.with(parts).with(routes{getCluster: {ok(known("reachable", report, taintGPU, cordoned, running))}}), 0},
		"describe-by-id":     {"describe cluster " + agentID, parts.with(routes{"GET /agents/" + agentID: {ok(edge1)}, getCluster: {ok(known("unreachable", blind, "", "null", "null"))}}), 0},
		"describe-json":      {"describe cluster cluster-1 -o json", found.with(parts).with(routes{getCluster: {ok(known("never_connected", "null", "", "null", "null"))}}), 0},
		"describe-unknown":   {"describe cluster cluster-1", routes{getAgentsLike: {list(strings.ReplaceAll(edge2, "cluster-2", "cluster-11"))}}, 1},
		"describe-ambiguous": {"describe cluster cluster-1", routes{getAgentsLike: {list(edge1, strings.ReplaceAll(edge2, "cluster-2", "cluster-1"))}}, 1},
		"describe-usage":     {"describe cluster", nil, 2},

		"cordon":         {"cordon cluster-1 --reason disks", found.with(routes{getCluster: {ok(bare)}, postCordon: {ok(shut)}}), 0},
		"cordon-again":   {"cordon cluster-1", found.with(routes{getCluster: {ok(shut)}, postCordon: {ok(shut)}}), 0},
		"cordon-usage":   {"cordon", nil, 2},
		"uncordon":       {"uncordon cluster-1", found.with(routes{getCluster: {ok(shut)}, postUncordon: {ok(bare)}}), 0},
		"uncordon-drain": {"uncordon cluster-1", found.with(routes{getCluster: {step(running)}, postUncordon: {ok(bare)}}), 0},
		"uncordon-not":   {"uncordon cluster-1", found.with(routes{getCluster: {ok(bare)}, postUncordon: {ok(bare)}}), 0},

		"drain":            {"drain cluster-1 --budget 2 --reason iron", found.with(routes{postDrain: {step(running)}}), 0},
		"drain-empty":      {"drain cluster-1", found.with(routes{postDrain: {step(drained("0", "0", "0", "true", ""))}}), 0},
		"drain-json":       {"drain cluster-1 -o json", found.with(routes{postDrain: {step(running)}}), 0},
		"drain-wait":       {"drain cluster-1 --wait", found.with(routes{postDrain: {step(running)}, getCluster: {step(running), {status: 503}, {status: 503}, {status: 503}, {status: 503}, step(drained("2", "1", "0", "false", leaving(dbID, "db", "released", "0"))), step(drained("2", "0", "0", "true", ""))}}), 0},
		"drain-wait-ended": {"drain cluster-1 --wait", found.with(routes{postDrain: {step(running)}, getCluster: {ok(bare)}}), 1},
		"drain-wait-timeout": {"drain cluster-1 --wait --timeout 1s", found.with(routes{postDrain: {step(running)}, getCluster: {ok(known("unreachable", "null", "", cordoned, running))},
			"GET /agents/" + agentID + "/placement": {list(`{"stack_id":"` + stackID + `","stack_name":"hello","state":"assigned","phase":"applied","blocked_on":"its removal is held: it would be in no cluster"}`)}}), 1},
		"drain-plan":         {"drain cluster-1 --dry-run", found.with(ask), 0},
		"drain-plan-json":    {"drain cluster-1 --dry-run -o json", found.with(routes{postDrain: {step(drained("0", "0", "0", "true", ""))}, "POST /placement/plan": {ok(`{"id":"x","unchanged":4,"warnings":[],"stacks":[]}`)}}), 0},
		"drain-cancel":       {"drain cluster-1 --cancel", found.with(routes{deleteDrain: {{status: 204}}}), 0},
		"drain-cancel-none":  {"drain cluster-1 --cancel", found.with(routes{deleteDrain: {refused(404, "drain_not_found", "the cluster is not being drained")}}), 1},
		"drain-usage":        {"drain cluster-1 --dry-run --wait", nil, 2},
		"drain-usage-cancel": {"drain cluster-1 --cancel --budget 2", nil, 2},
		"drain-usage-budget": {"drain cluster-1 --budget -1", nil, 2},

		"taint":                  {"taint cluster-1 gpu=a100:noplace maintenance:Evict", found.with(routes{"GET " + taints: {list(taintGPU)}, "PUT " + taints: {ok(taintGPU)}}), 0},
		"taint-overwrite":        {"taint cluster-1 gpu=h100:NoPlace --overwrite", found.with(routes{"GET " + taints: {list(taintGPU)}, "PUT " + taints: {ok(taintGPU)}}), 0},
		"cordon-plan":            {"cordon cluster-1 --plan p1", found.with(routes{getCluster: {ok(bare)}, postCordon + "?plan=p1": {ok(shut)}}), 0},
		"cordon-plan-outdated":   {"cordon cluster-1 --plan p1", found.with(routes{getCluster: {ok(bare)}, postCordon + "?plan=p1": {refused(409, "plan_outdated", "the world has moved")}}), 1},
		"uncordon-plan":          {"uncordon cluster-1 --plan p1", found.with(routes{getCluster: {ok(shut)}, postUncordon + "?plan=p1": {ok(bare)}}), 0},
		"drain-under-plan":       {"drain cluster-1 --budget 2 --plan p1", found.with(routes{postDrain + "?plan=p1": {step(running)}}), 0},
		"drain-under-plan-usage": {"drain cluster-1 --dry-run --plan p1", nil, 2},
		"taint-plan":             {"taint cluster-1 maintenance:Evict --plan p1", found.with(routes{"GET " + taints: {list()}, "PUT " + taints + "?plan=p1": {ok(taintGPU)}}), 0},
		"taint-plan-remove":      {"taint cluster-1 gpu:NoPlace- --plan p1", found.with(routes{"GET " + taints: {list(taintGPU)}, "DELETE " + taints + "/gpu?effect=NoPlace&plan=p1": {{status: 204}}}), 0},
		"taint-plan-usage":       {"taint cluster-1 a:Evict b:Evict --plan p1", nil, 2},
		"taint-other":            {"taint cluster-1 gpu=h100:NoPlace", found.with(routes{"GET " + taints: {list(taintGPU)}}), 1},
		"taint-remove":           {"taint cluster-1 gpu:NoPlace- gpu-", found.with(routes{"GET " + taints: {list(taintGPU)}, "DELETE " + taints + "/gpu?effect=NoPlace": {{status: 204}}, "DELETE " + taints + "/gpu": {{status: 204}}}), 0},
		"taint-missing":          {"taint cluster-1 gpu:Evict-", found.with(routes{"GET " + taints: {list(taintGPU)}}), 1},
		"taint-effect":           {"taint cluster-1 gpu=a100:NoSchedule", nil, 2},
		"taint-no-effect":        {"taint cluster-1 gpu=a100", nil, 2},
		"taint-seconds":          {"taint cluster-1 gpu:Evict:60", nil, 2},
		"taint-key":              {"taint cluster-1 :Evict", nil, 2},
		"taint-usage":            {"taint cluster-1", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " "), tick: time.Second}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}
