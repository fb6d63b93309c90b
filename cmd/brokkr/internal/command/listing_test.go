package command_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/colliery-io/brokkr/api/openapi"
)

// part is one page of a list that goes on.
func part(total, next string, items ...string) answer {
	a := list(items...)
	a.header = map[string]string{"Link": "<" + next + `>; rel="next"`}
	if total != "" {
		a.header["X-Total-Count"] = total
	}
	return a
}

// Lists are chosen by the broker: what is asked of it, and what is said of the rest.
func TestLists(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	registered := func(generator, at string) string {
		return `{"id":"r","agent_id":"` + agentID + `","generator_id":"` + generator + `","registered_at":"` + at + `","state":"pending"}`
	}
	names := routes{"GET /agents": {list(edge1, edge2)}, "GET /generators": {list(generator, other)}, "GET /generators?name=team-a": {list(other)}, "GET /agents?name=edge-1": {list(edge1)}}
	report := `{"id":"e1",` + times + `,"agent_id":"` + agentID + `","deployment_object_id":"` + objectID + `","event_type":"DEPLOY","status":"FAILURE","message":"no\nway"}`
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"limit":          {"get agents --limit 1", routes{"GET /agents?limit=1": {part("7", "/api/v1/agents?cursor=c&limit=1", edge1)}}, 0},
		"limit-json":     {"get agents --limit 1 -o json", routes{"GET /agents?limit=1": {part("", "/api/v1/agents?cursor=c&limit=1", edge1)}}, 0},
		"limit-pages":    {"get agents --limit 2 -o name", routes{"GET /agents?limit=2": {part("2", "/api/v1/agents?cursor=c&limit=2", edge1)}, "GET /agents?cursor=c&limit=2": {list(edge2)}}, 0},
		"limit-enough":   {"get agents --limit 5 -o name", routes{"GET /agents?limit=5": {list(edge1, edge2)}}, 0},
		"all":            {"get agents --limit 0 -o name", routes{"GET /agents": {part("2", "/api/v1/agents?cursor=c", edge1)}, "GET /agents?cursor=c": {list(edge2)}}, 0},
		"sort":           {"get agents --sort -name", routes{"GET /agents?sort=-name": {list(edge2, edge1)}}, 0},
		"filters":        {"get agents -l prod --label eu --annotation a=b=c --status Inactive --generator team-a --cluster-name c --search ed", names.with(routes{"GET /agents?annotation=a%3Db%3Dc&cluster_name=c&generator_id=" + genID2 + "&label=prod&label=eu&q=ed&status=INACTIVE": {list()}}), 0},
		"stacks":         {"get stacks --label prod --generator " + genID2 + " --sort created_at --limit 3 -o name", routes{"GET /generators/" + genID2: {ok(other)}, "GET /stacks?generator_id=" + genID2 + "&label=prod&limit=3&sort=created_at": {list(hello)}}, 0},
		"fleet":          {"get fleet --status active --limit 1", routes{"GET /fleet?limit=1&status=ACTIVE": {list()}}, 0},
		"clusters":       {"get clusters --stale --sort cluster_name --limit 2", routes{"GET /clusters?freshness=stale&limit=2&sort=cluster_name": {list()}}, 0},
		"fleet-clusters": {"fleet --draining --search west --limit 2", routes{"GET /clusters?draining=true&limit=2&q=west": {list()}}, 0},
		"generators":     {"get generators --system false --limit 1 --sort -created_at -o name", routes{"GET /generators?limit=1&sort=-created_at&system=false": {part("2", "/api/v1/generators?cursor=c&limit=1", other)}}, 0},
		"objects":        {"get objects hello --limit 1 --sort sequence_id", routes{getStacksByName: {list(hello)}, "GET /stacks": {list(hello)}, "GET /stacks/" + stackID + "/deployment-objects?limit=1&sort=sequence_id": {part("2", "/x?cursor=c", object(objectID, 7, manifest))}}, 0},
		"objects-all":    {"get objects --limit 1", routes{"GET /stacks": {list(hello)}, "GET /stacks?limit=1": {part("9", "/x?cursor=c", hello)}, getNewest: {list(object(objectID, 7, manifest))}}, 0},
		"registrations":  {"get registrations team-a --state PENDING --limit 1", names.with(routes{"GET /agents?name=team-a": {list()}, "GET /generators/" + genID2 + "/registered-agents?limit=1&state=pending": {part("3", "/x?cursor=c", registered(genID2, "2026-08-02T11:00:00Z"))}}), 0},
		"registrations-all": {"get registrations --sort -registered_at --limit 2", names.with(routes{
			"GET /generators/" + genID + "/registered-agents?sort=-registered_at":  {list(registered(genID, "2026-08-02T11:00:00Z"), registered(genID, "2026-08-01T11:00:00Z"))},
			"GET /generators/" + genID2 + "/registered-agents?sort=-registered_at": {list(registered(genID2, "2026-08-02T11:30:00Z"))},
		}), 0},
		"events":       {"get events --limit 1", names.with(routes{"GET /agent-events?limit=1": {part("900", "/x?cursor=c", report)}}), 0},
		"events-of":    {"get events edge-1 --status FAILURE --type DEPLOY --object " + objectID, names.with(routes{"GET /agent-events?agent_id=" + agentID + "&deployment_object_id=" + objectID + "&event_type=DEPLOY&limit=100&status=FAILURE": {list()}}), 0},
		"join-tokens":  {"join-token list --name fleet --sort created_at --limit 1 -o name", routes{"GET /join-tokens?limit=1&name=fleet&sort=created_at&state=usable": {part("4", "/x?cursor=c", joinTok)}}, 0},
		"credentials":  {"credentials list --all --generator team-a --search key --limit 1 -o name", names.with(routes{"GET /credentials?generator_id=" + genID2 + "&limit=1&q=key": {part("2", "/x?cursor=c", aKey)}}), 0},
		"work-orders":  {"workorder list --agent edge-1 --sort created_at --limit 1", names.with(routes{"GET /work-orders?agent_id=" + agentID + "&limit=1&sort=created_at": {list()}}), 0},
		"policies":     {"policy list web --generator team-a --limit 1", names.with(routes{"GET /placement-policies?generator_id=" + genID2 + "&limit=1&name=web": {list()}}), 0},
		"templates":    {"template list web --label prod --annotation a=b --sort name", routes{"GET /templates?annotation=a%3Db&label=prod&name=web&sort=name": {list()}}, 0},
		"webhooks":     {"webhook list --enabled false --limit 1", routes{"GET /webhooks?enabled=false&limit=1": {list()}}, 0},
		"rollouts":     {"rollout list hello --state waiting_approval --limit 1", routes{getStacksByName: {list(hello)}, "GET /stacks/" + stackID + "/rollouts?limit=1&state=waiting_approval": {list()}}, 0},
		"revisions":    {"policy history web --sort revision --limit 1", routes{"GET /placement-policies?name=web": {list(`{"id":"` + stackID + `","name":"web","generator_id":"` + genID + `"}`)}, "GET /placement-policies/" + stackID + "/revisions?limit=1&sort=revision": {part("2", "/x?cursor=c", `{"policy_id":"p","revision":1,"created_at":"2026-08-02T11:00:00Z"}`)}}, 0},
		"no-generator": {"get agents --generator nobody", routes{"GET /generators?name=nobody": {list()}}, 1},
		"refused":      {"get agents --sort name", routes{"GET /agents?sort=name": {refused(400, "invalid_query", "query parameter sort: this broker is older")}}, 1},

		"usage-limit":      {"get agents --limit -1", nil, 2},
		"usage-limit-word": {"get stacks --limit many", nil, 2},
		"usage-sort":       {"get agents --sort colour", nil, 2},
		"usage-status":     {"get fleet --status asleep", nil, 2},
		"usage-empty":      {"fleet --taint=", nil, 2},
		"usage-label":      {"get stacks --label=", nil, 2},
		"usage-annotation": {"template list --annotation region", nil, 2},
		"usage-enabled":    {"webhook list --enabled maybe", nil, 2},
		"usage-state":      {"get registrations --state lost", nil, 2},
		"usage-object":     {"get events --object x", nil, 2},
		"usage-both":       {"workorder log --failed --succeeded", nil, 2},
		"usage-one":        {"get agents edge-1 --limit 1", nil, 2},
		"usage-no-stack":   {"get objects --sort sequence_id", nil, 2},
		"usage-audit":      {"audit list --limit -5", nil, 2},
		"complete-sort":    {"__complete get agents --sort ", nil, 0},
		"complete-status":  {"__complete get agents --status ", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " ")}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
			for _, r := range got.requests {
				documented(t, doc, r)
			}
		})
	}
}

