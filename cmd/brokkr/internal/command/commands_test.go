package command_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/command"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	twoHello := strings.NewReplacer(stackID, "11111111-1111-4111-8111-111111111112", genID, genID2).Replace(hello)
	found := routes{getStacksByName: {list(hello)}}
	usedTwice := strings.Replace(edge1, `"k8s_reachable"`, `"duplicate_since":"2026-08-02T11:50:00Z","k8s_reachable"`, 1)
	agents := routes{"GET /agents": {list(edge1, edge2)}, "GET /agents?name=edge-1": {list(edge1)}, "GET /agents?name=edge-2": {list(edge2)}}
	gens := routes{"GET /generators": {list(generator, other)}, "GET /generators?name=team-a": {list(other)}, getAdminGen: {list(generator)}}
	regs := routes{"GET /generators/" + genID + "/registered-agents": {list()}, "GET /generators/" + genID2 + "/registered-agents": {list(
		`{"id":"r","agent_id":"`+agentID+`","generator_id":"`+genID2+`","registered_at":"2026-08-01T12:00:00Z","state":"approved"}`,
		`{"id":"r2","agent_id":"`+agentID2+`","generator_id":"`+genID2+`","registered_at":"2026-08-02T11:00:00Z","state":"pending"}`)}}
	full := status(objectID, 7, "null", strings.Join([]string{
		healthyOn(agentID, "1", objectID, 7),
		cluster(agentID2, "2", objectID, 7, "", "failed", "unknown", "Deployment default/web: quota\nexceeded", ""),
		strings.Replace(strings.Replace(healthyOn("x3", "3", objectID, 7), `"assigned"`, `"removing"`, 1), `"2026-08-02T11:59:55Z"`, `"2026-08-02T08:00:00Z"`, 1),
		strings.Replace(cluster("x4", "4", objectID, 7, "", "pending", "unknown", "", ""), `"blocked_on":null`, `"blocked_on":"agent edge-4 cannot reach its Kubernetes API"`, 1),
	}, ","), `{"wanted":3,"applied":1,"healthy":1,"failed":1,"removing":1}`)
	pak := `"` + madePAK + `"`
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"get-stacks":               {"get stacks", gens.with(routes{"GET /stacks": {list(hello)}}), 0},
		"get-stacks-wide":          {"get stack hello -o wide", gens.with(found), 0},
		"get-stacks-json":          {"get stacks hello -o json", found, 0},
		"get-stacks-yaml":          {"get stacks -o yaml", routes{"GET /stacks": {list(hello)}}, 0},
		"get-stacks-name":          {"get stacks -o name", routes{"GET /stacks": {list(hello)}}, 0},
		"get-stacks-none":          {"get stacks", routes{"GET /stacks": {list()}}, 0},
		"get-stacks-none-json":     {"get stacks -o json", routes{"GET /stacks": {list()}}, 0},
		"get-stacks-unknown":       {"get stacks hello", routes{getStacksByName: {list()}}, 1},
		"get-stacks-as-generator":  {"get stacks --no-headers", routes{"GET /stacks": {list(hello)}, "GET /generators": {refused(403, "admin_required", "admins only")}, postAuth: {ok(asGen)}, "GET /generators/" + genID: {ok(generator)}}, 0},
		"get-agents":               {"get agents", agents, 0},
		"get-agents-twice":         {"get agents", routes{"GET /agents": {list(usedTwice)}}, 0},
		"get-agents-wide":          {"get agents -o wide", agents, 0},
		"get-agent-same-names":     {"get agents edge-1", routes{"GET /agents?name=edge-1": {list(edge1, edge1b)}}, 0},
		"get-objects":              {"get objects hello -o wide", found.with(routes{"GET /stacks": {list(hello)}, "GET /stacks/" + stackID + "/deployment-objects": {list(object(objID2, 8, manifest2), object(objectID, 7, manifest))}}), 0},
		"get-objects-all":          {"get objects", routes{"GET /stacks": {list(hello)}, getNewest: {list(object(objID2, 8, manifest2))}}, 0},
		"get-object-by-id":         {"get object " + objectID + " -o json", routes{"GET /stacks": {list(hello)}, "GET /stacks/" + objectID: {refused(404, "stack_not_found", "no")}, "GET /deployment-objects/" + objectID: {ok(object(objectID, 7, manifest))}}, 0},
		"get-generators":           {"get generators", gens, 0},
		"get-registrations":        {"get registrations", gens.with(agents).with(regs), 0},
		"get-registrations-agent":  {"get registrations edge-1", gens.with(agents).with(routes{"GET /generators?name=edge-1": {list()}, "GET /agents/" + agentID + "/registrations": {list()}}), 0},
		"get-registrations-nobody": {"get registrations x", routes{"GET /generators?name=x": {list()}, "GET /agents?name=x": {list()}}, 1},

		"status":          {"status hello", found.with(routes{getStatus: {ok(full)}}), 0},
		"status-wide":     {"status hello -o wide", found.with(routes{getStatus: {ok(full)}}), 0},
		"status-json":     {"status hello -o json", found.with(routes{getStatus: {ok(full)}}), 0},
		"status-name":     {"status hello -o name", found.with(routes{getStatus: {ok(full)}}), 0},
		"status-held":     {"status hello", found.with(routes{getStatus: {ok(status(objectID, 7, hold, healthyOn(agentID, "1", objectID, 7), summary2))}}), 0},
		"status-blocked":  {"status hello", found.with(routes{getStatus: {ok(strings.Replace(full, `"hold"`, `"blocked":`+blockedStatus+`,"hold"`, 1))}}), 0},
		"status-nowhere":  {"status hello", found.with(routes{getStatus: {ok(strings.Replace(status(objectID, 7, "null", "", summary0), `"sequence_id":7`, `"sequence_id":null`, 1))}}), 0},
		"status-deleted":  {"status " + stackID, routes{getStatus: {ok(strings.Replace(full, `"hold"`, `"deleted_at":"2026-08-02T11:59:00Z","hold"`, 1))}}, 0},
		"status-same":     {"status hello", routes{getStacksByName: {list(hello, twoHello)}}, 1},
		"placement":       {"placement hello", found.with(routes{getPlacement: {ok(placement("null", verdictYes+","+verdictNo))}}), 0},
		"placement-wide":  {"placement hello -o wide", found.with(routes{getPlacement: {ok(placement("null", verdictYes+","+verdictNo))}}), 0},
		"placement-held":  {"placement hello", found.with(agents).with(routes{getPlacement: {ok(placement(hold, verdictNo))}}), 0},
		"placement-id":    {"placement " + stackID, routes{getPlacement: {ok(placement("null", verdictYes))}}, 0},
		"placement-empty": {"placement hello", found.with(routes{getPlacement: {ok(`{"stack_id":"` + stackID + `","generation":0,"decided_at":null,"cause":"","trace_id":"","hold":null,"verdicts":[]}`)}}), 0},
		"approve":         {"placement approve hello", found.with(agents).with(routes{getPlacement: {ok(placement(hold, verdictNo))}, "POST /stacks/" + stackID + "/placement/approve": {ok(placement("null", verdictNo))}}), 0},
		"approve-other":   {"placement approve hello --fingerprint beef", found.with(routes{getPlacement: {ok(placement(hold, verdictNo))}}), 1},
		"approve-stale":   {"placement approve hello --fingerprint f00d", found.with(agents).with(routes{getPlacement: {ok(placement(hold, verdictNo))}, "POST /stacks/" + stackID + "/placement/approve": {refused(422, "nothing_held", "another decision waits")}}), 1},
		"approve-none":    {"placement approve hello", found.with(routes{getPlacement: {ok(placement("null", verdictYes))}}), 0},

		"describe-stack": {"describe stack hello", found.with(gens).with(routes{
			"GET /stacks/" + stackID + "/labels": {list(`{"label":"prod"}`, `{"label":"eu"}`)}, "GET /stacks/" + stackID + "/annotations": {list(`{"key":"a","value":"b"}`)},
			"GET /stacks/" + stackID + "/deployment-objects": {list(object(objID2, 8, manifest2), object(objectID, 7, manifest))}, getStatus: {ok(full)}, getPlacement: {ok(placement("null", verdictYes+","+verdictNo))},
		}), 0},
		"describe-agent": {"describe agent edge-2", agents.with(gens).with(routes{
			"GET /stacks": {list(hello)}, "GET /agents/" + agentID2 + "/labels": {list(`{"label":"prod"}`)}, "GET /agents/" + agentID2 + "/annotations": {list()},
			"GET /agents/" + agentID2 + "/registrations": {list(`{"agent_id":"` + agentID2 + `","generator_id":"` + genID2 + `","registered_at":"2026-08-02T11:00:00Z","state":"pending"}`)},
			"GET /agents/" + agentID2 + "/targets":       {list(`{"stack_id":"` + stackID + `"}`)},
			"GET /agents/" + agentID2 + "/events": {list(
				`{"id":"1",`+times+`,"agent_id":"a","deployment_object_id":"o1","event_type":"DEPLOY","status":"SUCCESS","message":null}`,
				`{"id":"2","created_at":"2026-08-02T11:00:00Z","updated_at":"2026-08-02T11:30:00Z","agent_id":"a","deployment_object_id":"o2","event_type":"DEPLOY","status":"FAILURE","message":"no\nway"}`)},
		}), 0},

		"describe-agent-twice": {"describe agent edge-1", gens.with(routes{
			"GET /agents?name=edge-1": {list(usedTwice)}, "GET /stacks": {list()}, "GET /agents/" + agentID + "/labels": {list()}, "GET /agents/" + agentID + "/annotations": {list()},
			"GET /agents/" + agentID + "/registrations": {list()}, "GET /agents/" + agentID + "/targets": {list()}, "GET /agents/" + agentID + "/events": {list()},
		}), 0},

		"agent-create": {"agent create --name edge-1 --cluster-name cluster-1 --label prod --annotation region=eu --generator team-a",
			gens.with(routes{"POST /agents": {created(`{"agent":` + edge1 + `,"initial_pak":` + pak + `}`)}}), 0},
		"agent-create-inactive": {"agent create edge-2 --cluster-name cluster-2 --activate=false --broker-url https://b.example",
			gens.with(routes{"POST /agents": {created(`{"agent":` + edge2 + `,"initial_pak":` + pak + `}`)}}), 0},
		"agent-create-json":     {"agent create edge-1 --cluster-name cluster-1 -o json", gens.with(routes{"POST /agents": {created(`{"agent":` + edge1 + `,"initial_pak":` + pak + `}`)}}), 0},
		"agent-create-name":     {"agent create edge-1 --cluster-name cluster-1 -o name", gens.with(routes{"POST /agents": {created(`{"agent":` + edge1 + `,"initial_pak":` + pak + `}`)}}), 0},
		"agent-create-exists":   {"agent create edge-1 --cluster-name cluster-1", gens.with(routes{"POST /agents": {refused(409, "unique_violation", "an agent edge-1 of cluster cluster-1 exists")}}), 1},
		"agent-create-usage":    {"agent create edge-1", nil, 2},
		"agent-rotate":          {"agent rotate edge-1", agents.with(routes{"POST /agents/" + agentID + "/rotate-pak": {ok(`{"agent":` + edge1 + `,"pak":` + pak + `}`)}}), 0},
		"agent-rotate-url":      {"agent rotate edge-1 --broker-url broker", nil, 2},
		"agent-rotate-lost":     {"agent rotate edge-1", agents.with(routes{"POST /agents/" + agentID + "/rotate-pak": {{status: 502}}}), 1},
		"agent-label":           {"agent label edge-1 prod eu/west old-", agents.with(routes{"POST /agents/" + agentID + "/labels": {created(`{}`), refused(409, "unique_violation", "x")}, "DELETE /agents/" + agentID + "/labels/old": {{status: 204}}}), 0},
		"agent-annotate":        {"agent annotate edge-1 a=1 b-", agents.with(routes{"POST /agents/" + agentID + "/annotations": {created(`{}`)}, "DELETE /agents/" + agentID + "/annotations/b": {{status: 204}}}), 0},
		"agent-annotate-change": {"agent annotate edge-1 a=2 --overwrite", agents.with(routes{"POST /agents/" + agentID + "/annotations": {refused(409, "unique_violation", "x"), created(`{}`)}, "GET /agents/" + agentID + "/annotations": {list(`{"key":"a","value":"1"}`)}, "DELETE /agents/" + agentID + "/annotations/a": {{status: 204}}}), 0},
		"agent-annotate-refuse": {"agent annotate edge-1 a=2", agents.with(routes{"POST /agents/" + agentID + "/annotations": {refused(409, "unique_violation", "x")}, "GET /agents/" + agentID + "/annotations": {list(`{"key":"a","value":"1"}`)}}), 1},
		"agent-label-plan":      {"agent label edge-1 prod --plan p1", agents.with(routes{"POST /agents/" + agentID + "/labels?plan=p1": {created(`{}`)}}), 0},
		"agent-label-outdated":  {"agent label edge-1 old- --plan p1", agents.with(routes{"DELETE /agents/" + agentID + "/labels/old?plan=p1": {refused(409, "plan_outdated", "the world has moved")}}), 1},
		"agent-add-outdated":    {"agent label edge-1 prod --plan p1", agents.with(routes{"POST /agents/" + agentID + "/labels?plan=p1": {refused(409, "plan_outdated", "the world has moved")}}), 1},
		"agent-label-plan-two":  {"agent label edge-1 a b --plan p1", nil, 2},
		"agent-annotate-plan":   {"agent annotate edge-1 a=1 --plan p1", agents.with(routes{"POST /agents/" + agentID + "/annotations?plan=p1": {created(`{}`)}}), 0},
		"agent-activate":        {"agent activate edge-2", agents.with(routes{"PUT /agents/" + agentID2: {ok(strings.Replace(edge2, "INACTIVE", "ACTIVE", 1))}}), 0},
		"agent-deactivate":      {"agent deactivate edge-2", agents.with(routes{"PUT /agents/" + agentID2: {ok(edge2)}}), 0},
		"agent-target":          {"agent target edge-1 hello", agents.with(found).with(routes{"POST /agents/" + agentID + "/targets": {created(`{}`)}}), 0},
		"agent-untarget":        {"agent target edge-1 hello-", agents.with(found).with(routes{"DELETE /agents/" + agentID + "/targets/" + stackID: {{status: 204}}}), 0},
		"agent-delete":          {"agent delete edge-1 --yes --wait", agents.with(routes{"DELETE /agents/" + agentID: {{status: 204}}, "GET /agents/" + agentID: {ok(edge1), refused(404, "agent_not_found", "x")}}), 0},
		"agent-delete-ask":      {"delete agent edge-1", agents, 2},
		"agent-same-names":      {"agent activate edge-1", routes{"GET /agents?name=edge-1": {list(edge1, edge1b)}}, 1},

		"stack-label":       {"stack label hello prod-", found.with(routes{"DELETE /stacks/" + stackID + "/labels/prod": {{status: 204}}}), 0},
		"stack-label-gone":  {"stack label hello prod-", found.with(routes{"DELETE /stacks/" + stackID + "/labels/prod": {refused(404, "stack_label_not_found", "there is no label prod")}}), 1},
		"stack-label-usage": {"stack label hello", nil, 2},

		"stack-restore":           {"stack restore " + stackID, routes{"POST /stacks/" + stackID + "/restore": {ok(hello)}}, 0},
		"stack-restore-late":      {"stack restore " + stackID, routes{"POST /stacks/" + stackID + "/restore": {refused(404, "stack_not_found", "stack "+stackID+" is not there")}}, 1},
		"stack-restore-name":      {"stack restore " + stackID, routes{"POST /stacks/" + stackID + "/restore": {refused(409, "unique_violation", "a stack hello is there already")}}, 1},
		"stack-restore-live":      {"stack restore " + stackID, routes{"POST /stacks/" + stackID + "/restore": {{status: 422, body: `{"code":"stack_not_deleted","message":"stack \"hello\" is not deleted: there is nothing to restore","details":{"state":"live"}}`}}}, 1},
		"stack-restore-wait":      {"stack restore " + stackID + " --wait", routes{"POST /stacks/" + stackID + "/restore": {ok(hello)}, "GET /stacks/" + stackID + "/deployment-objects": {list(object(objectID, 7, manifest))}, getStatus: {ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7), summary2))}, getRollouts: {list()}}, 0},
		"stack-restore-empty":     {"stack restore " + stackID + " --wait", routes{"POST /stacks/" + stackID + "/restore": {ok(hello)}, "GET /stacks/" + stackID + "/deployment-objects": {list()}}, 0},
		"stack-restore-by-name":   {"stack restore hello", routes{"GET /deleted-stacks?name=hello": {list(gone)}, "POST /stacks/" + stackID + "/restore": {ok(hello)}}, 0},
		"stack-restore-no-name":   {"stack restore hello", routes{"GET /deleted-stacks?name=hello": {list()}}, 1},
		"stack-restore-which":     {"stack restore hello", routes{"GET /deleted-stacks?name=hello": {list(gone, goneLong)}}, 1},
		"get-stacks-deleted":      {"get stacks --deleted", gens.with(routes{"GET /deleted-stacks": {list(gone, goneLong)}}), 0},
		"get-stacks-deleted-few":  {"get stacks --deleted --search hel --limit 1 -o name", routes{"GET /deleted-stacks?limit=1&q=hel": {part("9", "/api/v1/deleted-stacks?cursor=c&limit=1", gone)}}, 0},
		"get-stacks-deleted-none": {"get stacks --deleted", routes{"GET /deleted-stacks": {list()}}, 0},
		"get-stacks-deleted-json": {"get stacks --deleted -o json", routes{"GET /deleted-stacks": {list(gone)}}, 0},
		"get-stacks-deleted-sort": {"get stacks --deleted --sort name", nil, 2},

		"generator-create": {"generator create team-a --description x --registrations open", routes{"POST /generators": {created(`{"generator":` + other + `,"pak":` + pak + `}`)}}, 0},
		"generator-usage":  {"generator create team-a --registrations maybe", nil, 2},
		"generator-rotate": {"generator rotate team-a -o json", gens.with(routes{"POST /generators/" + genID2 + "/rotate-pak": {created(`{"generator":` + other + `,"pak":` + pak + `}`)}}), 0},
		"generator-delete": {"delete generator team-a --yes", gens.with(routes{"GET /stacks": {list(hello)}, "DELETE /generators/" + genID2: {{status: 204}}}), 0},

		"credentials-list":        {"credentials list", routes{"GET /credentials?state=usable": {list(aKey, endingKey)}}, 0},
		"credentials-list-all":    {"credentials list --all --role viewer -o name", routes{"GET /credentials?role=viewer": {list(aKey)}}, 0},
		"credentials-list-limit":  {"credentials list --name deploy --limit 1 -o name", routes{"GET /credentials?limit=1&name=deploy&state=usable": {list(aKey)}}, 0},
		"credentials-list-usage":  {"credentials list --role king", nil, 2},
		"credentials-create":      {"credentials create dashboard --role viewer --expires-in 24h", routes{"POST /credentials": {created(`{"credential":` + aKey + `,"pak":` + pak + `}`)}}, 0},
		"credentials-create-gen":  {"credentials create ci-2 --generator team-a -o json", gens.with(routes{"POST /credentials": {created(`{"credential":` + aKey + `,"pak":` + pak + `}`)}}), 0},
		"credentials-create-high": {"credentials create x --role admin", routes{"POST /credentials": {refused(403, "credential_above_role", "a credential of role operator may not make this one")}}, 1},
		"credentials-rotate":      {"credentials rotate " + keyID + " --grace 1h", routes{"POST /credentials/" + keyID + "/rotate": {created(`{"credential":` + endingKey + `,"pak":` + pak + `}`)}}, 0},
		"credentials-rotate-long": {"credentials rotate " + keyID + " --grace 1000h", nil, 2},
		"credentials-rotate-lost": {"credentials rotate " + keyID, routes{"POST /credentials/" + keyID + "/rotate": {{status: 502}}}, 1},
		"credentials-revoke":      {"credentials revoke " + keyID, routes{"DELETE /credentials/" + keyID: {{status: 204}}}, 0},
		"credentials-revoke-last": {"credentials revoke " + keyID, routes{"DELETE /credentials/" + keyID: {refused(422, "last_admin_credential", "this is the last usable admin credential; make another one first")}}, 1},
		"agent-rotate-grace":      {"agent rotate edge-1 --grace 5m", agents.with(routes{"POST /agents/" + agentID + "/rotate-pak": {ok(`{"agent":` + edge1 + `,"pak":` + pak + `}`)}}), 0},

		"registration-approve":  {"registration approve edge-1 team-a", agents.with(gens).with(routes{"PUT /generators/" + genID2 + "/registered-agents/" + agentID: {ok(`{"state":"approved"}`)}}), 0},
		"registration-make":     {"registration approve edge-1 team-a", agents.with(gens).with(routes{"PUT /generators/" + genID2 + "/registered-agents/" + agentID: {refused(404, "registration_not_found", "x")}, "POST /generators/" + genID2 + "/register": {created(`{"state":"approved"}`)}}), 0},
		"registration-not-mine": {"registration approve " + agentID + " team-a", gens.with(routes{"GET /agents/" + agentID: {refused(403, "forbidden", "x")}, "GET /agents": {list()}, "PUT /generators/" + genID2 + "/registered-agents/" + agentID: {refused(404, "registration_not_found", "the agent is not registered")}, "POST /generators/" + genID2 + "/register": {refused(403, "forbidden", "x")}}), 1},
		"registration-revoke":   {"registration revoke edge-1 team-a", agents.with(gens).with(routes{"DELETE /generators/" + genID2 + "/register": {refused(403, "forbidden", "x")}, "DELETE /generators/" + genID2 + "/registered-agents/" + agentID: {{status: 204}}}), 0},

		"delete-stack":      {"delete stack hello --yes", found.with(routes{"DELETE /stacks/" + stackID: {{status: 204}}}), 0},
		"delete-stack-ask":  {"delete stack hello", found.with(routes{getStatus: {ok(full)}}), 2},
		"delete-stack-wait": {"delete stack hello --yes --wait", found.with(routes{"DELETE /stacks/" + stackID: {{status: 204}}, getStatus: {ok(full), ok(status(objectID, 7, "null", strings.Replace(healthyOn(agentID, "1", objectID, 7), `"assigned"`, `"removing"`, 1), summary0)), refused(404, "stack_not_found", "gone")}}), 0},
		"delete-stack-late": {"delete stack hello --yes --wait --timeout 20s", found.with(routes{"DELETE /stacks/" + stackID: {{status: 204}}, getStatus: {ok(status(objectID, 7, "null", strings.Replace(healthyOn(agentID, "1", objectID, 7), `"assigned"`, `"removing"`, 1), summary0))}}), 1},

		"version":        {"version", routes{"GET /version": {ok(`{"version":"v9","commit":"c0ffee","go":"go1.26"}`)}}, 0},
		"version-yaml":   {"version -o yaml", routes{"GET /version": {ok(`{"version":"v9","api":"v1"}`)}}, 0},
		"version-client": {"version --client", nil, 0},

		"complete-stacks":     {"__complete status h", routes{"GET /stacks": {list(hello)}}, 0},
		"complete-agents":     {"__complete agent activate edge-2", routes{"GET /agents": {list(edge1, edge2)}}, 0},
		"complete-generators": {"__complete generator rotate x", routes{"GET /generators": {list(generator)}}, 0},
		"complete-output":     {"__complete get stacks -o ", nil, 0},
		"complete-refused":    {"__complete status h", routes{"GET /stacks": {{status: 401}}}, 0},

		"error-401":      {"get agents", routes{"GET /agents": {{status: 401}}}, 1},
		"error-403":      {"get agents", routes{"GET /agents": {refused(403, "generator_required", "agents cannot list agents")}}, 1},
		"error-404":      {"get agents", routes{"GET /agents": {{status: 404}}}, 1},
		"error-422":      {"get agents", routes{"GET /agents": {{status: 422, body: `{"code":"check_violation","message":"no","details":{"field":"name","a":1}}`}}}, 1},
		"error-429":      {"get agents", routes{"GET /agents": {{status: 429, body: `{"code":"limited","message":"too many"}`, header: map[string]string{"Retry-After": "120"}}}}, 1},
		"error-500":      {"get agents", routes{"GET /agents": {refused(500, "internal_error", "internal error")}}, 1},
		"error-redirect": {"get agents", routes{"GET /agents": {{status: 308, header: map[string]string{"Location": "https://new.example/api/v1/agents"}}}}, 1},
		"error-html":     {"get agents", routes{"GET /agents": {{status: 200, body: "<html>"}}}, 1},

		"usage-unknown":  {"gett stacks", nil, 2},
		"usage-sub":      {"agent destroy x", nil, 2},
		"usage-flag":     {"status hello --nope", nil, 2},
		"usage-argument": {"status", nil, 2},
		"usage-surplus":  {"status a b", nil, 2},
		"usage-duration": {"status a --request-timeout soon", nil, 2},
		"usage-shell":    {"completion tcsh", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run{routes: tt.routes, args: strings.Split(tt.args, " ")}
			if strings.HasPrefix(name, "delete-") || name == "stack-restore-wait" {
				r.tick = 5 * time.Second
			}
			got := r.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}

