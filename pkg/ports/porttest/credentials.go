package porttest

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// someHash has the form of a SHA-256.
const someHash = "4c697273df3d764cba950bb5c04368097685f09259f5bd880d892cf1ff9f4cdd"

func credentialCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":             credentialRoundTrip,
		"unknown is not found":                  credentialUnknown,
		"short tokens are unique":               credentialShorts,
		"a subject's are newest first":          credentialsOfSubject,
		"a revocation spares keep and others":   credentialRevoke,
		"a revocation is never postponed":       credentialRevokeEarlier,
		"touching changes nothing but the use":  credentialTouch,
		"who holds one is there before its end": credentialHold,
	}
}

func (w *world) newCredential(role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) tenancy.Credential {
	return tenancy.Credential{
		ID: newID[tenancy.CredentialID](), Name: "key", Role: role, Generator: g, Agent: a,
		Short: "BR" + uuid.NewString()[:6], Hash: someHash, CreatedAt: w.at,
	}
}

func (w *world) credential(role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) tenancy.Credential {
	w.Helper()
	c := w.newCredential(role, g, a)
	wantNone(w.T, "insert credential", w.Credentials().Insert(w.ctx, c))
	return c
}

func (w *world) seeCredential(short string) tenancy.Credential {
	w.Helper()
	c, err := w.Credentials().ByShort(w.ctx, short)
	wantNone(w.T, "credential by short", err)
	return c
}

func credentialRoundTrip(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	later := w.at.Add(time.Hour)
	ofAgent := w.newCredential(tenancy.RoleAgent, "", a.ID)
	ofAgent.ExpiresAt, ofAgent.RevokedAt, ofAgent.LastUsedAt = &later, &later, &later
	for _, c := range []tenancy.Credential{w.newCredential(tenancy.RoleAdmin, "", ""), w.newCredential(tenancy.RoleGenerator, g.ID, ""), ofAgent} {
		wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, c))
		wantSame(w.T, "credential", w.seeCredential(c.Short), c)
	}
	got := w.seeCredential(ofAgent.Short)
	*got.ExpiresAt = w.at
	wantSame(w.T, "credential after the caller changed a copy", w.seeCredential(ofAgent.Short), ofAgent)
}

func credentialUnknown(w *world) {
	_, err := w.Credentials().ByShort(w.ctx, "BRnobody")
	wantKind(w.T, "by short", err, fault.NotFound)
	list, err := w.Credentials().OfSubject(w.ctx, tenancy.RoleAgent, "", newID[tenancy.AgentID]())
	wantNone(w.T, "of subject", err)
	wantSame(w.T, "credentials of nobody", list, nil)
	n, err := w.Credentials().Revoke(w.ctx, tenancy.RoleAgent, "", newID[tenancy.AgentID](), w.at)
	wantNone(w.T, "revoke", err)
	wantSame(w.T, "revoked of nobody", n, 0)
	err = w.Credentials().Insert(w.ctx, w.newCredential(tenancy.RoleAgent, "", newID[tenancy.AgentID]()))
	wantKind(w.T, "insert for an unknown agent", err, fault.NotFound)
	err = w.Credentials().Insert(w.ctx, w.newCredential(tenancy.RoleGenerator, newID[tenancy.GeneratorID](), ""))
	wantKind(w.T, "insert for an unknown generator", err, fault.NotFound)
}

func credentialShorts(w *world) {
	c := w.credential(tenancy.RoleAdmin, "", "")
	again := w.newCredential(tenancy.RoleViewer, "", "")
	again.Short = c.Short
	wantCode(w.T, "insert", w.Credentials().Insert(w.ctx, again), fault.Conflict, "unique_violation")
	wantOneWinner(w.T, "insert", race(8, func(int) error {
		c := w.newCredential(tenancy.RoleAdmin, "", "")
		c.Short = "BRracing"
		return w.Credentials().Insert(w.ctx, c)
	}))
}

func credentialsOfSubject(w *world) {
	a, other := w.agent("edge"), w.agent("other")
	w.credential(tenancy.RoleAgent, "", other.ID)
	w.credential(tenancy.RoleAdmin, "", "")
	var want []tenancy.Credential
	for _, age := range []time.Duration{2, 0, 1} {
		c := w.newCredential(tenancy.RoleAgent, "", a.ID)
		c.CreatedAt = w.at.Add(-age * time.Minute)
		wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, c))
		want = append(want, c)
	}
	slices.SortFunc(want, func(x, y tenancy.Credential) int { return y.CreatedAt.Compare(x.CreatedAt) })
	got, err := w.Credentials().OfSubject(w.ctx, tenancy.RoleAgent, "", a.ID)
	wantNone(w.T, "of subject", err)
	wantSame(w.T, "credentials", got, want)
}

