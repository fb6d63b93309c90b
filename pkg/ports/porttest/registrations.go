package porttest

import (
	"cmp"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func registrationCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":           registrationRoundTrip,
		"unknown is not found":                registrationUnknown,
		"a second one is a conflict":          registrationTwice,
		"each change grows the version":       registrationVersions,
		"a deletion takes the targets of one": registrationDelete,
	}
}

func registrationRoundTrip(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	a, b := w.agent("edge"), w.agent("core")
	ag := w.consent(a.ID, g.ID, tenancy.RegistrationPending)
	ah := w.consent(a.ID, h.ID, tenancy.RegistrationApproved)
	bg := w.consent(b.ID, g.ID, tenancy.RegistrationApproved)

	got, err := w.Registrations().Get(w.ctx, a.ID, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "registration", got, ag)
	list, err := w.Registrations().OfAgent(w.ctx, a.ID)
	wantNone(w.T, "of agent", err)
	wantSame(w.T, "registrations of the agent", sortRegistrations(list), sortRegistrations([]tenancy.Registration{ag, ah}))
	list, err = w.Registrations().OfGenerator(w.ctx, g.ID)
	wantNone(w.T, "of generator", err)
	wantSame(w.T, "registrations of the generator", sortRegistrations(list), sortRegistrations([]tenancy.Registration{ag, bg}))
}

func sortRegistrations(list []tenancy.Registration) []tenancy.Registration {
	slices.SortFunc(list, func(x, y tenancy.Registration) int { return cmp.Compare(x.ID, y.ID) })
	return list
}

func registrationUnknown(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	_, err := w.Registrations().Get(w.ctx, a.ID, g.ID)
	wantCode(w.T, "get", err, fault.NotFound, "registration_not_found")
	wantCode(w.T, "set state", w.Registrations().SetState(w.ctx, a.ID, g.ID, tenancy.RegistrationApproved), fault.NotFound, "registration_not_found")
	wantCode(w.T, "delete", w.Registrations().Delete(w.ctx, a.ID, g.ID), fault.NotFound, "registration_not_found")
	r := tenancy.Registration{ID: newID[tenancy.RegistrationID](), Agent: newID[agent.ID](), Generator: g.ID, State: tenancy.RegistrationPending, RegisteredAt: w.at}
	wantCode(w.T, "insert for an unknown agent", w.Registrations().Insert(w.ctx, r), fault.NotFound, "agent_not_found")
	r.Agent, r.Generator = a.ID, newID[tenancy.GeneratorID]()
	wantCode(w.T, "insert for an unknown generator", w.Registrations().Insert(w.ctx, r), fault.NotFound, "generator_not_found")
}

func registrationTwice(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	first := w.consent(a.ID, g.ID, tenancy.RegistrationPending)
	again := first
	again.ID, again.State = newID[tenancy.RegistrationID](), tenancy.RegistrationApproved
	wantCode(w.T, "insert", w.Registrations().Insert(w.ctx, again), fault.Conflict, "already_registered")
	got, err := w.Registrations().Get(w.ctx, a.ID, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "registration", got, first)

	b := w.agent("core")
	wantOneWinner(w.T, "insert", race(8, func(int) error {
		r := tenancy.Registration{ID: newID[tenancy.RegistrationID](), Agent: b.ID, Generator: g.ID, State: tenancy.RegistrationPending, RegisteredAt: w.at}
		return w.Registrations().Insert(w.ctx, r)
	}))
}

func registrationVersions(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	v := a.Version
	grew := func(what string) {
		w.Helper()
		now := w.seeAgent(a.ID).Version
		wantGrown(w.T, "version after "+what, v, now)
		v = now
	}
	w.consent(a.ID, g.ID, tenancy.RegistrationPending)
	grew("insert")
	wantNone(w.T, "approve", w.Registrations().SetState(w.ctx, a.ID, g.ID, tenancy.RegistrationApproved))
	grew("approval")
	got, err := w.Registrations().Get(w.ctx, a.ID, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "state", got.State, tenancy.RegistrationApproved)
	wantNone(w.T, "delete", w.Registrations().Delete(w.ctx, a.ID, g.ID))
	grew("deletion")
}

func registrationDelete(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	a, b := w.agent("edge"), w.agent("core")
	s1, s2, foreign := w.stack(g.ID, "one"), w.stack(g.ID, "two"), w.stack(h.ID, "foreign")
	for _, x := range []agent.ID{a.ID, b.ID} {
		w.consent(x, g.ID, tenancy.RegistrationApproved)
		w.consent(x, h.ID, tenancy.RegistrationApproved)
		w.target(x, s1.ID)
		w.target(x, s2.ID)
		w.target(x, foreign.ID)
	}
	wantNone(w.T, "delete", w.Registrations().Delete(w.ctx, a.ID, g.ID))
	_, err := w.Registrations().Get(w.ctx, a.ID, g.ID)
	wantCode(w.T, "get", err, fault.NotFound, "registration_not_found")
	left, err := w.Agents().Targets(w.ctx, a.ID)
	wantNone(w.T, "targets", err)
	if len(left) != 1 || left[0].Stack != foreign.ID {
		w.Fatalf("targets of the agent: got %v, want only the other generator's stack", left)
	}
	others, err := w.Agents().Targets(w.ctx, b.ID)
	wantNone(w.T, "targets", err)
	if len(others) != 3 {
		w.Fatalf("targets of another agent: got %d, want 3", len(others))
	}
	wantNone(w.T, "register again", w.Registrations().Insert(w.ctx, tenancy.Registration{
		ID: newID[tenancy.RegistrationID](), Agent: a.ID, Generator: g.ID, State: tenancy.RegistrationPending, RegisteredAt: w.at,
	}))
}
