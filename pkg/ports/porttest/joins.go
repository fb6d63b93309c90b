package porttest

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func joinTokenCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":        joinTokenRoundTrip,
		"unknown is not found":             joinTokenUnknown,
		"a list is paged, newest first":    joinTokenList,
		"a use is counted while there are": joinTokenUse,
		"of racers for the last use":       joinTokenRace,
		"an end is never later":            joinTokenRevoke,
		"ended ones are purged":            joinTokenPurge,
		"an agent joins once":              joinOnce,
	}
}

func (w *world) newJoinToken() join.Token {
	return join.Token{
		ID: newID[join.TokenID](), Name: "fleet", Short: "BR" + uuid.NewString()[:6], Hash: someHash, MaxUses: 3,
		CreatedAt: w.at, ExpiresAt: w.at.Add(time.Hour),
	}
}

func (w *world) joinToken(change func(*join.Token)) join.Token {
	w.Helper()
	t := w.newJoinToken()
	if change != nil {
		change(&t)
	}
	wantNone(w.T, "insert join token", w.JoinTokens().Insert(w.ctx, t))
	return t
}

func joinTokenRoundTrip(w *world) {
	g := w.generator("ci")
	later := w.at.Add(time.Minute)
	for _, t := range []join.Token{
		w.joinToken(nil),
		w.joinToken(func(t *join.Token) {
			t.Labels, t.Annotations, t.Activate = []string{"prod", "a\"b"}, map[string]string{"region": "eu\"\\"}, true
			t.Generators, t.CreatedBy, t.RevokedAt, t.LastUsedAt, t.Uses = []tenancy.GeneratorID{g.ID}, newID[tenancy.CredentialID](), &later, &later, 2
		}),
	} {
		got, err := w.JoinTokens().Get(w.ctx, t.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "token", got, t)
		got, err = w.Joins().Token(w.ctx, t.Short)
		wantNone(w.T, "by short", err)
		wantSame(w.T, "token by short", got, t)
	}
	again := w.newJoinToken()
	again.Short = w.joinToken(nil).Short
	wantCode(w.T, "insert again", w.JoinTokens().Insert(w.ctx, again), fault.Conflict, "unique_violation")
}

func joinTokenUnknown(w *world) {
	id := newID[join.TokenID]()
	_, err := w.JoinTokens().Get(w.ctx, id)
	wantCode(w.T, "get", err, fault.NotFound, "join_token_not_found")
	_, err = w.Joins().Token(w.ctx, "BRnobody")
	wantCode(w.T, "by short", err, fault.NotFound, "join_token_not_found")
	wantCode(w.T, "revoke", w.JoinTokens().Revoke(w.ctx, id, w.at), fault.NotFound, "join_token_not_found")
	wantCode(w.T, "use", w.Joins().Use(w.ctx, id, w.at), fault.Forbidden, "join_refused")
	t := w.newJoinToken()
	t.Generators = []tenancy.GeneratorID{newID[tenancy.GeneratorID]()}
	wantKind(w.T, "insert with an unknown generator", w.JoinTokens().Insert(w.ctx, t), fault.NotFound)
	_, err = w.Joins().Of(w.ctx, newID[agent.ID]())
	wantCode(w.T, "of an agent", err, fault.NotFound, "join_not_found")
	wantKind(w.T, "add for an unknown agent", w.Joins().Add(w.ctx, join.Join{Agent: newID[agent.ID](), Token: w.joinToken(nil).ID, At: w.at}), fault.NotFound)
	wantKind(w.T, "add for an unknown token", w.Joins().Add(w.ctx, join.Join{Agent: w.agent("edge").ID, Token: id, At: w.at}), fault.NotFound)
}

