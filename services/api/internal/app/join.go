package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

// NewJoinToken is what is said of a new join token. Zero uses mean one, a zero time to live means an hour.
type NewJoinToken struct {
	Name        string
	MaxUses     int
	TTL         time.Duration
	Labels      []string
	Annotations map[string]string
	Generators  []string // ids or names
	Activate    bool
}

// CreateJoinToken makes a token and returns its secret, which is never shown again.
func (a *App) CreateJoinToken(ctx context.Context, p tenancy.Principal, n NewJoinToken) (join.Token, join.Secret, error) {
	if n.MaxUses == 0 {
		n.MaxUses = 1
	}
	if n.TTL == 0 {
		n.TTL = join.DefaultTTL
	}
	at := a.now()
	t := join.Token{
		ID: join.TokenID(newID()), Name: n.Name, MaxUses: n.MaxUses, Labels: n.Labels, Annotations: n.Annotations, Activate: n.Activate,
		CreatedBy: p.Credential, CreatedAt: at, ExpiresAt: at.Add(n.TTL),
	}
	if err := t.Check(at); err != nil {
		return join.Token{}, join.Secret{}, err
	}
	secret, err := join.Generate(a.Random)
	if err != nil {
		return join.Token{}, join.Secret{}, fmt.Errorf("generate a join token: %w", err)
	}
	t.Short, t.Hash = secret.Short(), secret.Hash()
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := a.asker(ctx, tx); err != nil {
			return err
		}
		t.Generators = nil
		for _, name := range n.Generators {
			g, err := a.namedGenerator(ctx, tx, name)
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
				return fault.Newf(fault.Invalid, "invalid_generator_id", "generator %q is not there", name).Because(err)
			}
			if err != nil {
				return err
			}
			t.Generators = append(t.Generators, g.ID)
		}
		if err := tx.JoinTokens().Insert(ctx, t); err != nil {
			return err
		}
		if t, err = tx.JoinTokens().Get(ctx, t.ID); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.JoinTokenCreated, string(t.ID), nil, joinTokenState(t)).With("name", t.Name))
	})
	if err != nil {
		return join.Token{}, join.Secret{}, fmt.Errorf("create join token: %w", err)
	}
	return t, secret, nil
}

// joinTokenState is what a token's digest is of: what somebody said about it.
func joinTokenState(t join.Token) join.Token {
	t.Short, t.Hash, t.Uses, t.LastUsedAt = "", "", 0, nil
	return t
}

// ListJoinTokens returns a page of the tokens.
func (a *App) ListJoinTokens(ctx context.Context, q page.Query) (page.Page[join.Token], error) {
	q = a.usableNow(q)
	out, err := a.Store.JoinTokens().Page(ctx, q)
	if err != nil {
		return out, fmt.Errorf("list join tokens: %w", err)
	}
	return out, nil
}

// GetJoinToken returns a token.
func (a *App) GetJoinToken(ctx context.Context, id join.TokenID) (join.Token, error) {
	t, err := a.Store.JoinTokens().Get(ctx, id)
	if err != nil {
		return join.Token{}, fmt.Errorf("get join token: %w", err)
	}
	return t, nil
}

// JoinTokenTag is the state of a token that its end may rest on: what somebody said about it, not how often it was used.
func JoinTokenTag(t join.Token) string { return precondition.State(joinTokenState(t)) }

// RevokeJoinToken ends a token at once. Agents that have joined by it stay.
func (a *App) RevokeJoinToken(ctx context.Context, id join.TokenID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().JoinToken(ctx, id); err != nil {
			return err
		}
		t, err := tx.JoinTokens().Get(ctx, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, JoinTokenTag(t)); err != nil {
			return err
		}
		if err := tx.JoinTokens().Revoke(ctx, id, a.now()); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.JoinTokenRevoked, string(id), nil, nil).With("name", t.Name))
	})
	if err != nil {
		return fmt.Errorf("revoke join token: %w", err)
	}
	return nil
}

// JoinRequest is what an agent says that wants to join.
type JoinRequest struct {
	Token       string
	Name        string
	ClusterName string
	Claim       string // a secret of the agent's own; empty: a lost answer cannot be asked for again
}

