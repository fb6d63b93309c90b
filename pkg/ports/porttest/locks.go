package porttest

import (
	"context"
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
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

func lockNothing(w *world) {
	wantNone(w.T, "hold", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		for _, err := range []error{
			tx.Locks().Generator(ctx, newID[tenancy.GeneratorID]()), tx.Locks().Agent(ctx, newID[agent.ID]()), tx.Locks().Stack(ctx, newID[stack.ID]()),
			tx.Locks().Policy(ctx, newID[policy.ID]()), tx.Locks().Template(ctx, newID[template.ID]()), tx.Locks().Webhook(ctx, newID[webhook.ID]()),
			tx.Locks().WorkOrder(ctx, newID[workorder.ID]()),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}))
}
