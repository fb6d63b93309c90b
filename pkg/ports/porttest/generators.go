package porttest

import (
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func generatorCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":     generatorRoundTrip,
		"unknown is not found":          generatorUnknown,
		"names are unique while live":   generatorNames,
		"one of many racers gets it":    generatorRace,
		"an update keeps the rest":      generatorUpdate,
		"a list is by name":             generatorList,
		"scopes":                        generatorScopes,
		"a deletion takes the consents": generatorDelete,
		"values are copies":             generatorCopies,
		"keys of an inactive one rest":  generatorInactive,
	}
}

func generatorRoundTrip(w *world) {
	g := w.newGenerator("ci")
	g.CreatedAt = g.CreatedAt.Add(123456 * time.Microsecond).In(time.FixedZone("east", 7200))
	wantNone(w.T, "insert", w.Generators().Insert(w.ctx, g))
	got, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "generator", got, g)
	if got.CreatedAt.Location() != time.UTC {
		w.Fatalf("created_at: got location %v, want UTC", got.CreatedAt.Location())
	}
	named, err := w.Generators().ByName(w.ctx, "ci")
	wantNone(w.T, "by name", err)
	wantSame(w.T, "generator by name", named, g)

	fine := w.newGenerator("fine")
	fine.CreatedAt = fine.CreatedAt.Add(1234 * time.Nanosecond)
	wantNone(w.T, "insert", w.Generators().Insert(w.ctx, fine))
	got, err = w.Generators().Get(w.ctx, everything, fine.ID)
	wantNone(w.T, "get", err)
	if got.CreatedAt.Nanosecond()%1000 != 0 {
		w.Fatalf("created_at: got %v, want whole microseconds", got.CreatedAt)
	}
}

func generatorUnknown(w *world) {
	g := w.newGenerator("nobody")
	_, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantCode(w.T, "get", err, fault.NotFound, "generator_not_found")
	_, err = w.Generators().ByName(w.ctx, g.Name)
	wantCode(w.T, "by name", err, fault.NotFound, "generator_not_found")
	wantCode(w.T, "update", w.Generators().Update(w.ctx, g), fault.NotFound, "generator_not_found")
	wantCode(w.T, "delete", w.Generators().Delete(w.ctx, g.ID, w.at), fault.NotFound, "generator_not_found")
}

func generatorNames(w *world) {
	g := w.generator("ci")
	other := w.generator("other")
	wantCode(w.T, "insert the name again", w.Generators().Insert(w.ctx, w.newGenerator("ci")), fault.Conflict, "unique_violation")
	again := w.newGenerator("third")
	again.ID = g.ID
	wantKind(w.T, "insert the id again", w.Generators().Insert(w.ctx, again), fault.Conflict)
	other.Name = "ci"
	wantCode(w.T, "rename", w.Generators().Update(w.ctx, other), fault.Conflict, "unique_violation")
	wantNone(w.T, "delete", w.Generators().Delete(w.ctx, g.ID, w.at))
	wantNone(w.T, "rename after the deletion", w.Generators().Update(w.ctx, other))
	_, err := w.Generators().ByName(w.ctx, "other")
	wantKind(w.T, "by the old name", err, fault.NotFound)
}

func generatorRace(w *world) {
	wantOneWinner(w.T, "insert", race(8, func(int) error { return w.Generators().Insert(w.ctx, w.newGenerator("ci")) }))
}

func generatorUpdate(w *world) {
	g := w.generator("ci")
	change := g
	change.Name, change.Description, change.Active = "ci2", nil, false
	change.RegistrationPolicy, change.UpdatedAt = tenancy.PolicyOpen, w.at.Add(time.Minute)
	want := change
	change.System, change.CreatedAt = true, w.at.Add(time.Hour)
	wantNone(w.T, "update", w.Generators().Update(w.ctx, change))
	got, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "generator", got, want)
}

func generatorList(w *world) {
	names := []string{"beta", "Zeta", "alpha", "a-1", "a_1", "a1"}
	ids := map[tenancy.GeneratorID]bool{}
	for _, n := range names {
		ids[w.generator(n).ID] = true
	}
	gone := w.generator("gone")
	wantNone(w.T, "delete", w.Generators().Delete(w.ctx, gone.ID, w.at))
	list, err := w.Generators().List(w.ctx, everything)
	wantNone(w.T, "list", err)
	var got []string
	for _, g := range list {
		if g.ID == gone.ID {
			w.Fatal("the list has a deleted generator")
		}
		if ids[g.ID] {
			got = append(got, g.Name)
		}
	}
	slices.Sort(names)
	wantSame(w.T, "names", got, names)
}