// Join makes an agent by a token and returns its key, which is never shown again. A token that is wrong, has ended or is
// used up is refused with one answer. An agent that lost the answer joins again with the same token, name, cluster and
// claim: it gets a new key, its former ones end, and no use is counted; that works until the token ends, used up or not.
// Another agent of the same name in the cluster is a Conflict.
func (a *App) Join(ctx context.Context, r JoinRequest) (agent.Agent, pak.PAK, error) {
	secret, err := join.Parse(r.Token)
	if err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	n := NewAgent{Name: r.Name, ClusterName: r.ClusterName}
	if _, err := n.check(); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	if err := join.CheckClaim(r.Claim); err != nil {
		return agent.Agent{}, pak.PAK{}, err
	}
	var out agent.Agent
	var key pak.PAK
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		t, err := tx.Joins().Token(ctx, secret.Short())
		if fault.Is(err, fault.NotFound) {
			return join.Refused()
		}
		if err != nil {
			return err
		}
		if !secret.Matches(t.Hash) || !t.Open(a.now()) {
			return join.Refused()
		}
		found, err := tx.Agents().ByName(ctx, r.Name, r.ClusterName)
		switch {
		case err == nil:
			out, key, err = a.joinAgain(ctx, tx, t, found, r.Claim)
		case fault.Is(err, fault.NotFound):
			out, key, err = a.joinNew(ctx, tx, t, n, r.Claim)
		}
		return err
	})
	if err != nil {
		return agent.Agent{}, pak.PAK{}, fmt.Errorf("join: %w", err)
	}
	return out, key, nil
}

func (a *App) joinNew(ctx context.Context, tx ports.Repositories, t join.Token, n NewAgent, claim string) (agent.Agent, pak.PAK, error) {
	fail := func(err error) (agent.Agent, pak.PAK, error) { return agent.Agent{}, pak.PAK{}, err }
	if err := tx.Joins().Use(ctx, t.ID, a.now()); err != nil {
		return fail(err)
	}
	status := agent.Inactive
	if t.Activate {
		status = agent.Active
	}
	n.Labels, n.Annotations = t.Labels, t.Annotations
	for _, g := range t.Generators {
		_, err := tx.Generators().Get(ctx, tenancy.Everything(), g)
		if fault.Is(err, fault.NotFound) {
			continue // it was deleted since
		}
		if err != nil {
			return fail(err)
		}
		n.Generators = append(n.Generators, string(g))
	}
	out, key, err := a.makeAgent(ctx, tx, n, status)
	if err != nil {
		return fail(err)
	}
	if err := tx.Joins().Add(ctx, join.Join{Agent: out.ID, Token: t.ID, Claim: join.HashClaim(claim), At: a.now()}); err != nil {
		return fail(err)
	}
	return out, key, a.did(ctx, tx, joined(out, t))
}

func joined(v agent.Agent, t join.Token) audit.Entry {
	return audit.Did(audit.AgentJoined, string(v.ID), nil, agentState(v)).With("name", v.Name).With("join_token_id", string(t.ID))
}

func (a *App) joinAgain(ctx context.Context, tx ports.Repositories, t join.Token, found agent.Agent, claim string) (agent.Agent, pak.PAK, error) {
	fail := func(err error) (agent.Agent, pak.PAK, error) { return agent.Agent{}, pak.PAK{}, err }
	before, err := tx.Joins().Of(ctx, found.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fail(err)
	}
	if err != nil || before.Token != t.ID || !before.Claims(claim) {
		if !t.Usable(a.now()) {
			return fail(join.Refused()) // who holds a used up token is told of no names
		}
		return fail(taken(found))
	}
	used, err := everUsed(ctx, tx, found)
	if err != nil {
		return fail(err)
	}
	if used {
		return fail(taken(found))
	}
	c, key, err := a.credential(ctx, tx, agentCredential(found))
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Credentials().Revoke(ctx, c.Role, "", c.Agent, c.CreatedAt, c.ID); err != nil {
		return fail(fmt.Errorf("revoke former credentials: %w", err))
	}
	return found, key, a.did(ctx, tx, joined(found, t).With("again", "true"))
}

func taken(found agent.Agent) error {
	return fault.Newf(fault.Conflict, "unique_violation", "an agent %q of cluster %q exists; choose another name, or delete it first", found.Name, found.ClusterName).
		With("constraint", "agents_name_cluster")
}

// everUsed reports whether any key of the agent was used. Then no answer was lost: whoever joins again with its token and claim
// would only undo a rotation, or take the agent's identity over.
func everUsed(ctx context.Context, tx ports.Repositories, v agent.Agent) (bool, error) {
	keys, err := tx.Credentials().OfSubject(ctx, tenancy.RoleAgent, "", v.ID)
	if err != nil {
		return false, fmt.Errorf("list the keys of the agent: %w", err)
	}
	return slices.ContainsFunc(keys, func(c tenancy.Credential) bool { return c.LastUsedAt != nil }), nil
}
