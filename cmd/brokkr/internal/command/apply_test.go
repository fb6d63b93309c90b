package command_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/source"
)

// applyRoutes are what an apply of an admin reads when the stack is there with manifest as its newest object.
func applyRoutes() routes {
	return routes{
		postAuth: {ok(admin)}, getAdminGen: {list(generator)}, getStacksByName: {list(hello)}, getNewest: {list(object(objectID, 7, manifest))},
		postObject: {created(object(objID2, 8, manifest2))},
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	label := `{"id":"x","stack_id":"` + stackID + `","label":"prod"}`
	for name, tt := range map[string]struct {
		content string
		args    string
		routes  routes
		tick    time.Duration
		exit    int
	}{
		"created": {manifest, "--label prod --description x", applyRoutes().with(routes{
			getStacksByName: {list()}, "POST /stacks": {created(hello)}, postLabels: {created(label)}, getNewest: {list()}, postObject: {created(object(objectID, 7, manifest))},
		}), 0, 0},
		"updated":           {manifest2, "", applyRoutes(), 0, 0},
		"unchanged":         {manifest, "--label prod", applyRoutes().with(routes{postLabels: {refused(409, "unique_violation", "there already")}}), 0, 0},
		"unchanged-trimmed": {manifest + "\n\n", "-o json", applyRoutes(), 0, 0},
		"after-marker": {manifest, "", applyRoutes().with(routes{
			getNewest:  {list(strings.Replace(object(objectID, 7, manifest), `"is_deletion_marker":false`, `"is_deletion_marker":true`, 1))},
			postObject: {created(object(objID2, 8, manifest))},
		}), 0, 0},
		"as-generator": {manifest2, "-o name", applyRoutes().with(routes{postAuth: {ok(asGen)}}), 0, 0},
		"by-id":        {manifest2, "--stack " + stackID, applyRoutes().with(routes{"GET /stacks/" + stackID: {ok(hello)}}), 0, 0},
		"other-owner":  {manifest2, "--generator team-a", applyRoutes().with(routes{"GET /generators?name=team-a": {list(other)}, "POST /stacks": {created(hello)}}), 0, 0},
		"annotations":  {manifest, "--annotation region=eu --annotation tier=web", applyRoutes().with(routes{"POST /stacks/" + stackID + "/annotations": {created(`{}`), refused(409, "unique_violation", "there already")}, "GET /stacks/" + stackID + "/annotations": {list(`{"key":"tier","value":"web"}`)}}), 0, 0},
		"target":       {manifest, "--target edge-1", applyRoutes().with(routes{"GET /agents?name=edge-1": {list(edge1)}, "POST /agents/" + agentID + "/targets": {created(`{}`)}}), 0, 0},
		"dry-run":      {manifest2, "--dry-run --label prod", applyRoutes().with(routes{postPreview: {ok(preview(base(), sum(manifest2), changes, moves, hold))}}), 0, 0},
		"dry-run-override": {manifest2, "--dry-run", applyRoutes().with(routes{postPreview: {ok(strings.Replace(preview(base(), sum(manifest2), changes, moves, "null"), `"warnings":[]`,
			`"warnings":[{"path":"overrides[0].patches[0]","message":"stack hello: /spec/replicas is not there (the clusters of this override would keep what they have)"}]`, 1))}}), 0, 0},
		"dry-run-new":     {manifest2, "--dry-run", applyRoutes().with(routes{getStacksByName: {list()}}), 0, 0},
		"dry-run-json":    {manifest, "--dry-run -o json", applyRoutes().with(routes{postPreview: {ok(preview(base(), sum(manifest), "", moveKeep, "null"))}}), 0, 0},
		"dry-run-first":   {manifest, "--dry-run", applyRoutes().with(routes{postPreview: {ok(preview("null", sum(manifest), added, "", "null"))}}), 0, 0},
		"dry-run-refused": {manifest, "--dry-run", applyRoutes().with(routes{postPreview: {refused(400, "invalid_deployment_object", "document 1, line 2: bad")}}), 0, 1},

		"error-agent-key":      {manifest, "", routes{postAuth: {ok(asAgent)}}, 0, 1},
		"error-other-tenant":   {manifest, "--generator team-b", routes{postAuth: {ok(asGen)}, "GET /generators/" + genID: {ok(generator)}}, 0, 1},
		"error-no-generator":   {manifest, "", routes{postAuth: {ok(admin)}, getAdminGen: {list()}}, 0, 1},
		"error-annotation":     {manifest2, "--annotation region=us", applyRoutes().with(routes{"POST /stacks/" + stackID + "/annotations": {refused(409, "unique_violation", "there already")}, "GET /stacks/" + stackID + "/annotations": {list(`{"key":"region","value":"eu"}`)}}), 0, 1},
		"error-not-registered": {manifest, "--target edge-1", applyRoutes().with(routes{"GET /agents?name=edge-1": {list(edge1)}, "POST /agents/" + agentID + "/targets": {refused(403, "agent_not_registered", "agent edge-1 is not registered")}}), 0, 1},
		"error-invalid":        {manifest2, "", applyRoutes().with(routes{postObject: {{status: 400, body: `{"code":"invalid_deployment_object","message":"document 1, line 2: bad","details":{"document":1,"line":2}}`, header: map[string]string{"X-Request-Id": "r9"}}}}), 0, 1},
		"error-lost-answer":    {manifest2, "", applyRoutes().with(routes{postObject: {{status: 502}}}), 0, 1},
		"error-other-checksum": {manifest2, "", applyRoutes().with(routes{postObject: {created(object(objID2, 8, "else"))}}), 0, 1},
		"error-unknown-id":     {manifest2, "--stack " + stackID, applyRoutes().with(routes{"GET /stacks/" + stackID: {refused(404, "stack_not_found", "no")}}), 0, 1},

		"usage-wait-and-dry-run": {manifest, "--wait --dry-run", nil, 0, 2},
		"usage-label":            {manifest, "--label a\tb", nil, 0, 2},
		"usage-annotation":       {manifest, "--annotation novalue", nil, 0, 2},
		"usage-output":           {manifest, "-o xml", nil, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"apply", "-f", folder(t, tt.content), "--stack", "hello"}, strings.Split(tt.args, " ")...)
			if tt.args == "" {
				args = args[:5]
			}
			got := run{routes: tt.routes, args: args, tick: tt.tick}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d", got.exit, tt.exit)
			}
			got.golden(t, t.Name())
		})
	}
}

