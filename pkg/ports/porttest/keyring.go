package porttest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func keyringCases() map[string]func(*world) {
	return map[string]func(*world){
		"a credential is its owner's":           keyringGet,
		"a list is bounded, filtered and paged": keyringList,
		"an end is announced and never later":   keyringEnd,
		"the last admin stays":                  keyringLastAdmin,
		"of racing admins one stays":            keyringRacingAdmins,
		"ended ones are purged, admins' not":    keyringPurge,
	}
}

func (w *world) accessMethods() map[string]method {
	id, token, a := newID[tenancy.CredentialID](), newID[join.TokenID](), newID[agent.ID]()
	return map[string]method{
		"Keyring.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Keyring().Get(ctx, everything, id))
		},
		"Keyring.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Keyring().Page(ctx, everything, tenancy.CredentialList().All(1)))
		},
		"Keyring.End":    func(ctx context.Context, r ports.Repositories) error { return discard(r.Keyring().End(ctx, id, w.at)) },
		"JoinTokens.Get": func(ctx context.Context, r ports.Repositories) error { return discard(r.JoinTokens().Get(ctx, token)) },
		"JoinTokens.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.JoinTokens().Page(ctx, join.List().All(1)))
		},
		"JoinTokens.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.JoinTokens().Insert(ctx, w.newJoinToken())
		},
		"JoinTokens.Revoke": func(ctx context.Context, r ports.Repositories) error { return r.JoinTokens().Revoke(ctx, token, w.at) },
		"JoinTokens.Purge": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.JoinTokens().Purge(ctx, w.at, 1))
		},
		"Joins.Token": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Joins().Token(ctx, "BRnobody"))
		},
		"Joins.Use": func(ctx context.Context, r ports.Repositories) error { return r.Joins().Use(ctx, token, w.at) },
		"Joins.Add": func(ctx context.Context, r ports.Repositories) error {
			return r.Joins().Add(ctx, join.Join{Agent: a, Token: token, At: w.at})
		},
		"Joins.Of":      func(ctx context.Context, r ports.Repositories) error { return discard(r.Joins().Of(ctx, a)) },
		"Keyring.Purge": func(ctx context.Context, r ports.Repositories) error { return discard(r.Keyring().Purge(ctx, w.at, 1)) },
	}
}

func keyringGet(w *world) {
	g, other, a := w.generator("ci"), w.generator("other"), w.agent("edge")
	ofGenerator, ofAgent := w.credential(tenancy.RoleGenerator, g.ID, ""), w.credential(tenancy.RoleAgent, "", a.ID)
	admin := w.credential(tenancy.RoleAdmin, "", "")
	for _, tt := range []struct {
		scope tenancy.Scope
		c     tenancy.Credential
		sees  bool
	}{
		{everything, ofGenerator, true}, {everything, ofAgent, true}, {everything, admin, true},
		{tenancy.Scope{Generator: g.ID}, ofGenerator, true}, {tenancy.Scope{Generator: other.ID}, ofGenerator, false},
		{tenancy.Scope{Generator: g.ID}, ofAgent, false}, {tenancy.Scope{Generator: g.ID}, admin, false},
		{tenancy.Scope{Agent: a.ID}, ofAgent, true}, {tenancy.Scope{Agent: a.ID}, ofGenerator, false}, {tenancy.Scope{}, admin, false},
	} {
		got, err := w.Keyring().Get(w.ctx, tt.scope, tt.c.ID)
		if tt.sees {
			wantNone(w.T, "get", err)
			wantSame(w.T, "credential", got, tt.c)
		} else {
			wantCode(w.T, "get", err, fault.NotFound, "credential_not_found")
		}
	}
	for _, id := range []tenancy.CredentialID{newID[tenancy.CredentialID](), "x", ""} {
		_, err := w.Keyring().Get(w.ctx, everything, id)
		wantCode(w.T, "get an unknown one", err, fault.NotFound, "credential_not_found")
	}
}

// only are filters of a list.
type only = map[string]string

func (w *world) listed(scope tenancy.Scope, is only) []tenancy.Credential {
	w.Helper()
	q := tenancy.CredentialList().All(2)
	q.Is = is
	return walk(w, w.Keyring().Page, scope, q)
}

func keyringList(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	var all []tenancy.Credential
	for i, c := range []tenancy.Credential{
		w.newCredential(tenancy.RoleAdmin, "", ""), w.newCredential(tenancy.RoleGenerator, g.ID, ""),
		w.newCredential(tenancy.RoleAgent, "", a.ID), w.newCredential(tenancy.RoleGenerator, g.ID, ""), w.newCredential(tenancy.RoleViewer, "", ""),
	} {
		c.CreatedAt = w.at.Add(time.Duration(i/2) * time.Minute) // two of one time, so that the id decides
		wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, c))
		all = append(all, c)
	}
	past := w.at.Add(-time.Minute)
	ended := w.newCredential(tenancy.RoleGenerator, g.ID, "")
	ended.RevokedAt = &past
	wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, ended))
	sorted := w.listed(everything, nil)
	wantSame(w.T, "how many", len(sorted), len(all)+1)
	if !slices.IsSortedFunc(sorted, func(x, y tenancy.Credential) int {
		if c := y.CreatedAt.Compare(x.CreatedAt); c != 0 {
			return c
		}
		if x.ID > y.ID {
			return -1
		}
		return 1
	}) {
		w.Errorf("not newest first: %v", sorted)
	}
	wantSame(w.T, "usable ones", len(w.listed(everything, only{"state": page.Time(w.at)})), len(all))
	wantSame(w.T, "of the role", len(w.listed(everything, only{"role": string(tenancy.RoleGenerator)})), 3)
	wantSame(w.T, "of the generator", len(w.listed(everything, only{"generator_id": string(g.ID), "state": page.Time(w.at)})), 2)
	wantSame(w.T, "of the agent", w.listed(everything, only{"agent_id": string(a.ID)}), []tenancy.Credential{all[2]})
	wantSame(w.T, "in the agent's scope", w.listed(tenancy.Scope{Agent: a.ID}, nil), []tenancy.Credential{all[2]})
	wantSame(w.T, "in the generator's scope", len(w.listed(tenancy.Scope{Generator: g.ID}, nil)), 3)
	wantSame(w.T, "of another in the generator's scope", len(w.listed(tenancy.Scope{Generator: g.ID}, only{"agent_id": string(a.ID)})), 0)
	wantSame(w.T, "in no scope", len(w.listed(tenancy.Scope{}, nil)), 0)
	everyOrder(w, tenancy.CredentialList(), w.Keyring().Page, sorted)
	found := walk(w, w.Keyring().Page, everything, page.Query{Limit: 1, Sort: "created_at", Search: strings.ToUpper(sorted[0].Name), Is: only{"name": sorted[0].Name}})
	if len(found) == 0 || found[0].Name != sorted[0].Name {
		w.Errorf("found by its name: %+v, want %s", found, sorted[0].Name)
	}
}

