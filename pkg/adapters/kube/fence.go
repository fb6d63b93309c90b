package kube

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// leaseFresh is how long after it was renewed a lease is relied on without being read: a third less than it lasts, so that a
// write that has been allowed arrives before another process can have taken the lease.
const leaseFresh = leaseDuration * 2 / 3

// codeNotHolding is that of writes which are refused because the process does not hold the agent's lease.
const codeNotHolding = "lease_not_held"

// fence keeps a process that may have lost its lease from writing: one that was frozen, or whose machine was, finds out that
// another has taken over only after it has gone on for a while with what it remembers.
type fence struct {
	mu      sync.Mutex
	lease   *Lease // nil: no lease was asked for, nobody shares the identity
	renewed time.Time
	holding bool
}

// begin makes writes depend on a lease.
func (f *fence) begin(l *Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lease = l
}

// held says that the lease was renewed by a request that began then.
func (f *fence) held(began time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewed, f.holding = began, true
}

func (f *fence) lost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holding = false
}

// age is how long ago that was by the clock that says more: the monotonic one stands still while a machine is suspended, the
// wall clock can be set back.
func age(then time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// mayWrite is nil if this process holds the lease for sure.
func (c *Cluster) mayWrite(ctx context.Context) error {
	f := &c.fence
	f.mu.Lock()
	fresh := f.lease == nil || (f.holding && age(f.renewed) < leaseFresh)
	f.mu.Unlock()
	if fresh {
		return nil
	}
	return c.Holds(ctx)
}

// Holds implements cluster.Tenure.
func (c *Cluster) Holds(ctx context.Context) error {
	c.fence.mu.Lock()
	l := c.fence.lease
	c.fence.mu.Unlock()
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	u, err := l.leases().Get(ctx, l.name(), metav1.GetOptions{})
	switch {
	case isAbsent(err):
		return fault.Newf(fault.Unavailable, codeNotHolding, "the agent's lease %s is gone: nothing is written until it is there again", l.name())
	case err != nil:
		return translate(err, false)
	}
	if other := holderOf(u); other != l.holder {
		return fault.Newf(fault.Unavailable, codeNotHolding, "another process acts for this agent: %s", other)
	}
	return nil
}
