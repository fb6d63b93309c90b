package porttest

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func leaseCases() map[string]func(*world) {
	return map[string]func(*world){
		"a holder renews in its epoch":         leaseRenew,
		"another live holder is a conflict":    leaseHeld,
		"an expired lease is for the taking":   leaseExpired,
		"a release frees it, epochs grow on":   leaseRelease,
		"one of many racers gets it":           leaseRace,
		"a list is by name, of one prefix":     leaseList,
		"a release of what is not held is ok":  leaseReleaseOther,
		"leases of different names are apart":  leaseNames,
		"racers for an expired lease, one won": leaseRaceExpired,
		"a check knows who may":                leaseCheck,
		"a checked lease stays till the end":   leaseCheckHolds,
	}
}

func (w *world) acquire(name, holder string, ttl time.Duration) ports.Lease {
	w.Helper()
	l, err := w.Leases().Acquire(w.ctx, name, holder, ttl)
	wantNone(w.T, "acquire", err)
	if l.Name != name || l.Holder != holder || l.Epoch <= 0 {
		w.Fatalf("lease: got %+v, want %s of %s in an epoch", l, name, holder)
	}
	return l
}

func leaseRenew(w *world) {
	first := w.acquire("shard-0", "a", time.Minute)
	again := w.acquire("shard-0", "a", 2*time.Minute)
	wantSame(w.T, "epoch", again.Epoch, first.Epoch)
	if !again.Until.After(first.Until) {
		w.Fatalf("until: got %v after %v, want it later", again.Until, first.Until)
	}
}

func leaseHeld(w *world) {
	first := w.acquire("shard-0", "a", time.Minute)
	_, err := w.Leases().Acquire(w.ctx, "shard-0", "b", time.Minute)
	wantKind(w.T, "acquire", err, fault.Conflict)
	wantSame(w.T, "epoch", w.acquire("shard-0", "a", time.Minute).Epoch, first.Epoch)
}

// expired returns a lease of holder that is over.
func (w *world) expired(name, holder string) ports.Lease {
	w.Helper()
	l := w.acquire(name, holder, 20*time.Millisecond)
	await(w.T, "the lease is over", func() bool {
		list, err := w.Leases().List(w.ctx, name)
		wantNone(w.T, "list", err)
		return len(list) == 0
	})
	return l
}

func leaseExpired(w *world) {
	old := w.expired("shard-0", "a")
	next := w.acquire("shard-0", "b", time.Minute)
	wantGrown(w.T, "epoch", old.Epoch, next.Epoch)
	_, err := w.Leases().Acquire(w.ctx, "shard-0", "a", time.Minute)
	wantKind(w.T, "acquire by the former holder", err, fault.Conflict)
}

func leaseRelease(w *world) {
	a := w.acquire("shard-0", "a", time.Minute)
	wantNone(w.T, "release", w.Leases().Release(w.ctx, "shard-0", "a"))
	list, err := w.Leases().List(w.ctx, "shard-0")
	wantNone(w.T, "list", err)
	wantSame(w.T, "leases", len(list), 0)
	b := w.acquire("shard-0", "b", time.Minute)
	wantGrown(w.T, "epoch", a.Epoch, b.Epoch)
	wantNone(w.T, "release", w.Leases().Release(w.ctx, "shard-0", "b"))
	wantGrown(w.T, "epoch", b.Epoch, w.acquire("shard-0", "a", time.Minute).Epoch)
}

func leaseReleaseOther(w *world) {
	w.acquire("shard-0", "a", time.Minute)
	wantNone(w.T, "release by another", w.Leases().Release(w.ctx, "shard-0", "b"))
	wantNone(w.T, "release of nothing", w.Leases().Release(w.ctx, "shard-9", "b"))
	_, err := w.Leases().Acquire(w.ctx, "shard-0", "b", time.Minute)
	wantKind(w.T, "acquire", err, fault.Conflict)
}

func leaseNames(w *world) {
	w.acquire("shard-0", "a", time.Minute)
	w.acquire("shard-1", "b", time.Minute)
}

func leaseRace(w *world) {
	wantOneWinner(w.T, "acquire", race(8, func(i int) error {
		return discard(w.Leases().Acquire(w.ctx, "shard-0", fmt.Sprintf("holder-%d", i), time.Minute))
	}))
}

func leaseRaceExpired(w *world) {
	old := w.expired("shard-0", "gone")
	wantOneWinner(w.T, "acquire", race(8, func(i int) error {
		return discard(w.Leases().Acquire(w.ctx, "shard-0", fmt.Sprintf("holder-%d", i), time.Minute))
	}))
	list, err := w.Leases().List(w.ctx, "shard-0")
	wantNone(w.T, "list", err)
	wantSame(w.T, "leases", len(list), 1)
	wantGrown(w.T, "epoch", old.Epoch, list[0].Epoch)
}

func leaseList(w *world) {
	var want []ports.Lease
	for _, n := range []string{"shard_1", "shard_2", "shard_B", "shard_a"} {
		want = append(want, w.acquire(n, "a", time.Minute))
	}
	w.acquire("shardX1", "a", time.Minute)
	w.acquire("other", "a", time.Minute)
	w.acquire("shard", "a", time.Minute)
	w.expired("shard_0", "a")
	got, err := w.Leases().List(w.ctx, "shard_")
	wantNone(w.T, "list", err)
	wantSame(w.T, "leases", got, want)
	all, err := w.Leases().List(w.ctx, "")
	wantNone(w.T, "list", err)
	wantSame(w.T, "all leases", len(all), 7)
}

func leaseCheck(w *world) {
	check := func(l ports.Lease) error { return w.Leases().Check(w.ctx, l) }
	mine := w.acquire("shard-0", "a", time.Minute)
	wantNone(w.T, "check", check(mine))
	for what, l := range map[string]ports.Lease{
		"of another":         {Name: mine.Name, Holder: "b", Epoch: mine.Epoch},
		"in a former epoch":  {Name: mine.Name, Holder: mine.Holder, Epoch: mine.Epoch - 1},
		"that never was":     {Name: "shard-9", Holder: "a", Epoch: 1},
		"that is over":       w.expired("shard-1", "a"),
		"without its holder": {Name: mine.Name, Epoch: mine.Epoch},
	} {
		wantCode(w.T, "check of a lease "+what, check(l), fault.Conflict, "lease_lost")
	}
	wantNone(w.T, "release", w.Leases().Release(w.ctx, mine.Name, mine.Holder))
	wantCode(w.T, "check of what was given up", check(mine), fault.Conflict, "lease_lost")
	wantNone(w.T, "check after it was taken again", check(w.acquire("shard-0", "a", time.Minute)))
	wantCode(w.T, "check in the epoch before", check(mine), fault.Conflict, "lease_lost")
}

// leaseCheckHolds sees that who takes the lease after a check waits until the transaction is over.
func leaseCheckHolds(w *world) {
	mine := w.acquire("shard-0", "a", time.Minute)
	taken := make(chan error, 1)
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Leases().Check(ctx, mine); err != nil {
			return err
		}
		go func() { taken <- w.Leases().Release(w.ctx, mine.Name, mine.Holder) }()
		select {
		case err := <-taken:
			return fmt.Errorf("the lease was given up within the transaction: %w", err)
		case <-time.After(100 * time.Millisecond):
			return nil
		}
	})
	wantNone(w.T, "write", err)
	wantNone(w.T, "release after the transaction", <-taken)
}
