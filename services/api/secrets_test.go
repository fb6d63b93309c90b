package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

const secretManifest = manifest + "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: login\nstringData:\n  password: canary-7f3a\n"

// publishSecret publishes a bundle with a Secret in the name of as and returns its object's id.
func (w *world) publishSecret(as string, s stack.ID) string {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"yaml_content": secretManifest})
	must(w.t, err)
	var made struct {
		ID string `json:"id"`
	}
	rec := w.ok(as, request{method: http.MethodPost, path: "/stacks/" + string(s) + "/deployment-objects", body: string(body)})
	must(w.t, json.Unmarshal(rec.Body.Bytes(), &made))
	return made.ID
}

// What a Secret holds is seen by its owner and by the agents that have the stack, whatever way it is asked for.
func TestValuesOfSecretsAreShownToOwnerAndAgentsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	object := w.publishSecret(asOwner, w.stack.ID)
	one, list := "/deployment-objects/"+object, "/stacks/"+string(w.stack.ID)+"/deployment-objects"
	for _, tt := range []struct {
		as   string
		path string
		sees bool
	}{
		{asOwner, one, true}, {asOwner, list, true}, {asSelf, one, true},
		{asAdmin, one, false}, {asAdmin, list, false},
	} {
		for _, accept := range []string{"application/json", "application/yaml"} {
			rec := w.ok(tt.as, request{method: http.MethodGet, path: tt.path, header: map[string]string{"Accept": accept}})
			body := rec.Body.String()
			if got := strings.Contains(body, "canary-7f3a"); got != tt.sees {
				t.Errorf("%s, %s as %s: the value shows: %t, want %t", tt.path, accept, tt.as, got, tt.sees)
			}
			if !strings.Contains(body, "login") || !strings.Contains(body, "settings") {
				t.Errorf("%s, %s as %s: the manifests are not shown: %s", tt.path, accept, tt.as, body)
			}
		}
	}
	var shown []struct {
		Checksum string `json:"yaml_checksum"`
	}
	var own []struct {
		Checksum string `json:"yaml_checksum"`
	}
	must(t, json.Unmarshal(w.ok(asAdmin, request{method: http.MethodGet, path: list}).Body.Bytes(), &shown))
	must(t, json.Unmarshal(w.ok(asOwner, request{method: http.MethodGet, path: list}).Body.Bytes(), &own))
	if shown[0] != own[0] {
		t.Errorf("checksums %v and %v: clients that compare them would publish again", shown[0], own[0])
	}
}

func TestAdminsSeeTheSecretsOfTheirOwnGenerator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	var s struct {
		ID stack.ID `json:"id"`
	}
	must(t, json.Unmarshal(w.ok(asAdmin, request{method: http.MethodPost, path: "/stacks", body: `{"name":"own"}`}).Body.Bytes(), &s))
	rec := w.ok(asAdmin, request{method: http.MethodGet, path: "/deployment-objects/" + w.publishSecret(asAdmin, s.ID)})
	if !strings.Contains(rec.Body.String(), "canary-7f3a") {
		t.Errorf("the owner does not see its own: %s", rec.Body)
	}
}

// An agent that only has the stack as an explicit target will get it, so it may read it.
func TestAPinnedAgentSeesTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	must(t, w.store.Agents().AddTarget(t.Context(), agent.Target{ID: agent.TargetID(uuid.NewString()), Agent: w.agent.ID, Stack: w.unpinned.ID}))
	rec := w.ok(asSelf, request{method: http.MethodGet, path: "/deployment-objects/" + w.publishSecret(asOwner, w.unpinned.ID)})
	if !strings.Contains(rec.Body.String(), "canary-7f3a") {
		t.Errorf("the agent does not see it: %s", rec.Body)
	}
}
