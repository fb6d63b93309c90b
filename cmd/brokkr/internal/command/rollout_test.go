package command_test

import (
	"fmt"
	"strings"
	"testing"
)

const rolloutID = "77777777-7777-4777-8777-777777777771"

// rolloutJSON is a rollout of the stack hello in this state; whole ones have clusters and history.
func rolloutJSON(state, blockers string, whole bool) string {
	more := ""
	if whole {
		more = fmt.Sprintf(`,"sequence_id":8,"governs":true,"clusters":[
			{"agent_id":%q,"agent_name":"edge-2","cluster_name":"cluster-2","wave":1,"state":"pending","since":"2026-08-02T11:50:00Z","admitted_at":null,"returns_to":%q,"offline":true,"left":false,"joined":false,"message":""},
			{"agent_id":%q,"agent_name":"edge-1","cluster_name":"cluster-1","wave":0,"state":"failed","since":"2026-08-02T11:55:00Z","admitted_at":"2026-08-02T11:50:00Z","returns_to":%q,"offline":false,"left":false,"joined":false,"message":"CrashLoopBackOff"}],
			"history":[{"at":"2026-08-02T11:50:00Z","from":"pending","to":"progressing","wave":0,"by":null,"reason":"wave canary begins"},
			{"at":"2026-08-02T11:55:00Z","from":"progressing","to":%q,"wave":0,"by":"c1","reason":"cluster %s: somebody asked for it"}]`, agentID2, objectID, agentID, objectID, state, agentID)
	}
	return fmt.Sprintf(`{"id":%q,"stack_id":%q,"deployment_object_id":%q,"state":%q,"reason":"1 clusters have failed where 0 may","since":"2026-08-02T11:55:00Z","wave":0,
		"waves":[{"name":"canary","soak_seconds":60,"approval":true},{"name":"rest","soak_seconds":0,"approval":false}],"stage":"deploying","blockers":[%s],"wake_at":null,
		"created_at":"2026-08-02T11:50:00Z","ended_at":null%s}`, rolloutID, stackID, objID2, state, blockers, more)
}

func TestRollouts(t *testing.T) {
	t.Parallel()
	const blocker = `{"kind":"soak","since":"2026-08-02T11:56:00Z","message":"wave canary is healthy and must stay so for 1m0s","release":"time","until":"2026-08-02T11:57:00Z","agent_ids":[],"count":0}`
	const one = "/rollouts/" + rolloutID
	found := routes{getStacksByName: {list(hello)}}
	all := found.with(routes{"GET /stacks/" + stackID + "/rollouts": {list(rolloutJSON("paused", "", false))}})
	shown := func(state, blockers string) routes {
		return all.with(routes{"GET " + one: {ok(rolloutJSON(state, blockers, true))}})
	}
	none := found.with(routes{"GET /stacks/" + stackID + "/rollouts": {list()}})
	acted := func(state, act, after string) routes {
		return shown(state, "").with(routes{"POST " + one + "/" + act: {ok(rolloutJSON(after, "", true))}})
	}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"list":          {"rollout list hello", all, 0},
		"list-wide":     {"rollout list hello -o wide", all, 0},
		"list-none":     {"rollout list hello", none, 0},
		"status":        {"rollout status hello", shown("progressing", blocker), 0},
		"status-wide":   {"rollout status hello -o wide", shown("paused", ""), 0},
		"status-json":   {"rollout status hello --id " + rolloutID + " -o json", found.with(routes{"GET " + one: {ok(rolloutJSON("completed", "", true))}}), 0},
		"status-none":   {"rollout status hello", none, 1},
		"history":       {"rollout history hello", shown("paused", ""), 0},
		"watch":         {"rollout watch hello", all.with(routes{"GET " + one: {ok(rolloutJSON("progressing", "", true)), ok(rolloutJSON("completed", "", true))}}), 0},
		"watch-waits":   {"rollout watch hello", shown("waiting_approval", ""), 1},
		"watch-back":    {"rollout watch hello", shown("rolled_back", ""), 1},
		"pause":         {"rollout pause hello", acted("progressing", "pause", "paused"), 0},
		"resume":        {"rollout resume hello", acted("paused", "resume", "progressing"), 0},
		"approve":       {"rollout approve hello", acted("waiting_approval", "approve", "progressing"), 0},
		"approve-stale": {"rollout approve hello", shown("completed", "").with(routes{"POST " + one + "/approve": {refused(422, "rollout_state", "the rollout cannot be approved: it is completed")}}), 1},
		"abort":         {"rollout abort hello -o name", acted("progressing", "abort", "aborted"), 0},
		"undo":          {"rollout undo hello", acted("completed", "rollback", "rolling_back"), 0},
		"undo-to":       {"rollout undo hello --to 7", found.with(routes{"POST /stacks/" + stackID + "/rollback": {created(object(objID2, 9, manifest))}}), 0},
		"undo-unknown":  {"rollout undo hello --to 99", found.with(routes{"POST /stacks/" + stackID + "/rollback": {refused(404, "deployment_object_not_found", "the stack has no deployment object with sequence 99")}}), 1},
		"usage":         {"rollout status", nil, 2},
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
