package porttest

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func lockCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is held is changed by one after the other": lockRace,
		"what is not there is not held":                  lockNothing,
		"of those who end what they have seen one does":  lockEnds,
	}
}

// lockRace lets racers read a number and write the next one, each for each kind of thing. Without a hold some would be lost.
func lockRace(w *world) {
	const racers = 6
	g, a := w.generator("0"), w.agent("0")
	s := w.stack(g.ID, "0")
	next := func(text string) string {
		n, _ := strconv.Atoi(text)
		return strconv.Itoa(n + 1)
	}
	for _, err := range race(racers, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Generator(ctx, g.ID); err != nil {
				return err
			}
			v, err := tx.Generators().Get(ctx, everything, g.ID)
			if err != nil {
				return err
			}
			v.Name = next(v.Name)
			return tx.Generators().Update(ctx, v)
		})
	}) {
		wantNone(w.T, "change a generator", err)
	}
	for _, err := range race(racers, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Agent(ctx, a.ID); err != nil {
				return err
			}
			v, err := tx.Agents().Get(ctx, everything, a.ID)
			if err != nil {
				return err
			}
			v.Name = next(v.Name)
			return tx.Agents().Update(ctx, v) // a Conflict if it was changed meanwhile
		})
	}) {
		wantNone(w.T, "change an agent", err)
	}
	for _, err := range race(racers, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Stack(ctx, s.ID); err != nil {
				return err
			}
			v, err := tx.Stacks().Get(ctx, everything, s.ID)
			if err != nil {
				return err
			}
			v.Name = next(v.Name)
			return tx.Stacks().Update(ctx, v)
		})
	}) {
		wantNone(w.T, "change a stack", err)
	}
	hook := w.webhook("0")
	for _, err := range race(racers, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Webhook(ctx, hook.ID); err != nil {
				return err
			}
			v, err := tx.Webhooks().Get(ctx, hook.ID)
			if err != nil {
				return err
			}
			v.Name = next(v.Name)
			return tx.Webhooks().Update(ctx, v, nil)
		})
	}) {
		wantNone(w.T, "change a webhook", err)
	}
	// Of those who delete what they have just seen, one does: the others see that it is gone.
	t, o := w.template(g.ID, "0"), w.order(named(a.ID))
	for what, drop := range map[string]func(ctx context.Context, tx ports.Repositories) error{
		"template": func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Template(ctx, t.ID); err != nil {
				return err
			}
			if _, err := tx.Templates().Get(ctx, everything, t.ID); err != nil {
				return nil //nolint:nilerr // it is gone
			}
			return tx.Templates().Delete(ctx, t.ID, w.at)
		},
		"work order": func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().WorkOrder(ctx, o.ID); err != nil {
				return err
			}
			if _, err := tx.WorkOrders().Get(ctx, everything, o.ID); err != nil {
				return nil //nolint:nilerr // it is gone
			}
			return tx.WorkOrders().Delete(ctx, o.ID)
		},
	} {
		for _, err := range race(racers, func(int) error { return w.Write(w.ctx, drop) }) {
			wantNone(w.T, "delete a "+what, err)
		}
	}
	changed, err := w.Webhooks().Get(w.ctx, hook.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "changes of the webhook", changed.Name, strconv.Itoa(racers))
	got, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "changes of the generator", got.Name, strconv.Itoa(racers))
	wantSame(w.T, "changes of the stack", w.seeStack(s.ID).Name, strconv.Itoa(racers))
}

// lockEnds lets racers end a credential, or a join token, that they have just seen without an end; the others see that it has one.
// Those who end different admins' keys at a time do not wait for one another in vain.
func lockEnds(w *world) {
	const racers = 6
	a := w.agent("edge")
	first, second := w.credential(tenancy.RoleAdmin, "", ""), w.credential(tenancy.RoleAdmin, "", "")
	w.credential(tenancy.RoleAdmin, "", "")
	ended := map[string]*atomic.Int32{}
	endCredential := func(c tenancy.Credential, n *atomic.Int32) func(ctx context.Context, tx ports.Repositories) error {
		return func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().Credential(ctx, c.ID); err != nil {
				return err
			}
			now, err := tx.Keyring().Get(ctx, everything, c.ID)
			if err != nil || now.RevokedAt != nil {
				return err
			}
			n.Add(1)
			return discard(tx.Keyring().End(ctx, c.ID, w.at))
		}
	}
	count := func(what string) *atomic.Int32 {
		ended[what] = &atomic.Int32{}
		return ended[what]
	}
	t := w.joinToken(nil)
	tokens := count("join token")
	acts := []func(ctx context.Context, tx ports.Repositories) error{
		endCredential(w.credential(tenancy.RoleAgent, "", a.ID), count("agent's credential")),
		endCredential(first, count("first admin's")), endCredential(second, count("second admin's")),
		func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Locks().JoinToken(ctx, t.ID); err != nil {
				return err
			}
			now, err := tx.JoinTokens().Get(ctx, t.ID)
			if err != nil || now.RevokedAt != nil {
				return err
			}
			tokens.Add(1)
			return tx.JoinTokens().Revoke(ctx, t.ID, w.at)
		},
	}
	for _, err := range race(racers*len(acts), func(i int) error { return w.Write(w.ctx, acts[i%len(acts)]) }) {
		wantNone(w.T, "end", err)
	}
	for what, n := range ended {
		wantSame(w.T, "ends of the "+what, n.Load(), int32(1))
	}
}

func lockNothing(w *world) {
	wantNone(w.T, "hold", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		for _, err := range []error{
			tx.Locks().Generator(ctx, newID[tenancy.GeneratorID]()), tx.Locks().Agent(ctx, newID[agent.ID]()), tx.Locks().Stack(ctx, newID[stack.ID]()),
			tx.Locks().Policy(ctx, newID[policy.ID]()), tx.Locks().Template(ctx, newID[template.ID]()), tx.Locks().Webhook(ctx, newID[webhook.ID]()),
			tx.Locks().WorkOrder(ctx, newID[workorder.ID]()), tx.Locks().Credential(ctx, newID[tenancy.CredentialID]()),
			tx.Locks().JoinToken(ctx, newID[join.TokenID]()),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}))
}
