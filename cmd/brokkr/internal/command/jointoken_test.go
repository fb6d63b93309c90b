package command_test

import (
	"strings"
	"testing"
)

const (
	joinID    = "99999999-9999-4999-8999-999999999991"
	joinID2   = "99999999-9999-4999-8999-999999999992"
	joinTok   = `{"id":"` + joinID + `","name":"fleet","max_uses":20,"uses":3,"state":"usable","labels":["prod","eu"],"annotations":{"region":"eu","b":"2"},"generator_ids":["` + genID + `"],"activate":true,"created_at":"2026-08-02T10:00:00Z","expires_at":"2026-08-03T10:00:00Z","revoked_at":null,"last_used_at":"2026-08-02T11:59:00Z"}`
	endedTok  = `{"id":"` + joinID2 + `","name":"old","max_uses":1,"uses":0,"state":"revoked","labels":[],"annotations":{},"generator_ids":[],"activate":false,"created_at":"2026-08-01T10:00:00Z","expires_at":"2026-08-03T10:00:00Z","revoked_at":"2026-08-01T12:00:00Z","last_used_at":null}`
	joinToken = `{"join_token":` + joinTok + `,"token":"brokkrjoin_BRmade11_madeForThisTest"}`
)

func TestJoinTokens(t *testing.T) {
	t.Parallel()
	const (
		get  = "GET /join-tokens"
		post = "POST /join-tokens"
		gens = "GET /generators?name="
	)
	there := routes{get: {list(joinTok, endedTok)}, get + "?state=usable": {list(joinTok)}}
	making := routes{gens + "admin-generator": {list(generator)}, gens + "team-a": {list(other)}, gens + "nobody": {list()}, post: {created(joinToken)}}
	end := routes{"DELETE /join-tokens/" + joinID: {{status: 204}}}
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"list":               {"join-token list", there, 0},
		"list-all-wide":      {"join-token list --all -o wide", there, 0},
		"list-name":          {"join-token ls -o name", there, 0},
		"list-json":          {"join-token list -o json", there, 0},
		"list-none":          {"join-token list", routes{get + "?state=usable": {list()}}, 0},
		"list-forbidden":     {"join-token list", routes{get + "?state=usable": {refused(403, "admin_required", "this key may not do that")}}, 1},
		"create":             {"join-token create fleet", making, 0},
		"create-all":         {"join-token create fleet --uses 20 --expires-in 24h --label prod --label eu --annotation region=eu --generator team-a --activate=false --broker-url https://broker.example.com", making, 0},
		"create-json":        {"join-token create fleet -o json", making, 0},
		"create-name":        {"join-token create fleet -o name", making, 0},
		"create-lost":        {"join-token create fleet", making.with(routes{post: {{status: 502}}}), 1},
		"create-refused":     {"join-token create fleet", making.with(routes{post: {refused(400, "invalid_label", "a label has a blank")}}), 1},
		"create-no-gen":      {"join-token create fleet --generator nobody", making, 1},
		"create-usage":       {"join-token create", nil, 2},
		"create-usage-uses":  {"join-token create fleet --uses 0", nil, 2},
		"create-usage-ttl":   {"join-token create fleet --expires-in 9000h", nil, 2},
		"create-usage-frac":  {"join-token create fleet --expires-in 1500ms", nil, 2},
		"create-usage-label": {"join-token create fleet --annotation region", nil, 2},
		"create-usage-url":   {"join-token create fleet --broker-url broker", making, 2},
		"revoke":             {"join-token revoke fleet", there.with(end), 0},
		"revoke-id":          {"join-token revoke " + joinID, routes{"GET /join-tokens/" + joinID: {ok(joinTok)}}.with(end), 0},
		"revoke-id-unknown":  {"join-token revoke " + joinID, routes{"GET /join-tokens/" + joinID: {refused(404, "join_token_not_found", "join token is not there")}}, 1},
		"revoke-ended":       {"join-token revoke old", there, 1},
		"revoke-ambiguous":   {"join-token revoke fleet", routes{get: {list(joinTok, strings.Replace(joinTok, joinID, joinID2, 1))}}, 1},
		"complete":           {"__complete join-token revoke f", there, 0},
		"usage":              {"join-token creat", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Fields(tt.args)}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.golden(t, t.Name())
		})
	}
}