func keyringEnd(w *world) {
	a := w.agent("edge")
	ch := w.listen(w.ctx, ports.CredentialsRevoked)
	c, kept := w.credential(tenancy.RoleAgent, "", a.ID), w.credential(tenancy.RoleAgent, "", a.ID)
	now, later := w.at, w.at.Add(time.Hour)
	for _, step := range []struct {
		at, want time.Time
		changed  bool
	}{{later, later, true}, {later, later, false}, {now, now, true}, {later, now, false}} {
		changed, err := w.Keyring().End(w.ctx, c.ID, step.at)
		wantNone(w.T, "end", err)
		wantSame(w.T, "changed", changed, step.changed)
		c.RevokedAt = &step.want
		wantSame(w.T, "credential", w.seeCredential(c.Short), c)
		if changed {
			wantSame(w.T, "wakeup", w.nextWakeup(ch), ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: c.Short})
		}
	}
	wantSame(w.T, "the other one", w.seeCredential(kept.Short), kept)
	_, err := w.Keyring().End(w.ctx, newID[tenancy.CredentialID](), now)
	wantCode(w.T, "end an unknown one", err, fault.NotFound, "credential_not_found")
}

func keyringLastAdmin(w *world) {
	past, later := w.at.Add(-time.Minute), w.at.Add(time.Hour)
	first := w.credential(tenancy.RoleAdmin, "", "")
	w.credential(tenancy.RoleOperator, "", "")
	for _, end := range []func(*tenancy.Credential){
		func(c *tenancy.Credential) { c.ExpiresAt = &past },
		func(c *tenancy.Credential) { c.RevokedAt = &past },
		func(c *tenancy.Credential) { c.RevokedAt = &later }, // it ends soon: no way back in
	} {
		c := w.newCredential(tenancy.RoleAdmin, "", "")
		end(&c)
		wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, c))
	}
	_, err := w.Keyring().End(w.ctx, first.ID, w.at)
	wantCode(w.T, "end the last admin", err, fault.Refused, "last_admin_credential")
	wantSame(w.T, "the last admin", w.seeCredential(first.Short), first)
	w.credential(tenancy.RoleAdmin, "", "")
	changed, err := w.Keyring().End(w.ctx, first.ID, w.at)
	wantNone(w.T, "end one of two", err)
	wantSame(w.T, "changed", changed, true)
}

func keyringRacingAdmins(w *world) {
	ids := []tenancy.CredentialID{}
	for range 4 {
		ids = append(ids, w.credential(tenancy.RoleAdmin, "", "").ID)
	}
	refused := 0
	for _, err := range race(len(ids), func(i int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			return discard(tx.Keyring().End(ctx, ids[i], w.at))
		})
	}) {
		if err != nil {
			wantCode(w.T, "end", err, fault.Refused, "last_admin_credential")
			refused++
		}
	}
	wantSame(w.T, "refused", refused, 1)
	wantSame(w.T, "left", len(w.listed(everything, only{"role": string(tenancy.RoleAdmin), "state": page.Time(w.at)})), 1)
}

func keyringPurge(w *world) {
	a := w.agent("edge")
	old, fresh := w.at.Add(-time.Hour), w.at.Add(-time.Minute)
	var ids []tenancy.CredentialID
	for _, end := range []func(*tenancy.Credential){
		func(c *tenancy.Credential) { c.ExpiresAt = &old },
		func(c *tenancy.Credential) { c.RevokedAt, c.ExpiresAt = &old, &fresh },
		func(c *tenancy.Credential) { c.RevokedAt = &fresh },
		func(*tenancy.Credential) {},
		func(c *tenancy.Credential) { c.Role, c.Agent, c.RevokedAt = tenancy.RoleAdmin, "", &old },
	} {
		c := w.newCredential(tenancy.RoleAgent, "", a.ID)
		end(&c)
		wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, c))
		ids = append(ids, c.ID)
	}
	for _, want := range []int{1, 1, 0} {
		n, err := w.Keyring().Purge(w.ctx, w.at.Add(-30*time.Minute), 1)
		wantNone(w.T, "purge", err)
		wantSame(w.T, "purged", n, want)
	}
	for i, id := range ids {
		_, err := w.Keyring().Get(w.ctx, everything, id)
		if gone := fault.Is(err, fault.NotFound); gone != (i < 2) {
			w.Errorf("credential %d: gone %v", i, gone)
		}
	}
}