// On a terminal a deletion asks, and colours are used unless NO_COLOR says no.
func TestTerminal(t *testing.T) {
	t.Parallel()
	found := routes{getStacksByName: {list(hello)}, getStatus: {ok(status(objectID, 7, "null", healthyOn(agentID, "1", objectID, 7), summary2))}, "DELETE /stacks/" + stackID: {{status: 204}}}
	for name, tt := range map[string]struct {
		args, stdin string
		env         map[string]string
		exit        int
	}{
		"yes":      {"delete stack hello", "y\n", nil, 0},
		"no":       {"delete stack hello", "\n", nil, 1},
		"eof":      {"delete stack hello", "", nil, 1},
		"colour":   {"status hello", "", nil, 0},
		"no-color": {"status hello", "", map[string]string{"NO_COLOR": "1"}, 0},
		"error":    {"status", "", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: found, args: strings.Split(tt.args, " "), stdin: tt.stdin, tty: true, env: tt.env}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d", got.exit, tt.exit)
			}
			got.golden(t, t.Name())
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	asAdmin := routes{postAuth: {ok(admin)}}
	for name, tt := range map[string]struct {
		args, stdin string
		env         map[string]string
		routes      routes
		tty         bool
		exit        int
	}{
		"flags":     {"login --url http://broker/ --pak " + adminPAK, "", nil, asAdmin, false, 0},
		"stdin":     {"login --url http://broker --pak-stdin --context prod", adminPAK + "\n", nil, asAdmin, false, 0},
		"prompt":    {"login --url http://broker/api/v1", "", nil, asAdmin, true, 0},
		"env":       {"login", "", map[string]string{"BROKKR_URL": "http://broker", "BROKKR_PAK": adminPAK}, routes{postAuth: {ok(asGen)}, "GET /generators/" + genID: {ok(generator)}}, false, 0},
		"wrong":     {"login --url http://broker --pak " + adminPAK, "", nil, routes{postAuth: {{status: 401}}}, false, 1},
		"malformed": {"login --url http://broker --pak hunter2", "", nil, nil, false, 1},
		"no-key":    {"login --url http://broker", "", nil, nil, false, 2},
		"both":      {"login --pak-stdin --pak x", "", nil, nil, false, 2},
		"bad-url":   {"login --url broker.example --pak " + adminPAK, "", nil, nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " "), stdin: tt.stdin, env: tt.env, tty: tt.tty, loose: true}.do(t)
			got.golden(t, t.Name())
			if got.exit != tt.exit {
				t.Fatalf("exit %d, want %d", got.exit, tt.exit)
			}
			info, err := os.Stat(filepath.Join(got.dir, "brokkr", "config.yaml"))
			if tt.exit == 0 && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("the file: %v, %v; want mode 0600", info, err)
			}
			if tt.exit != 0 && err == nil {
				t.Error("a login that failed was kept")
			}
		})
	}
}

