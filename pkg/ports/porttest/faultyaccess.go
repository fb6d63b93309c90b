package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyKeyring struct {
	in ports.Keyring
	f  *faults
}

func (x faultyKeyring) Get(ctx context.Context, scope tenancy.Scope, id tenancy.CredentialID) (v tenancy.Credential, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyKeyring) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[tenancy.Credential], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyKeyring) End(ctx context.Context, id tenancy.CredentialID, at time.Time) (v bool, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.End(ctx, id, at)
}

func (x faultyKeyring) Purge(ctx context.Context, before time.Time, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Purge(ctx, before, limit)
}

type faultyJoinTokens struct {
	in ports.JoinTokens
	f  *faults
}

func (x faultyJoinTokens) Get(ctx context.Context, id join.TokenID) (v join.Token, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, id)
}

func (x faultyJoinTokens) Page(ctx context.Context, q page.Query) (v page.Page[join.Token], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, q)
}

func (x faultyJoinTokens) Insert(ctx context.Context, t join.Token) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, t)
}

func (x faultyJoinTokens) Revoke(ctx context.Context, id join.TokenID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Revoke(ctx, id, at)
}

func (x faultyJoinTokens) Purge(ctx context.Context, before time.Time, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Purge(ctx, before, limit)
}

type faultyJoins struct {
	in ports.Joins
	f  *faults
}

func (x faultyJoins) Token(ctx context.Context, short string) (v join.Token, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Token(ctx, short)
}

func (x faultyJoins) Use(ctx context.Context, id join.TokenID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Use(ctx, id, at)
}

func (x faultyJoins) Add(ctx context.Context, j join.Join) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Add(ctx, j)
}

func (x faultyJoins) Of(ctx context.Context, a agent.ID) (v join.Join, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Of(ctx, a)
}