func generatorScopes(w *world) {
	g, other := w.generator("ci"), w.generator("other")
	a := w.agent("edge")
	cases := map[string]struct {
		scope tenancy.Scope
		sees  []tenancy.GeneratorID
	}{
		"all":       {everything, []tenancy.GeneratorID{g.ID, other.ID}},
		"itself":    {tenancy.Scope{Generator: g.ID}, []tenancy.GeneratorID{g.ID}},
		"an agent":  {tenancy.Scope{Agent: a.ID}, []tenancy.GeneratorID{g.ID, other.ID}},
		"the empty": {tenancy.Scope{}, nil},
	}
	for name, c := range cases {
		list, err := w.Generators().List(w.ctx, c.scope)
		wantNone(w.T, "list", err)
		for _, id := range []tenancy.GeneratorID{g.ID, other.ID} {
			want := slices.Contains(c.sees, id)
			if got := slices.ContainsFunc(list, func(x tenancy.Generator) bool { return x.ID == id }); got != want {
				w.Fatalf("scope of %s: list has %s: got %v, want %v", name, id, got, want)
			}
			_, err := w.Generators().Get(w.ctx, c.scope, id)
			if want {
				wantNone(w.T, "scope of "+name+": get", err)
			} else {
				wantCode(w.T, "scope of "+name+": get", err, fault.NotFound, "generator_not_found")
			}
		}
	}
}

func generatorDelete(w *world) {
	g, other := w.generator("ci"), w.generator("other")
	a := w.agent("edge")
	w.consent(a.ID, g.ID, tenancy.RegistrationApproved)
	kept := w.consent(a.ID, other.ID, tenancy.RegistrationApproved)
	before := w.seeAgent(a.ID).Version
	s := w.stack(g.ID, "web")

	wantNone(w.T, "delete", w.Generators().Delete(w.ctx, g.ID, w.at))
	_, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantKind(w.T, "get", err, fault.NotFound)
	wantKind(w.T, "delete again", w.Generators().Delete(w.ctx, g.ID, w.at), fault.NotFound)
	wantKind(w.T, "update", w.Generators().Update(w.ctx, g), fault.NotFound)
	list, err := w.Registrations().OfAgent(w.ctx, a.ID)
	wantNone(w.T, "registrations", err)
	wantSame(w.T, "registrations", list, []tenancy.Registration{kept})
	wantGrown(w.T, "the agent's version", before, w.seeAgent(a.ID).Version)
	if got := w.seeStack(s.ID); got.DeletedAt != nil {
		w.Fatal("the generator's stack was deleted with it")
	}
	wantKind(w.T, "insert a stack for it", w.Stacks().Insert(w.ctx, w.newStack(g.ID, "late")), fault.NotFound)
	wantNone(w.T, "insert the name again", w.Generators().Insert(w.ctx, w.newGenerator("ci")))
}

func generatorCopies(w *world) {
	g := w.newGenerator("ci")
	wantNone(w.T, "insert", w.Generators().Insert(w.ctx, g))
	*g.Description = "changed by the caller"
	got, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	if *got.Description != "about ci" {
		w.Fatalf("description: got %q, the store shares what was inserted", *got.Description)
	}
	*got.Description = "changed by the reader"
	got, err = w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	if *got.Description != "about ci" {
		w.Fatalf("description: got %q, the store shares what it returns", *got.Description)
	}
}

// generatorInactive wants every way to a generator's keys to say that they rest, and an update to announce them: each change of
// active is felt at once. Others' keys are untouched.
func generatorInactive(w *world) {
	g, other := w.generator("ci"), w.generator("other")
	mine, foreign := w.credential(tenancy.RoleGenerator, g.ID, ""), w.credential(tenancy.RoleGenerator, other.ID, "")
	heard := w.listen(w.ctx, ports.CredentialsRevoked)
	for _, active := range []bool{false, true} {
		g.Active = active
		wantNone(w.T, "update", w.Generators().Update(w.ctx, g))
		wantSame(w.T, "wakeup", w.nextWakeup(heard), ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: mine.Short})
		mine.Suspended = !active
		wantSame(w.T, "by short", w.seeCredential(mine.Short), mine)
		wantSame(w.T, "another's", w.seeCredential(foreign.Short), foreign)
		held, err := w.Credentials().Hold(w.ctx, mine.ID)
		wantNone(w.T, "hold", err)
		wantSame(w.T, "held", held, mine)
		of, err := w.Credentials().OfSubject(w.ctx, tenancy.RoleGenerator, g.ID, "")
		wantNone(w.T, "of subject", err)
		wantSame(w.T, "of subject", of, []tenancy.Credential{mine})
		got, err := w.Keyring().Get(w.ctx, everything, mine.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "one of the keyring", got, mine)
		wantSame(w.T, "the keyring", w.listed(tenancy.Scope{Generator: g.ID}, nil), []tenancy.Credential{mine})
	}
}