// Nothing is sent when the manifests are wrong, not even a question who we are.
func TestApplyChecksFirst(t *testing.T) {
	t.Parallel()
	dir := folder(t, manifest+"---\nkind: Secret\nmetadata: {name: s}\n")
	got := run{args: []string{"apply", "-f", dir, "--stack", "hello"}}.do(t)
	got.err = strings.ReplaceAll(got.err, dir, "$DIR")
	if got.exit != 1 || len(got.requests) != 0 {
		t.Errorf("exit %d, requests %v", got.exit, got.requests)
	}
	got.golden(t, t.Name())
}

// A chart is rendered here; what is sent is the result, and rendering it again is the same bundle.
func TestApplyChart(t *testing.T) {
	t.Parallel()
	chart := filepath.Join("..", "..", "..", "..", "deploy", "examples", "hello-helm")
	bundle, err := source.Read(chart, source.Options{Chart: helmchart.Options{Release: "hello"}})
	if err != nil {
		t.Fatal(err)
	}
	content := string(bundle.Content)
	first := applyRoutes().with(routes{getNewest: {list(object(objectID, 7, content))}, postObject: {created(object(objID2, 8, content))}})
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"created":    {"--stack hello", first.with(routes{getNewest: {list()}}), 0},
		"unchanged":  {"--stack hello", first, 0},
		"other-name": {"--stack hello --release other --namespace shop --set replicas=3 --dry-run", first.with(routes{getStacksByName: {list()}}), 0},
		"versions":   {"--stack hello --kube-version 1.20 --api-versions a/v1,b/v1", nil, 1},
		"schema":     {"--stack hello --set replicas=none", nil, 1},
		"by-id":      {"--stack " + stackID, nil, 1},
		"usage":      {"--stack hello --set replicas", nil, 2},
		"usage-kube": {"--stack hello --kube-version new", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: append([]string{"apply", "-f", chart}, strings.Fields(tt.args)...)}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d", got.exit, tt.exit)
			}
			for i, r := range got.requests {
				got.requests[i], _, _ = strings.Cut(r, `"yaml_content"`) // a golden file of the chart's own has it
			}
			got.golden(t, t.Name())
		})
	}
}

