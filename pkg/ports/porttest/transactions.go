package porttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func transactionCases() map[string]func(*world) {
	return map[string]func(*world){
		"a commit keeps everything":             commitKeeps,
		"an error rolls everything back":        errorRollsBack,
		"a panic rolls everything back":         panicRollsBack,
		"a cancelled context rolls back":        cancelRollsBack,
		"nobody sees what is not committed":     uncommittedUnseen,
		"the closure sees what it wrote":        ownWritesSeen,
		"a transaction that is over is refused": overRefused,
		"concurrent increments lose nothing":    incrementsAdd,
	}
}

// fill writes a bit of everything that a rollback must undo.
func (w *world) fill(ctx context.Context, tx ports.Repositories, g tenancy.Generator, p placed) error {
	if err := tx.Generators().Insert(ctx, g); err != nil {
		return err
	}
	if _, err := tx.Credentials().Revoke(ctx, tenancy.RoleAgent, "", p.agents[0].ID, w.at.Add(time.Minute)); err != nil {
		return err
	}
	if err := tx.Stacks().Insert(ctx, w.newStack(g.ID, "new")); err != nil {
		return err
	}
	if err := tx.Agents().Delete(ctx, p.agents[1].ID, w.at); err != nil {
		return err
	}
	if _, err := tx.Reports().Record(ctx, p.agents[0].ID, w.at, nil); err != nil {
		return err
	}
	return tx.Outbox().Append(ctx, w.newEvent("from the closure"))
}

type snapshot struct {
	Generators []tenancy.Generator
	Agents     int
	Assigned   int
	Revoked    bool
	Events     []string
}

func (w *world) snapshot(p placed, short string) snapshot {
	w.Helper()
	var s snapshot
	var err error
	s.Generators, err = w.Generators().List(w.ctx, everything)
	wantNone(w.T, "list generators", err)
	agents, err := w.Agents().List(w.ctx, everything)
	wantNone(w.T, "list agents", err)
	list, err := w.Assignments().OfStack(w.ctx, p.stack.ID)
	wantNone(w.T, "assignments of stack", err)
	c, err := w.Credentials().ByShort(w.ctx, short)
	wantNone(w.T, "credential", err)
	events, _, err := w.Outbox().Read(w.ctx, ports.Cursor{}, time.Now(), time.Minute, 100)
	wantNone(w.T, "read outbox", err)
	for _, e := range events {
		s.Events = append(s.Events, e.ID)
	}
	s.Agents, s.Assigned, s.Revoked = len(agents), len(list), c.RevokedAt != nil
	return s
}

func (w *world) agentCredential(p placed) tenancy.Credential {
	w.Helper()
	c := tenancy.Credential{
		ID: newID[tenancy.CredentialID](), Name: "key", Role: tenancy.RoleAgent, Agent: p.agents[0].ID,
		Short: "BRtest01", Hash: someHash, CreatedAt: w.at,
	}
	wantNone(w.T, "insert credential", w.Credentials().Insert(w.ctx, c))
	return c
}

func commitKeeps(w *world) {
	p := w.place(2)
	c := w.agentCredential(p)
	before := w.snapshot(p, c.Short)
	g := w.newGenerator("from-closure")
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error { return w.fill(ctx, tx, g, p) }))
	after := w.snapshot(p, c.Short)
	if len(after.Generators) != len(before.Generators)+1 || after.Agents != 1 || after.Assigned != 1 || !after.Revoked || len(after.Events) != len(before.Events)+1 {
		w.Fatalf("after the commit: got %+v, want one generator and event more, one agent and assignment, and the key revoked", after)
	}
}

func errorRollsBack(w *world) {
	p := w.place(2)
	c := w.agentCredential(p)
	before := w.snapshot(p, c.Short)
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := w.fill(ctx, tx, w.newGenerator("from-closure"), p); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", errClosure)
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v, want the closure's error", err)
	}
	wantSame(w.T, "after the rollback", w.snapshot(p, c.Short), before)
}

