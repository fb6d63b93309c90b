package command_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	policyID  = "66666666-6666-4666-8666-666666666661"
	policyID2 = "66666666-6666-4666-8666-666666666662"
	webEU     = `{"name":"web-eu","clusters":{"labels":["prod"]},"strategy":{"type":"count","count":{"min":1,"max":2}}}`
)

func policyJSON(id, owner string, revision int, document, warnings string) string {
	return fmt.Sprintf(`{"id":%q,%s,"generator_id":%q,"name":"web-eu","revision":%d,"document":%s,"stacks":1,"stack_labels":["tier/web"],"warnings":[%s]}`,
		id, times, owner, revision, document, warnings)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	p, next := policyJSON(policyID, genID, 2, webEU, ""), policyJSON(policyID, genID, 3, webEU, `{"path":"clusters.labels[0]","message":"no cluster has the label"}`)
	const one = "/placement-policies/" + policyID
	named := routes{"GET /placement-policies?name=web-eu": {list(p)}}
	none := routes{"GET /placement-policies?name=web-eu": {list()}}
	stackFound := routes{getStacksByName: {list(hello)}}
	apply := "name: web-eu\nclusters: {labels: [prod]}\nstrategy: {type: count, count: {min: 1, max: 3}}\n"
	for name, tt := range map[string]struct {
		args   string
		stdin  string
		routes routes
		exit   int
	}{
		"list":                {"policy list", "", routes{"GET /placement-policies": {list(p)}}, 0},
		"list-wide":           {"policy list web-eu -o wide", "", named, 0},
		"list-none":           {"policy list", "", routes{"GET /placement-policies": {list()}}, 0},
		"get":                 {"policy get web-eu", "", named, 0},
		"get-json":            {"policy get " + policyID + " -o json", "", routes{"GET " + one: {ok(p)}}, 0},
		"get-revision":        {"policy get web-eu --revision 1", "", named.with(routes{"GET " + one + "/revisions/1": {ok(`{"policy_id":"` + policyID + `","revision":1,"created_at":"2026-08-02T10:00:00Z","document":{"name":"web-eu","strategy":{}}}`)}}), 0},
		"get-unknown":         {"policy get web-eu", "", none, 1},
		"get-ambiguous":       {"policy get web-eu", "", routes{"GET /placement-policies?name=web-eu": {list(p, policyJSON(policyID2, genID2, 1, webEU, ""))}}, 1},
		"apply-new":           {"policy apply -f -", apply, none.with(routes{"POST /placement-policies": {created(policyJSON(policyID, genID, 1, webEU, ""))}}), 0},
		"apply-next":          {"policy apply -f -", apply, named.with(routes{"PUT " + one: {ok(next)}}), 0},
		"apply-unchanged":     {"policy apply -f -", webEU, named.with(routes{"PUT " + one: {ok(p)}}), 0},
		"apply-plan":          {"policy apply -f - --plan p1", apply, named.with(routes{"PUT " + one + "?plan=p1": {ok(next)}}), 0},
		"apply-outdated":      {"policy apply -f - --plan p1", apply, named.with(routes{"PUT " + one + "?plan=p1": {refused(409, "plan_outdated", "the world has moved")}}), 1},
		"apply-refused":       {"policy apply -f -", apply, none.with(routes{"POST /placement-policies": {{status: 400, body: `{"code":"invalid_policy","message":"strategy.count: min is greater than max (and 1 more problems)","details":{"problems":[{"path":"strategy.count","message":"min is greater than max"},{"path":"","message":"nothing fits"}]}}`}}}), 1},
		"apply-ambiguous":     {"policy apply -f -", apply, routes{"GET /placement-policies?name=web-eu": {list(p, policyJSON(policyID2, genID2, 1, webEU, ""))}}, 1},
		"apply-for":           {"policy apply -f - --generator " + genID2, apply, named.with(routes{"GET /generators/" + genID2: {ok(other)}, "POST /placement-policies?generator_id=" + genID2: {created(policyJSON(policyID2, genID2, 1, webEU, ""))}}), 0},
		"apply-no-name":       {"policy apply -f -", "clusters: {}", nil, 1},
		"apply-twice":         {"policy apply -f -", "name: a\nname: b\n", nil, 1},
		"apply-usage":         {"policy apply", "", nil, 2},
		"diff":                {"policy diff -f -", apply, named, 1},
		"diff-none":           {"policy diff -f -", webEU, named, 0},
		"diff-new":            {"policy diff -f - -o json", "name: web-eu\n", none, 1},
		"diff-revisions":      {"policy diff web-eu --from 1", "", named.with(routes{"GET " + one + "/revisions/1": {ok(`{"policy_id":"` + policyID + `","revision":1,"created_at":"2026-08-02T10:00:00Z","document":{"name":"web-eu","strategy":{}}}`)}}), 1},
		"diff-unknown":        {"policy diff web-eu --from 1", "", none, 2},
		"diff-usage":          {"policy diff web-eu", "", nil, 2},
		"history":             {"policy history web-eu", "", named.with(routes{"GET " + one + "/revisions": {ok(`[{"policy_id":"` + policyID + `","revision":2,"created_at":"2026-08-02T11:00:00Z"},{"policy_id":"` + policyID + `","revision":1,"created_at":"2026-08-02T10:00:00Z"}]`)}}), 0},
		"delete":              {"policy delete web-eu --yes", "", named.with(routes{"DELETE " + one + "?detach=false": {{status: 204}}}), 0},
		"delete-attached":     {"policy delete web-eu --yes", "", named.with(routes{"DELETE " + one + "?detach=false": {refused(422, "placement_policy_attached", "the policy is attached to 1 stacks")}}), 1},
		"delete-detach":       {"policy delete web-eu --yes --detach", "", named.with(routes{"DELETE " + one + "?detach=true": {{status: 204}}}), 0},
		"delete-ask":          {"policy delete web-eu --detach", "", named, 2},
		"attach":              {"policy attach web-eu --stack hello", "", named.with(stackFound).with(routes{"PUT /stacks/" + stackID + "/placement-policy": {ok(`{"policy_id":"` + policyID + `","name":"web-eu","revision":2,"by":"stack","stack_label":null}`)}}), 0},
		"attach-stack-warned": {"policy attach web-eu --stack hello", "", named.with(stackFound).with(routes{"PUT /stacks/" + stackID + "/placement-policy": {ok(`{"policy_id":"` + policyID + `","name":"web-eu","revision":2,"by":"stack","stack_label":null,"warnings":[{"path":"requires.cpu","message":"8 is more than any cluster that fits can allocate (4 at most)"}]}`)}}), 0},
		"detach-cycle":        {"policy detach --stack hello", "", stackFound.with(routes{"DELETE /stacks/" + stackID + "/placement-policy": {refused(422, "dependency_cycle", "the stacks would wait for one another for ever, each for the next: hello -> db -> hello")}}), 1},
		"attach-label":        {"policy attach web-eu --label tier/web", "", named.with(routes{"PUT " + one + "/stack-labels/tier%2Fweb": {ok(p)}}), 0},
		"attach-cycle":        {"policy attach web-eu --stack hello", "", named.with(stackFound).with(routes{"PUT /stacks/" + stackID + "/placement-policy": {refused(422, "dependency_cycle", "the stacks would wait for one another for ever, each for the next: hello -> db -> hello")}}), 1},
		"attach-warned":       {"policy attach web-eu --label tier/web", "", named.with(routes{"PUT " + one + "/stack-labels/tier%2Fweb": {ok(next)}}), 0},
		"apply-cycle":         {"policy apply -f -", apply, named.with(routes{"PUT " + one: {refused(422, "dependency_cycle", "the stacks would wait for one another for ever, each for the next: hello -> db -> hello")}}), 1},
		"attach-usage":        {"policy attach web-eu", "", nil, 2},
		"detach":              {"policy detach --stack hello", "", stackFound.with(routes{"DELETE /stacks/" + stackID + "/placement-policy": {{status: 204}}}), 0},
		"detach-label":        {"policy detach web-eu --label tier/web", "", named.with(routes{"DELETE " + one + "/stack-labels/tier%2Fweb": {{status: 204}}}), 0},
		"detach-usage":        {"policy detach web-eu --stack hello", "", nil, 2},
		"complete":            {"__complete policy get w", "", routes{"GET /placement-policies": {list(p)}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " "), stdin: tt.stdin}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	verdicts := `{"agent_id":"` + agentID + `","cluster":"cluster-1","agent_name":"edge-1","picked":true,"reasons":[{"rule":"label","wanted":"prod","observed":"prod","message":"both have the label \"prod\""}]},
		{"agent_id":"` + agentID2 + `","cluster":"cluster-2","agent_name":"edge-2","picked":false,"reasons":[{"rule":"expression","wanted":"kubernetes.version >= 1.30","observed":"1.29","message":"the version is too old"},{"rule":"taint","message":"the cluster has the taint maintenance"}]}`
	decided := func(more string) string {
		return `{"stack_id":"` + stackID + `","generation":7,"decided_at":"2026-08-02T11:30:00Z","cause":"placement_policy.changed","trace_id":"","hold":null,"wake_at":null,"unmet":{"wanted":3,"picked":1,"reason":"no more clusters fit"},` + more + `,"verdicts":[` + verdicts + `]}`
	}
	byID := `"policy":{"policy_id":"` + policyID + `","name":"web-eu","revision":2,"by":"stack","stack_label":null}`
	byLabel := `"policy":{"policy_id":"` + policyID + `","name":"web-eu","revision":2,"by":"label","stack_label":"tier/web"}`
	ranking := strings.NewReplacer(verdicts, `{"agent_id":"`+agentID+`","cluster":"cluster-1","agent_name":"edge-1","picked":true,"reasons":[{"rule":"picked","wanted":"web-eu","message":"picked by the policy \"web-eu\""}],
			"ranked":true,"group":"primary","avoided":false,"spread":[{"by":"annotation.region","domain":"eu-west","picked":1,"fewest":0}],"score":173,"incumbent":true,
			"scores":[{"name":"available.cpu","observed":"12","weight":1,"points":75},{"name":"facts.cost","observed":"2.5","weight":3,"points":78},{"name":"stickiness","observed":"it is here already","points":20}]},
		{"agent_id":"`+agentID2+`","cluster":"cluster-2","agent_name":"edge-2","picked":false,"reasons":[{"rule":"outranked","wanted":"at most 1 clusters","observed":"180 points","message":"it fits, but others come first"}],
			"ranked":true,"group":"overflow","avoided":true,"spread":[{"by":"annotation.region","picked":0,"fewest":0}],"score":180,"incumbent":false,"scores":[{"name":"available.cpu","observed":"64","weight":1,"points":100},{"name":"facts.cost","observed":"-","weight":3,"points":80}]},
		{"agent_id":"x3","cluster":"cluster-3","agent_name":"edge-3","picked":false,"reasons":[{"rule":"label","message":"it has no label"}],"ranked":false,"avoided":false,"spread":[],"score":0,"scores":[],"incumbent":false}`).Replace(decided(byID))
	old := strings.Replace(decided(byID), `"rule":"label","wanted":"prod"`, `"rule":"picked","wanted":"web-eu"`, 1)
	const placement = "GET /stacks/" + stackID + "/placement"
	stackFound := routes{getStacksByName: {list(hello)}}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"all":              {"explain hello", stackFound.with(routes{placement: {ok(decided(byID))}}), 0},
		"cluster":          {"explain hello cluster-2", stackFound.with(routes{placement: {ok(decided(byLabel))}}), 0},
		"agent":            {"explain hello edge-1 -o json", stackFound.with(routes{placement: {ok(decided(`"policy":null`))}}), 0},
		"ranking":          {"explain hello", stackFound.with(routes{placement: {ok(ranking)}}), 0},
		"ranking-one":      {"explain hello cluster-2 --at 15m", stackFound.with(routes{placement + "?at=2026-08-02T11%3A45%3A00Z": {ok(ranking)}}), 0},
		"ranking-yaml":     {"explain hello cluster-1 -o yaml", stackFound.with(routes{placement: {ok(ranking)}}), 0},
		"ranking-not-kept": {"explain hello --at 15m", stackFound.with(routes{placement + "?at=2026-08-02T11%3A45%3A00Z": {ok(old)}}), 0},
		"cluster-unknown":  {"explain hello cluster-9", stackFound.with(routes{placement: {ok(decided(byID))}}), 1},
		"at":               {"explain hello --at 2026-08-02T11:45:00Z", stackFound.with(routes{placement + "?at=2026-08-02T11%3A45%3A00Z": {ok(decided(byID))}}), 0},
		"ago":              {"explain hello --at 15m", stackFound.with(routes{placement + "?at=2026-08-02T11%3A45%3A00Z": {ok(decided(byID))}}), 0},
		"at-nothing":       {"explain hello --at 48h", stackFound.with(routes{placement + "?at=2026-07-31T12%3A00%3A00Z": {refused(404, "decision_not_found", "nothing")}}), 1},
		"at-usage":         {"explain hello --at noon", nil, 2},
		"usage":            {"explain", nil, 2},
		"held":             {"explain hello", stackFound.with(routes{placement: {ok(strings.Replace(decided(byID), `"hold":null`, `"hold":{"since":"2026-08-02T11:58:00Z","cause":"fleet_window","reason":"would remove 1 assignments where the fleet's window admits 0 more","removes":["`+agentID+`"],"of":2,"fingerprint":"f","until":"2026-08-02T12:06:00Z"}`, 1))}}), 0},
		"undecided":        {"explain hello", stackFound.with(routes{placement: {ok(`{"stack_id":"` + stackID + `","generation":0,"decided_at":null,"cause":"","trace_id":"","policy":null,"wake_at":null,"hold":null,"verdicts":[]}`)}}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " ")}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const ask = "POST /placement/plan"
	plan := `{"id":"abc","unchanged":3,"warnings":[],"stacks":[{"stack_id":"` + stackID + `","stack_name":"hello","stays":1,
		"gains":[{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","reason":"picked by the policy"}],
		"loses":[{"agent_id":"` + agentID2 + `","agent_name":"edge-2","cluster_name":"cluster-2","reason":"the cluster has no label \"eu\""}],
		"hold":null,"unmet":{"wanted":3,"picked":2,"reason":"no more clusters fit"}}]}`
	held := strings.Replace(plan, `"hold":null`, `"hold":{"since":"2026-08-02T12:00:00Z","cause":"fleet_window","reason":"would remove 1 assignments where the fleet's window admits 0 more",
		"removes":["`+agentID2+`"],"of":2,"fingerprint":"f","until":"2026-08-02T12:06:00Z"}`, 1)
	found := routes{"GET /placement-policies?name=web-eu": {list(policyJSON(policyID, genID, 2, webEU, ""))}}
	agents := routes{"GET /agents?q=edge-1": {list(edge1)}}
	empty := `{"id":"x","unchanged":4,"warnings":[],"stacks":[]}`
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"policy":      {"plan -f -", found.with(routes{ask: {ok(plan)}}), 0},
		"held":        {"plan -f -", found.with(routes{ask: {ok(held)}}), 0},
		"held-ever":   {"plan -f -", found.with(routes{ask: {ok(strings.Replace(held, `,"until":"2026-08-02T12:06:00Z"`, "", 1))}}), 0},
		"json":        {"plan -f - -o json", found.with(routes{ask: {ok(plan)}}), 0},
		"unknown":     {"plan -f -", routes{"GET /placement-policies?name=web-eu": {list()}}, 1},
		"drain":       {"plan --agent edge-1 --drain --unlabel prod", agents.with(routes{ask: {ok(empty)}}), 0},
		"cluster":     {"plan --cluster edge-1 --label eu --annotation region=eu --unannotate tier --taint gpu=a100:noplace --untaint old --cordon", agents.with(routes{ask: {ok(empty)}}), 0},
		"lost":        {"plan --cluster edge-1 --lost", agents.with(routes{ask: {ok(empty)}}), 0},
		"attach":      {"plan --policy web-eu --stack hello", found.with(routes{getStacksByName: {list(hello)}, ask: {ok(plan)}}), 0},
		"cycle":       {"plan --policy web-eu --stack hello", found.with(routes{getStacksByName: {list(hello)}, ask: {refused(422, "dependency_cycle", "the stacks would wait for one another for ever, each for the next: hello -> db -> hello")}}), 1},
		"override":    {"plan -f -", found.with(routes{ask: {{status: 400, body: `{"code":"invalid_policy","message":"overrides[0].patches[0]: stack hello: /spec/replicas is not there","details":{"problems":[{"path":"overrides[0].patches[0]","message":"stack hello: /spec/replicas is not there"}]}}`}}}), 1},
		"warned":      {"plan -f -", found.with(routes{ask: {ok(`{"id":"x","unchanged":4,"stacks":[],"warnings":[{"path":"clusters.labels[0]","message":"none of the 3 clusters that the generator may use has the label \"prod\""}]}`)}}), 0},
		"usage":       {"plan --agent edge-1", nil, 2},
		"usage-taint": {"plan --cluster edge-1 --taint gpu-", nil, 2},
		"usage-half":  {"plan --policy web-eu", nil, 2},
		"usage-both":  {"plan -f - --cluster edge-1 --drain", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " "), stdin: webEU}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}
