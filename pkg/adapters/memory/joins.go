package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

type (
	joinTokens struct{ s session }
	joins      struct{ s session }
)

func noJoinToken(id any) error { return notFound("join_token_not_found", "join token", id) }

func copyJoinToken(t join.Token) join.Token {
	t.Labels, t.Annotations, t.Generators = slices.Clone(t.Labels), maps.Clone(t.Annotations), slices.Clone(t.Generators)
	t.CreatedAt, t.ExpiresAt = micro(t.CreatedAt), micro(t.ExpiresAt)
	t.RevokedAt, t.LastUsedAt = microPtr(t.RevokedAt), microPtr(t.LastUsedAt)
	return t
}

func (r joinTokens) Get(ctx context.Context, id join.TokenID) (join.Token, error) {
	return read(ctx, r.s, func(s *state) (join.Token, error) {
		t, ok := s.joinTokens.get(one(id))
		if !ok {
			return join.Token{}, noJoinToken(id)
		}
		return copyJoinToken(t), nil
	})
}

func (r joinTokens) Page(ctx context.Context, q page.Query) (page.Page[join.Token], error) {
	at, asked := q.Is["state"]
	return pageOf(ctx, r.s, join.List(), q, func(s *state, keep func(join.Token)) {
		s.joinTokens.each(func(_ one, t join.Token) bool {
			if !asked || t.Uses < t.MaxUses && page.Time(t.Ends()) > at {
				keep(copyJoinToken(t))
			}
			return true
		})
	})
}

func (r joinTokens) Insert(ctx context.Context, t join.Token) error {
	return r.s.update(ctx, func(ch *change) error {
		for _, g := range t.Generators {
			if _, ok := ch.liveGenerator(g); !ok {
				return noGenerator(g)
			}
		}
		if ch.joinShorts.has(one(t.Short)) {
			return duplicate("join_tokens_short", "join token", t.Short)
		}
		if ch.joinTokens.has(one(t.ID)) {
			return duplicate("join_tokens_pkey", "join token", t.ID)
		}
		t = copyJoinToken(t)
		slices.Sort(t.Generators)
		t.Generators = slices.Compact(t.Generators)
		ch.joinTokens.put(one(t.ID), t)
		ch.joinShorts.put(one(t.Short), t.ID)
		return nil
	})
}

func (r joinTokens) Revoke(ctx context.Context, id join.TokenID, at time.Time) error {
	at = micro(at)
	return r.s.update(ctx, func(ch *change) error {
		t, ok := ch.joinTokens.get(one(id))
		if !ok {
			return noJoinToken(id)
		}
		if t.RevokedAt == nil || at.Before(*t.RevokedAt) {
			t.RevokedAt = &at
			ch.joinTokens.put(one(id), copyJoinToken(t))
		}
		return nil
	})
}

func (r joinTokens) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(ch *change) (int, error) {
		gone := map[join.TokenID]string{}
		ch.joinTokens.each(func(_ one, t join.Token) bool {
			if !t.Open(before) && len(gone) < limit {
				gone[t.ID] = t.Short
			}
			return true
		})
		for id, short := range gone {
			ch.joinTokens.drop(one(id))
			ch.joinShorts.drop(one(short))
		}
		var joined []one
		ch.joins.each(func(k one, j join.Join) bool {
			if _, ok := gone[j.Token]; ok {
				joined = append(joined, k)
			}
			return true
		})
		for _, k := range joined {
			ch.joins.drop(k)
		}
		return len(gone), nil
	})
}

func (r joins) Token(ctx context.Context, short string) (join.Token, error) {
	return read(ctx, r.s, func(s *state) (join.Token, error) {
		id, ok := s.joinShorts.get(one(short))
		if !ok {
			return join.Token{}, noJoinToken(short)
		}
		t, _ := s.joinTokens.get(one(id))
		return copyJoinToken(t), nil
	})
}

func (r joins) Use(ctx context.Context, id join.TokenID, at time.Time) error {
	at = micro(at)
	return r.s.update(ctx, func(ch *change) error {
		t, ok := ch.joinTokens.get(one(id))
		if !ok || !t.Usable(at) {
			return join.Refused()
		}
		t.Uses++
		t.LastUsedAt = &at
		ch.joinTokens.put(one(id), copyJoinToken(t))
		return nil
	})
}

func (r joins) Add(ctx context.Context, j join.Join) error {
	return r.s.update(ctx, func(ch *change) error {
		if _, ok := ch.liveAgent(j.Agent); !ok {
			return noAgent(j.Agent)
		}
		if !ch.joinTokens.has(one(j.Token)) {
			return noJoinToken(j.Token)
		}
		if ch.joins.has(one(j.Agent)) {
			return duplicate("joins_pkey", "join", j.Agent)
		}
		j.At = micro(j.At)
		ch.joins.put(one(j.Agent), j)
		return nil
	})
}

func (r joins) Of(ctx context.Context, a agent.ID) (join.Join, error) {
	return read(ctx, r.s, func(s *state) (join.Join, error) {
		j, ok := s.joins.get(one(a))
		if !ok {
			return join.Join{}, notFound("join_not_found", "join of agent", a)
		}
		return j, nil
	})
}