func joinTokenList(w *world) {
	var all []join.Token
	for i := range 5 {
		t := w.joinToken(func(t *join.Token) {
			t.CreatedAt, t.Name = w.at.Add(time.Duration(i/2)*time.Minute), fmt.Sprint("token-", i%2)
		})
		got, err := w.JoinTokens().Get(w.ctx, t.ID)
		wantNone(w.T, "get", err)
		all = append(all, got)
	}
	of := func(ctx context.Context, _ tenancy.Scope, q page.Query) (page.Page[join.Token], error) {
		return w.JoinTokens().Page(ctx, q)
	}
	everyOrder(w, join.List(), of, all)
	wantSame(w.T, "by name", len(walk(w, of, everything, page.Query{Limit: 2, Sort: "created_at", Is: only{"name": "token-0"}, Search: "TOKEN"})), 3)
	past, soon := w.at.Add(-time.Minute), w.at.Add(time.Minute)
	for what, change := range map[string]func(*join.Token){
		"expired": func(t *join.Token) { t.ExpiresAt = w.at },
		"revoked": func(t *join.Token) { t.RevokedAt = &past },
		"used up": func(t *join.Token) { t.Uses = t.MaxUses },
		"ending":  func(t *join.Token) { t.RevokedAt = &soon },
	} {
		w.joinToken(func(t *join.Token) { change(t); t.Name = what })
	}
	names := map[string]int{}
	for _, t := range walk(w, of, everything, page.Query{Limit: 3, Sort: "created_at", Is: only{"state": page.Time(w.at)}}) {
		names[t.Name]++
	}
	wantSame(w.T, "usable ones by name", names, map[string]int{"token-0": 3, "token-1": 2, "ending": 1})
}

func joinTokenUse(w *world) {
	t := w.joinToken(func(t *join.Token) { t.MaxUses = 2 })
	for i := range 3 {
		err := w.Joins().Use(w.ctx, t.ID, w.at)
		if i < 2 {
			wantNone(w.T, "use", err)
			t.Uses, t.LastUsedAt = i+1, &w.at
		} else {
			wantCode(w.T, "one use more", err, fault.Forbidden, "join_refused")
		}
		got, err := w.JoinTokens().Get(w.ctx, t.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "token", got, t)
	}
	for what, change := range map[string]func(*join.Token){
		"expired": func(t *join.Token) { t.ExpiresAt = w.at },
		"revoked": func(t *join.Token) { t.RevokedAt = &w.at },
	} {
		wantCode(w.T, what, w.Joins().Use(w.ctx, w.joinToken(change).ID, w.at), fault.Forbidden, "join_refused")
	}
}

func joinTokenRace(w *world) {
	t := w.joinToken(func(t *join.Token) { t.MaxUses = 3 })
	done := 0
	for _, err := range race(8, func(int) error { return w.Joins().Use(w.ctx, t.ID, w.at) }) {
		if err == nil {
			done++
			continue
		}
		wantCode(w.T, "use", err, fault.Forbidden, "join_refused")
	}
	wantSame(w.T, "uses that were had", done, 3)
}

func joinTokenRevoke(w *world) {
	t := w.joinToken(nil)
	later := w.at.Add(time.Minute)
	for _, step := range []struct{ at, want time.Time }{{later, later}, {w.at, w.at}, {later, w.at}} {
		wantNone(w.T, "revoke", w.JoinTokens().Revoke(w.ctx, t.ID, step.at))
		t.RevokedAt = &step.want
		got, err := w.JoinTokens().Get(w.ctx, t.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "token", got, t)
	}
}

func joinTokenPurge(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	old := w.at.Add(-time.Hour)
	expired := w.joinToken(func(t *join.Token) { t.ExpiresAt, t.Generators = old, []tenancy.GeneratorID{g.ID} })
	w.joinToken(func(t *join.Token) { t.RevokedAt = &old })
	kept := w.joinToken(nil)
	wantNone(w.T, "add", w.Joins().Add(w.ctx, join.Join{Agent: a.ID, Token: expired.ID, Claim: someHash, At: w.at}))
	for _, want := range []int{1, 1, 0} {
		n, err := w.JoinTokens().Purge(w.ctx, w.at.Add(-time.Minute), 1)
		wantNone(w.T, "purge", err)
		wantSame(w.T, "purged", n, want)
	}
	_, err := w.JoinTokens().Get(w.ctx, kept.ID)
	wantNone(w.T, "get the one that is kept", err)
	_, err = w.Joins().Of(w.ctx, a.ID)
	wantKind(w.T, "how the agent joined", err, fault.NotFound)
}

func joinOnce(w *world) {
	a, t := w.agent("edge"), w.joinToken(nil)
	j := join.Join{Agent: a.ID, Token: t.ID, Claim: someHash, At: w.at}
	wantNone(w.T, "add", w.Joins().Add(w.ctx, j))
	got, err := w.Joins().Of(w.ctx, a.ID)
	wantNone(w.T, "of", err)
	wantSame(w.T, "join", got, j)
	wantKind(w.T, "add again", w.Joins().Add(w.ctx, j), fault.Conflict)
}