// documented fails for a request of a list in words that the broker does not know.
func documented(t *testing.T, doc *openapi3.T, request string) {
	t.Helper()
	u, err := url.Parse(strings.TrimPrefix(request, "GET "))
	if err != nil {
		t.Fatal(err)
	}
	path := u.Path
	for _, id := range []string{stackID, agentID, genID, genID2} {
		path = strings.ReplaceAll(path, id, "{id}")
	}
	item := doc.Paths.Value(path)
	if item == nil || item.Get == nil {
		t.Errorf("%s: %s is no list of the broker", request, path)
		return
	}
	for name, values := range u.Query() {
		p := item.Get.Parameters.GetByInAndName("query", name)
		if p == nil {
			t.Errorf("%s: the broker knows no %s", request, name)
			continue
		}
		for _, v := range values {
			if enum := p.Schema.Value.Enum; len(enum) > 0 && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == v }) {
				t.Errorf("%s: %s is not one of %v", request, name, enum)
			}
		}
	}
}

// What a list offers is told by its help.
func TestListsTellTheirFlags(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"agents": {"get", "agents", "--help"}, "events": {"get", "events", "--help"}, "fleet": {"fleet", "--help"}, "log": {"workorder", "log", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run{args: args}.do(t).golden(t, t.Name())
		})
	}
}
