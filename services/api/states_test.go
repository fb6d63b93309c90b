package api_test

import (
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/internal/statechart"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// docs/state/registration.md draws what becomes of a registration, whoever asks for what, under every policy of the generator.
func TestStatesOfARegistrationAreDrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	state := func() string {
		r, err := w.store.Registrations().Get(t.Context(), w.pendingAgent.ID, w.other.ID)
		if fault.Is(err, fault.NotFound) {
			return statechart.Nothing
		}
		must(t, err)
		return string(r.State)
	}
	other, named := "/generators/"+string(w.other.ID), `{"agent_id":"`+string(w.pendingAgent.ID)+`"}`
	steps := []func() int{
		func() int {
			return w.do("pending agent", request{method: http.MethodPost, path: other + "/register", body: `{"agent_id":null}`}).Code
		},
		func() int {
			return w.do(asAdmin, request{method: http.MethodPost, path: other + "/register", body: named}).Code
		},
		func() int {
			return w.do(asOther, request{method: http.MethodPut, path: other + "/registered-agents/" + string(w.pendingAgent.ID), body: `{"state":"approved"}`}).Code
		},
		func() int {
			return w.do(asOther, request{method: http.MethodDelete, path: other + "/registered-agents/" + string(w.pendingAgent.ID)}).Code
		},
		func() int {
			return w.do("pending agent", request{method: http.MethodDelete, path: other + "/register", body: `{"agent_id":null}`}).Code
		},
	}
	walked := statechart.Walked{}
	for _, policy := range []tenancy.RegistrationPolicy{tenancy.PolicyOpen, tenancy.PolicyApproval, tenancy.PolicyClosed} {
		w.ok(asOther, request{method: http.MethodPut, path: other, body: `{"registration_policy":"` + string(policy) + `"}`})
		for way := range len(steps) * len(steps) * len(steps) {
			for range 3 {
				from := state()
				if status := steps[way%len(steps)](); status < 300 {
					if to := state(); from != to {
						walked.Step(from, to)
					}
				} else if state() != from {
					t.Errorf("an answer of %d has made %s of %s", status, state(), from)
				}
				way /= len(steps)
			}
		}
	}
	walked.Check(t, "registration")
}