// A login is used by the next command, and contexts are told apart.
func TestContexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	step := func(name string, r routes, args ...string) {
		t.Helper()
		got := run{routes: r, args: args, loose: true, env: map[string]string{"XDG_CONFIG_HOME": dir}}.do(t)
		for _, s := range []*string{&got.out, &got.err} {
			*s = strings.ReplaceAll(*s, dir, "$CONFIG")
		}
		got.golden(t, t.Name()+"/"+name)
	}
	asAdmin := routes{postAuth: {ok(admin)}}
	step("1-none", nil, "get", "stacks")
	step("2-login", asAdmin, "login", "--url", "http://broker", "--pak", adminPAK)
	step("3-login-prod", asAdmin, "login", "--url", "http://broker", "--pak", adminPAK, "--context", "prod")
	step("4-use", nil, "context", "use", "default")
	step("5-use-unknown", nil, "context", "use", "nope")
	step("6-unknown", nil, "get", "stacks", "--context", "nope")
	step("7-delete", nil, "context", "delete", "default")
	step("8-list-name", nil, "context", "list", "-o", "name")
	step("9-show", asAdmin, "context", "show", "--context", "prod", "--url", "http://broker", "--pak", adminPAK)
}

func TestStatusWatch(t *testing.T) {
	t.Parallel()
	st := func(clusters string) answer { return ok(status(objectID, 7, "null", clusters, summary2)) }
	got := run{args: []string{"status", "hello", "--watch"}, tick: time.Second, routes: routes{getStacksByName: {list(hello)}, getStatus: {
		st(cluster(agentID, "1", objectID, 7, "", "applying", "unknown", "", "")), {status: 503}, {status: 503}, {status: 503}, {status: 503},
		st(cluster(agentID, "1", objectID, 7, "", "applying", "unknown", "", "")),
		st(healthyOn(agentID, "1", objectID, 7) + "," + cluster(agentID2, "2", objectID, 7, "", "pending", "unknown", "", "")),
		st(healthyOn(agentID, "1", objectID, 7)), refused(404, "stack_not_found", "the stack is gone"),
	}}}.do(t)
	got.requests = compact(got.requests)
	got.golden(t, t.Name())
}

// An interrupt ends a wait with the status that shells expect.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	waiting := ok(status(objectID, 7, "null", cluster(agentID, "1", objectID, 7, "", "pending", "unknown", "", ""), summary2))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := run{ctx: ctx, args: []string{"status", "hello", "-w"}, routes: routes{getStacksByName: {list(hello)}, getStatus: {waiting}},
		after: func(requests int) {
			if requests == 4 {
				cancel()
			}
		}}.do(t)
	if got.exit != command.ExitInterrupted || !strings.HasSuffix(got.err, "interrupted\n") {
		t.Errorf("exit %d, %q; want %d", got.exit, got.err, command.ExitInterrupted)
	}
}

// Without an answer the URL is named, where it comes from, and what to do.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	const addr = "127.0.0.1:1" // nobody is given this port, not even other tests of this moment
	base := "http://" + addr
	got := run{args: []string{"get", "stacks"}, env: map[string]string{"BROKKR_URL": base}}.do(t)
	got.err = strings.ReplaceAll(strings.ReplaceAll(got.err, base, "http://gone"), addr, "gone")
	got.golden(t, t.Name())
	if got.exit != command.ExitError {
		t.Errorf("exit %d, want %d", got.exit, command.ExitError)
	}
}
