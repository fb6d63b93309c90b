package command_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	postPreview = "POST /stacks/" + stackID + "/deployment-objects?dry_run=true"
	getObjects  = "GET /stacks/" + stackID + "/deployment-objects?limit=20"
	getDiff     = "GET /deployment-objects/" + objID2 + "/diff?against=" + objectID

	changes = `{"change":"changed","api_version":"v1","kind":"ConfigMap","namespace":"","name":"web","fields":[
			{"path":"/data/a","from":"1","to":"2"},{"path":"/data/b","to":null},{"path":"/metadata/labels","from":{"x":"\u001b[31m"}}],"more_fields":4},
		{"change":"changed","api_version":"v1","kind":"Secret","namespace":"","name":"s","fields":[{"path":"/stringData/p","from":"***","to":"***"}],"more_fields":0},
		{"change":"added","api_version":"apps/v1","kind":"Deployment","namespace":"shop","name":"api","fields":[],"more_fields":0},
		{"change":"removed","api_version":"v1","kind":"Service","namespace":"","name":"old","fields":[],"more_fields":0}`
	added    = `{"change":"added","api_version":"apps/v1","kind":"Deployment","namespace":"shop","name":"api","fields":[],"more_fields":0}`
	moveKeep = `{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","effect":"keep","reasons":[{"rule":"label","wanted":"prod","observed":"prod","message":"both have the label \"prod\""}]}`
	moves    = `{"agent_id":"` + agentID + `","agent_name":"edge-1","cluster_name":"cluster-1","effect":"lose","reasons":[{"rule":"consent","message":"no consent"}]},
		{"agent_id":"` + genID + `","agent_name":"","cluster_name":"cluster-2","effect":"lose","reasons":[{"rule":"no_match","message":"nothing shared"}]},
		{"agent_id":"` + genID2 + `","agent_name":"edge-3","cluster_name":"cluster-3","effect":"update","reasons":[{"rule":"target","message":"explicit target"}]},
		{"agent_id":"` + objectID + `","agent_name":"edge-4","cluster_name":"cluster-4","effect":"gain","reasons":[{"rule":"target","message":"explicit target"}]}`
)

// base is the object that manifest was published as.
func base() string {
	return fmt.Sprintf(`{"deployment_object_id":%q,"sequence_id":7,"yaml_checksum":%q,"is_deletion_marker":false}`, objectID, sum(manifest))
}

func preview(base, checksum, changes, clusters, hold string) string {
	return fmt.Sprintf(`{"stack_id":%q,"base":%s,"yaml_checksum":%q,"is_deletion_marker":false,"changes":[%s],"unchanged":1,"clusters":[%s],"hold":%s,"warnings":[]}`,
		stackID, base, checksum, changes, clusters, hold)
}

func objectDiff(stack, changes string) string {
	return fmt.Sprintf(`{"stack_id":%q,"from":%s,"to":%s,"changes":[%s],"unchanged":2}`, stack, base(),
		strings.Replace(strings.Replace(base(), objectID, objID2, 1), `"sequence_id":7`, `"sequence_id":8`, 1), changes)
}

func TestDiff(t *testing.T) {
	t.Parallel()
	found := routes{getStacksByName: {list(hello)}}
	differs := found.with(routes{postPreview: {ok(preview(base(), sum(manifest2), changes, moves, hold))}})
	same := found.with(routes{postPreview: {ok(preview(base(), sum(manifest), "", moveKeep, "null"))}})
	marker := strings.Replace(base(), `"is_deletion_marker":false`, `"is_deletion_marker":true`, 1)
	revisions := found.with(routes{getDiff: {ok(objectDiff(stackID, changes))}})
	pages := revisions.with(routes{
		getObjects: {{status: 200, body: "[" + object(objID2, 8, manifest2) + "]", header: map[string]string{"Link": `</x?limit=20&cursor=c>; rel="next"`}}},
		"GET /stacks/" + stackID + "/deployment-objects?cursor=c&limit=20": {list(object(objectID, 7, manifest))},
	})
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"changes":       {"-f -", differs, 1},
		"changes-wide":  {"-f - -o wide", differs, 1},
		"changes-json":  {"-f - -o json", differs, 1},
		"changes-yaml":  {"-f - -o yaml", differs, 1},
		"changes-names": {"-f - -o name", differs, 1},
		"same":          {"-f -", same, 0},
		"first":         {"-f -", found.with(routes{postPreview: {ok(preview("null", sum(manifest), added, moveKeep, "null"))}}), 1},
		"after-marker":  {"-f -", found.with(routes{postPreview: {ok(preview(marker, sum(manifest), added, "", "null"))}}), 1},
		"long-value":    {"-f -", found.with(routes{postPreview: {ok(preview(base(), sum(manifest2), `{"change":"changed","api_version":"v1","kind":"ConfigMap","namespace":"","name":"web","fields":[{"path":"/data/a","from":"`+strings.Repeat("é", 500)+`","to":""}],"more_fields":0}`, "", "null"))}}), 1},

		"ids":            {"--from " + objectID + " --to " + objID2, revisions, 1},
		"sequences":      {"--from 7 --to 8", pages, 1},
		"sequences-json": {"--from 7 --to " + objID2 + " -o json", pages, 1},
		"revisions-same": {"--from " + objectID + " --to " + objID2, found.with(routes{getDiff: {ok(objectDiff(stackID, ""))}}), 0},

		"chart":         {"-f ../../../../deploy/examples/hello-helm --set replicas=5", same, 0},
		"chart-refused": {"-f ../../../../deploy/examples/hello-helm --set replicas=0", nil, 2},
		"no-chart":      {"-f - --release x", nil, 2},
		"usage-set":     {"-f ../../../../deploy/examples/hello-helm --set replicas", nil, 2},

		"error-sequence":    {"--from 6 --to 8", pages, 2},
		"error-other-stack": {"--from " + objectID + " --to " + objID2, found.with(routes{getDiff: {ok(objectDiff(genID, ""))}}), 2},
		"error-not-found":   {"--from " + objectID + " --to " + objID2, found.with(routes{getDiff: {refused(404, "deployment_object_not_found", "it is not there")}}), 2},
		"error-no-stack":    {"-f -", routes{getStacksByName: {list()}}, 2},
		"error-refused":     {"-f -", found.with(routes{postPreview: {refused(403, "forbidden", "not yours")}}), 2},
		"error-unreadable":  {"-f nowhere.yaml", nil, 2},

		"usage":          {"", nil, 2},
		"usage-both":     {"-f - --from 7", nil, 2},
		"usage-half":     {"--from 7", nil, 2},
		"usage-revision": {"--from x --to 7", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: append([]string{"diff", "--stack", "hello"}, strings.Fields(tt.args)...), stdin: manifest2}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.golden(t, t.Name())
		})
	}
}