func TestApplyStdin(t *testing.T) {
	t.Parallel()
	got := run{routes: applyRoutes(), args: []string{"apply", "-f", "-", "--stack", "hello"}, stdin: manifest2}.do(t)
	got.golden(t, t.Name())
}

func TestApplyWait(t *testing.T) {
	t.Parallel()
	old := healthyOn(agentID, "1", objectID, 7)
	waiting := cluster(agentID, "1", objID2, 8, "", "pending", "unknown", "", "")
	applying := cluster(agentID, "1", objID2, 8, "", "applying", "unknown", "", "")
	progressing := cluster(agentID, "1", objID2, 8, objID2, "applied", "progressing", "Deployment default/web: 1 of 2 replicas", "")
	failed := cluster(agentID, "1", objID2, 8, "", "failed", "unknown", "Deployment default/web: quota exceeded (attempt 3, next in 20s)", "")
	applying2 := cluster(agentID2, "2", objID2, 8, "", "applying", "unknown", "", "")
	good, good2 := healthyOn(agentID, "1", objID2, 8), healthyOn(agentID2, "2", objID2, 8)
	inactive := strings.Replace(cluster(agentID2, "2", objID2, 8, "", "pending", "unknown", "", ""), `"ACTIVE"`, `"INACTIVE"`, 1)
	removing := strings.Replace(healthyOn(agentID2, "2", objectID, 7), `"assigned"`, `"removing"`, 1)
	old2 := healthyOn(agentID2, "2", objectID, 7)
	inWaves := func(states ...string) routes {
		var shown []answer
		for _, state := range states {
			shown = append(shown, list(rolloutJSON(state, "", false)))
		}
		return routes{getRollouts: shown, "GET /rollouts/" + rolloutID: {ok(strings.Replace(rolloutJSON("failed", "", true), ": somebody asked for it", " has failed", 1))}}
	}
	st := func(clusters ...string) answer {
		return ok(status(objID2, 8, "null", strings.Join(clusters, ","), summary2))
	}
	for name, tt := range map[string]struct {
		reason string
		args   string
		status []answer
		more   routes
		tick   time.Duration
		exit   int
	}{
		"healthy":        {"each change is one line", "", []answer{st(old), st(waiting), st(applying), st(applying), st(progressing), st(good)}, routes{getRollouts: {list()}}, time.Second, 0},
		"two-clusters":   {"all of them", "", []answer{st(waiting, progressing2()), st(good, progressing2()), st(good, good2)}, nil, time.Second, 0},
		"removing":       {"a cluster that loses the stack is not waited for", "", []answer{st(good, removing)}, nil, time.Second, 0},
		"failed":         {"a failure that lasts ends the wait", "", []answer{st(applying), st(failed), st(failed), st(failed), st(failed), st(failed)}, nil, 5 * time.Second, 1},
		"recovers":       {"a failure that passes does not", "", []answer{st(failed), st(failed), st(applying), st(failed), st(good)}, nil, 5 * time.Second, 0},
		"fail-after":     {"and may be waited for, for ever", "--fail-after 0", []answer{st(failed), st(failed), st(failed), st(failed), st(failed), st(failed), st(good)}, nil, 20 * time.Second, 0},
		"timeout":        {"what is missing is named", "--timeout 3s", []answer{st(good, inactive)}, nil, time.Second, 1},
		"superseded":     {"somebody else published", "", []answer{st(waiting), ok(status(objID2, 9, "null", good, summary2))}, nil, time.Second, 1},
		"broker-away":    {"an unreachable broker is waited for", "", []answer{{status: 503}, {status: 503}, {status: 503}, {status: 503}, {status: 503}, st(good)}, nil, time.Second, 0},
		"refused":        {"a refusal is not", "", []answer{refused(403, "stack_not_owned", "not yours")}, nil, time.Second, 1},
		"no-cluster":     {"why no cluster was picked is told at once, and again at the end", "--timeout 3s", []answer{st()}, routes{getPlacement: {ok(placement("null", verdictNo))}}, time.Second, 1},
		"no-agents":      {"no agent at all", "--timeout 3s", []answer{st()}, routes{getPlacement: {ok(placement("null", ""))}}, time.Second, 1},
		"held":           {"a held decision is told with what lifts it", "--timeout 3s", []answer{ok(status(objID2, 8, hold, waiting, summary2))}, nil, time.Second, 1},
		"in-waves":       {"the rollout is followed", "", []answer{st(good, old2), st(good, old2), st(good, old2), st(good, good2)}, inWaves("progressing", "progressing", "progressing", "completed"), time.Second, 0},
		"first-waves":    {"clusters that a first rollout has not reached have nothing yet: the healthy ones are not all", "", []answer{st(good), st(good), st(good, applying2), st(good, good2)}, inWaves("progressing", "progressing", "completed"), time.Second, 0},
		"first-soaks":    {"nor is it all over while the last wave soaks", "--timeout 3s", []answer{st(good, good2)}, inWaves("progressing"), time.Second, 1},
		"first-aborted":  {"and one that ended before the next wave is no success", "", []answer{st(good)}, inWaves("aborted"), time.Second, 1},
		"first-unknown":  {"without an answer nobody knows", "--timeout 3s", []answer{st(good)}, routes{getRollouts: {{status: 503}}}, time.Second, 1},
		"rolled-out":     {"a rollout that was over before is not told of", "", []answer{st(good, good2)}, inWaves("completed"), time.Second, 0},
		"rolled-back":    {"a rollout that is over reaches nobody any more", "", []answer{st(failed, old2), st(old, old2), st(old, old2)}, inWaves("rolled_back"), time.Second, 1},
		"waves-timeout":  {"what a rollout waits for is named", "--timeout 3s", []answer{st(good, old2)}, inWaves("waiting_approval"), time.Second, 1},
		"waves-of-other": {"the rollout of another object is none of ours", "--timeout 3s", []answer{st(good, old2)}, routes{getRollouts: {list(strings.ReplaceAll(rolloutJSON("progressing", "", false), objID2, objectID))}}, time.Second, 1},
		"waves-unknown":  {"without an answer the wait goes on", "", []answer{st(good, old2), st(good, good2)}, routes{getRollouts: {{status: 503}, {status: 503}, {status: 503}, {status: 503}, {status: 503}, list()}}, time.Second, 0},
		"degraded-stays": {"degraded is not healthy", "--timeout 3s", []answer{st(cluster(agentID, "1", objID2, 8, objID2, "applied", "degraded", "Pod web-1: CrashLoopBackOff", ""))}, nil, time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := applyRoutes().with(routes{getStatus: tt.status, getRollouts: {list()}}).with(tt.more)
			args := []string{"apply", "-f", folder(t, manifest2), "--stack", "hello", "--wait"}
			if tt.args != "" {
				args = append(args, strings.Split(tt.args, " ")...)
			}
			got := run{routes: all, args: args, tick: tt.tick}.do(t)
			if got.exit != tt.exit {
				t.Errorf("%s: exit %d, want %d\n%s", tt.reason, got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests) // how often it looked depends on the machine
			got.golden(t, t.Name())
		})
	}
}

func progressing2() string {
	return cluster(agentID2, "2", objID2, 8, objID2, "applied", "progressing", "", "")
}

// When only a label is new there is no new object to wait for, so the status must stay good for a while.
func TestApplyWaitSettles(t *testing.T) {
	t.Parallel()
	good := ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7), summary2))
	joined := ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7)+","+cluster(agentID2, "2", objectID, 7, "", "pending", "unknown", "", ""), summary2))
	both := ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7)+","+healthyOn(agentID2, "2", objectID, 7), summary2))
	got := run{routes: applyRoutes().with(routes{postLabels: {created(`{}`)}, getStatus: {good, joined, both, both, both, both}, getRollouts: {list()}}), tick: time.Second,
		args: []string{"apply", "-f", folder(t, manifest), "--stack", "hello", "--wait", "--label", "prod"}}.do(t)
	got.golden(t, t.Name())
	if !strings.Contains(got.err, "healthy in 2 clusters") {
		t.Errorf("the cluster that the label brought was not waited for:\n%s", got.err)
	}
}

// compact drops repetitions of the same request.
func compact(all []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, r := range all {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}
