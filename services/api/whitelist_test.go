package api_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPutChangesWhitelistedFieldsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	q := successes()["update_stack"](w)
	s := decode[struct {
		Name        string `json:"name"`
		GeneratorID string `json:"generator_id"`
	}](t, w.ok(asOwner, q))
	if s.Name != "renamed" || s.GeneratorID != string(w.owner.ID) {
		t.Errorf("stack is %+v, want it renamed and with its owner", s)
	}
	g := decode[struct {
		Description *string `json:"description"`
		IsSystem    bool    `json:"is_system"`
	}](t, w.ok(asOwner, successes()["update_generator"](w)))
	if g.IsSystem || g.Description == nil || *g.Description != "d" {
		t.Errorf("generator is %+v, want a description and no system", g)
	}
}

// The published clients send full objects. What is not theirs to say in them stays as it is.
func TestPutOfAFullObjectKeepsWhatIsNotTheCallersToSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	const past = "2001-01-01T00:00:00Z"
	lies := map[string]any{
		"generator_id": string(w.other.ID), "is_system": true, "created_at": past, "deleted_at": past, "last_heartbeat": past, "last_active_at": past,
	}
	for _, path := range []string{"/stacks/" + string(w.stack.ID), "/generators/" + string(w.owner.ID), "/agents/" + string(w.agent.ID)} {
		before := decode[map[string]any](t, w.ok(asAdmin, request{method: "GET", path: path}))
		full := maps.Clone(before)
		full["updated_at"] = past
		for field, lie := range lies {
			if _, has := before[field]; has {
				full[field] = lie
			}
		}
		body, err := json.Marshal(full)
		must(t, err)
		after := decode[map[string]any](t, w.ok(asAdmin, request{method: "PUT", path: path, body: string(body)}))
		if after["updated_at"] == past {
			t.Errorf("%s: PUT says when it was changed", path)
		}
		delete(before, "updated_at")
		delete(after, "updated_at")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: PUT has changed (-before +after):\n%s", path, diff)
		}
	}
}
