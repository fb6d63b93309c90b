// Package shard shares the stacks among the schedulers that live: each shard is a lease, each scheduler a member, and
// every member computes the same division from the list of members.
package shard

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	memberPrefix = "scheduler/member/"
	shardPrefix  = "scheduler/shard/"
)

// Keeper holds this replica's leases. It is safe for concurrent use.
type Keeper struct {
	leases ports.Leases
	holder string
	shards int
	ttl    time.Duration
	now    func() time.Time
	log    *slog.Logger
	gained chan struct{}

	mu   sync.Mutex
	held map[int]mine
}

// mine is a lease and until when this process may rely on it, by its own clock and on the safe side.
type mine struct {
	lease ports.Lease
	safe  time.Time
}

// NewKeeper returns a keeper for this many shards; ttl is how long a lease lives without renewal.
func NewKeeper(leases ports.Leases, holder string, shards int, ttl time.Duration, now func() time.Time, log *slog.Logger) *Keeper {
	return &Keeper{leases: leases, holder: holder, shards: shards, ttl: ttl, now: now, log: log,
		gained: make(chan struct{}, 1), held: map[int]mine{}}
}

// Of returns the shard of a stack.
func (k *Keeper) Of(s stack.ID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return int(h.Sum32() % uint32(k.shards))
}

// Gained delivers when this replica has just taken the leases of shards, once for all of them.
func (k *Keeper) Gained() <-chan struct{} { return k.gained }

// Lease returns the lease on a shard if this replica holds it.
func (k *Keeper) Lease(shard int) (ports.Lease, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.held[shard]
	return m.lease, ok && k.now().Before(m.safe)
}

// Held returns how many shards this replica holds.
func (k *Keeper) Held() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, m := range k.held {
		if k.now().Before(m.safe) {
			n++
		}
	}
	return n
}

// Run keeps the leases until ctx ends, then gives them up.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.ttl / 3)
	defer tick.Stop()
	for {
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			k.log.WarnContext(ctx, "scheduler leases could not be renewed", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			k.release(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
		}
	}
}

func (k *Keeper) round(ctx context.Context) error {
	if _, err := k.leases.Acquire(ctx, memberPrefix+k.holder, k.holder, k.ttl); err != nil {
		return fmt.Errorf("renew membership: %w", err)
	}
	list, err := k.leases.List(ctx, memberPrefix)
	if err != nil {
		return fmt.Errorf("list members: %w", err)
	}
	members := make([]string, 0, len(list))
	for _, l := range list {
		members = append(members, strings.TrimPrefix(l.Name, memberPrefix))
	}
	slices.Sort(members)
	me := slices.Index(members, k.holder)
	if me < 0 {
		return fmt.Errorf("membership of %s is not listed", k.holder)
	}
	gained := false
	defer func() { // also if it fails on its way
		if gained {
			select {
			case k.gained <- struct{}{}:
			default: // what was gained before has not been looked at yet
			}
		}
	}()
	for i := range k.shards {
		if i%len(members) == me {
			news, err := k.take(ctx, i)
			if gained = gained || news; err != nil {
				return err
			}
			continue
		}
		k.mu.Lock()
		_, had := k.held[i]
		delete(k.held, i)
		k.mu.Unlock()
		if had {
			if err := k.leases.Release(ctx, name(i), k.holder); err != nil {
				return fmt.Errorf("release shard %d: %w", i, err)
			}
		}
	}
	return nil
}

// take takes or renews the lease of a shard; news says that it was not held just before.
func (k *Keeper) take(ctx context.Context, i int) (news bool, err error) {
	before := k.now()
	l, err := k.leases.Acquire(ctx, name(i), k.holder, k.ttl)
	if fault.Is(err, fault.Conflict) { // its former holder has not let go yet
		k.mu.Lock()
		delete(k.held, i)
		k.mu.Unlock()
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take shard %d: %w", i, err)
	}
	k.mu.Lock()
	old, had := k.held[i]
	lapsed := !k.now().Before(old.safe) // for a while nobody decided
	k.held[i] = mine{lease: l, safe: before.Add(k.ttl * 9 / 10)}
	k.mu.Unlock()
	if news = !had || lapsed || old.lease.Epoch != l.Epoch; news {
		k.log.InfoContext(ctx, "took a shard", "shard", i, "epoch", l.Epoch)
	}
	return news, nil
}

func (k *Keeper) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	k.mu.Lock()
	held := k.held
	k.held = map[int]mine{}
	k.mu.Unlock()
	for _, i := range slices.Sorted(maps.Keys(held)) {
		if err := k.leases.Release(ctx, name(i), k.holder); err != nil {
			k.log.WarnContext(ctx, "a lease could not be released; it ends by itself", "shard", i, "error", err.Error())
			return
		}
	}
	if err := k.leases.Release(ctx, memberPrefix+k.holder, k.holder); err != nil {
		k.log.WarnContext(ctx, "membership could not be released; it ends by itself", "error", err.Error())
	}
}

func name(i int) string { return fmt.Sprintf("%s%03d", shardPrefix, i) }
