package porttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func wakeupCases() map[string]func(*world) {
	return map[string]func(*world){
		"the first is a lost one":                 wakeupFirst,
		"one comes after the commit, not before":  wakeupAfterCommit,
		"a rollback wakes nobody":                 wakeupRollback,
		"revocations name the short tokens":       wakeupRevoked,
		"an agent that has changed is named":      wakeupAgent,
		"every listener gets its own":             wakeupEveryone,
		"a listener that is gone disturbs nobody": wakeupGone,
	}
}

// listen returns a channel of which the first, lost, wakeup was taken.
func (w *world) listen(ctx context.Context, channels ...string) <-chan ports.Wakeup {
	w.Helper()
	ch, err := w.wakeups.Listen(ctx, channels...)
	wantNone(w.T, "listen", err)
	if first := receive(w.T, "first wakeup", ch); !first.Lost {
		w.Fatalf("first wakeup: got %+v, want a lost one", first)
	}
	return ch
}

// nextWakeup returns the next wakeup that tells of a commit.
func (w *world) nextWakeup(ch <-chan ports.Wakeup) ports.Wakeup {
	w.Helper()
	for {
		if got := receive(w.T, "wakeup", ch); !got.Lost && !got.Deaf {
			return got
		}
	}
}

func wakeupFirst(w *world) {
	ctx, cancel := context.WithCancel(w.ctx)
	ch := w.listen(ctx, ports.OutboxGrew)
	wantQuiet(w.T, "a wakeup without a cause", ch)
	cancel()
	wantClosed(w.T, "the channel of a context that ended", ch)
}

func wakeupAfterCommit(w *world) {
	ch := w.listen(w.ctx, ports.OutboxGrew)
	r := w.reader()
	e := w.newEvent("news")
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Outbox().Append(ctx, e); err != nil {
			return err
		}
		select {
		case got := <-ch:
			return errors.New("a wakeup came before the commit: " + got.Channel)
		case <-time.After(quiet):
			return nil
		}
	}))
	wantSame(w.T, "wakeup", w.nextWakeup(ch), ports.Wakeup{Channel: ports.OutboxGrew})
	wantSame(w.T, "events at the wakeup", r.all(), []string{e.ID})
	w.appendEvent("outside a transaction")
	wantSame(w.T, "wakeup", w.nextWakeup(ch), ports.Wakeup{Channel: ports.OutboxGrew})
}

// wakeupRollback sees by the order of commits, not by waiting, that a rollback announces nothing.
func wakeupRollback(w *world) {
	ch := w.listen(w.ctx, ports.OutboxGrew, ports.CredentialsRevoked)
	a := w.agent("edge")
	c := w.credential(tenancy.RoleAgent, "", a.ID)
	admin := w.credential(tenancy.RoleAdmin, "", "")
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Outbox().Append(ctx, w.newEvent("rolled back")); err != nil {
			return err
		}
		if _, err := tx.Credentials().Revoke(ctx, tenancy.RoleAdmin, "", "", w.at.Add(time.Minute)); err != nil {
			return err
		}
		return errClosure
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v", err)
	}
	_, err = w.Credentials().Revoke(w.ctx, tenancy.RoleAgent, "", a.ID, w.at.Add(time.Minute))
	wantNone(w.T, "revoke", err)
	wantSame(w.T, "first wakeup after the rollback", w.nextWakeup(ch), ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: c.Short})
	if got := w.seeCredential(admin.Short); got.RevokedAt != nil {
		w.Fatal("the revocation was not rolled back")
	}
}

func wakeupRevoked(w *world) {
	ch := w.listen(w.ctx, ports.CredentialsRevoked)
	a := w.agent("edge")
	var want []string
	for range 2 {
		want = append(want, w.credential(tenancy.RoleAgent, "", a.ID).Short)
	}
	kept := w.credential(tenancy.RoleAgent, "", a.ID)
	w.appendEvent("on a channel that is not listened to")
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		return discard(tx.Credentials().Revoke(ctx, tenancy.RoleAgent, "", a.ID, w.at.Add(time.Minute), kept.ID))
	}))
	var got []string
	for range want {
		n := w.nextWakeup(ch)
		wantSame(w.T, "channel", n.Channel, ports.CredentialsRevoked)
		got = append(got, n.Payload)
	}
	slices.Sort(got)
	slices.Sort(want)
	wantSame(w.T, "short tokens", got, want)
	wantQuiet(w.T, "a wakeup for a key that was kept", ch)
}

func wakeupEveryone(w *world) {
	x, y := w.listen(w.ctx, ports.OutboxGrew), w.listen(w.ctx, ports.OutboxGrew, ports.CredentialsRevoked)
	w.appendEvent("news")
	want := ports.Wakeup{Channel: ports.OutboxGrew}
	wantSame(w.T, "wakeup of the first", w.nextWakeup(x), want)
	wantSame(w.T, "wakeup of the second", w.nextWakeup(y), want)
}

func wakeupGone(w *world) {
	ctx, cancel := context.WithCancel(w.ctx)
	gone := w.listen(ctx, ports.OutboxGrew)
	stays := w.listen(w.ctx, ports.OutboxGrew)
	silent := w.listen(w.ctx, ports.OutboxGrew) // never read again
	cancel()
	wantClosed(w.T, "the channel of a context that ended", gone)
	for range 20 {
		w.appendEvent("news")
	}
	w.nextWakeup(stays)
	if silent == nil {
		w.Fatal("no channel")
	}
}

func wakeupAgent(w *world) {
	a := w.agent("edge")
	ch := w.listen(w.ctx, ports.AgentsChanged)
	stale := a
	stale.Version++
	wantKind(w.T, "update", w.Agents().Update(w.ctx, stale), fault.Conflict)
	a.Status = agent.Inactive
	wantNone(w.T, "update", w.Agents().Update(w.ctx, a))
	wantSame(w.T, "wakeup", w.nextWakeup(ch), ports.Wakeup{Channel: ports.AgentsChanged, Payload: string(a.ID)})
	wantQuiet(w.T, "a wakeup without a cause", ch)
}
