package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// TestAuthorizationMatrix calls every operation of the api with every kind of credential. What an operation is called
// with is in successes; who may is in the OpenAPI document.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	accesstest.Suite[*world, request]{
		Service: accesstest.API, Doc: c.doc, Requests: successes(),
		With: func(t *testing.T, f func(w *world)) { t.Helper(); f(newWorld(t, c)) },
		Do:   func(w *world, as string, q request) *httptest.ResponseRecorder { return w.checked(as, q) },
		Others: func(w *world) []string {
			return []string{
				string(w.agent.ID), string(w.pendingAgent.ID), string(w.stack.ID), string(w.held.ID), string(w.unpinned.ID), string(w.object.ID),
				string(w.owner.ID), string(w.template.ID), string(w.policyID), string(w.rolloutID),
				string(w.newestCredential(tenancy.RoleGenerator, w.owner.ID, "").ID),
			}
		},
		Unknown: func(q request, replace *strings.Replacer) request {
			q.path, q.body = replace.Replace(q.path), replace.Replace(q.body)
			return q
		},
		Calls: func(w *world) map[string]int { return accesstest.StoreCalls(w.t, w.tel.Registry) },
		Exceptions: map[string]map[string]accesstest.Outcome{
			// It names the owner's generator, and another may not make stacks for it: stack_generator_mismatch.
			"create_stack": {asOther: accesstest.Denied},
			// It names an agent, and another may not speak for it: agent_pak_mismatch.
			"register_agent":   {asOtherAgent: accesstest.NotThere},
			"deregister_agent": {asOtherAgent: accesstest.NotThere},
			// It names an agent, which another does not see.
			"plan_placement": {asOther: accesstest.NotThere},
			// They are about a credential of the owner generator. A viewer sees every credential and manages its own.
			"create_credential": {asSelf: accesstest.Denied, asOtherAgent: accesstest.Denied, asOther: accesstest.Denied},
			"get_credential":    {asSelf: accesstest.NotThere, asOtherAgent: accesstest.NotThere, asOther: accesstest.NotThere},
			"rotate_credential": {asSelf: accesstest.NotThere, asOtherAgent: accesstest.NotThere, asOther: accesstest.NotThere, asViewer: accesstest.Seen},
			"revoke_credential": {asSelf: accesstest.NotThere, asOtherAgent: accesstest.NotThere, asOther: accesstest.NotThere, asViewer: accesstest.Seen},
		},
	}.Run(t)
}

// TestMatrixIsNotBlind asks for what the owner sees as another: the world's things are really there to be seen.
func TestMatrixIsNotBlind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for as, want := range map[string]bool{asOwner: true, asOther: false, asViewer: true} {
		rec := w.do(as, request{method: "GET", path: "/stacks"})
		if got := strings.Contains(rec.Body.String(), string(w.stack.ID)); got != want {
			t.Errorf("as %s: sees the owner's stack: %v, want %v: %s", as, got, want, rec.Body)
		}
	}
}