func credentialRevoke(w *world) {
	a, other := w.agent("edge"), w.agent("other")
	now := w.at.Add(time.Minute)
	past := w.at.Add(-time.Minute)
	old, fresh := w.credential(tenancy.RoleAgent, "", a.ID), w.credential(tenancy.RoleAgent, "", a.ID)
	foreign, admin := w.credential(tenancy.RoleAgent, "", other.ID), w.credential(tenancy.RoleAdmin, "", "")
	expired := w.newCredential(tenancy.RoleAgent, "", a.ID)
	expired.ExpiresAt = &past
	wantNone(w.T, "insert", w.Credentials().Insert(w.ctx, expired))

	n, err := w.Credentials().Revoke(w.ctx, tenancy.RoleAgent, "", a.ID, now, fresh.ID)
	wantNone(w.T, "revoke", err)
	wantSame(w.T, "revoked", n, 1)
	old.RevokedAt = &now
	for _, c := range []tenancy.Credential{old, fresh, foreign, admin, expired} {
		wantSame(w.T, "credential", w.seeCredential(c.Short), c)
	}
	n, err = w.Credentials().Revoke(w.ctx, tenancy.RoleAgent, "", a.ID, now, fresh.ID)
	wantNone(w.T, "revoke again", err)
	wantSame(w.T, "revoked again", n, 0)
	n, err = w.Credentials().Revoke(w.ctx, tenancy.RoleAdmin, "", "", now)
	wantNone(w.T, "revoke admins", err)
	wantSame(w.T, "revoked admins", n, 1)
}

// credentialRevokeEarlier has a rotation with an overlap (revoked from later on) and a revocation at once in the midst of it.
func credentialRevokeEarlier(w *world) {
	a := w.agent("edge")
	c := w.credential(tenancy.RoleAgent, "", a.ID)
	now, later, latest := w.at, w.at.Add(time.Hour), w.at.Add(2*time.Hour)
	for _, step := range []struct {
		at, want time.Time
		n        int
	}{{later, later, 1}, {latest, later, 0}, {now, now, 1}, {later, now, 0}} {
		n, err := w.Credentials().Revoke(w.ctx, tenancy.RoleAgent, "", a.ID, step.at)
		wantNone(w.T, "revoke", err)
		wantSame(w.T, "revoked", n, step.n)
		c.RevokedAt = &step.want
		wantSame(w.T, "credential", w.seeCredential(c.Short), c)
	}
}

func credentialTouch(w *world) {
	x, y := w.credential(tenancy.RoleAdmin, "", ""), w.credential(tenancy.RoleViewer, "", "")
	t1, t2 := w.at.Add(time.Second), w.at.Add(2*time.Second)
	wantNone(w.T, "touch", w.Credentials().Touch(w.ctx, map[tenancy.CredentialID]time.Time{x.ID: t1, y.ID: t2, newID[tenancy.CredentialID](): t1}))
	wantNone(w.T, "touch nothing", w.Credentials().Touch(w.ctx, nil))
	x.LastUsedAt, y.LastUsedAt = &t1, &t2
	wantSame(w.T, "credential", w.seeCredential(x.Short), x)
	wantSame(w.T, "credential", w.seeCredential(y.Short), y)
}

// credentialHold has racers make keys by a key while somebody ends that one: when the end is told, no more of them come.
func credentialHold(w *world) {
	_, err := w.Credentials().Hold(w.ctx, newID[tenancy.CredentialID]())
	wantKind(w.T, "hold", err, fault.NotFound)
	const racers = 6
	for range 5 {
		a := w.agent(uuid.NewString())
		by := w.credential(tenancy.RoleAgent, "", a.ID)
		keys := func() int {
			list, err := w.Credentials().OfSubject(w.ctx, tenancy.RoleAgent, "", a.ID)
			wantNone(w.T, "of subject", err)
			return len(list)
		}
		atEnd := 0
		for _, err := range race(racers, func(i int) error {
			if i == 0 {
				_, err := w.Keyring().End(w.ctx, by.ID, w.at)
				atEnd = keys()
				return err
			}
			return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
				c, err := tx.Credentials().Hold(ctx, by.ID)
				if err != nil || !c.Usable(w.at) {
					return err
				}
				return tx.Credentials().Insert(ctx, w.newCredential(tenancy.RoleAgent, "", a.ID))
			})
		}) {
			wantNone(w.T, "make or end a key", err)
		}
		wantSame(w.T, "keys after the end", keys(), atEnd)
		c, err := w.Credentials().Hold(w.ctx, by.ID)
		wantNone(w.T, "hold", err)
		wantSame(w.T, "held", c, w.seeCredential(by.Short))
	}
}
