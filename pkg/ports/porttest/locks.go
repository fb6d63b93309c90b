package porttest

import (
	"context"
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
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
	got, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "changes of the generator", got.Name, strconv.Itoa(racers))
	wantSame(w.T, "changes of the stack", w.seeStack(s.ID).Name, strconv.Itoa(racers))
}

func lockNothing(w *world) {
	wantNone(w.T, "hold", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		for _, err := range []error{
			tx.Locks().Generator(ctx, newID[tenancy.GeneratorID]()), tx.Locks().Agent(ctx, newID[agent.ID]()), tx.Locks().Stack(ctx, newID[stack.ID]()),
			tx.Locks().Policy(ctx, newID[policy.ID]()),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}))
}
