package command_test

import (
	"strings"
	"testing"
)

// treated is the stack hello with a treatment, as it is read before a change.
func treated(treatment string) answer {
	return answer{status: 200, body: strings.TrimSuffix(hello, "}") + `,"treatment":` + treatment + `}`, header: map[string]string{"ETag": `"v1"`}}
}

const ruled = `{"prune":"delete","prune_adopted":false,"prune_protected":false,"adopt":"always","drift":"correct","ignore_paths":[],"service_account":"","health_rules":["Gadget.example.com=object.status.phase","A.example.com='healthy'"]}`

func TestTreatment(t *testing.T) {
	t.Parallel()
	found := routes{getStacksByName: {list(treated(plainly).body)}, getHello: {treated(plainly)}}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"show":           {"stack treat hello", found, 0},
		"show-all":       {"stack treat hello -o json", routes{getStacksByName: {list(treated(specially).body)}}, 0},
		"show-old":       {"stack treat hello", routes{getStacksByName: {list(hello)}}, 0},
		"set":            {"stack treat hello --prune orphan --ignore-path /spec/replicas --ignore-path /data/x", found.with(routes{putHello: {treated(specially)}}), 0},
		"set-all":        {"stack treat hello --prune orphan --prune-adopted --prune-protected --adopt never --drift report --ignore-path /spec/replicas --service-account shop/deployer -o name", found.with(routes{putHello: {treated(specially)}}), 0},
		"set-the-same":   {"stack treat hello --prune delete --drift correct", found, 0},
		"set-raced":      {"stack treat hello --drift report", found.with(routes{getHello: {treated(plainly), treated(specially)}, putHello: {refused(412, "precondition_failed", "it has changed")}}), 0},
		"take-away":      {"stack treat hello --prune-adopted=false --ignore-path= --service-account= --adopt=", found.with(routes{getHello: {treated(specially)}, putHello: {treated(plainly)}}), 0},
		"defaults":       {"stack treat hello --defaults --drift ignore", found.with(routes{getHello: {treated(specially)}, putHello: {treated(plainly)}}), 0},
		"old-broker":     {"stack treat hello --prune orphan", routes{getStacksByName: {list(hello)}, getHello: {ok(hello)}}, 1},
		"refused":        {"stack treat hello --prune orphan", found.with(routes{putHello: {refused(403, "forbidden", "viewers may not")}}), 1},
		"usage-prune":    {"stack treat hello --prune keep", nil, 2},
		"usage-path":     {"stack treat hello --ignore-path spec", nil, 2},
		"usage-account":  {"stack treat hello --service-account deployer", nil, 2},
		"set-rule":       {"stack treat hello --health-rule Gadget.example.com=object.status.phase --health-rule A.example.com='healthy'", found.with(routes{putHello: {treated(ruled)}}), 0},
		"show-rules":     {"stack treat hello", routes{getStacksByName: {list(treated(ruled).body)}}, 0},
		"no-rules":       {"stack treat hello --health-rule=", found.with(routes{getHello: {treated(ruled)}, putHello: {treated(plainly)}}), 0},
		"rule-refused":   {"stack treat hello --health-rule A.example.com=object.", found.with(routes{putHello: {refused(400, "invalid_treatment", "treatment.health_rules[0] for A.example.com cannot be used: 1:8: Syntax error")}}), 1},
		"usage-rule":     {"stack treat hello --health-rule Deployment.apps='healthy'", nil, 2},
		"usage-no-stack": {"stack treat", nil, 2},
		"get-wide":       {"get stacks -o wide", routes{"GET /stacks": {list(treated(specially).body)}, "GET /generators": {list(generator)}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " ")}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d", got.exit, tt.exit)
			}
			got.golden(t, t.Name())
		})
	}
}

// What is said of the treatment is in force before anything is published.
func TestApplyTreatsBeforeItPublishes(t *testing.T) {
	t.Parallel()
	routes := applyRoutes().with(routes{getHello: {treated(plainly)}, putHello: {treated(specially)}})
	got := run{routes: routes, args: []string{"apply", "-f", folder(t, manifest2), "--stack", "hello", "--prune", "orphan"}}.do(t)
	put, post := -1, -1
	for i, r := range got.requests {
		if strings.HasPrefix(r, putHello) {
			put = i
		}
		if strings.HasPrefix(r, postObject) {
			post = i
		}
	}
	if got.exit != 0 || put < 0 || post < put || !strings.Contains(got.requests[put], `"prune":"orphan"`) {
		t.Errorf("exit %d, requests:\n%s\nwant the treatment before the object", got.exit, strings.Join(got.requests, "\n"))
	}
	got.golden(t, t.Name())
	dry := run{routes: applyRoutes().with(map[string][]answer{getStacksByName: {list(treated(plainly).body)}, postPreview: {ok(preview(base(), sum(manifest2), changes, moves, "null"))}}),
		args: []string{"apply", "-f", folder(t, manifest2), "--stack", "hello", "--prune", "orphan", "--dry-run"}}.do(t)
	if dry.exit != 0 || !strings.Contains(dry.err, "would be treated: prune orphan (now: by default)") || strings.Contains(strings.Join(dry.requests, "\n"), "PUT") {
		t.Errorf("dry run: exit %d\n%s%s", dry.exit, dry.err, strings.Join(dry.requests, "\n"))
	}
	wrong := run{args: []string{"apply", "-f", folder(t, manifest2), "--stack", "hello", "--drift", "fix"}}.do(t)
	if wrong.exit != 2 || !strings.Contains(wrong.err, `--drift is "fix", not correct, report or ignore`) || len(wrong.requests) != 0 {
		t.Errorf("a wrong word: exit %d, %s%v", wrong.exit, wrong.err, wrong.requests)
	}
}