func panicRollsBack(w *world) {
	p := w.place(2)
	c := w.agentCredential(p)
	before := w.snapshot(p, c.Short)
	var err error
	recovered := func() (r any) {
		defer func() { r = recover() }()
		err = w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := w.fill(ctx, tx, w.newGenerator("from-closure"), p); err != nil {
				return err
			}
			panic("the closure panicked")
		})
		return nil
	}()
	if recovered == nil && err == nil {
		w.Fatal("write: the panic was swallowed")
	}
	wantSame(w.T, "after the panic", w.snapshot(p, c.Short), before)
	wantNone(w.T, "the next write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Outbox().Append(ctx, w.newEvent("after"))
	}))
}

func cancelRollsBack(w *world) {
	p := w.place(2)
	c := w.agentCredential(p)
	before := w.snapshot(p, c.Short)
	ctx, cancel := context.WithCancel(w.ctx)
	err := w.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		err := w.fill(ctx, tx, w.newGenerator("from-closure"), p)
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		w.Fatalf("write: got %v, want context.Canceled", err)
	}
	wantSame(w.T, "after the cancellation", w.snapshot(p, c.Short), before)
}

func uncommittedUnseen(w *world) {
	g := w.newGenerator("unseen")
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Generators().Insert(ctx, g); err != nil {
			return err
		}
		if _, err := w.Generators().Get(w.ctx, everything, g.ID); !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("a reader outside saw it before the commit: %w", err)
		}
		return nil
	}))
	_, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantNone(w.T, "get after the commit", err)
}

func ownWritesSeen(w *world) {
	g := w.newGenerator("seen")
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Generators().Insert(ctx, g); err != nil {
			return err
		}
		s := w.newStack(g.ID, "inside")
		if err := tx.Stacks().Insert(ctx, s); err != nil {
			return err
		}
		got, err := tx.Stacks().ByName(ctx, g.ID, "inside")
		if err == nil && got.ID != s.ID {
			err = fmt.Errorf("got stack %s, want %s", got.ID, s.ID)
		}
		return err
	}))
}

func overRefused(w *world) {
	var leaked ports.Repositories
	wantNone(w.T, "write", w.Write(w.ctx, func(_ context.Context, tx ports.Repositories) error {
		leaked = tx
		return nil
	}))
	g := w.newGenerator("late")
	if err := leaked.Generators().Insert(w.ctx, g); err == nil {
		w.Fatal("insert in a transaction that is over: got no error")
	}
	_, err := w.Generators().Get(w.ctx, everything, g.ID)
	wantKind(w.T, "get", err, fault.NotFound)
}

// incrementsAdd has writers that read a stack's version in a transaction and compare-and-set it, retrying on Conflict.
func incrementsAdd(w *world) {
	const writers, rounds = 4, 5
	s := w.stack(w.generator("team").ID, "web")
	errs := race(writers, func(int) error {
		for range rounds {
			for {
				err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
					now, err := tx.Stacks().Get(ctx, everything, s.ID)
					if err != nil {
						return err
					}
					return errors.Join(tx.Stacks().Update(ctx, now), tx.Outbox().Append(ctx, event.Event{ID: newID[string](), Type: event.StackChanged, At: w.at}))
				})
				if err == nil {
					break
				}
				if !fault.Is(err, fault.Conflict) {
					return err
				}
			}
		}
		return nil
	})
	wantNone(w.T, "writers", errors.Join(errs...))
	if got := w.seeStack(s.ID).Version - s.Version; got != writers*rounds {
		w.Fatalf("the version grew by %d, want %d", got, writers*rounds)
	}
	events, _, err := w.Outbox().Read(w.ctx, ports.Cursor{}, time.Now(), time.Minute, 1000)
	wantNone(w.T, "read outbox", err)
	if len(events) != writers*rounds {
		w.Fatalf("got %d events, want one of each of %d commits", len(events), writers*rounds)
	}
}
