package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Times of a lease.
const (
	leaseDuration = 15 * time.Second
	leaseRenew    = 5 * time.Second
	leaseRetry    = time.Second
	leaseRelease  = 2 * time.Second
	microTime     = "2006-01-02T15:04:05.000000Z07:00"
)

// LeaseState is what this process knows of its lease.
type LeaseState uint8

// The states. While the API server is away a holder keeps Held: as long as nobody reaches the API server nobody else can
// have taken the lease. What it writes when it reaches it again depends on what the lease says then (see fence).
const (
	LeaseUnknown LeaseState = iota // the API server has not answered yet
	LeaseOther                     // another process holds it
	LeaseHeld                      // this process holds it
)

// Lease elects one among the processes that use the identity of one agent in one cluster. It is written here rather
// than taken from client-go's leader election, because that one gives up when the API server is away, and the agent
// has to go on to say so to the broker.
type Lease struct {
	cluster  *Cluster
	log      *slog.Logger
	self     process
	holder   string
	onChange func(LeaseState, string)

	state    LeaseState
	shown    string    // holder that onChange was last called with
	other    string    // holder that was last seen
	renewed  string    // its renewTime, as text
	observed time.Time // when that was first seen
	problem  string    // that was last logged
}

// Lease returns the lease of the agent. onChange is called from Run when the state changes, with the holder if that is
// another one. From now on nothing is written to the cluster while this process does not hold it. boot tells this start of the agent from others; it must not contain an underscore.
func (c *Cluster) Lease(boot string, onChange func(LeaseState, string)) *Lease {
	self := thisProcess(boot)
	l := &Lease{cluster: c, log: c.options.Log, self: self, holder: self.String(), onChange: onChange}
	c.fence.begin(l)
	return l
}

// Run tries for the lease and keeps it until ctx ends; then it gives it back, so that a successor need not wait: end ctx
// after the work that relies on it. It fails if the agent lacks the right to have a lease.
func (l *Lease) Run(ctx context.Context) error {
	defer l.release(context.WithoutCancel(ctx))
	for {
		wait := leaseRetry
		err := l.try(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.Is(err, fault.Forbidden):
			return fmt.Errorf("the agent may not use leases in namespace %s: grant it get, create and update on leases.coordination.k8s.io: %w", l.cluster.options.Namespace, err)
		case err != nil:
			l.complain(ctx, err)
		default:
			l.problem = ""
			if l.state == LeaseHeld {
				wait = leaseRenew
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// complain warns of a problem when it is new. A conflict is none: another was faster.
func (l *Lease) complain(ctx context.Context, err error) {
	level := slog.LevelDebug
	if problem := err.Error(); problem != l.problem && !fault.Is(err, fault.Conflict) {
		level, l.problem = slog.LevelWarn, problem
	}
	l.log.Log(ctx, level, "lease not renewed; trying again", "lease", l.name(), "error", err.Error())
}

func (l *Lease) leases() dynamic.ResourceInterface {
	r := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	return l.cluster.dynamic.Resource(r).Namespace(l.cluster.options.Namespace)
}

func (l *Lease) name() string { return cluster.LeasePrefix + l.cluster.options.Agent }

func (l *Lease) try(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	u, err := l.leases().Get(ctx, l.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		u = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}}
		u.SetName(l.name())
		u.SetLabels(map[string]string{labelAgent: l.cluster.options.Agent, "app.kubernetes.io/managed-by": "brokkr-agent"})
		l.fill(u, true)
		if _, err = l.leases().Create(ctx, u, metav1.CreateOptions{FieldManager: cluster.FieldManager}); err == nil {
			l.cluster.fence.held(began)
			l.become(LeaseHeld, "")
		}
		return translate(err, false)
	}
	if err != nil {
		return translate(err, false)
	}
	other := holderOf(u)
	if other != "" && other != l.holder && !l.expired(u, other) {
		l.cluster.fence.lost()
		l.become(LeaseOther, other)
		return nil
	}
	l.fill(u, other != l.holder)
	if _, err = l.leases().Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager}); err == nil {
		l.cluster.fence.held(began)
		l.become(LeaseHeld, "")
	}
	return translate(err, false)
}

func holderOf(u *unstructured.Unstructured) string {
	holder, _, _ := unstructured.NestedString(u.Object, "spec", "holderIdentity") // no text: nobody's
	return holder
}

// expired reports whether another's lease has not been renewed for its duration, by this machine's clock alone, or its
// process is known to be dead.
func (l *Lease) expired(u *unstructured.Unstructured, other string) bool {
	renewed, _, _ := unstructured.NestedString(u.Object, "spec", "renewTime") // no text: never
	if other != l.other || renewed != l.renewed {
		l.other, l.renewed, l.observed = other, renewed, time.Now()
	}
	if p, err := parseProcess(other); err == nil && l.self.sees(p) && p.isDead() {
		return true
	}
	return time.Since(l.observed) > leaseDuration
}

func (l *Lease) fill(u *unstructured.Unstructured, take bool) {
	now := time.Now().UTC().Format(microTime)
	spec, _, _ := unstructured.NestedMap(u.Object, "spec") // a copy; none: made here
	if spec == nil {
		spec = map[string]any{}
	}
	if take {
		transitions, _ := spec["leaseTransitions"].(int64)
		spec["leaseTransitions"], spec["acquireTime"] = transitions+1, now
	}
	spec["holderIdentity"], spec["renewTime"], spec["leaseDurationSeconds"] = l.holder, now, int64(leaseDuration/time.Second)
	u.Object["spec"] = spec
}

func (l *Lease) become(s LeaseState, other string) {
	if s == l.state && other == l.shown {
		return
	}
	l.state, l.shown = s, other
	l.onChange(s, other)
}

// release gives the lease back if it is this process's, also where the answer to the last try was not waited for.
func (l *Lease) release(ctx context.Context) {
	l.cluster.fence.lost()
	ctx, cancel := context.WithTimeout(ctx, leaseRelease)
	defer cancel()
	u, err := l.leases().Get(ctx, l.name(), metav1.GetOptions{})
	if err == nil && holderOf(u) == l.holder {
		err = unstructured.SetNestedField(u.Object, "", "spec", "holderIdentity")
		if err == nil {
			_, err = l.leases().Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		l.log.DebugContext(ctx, "lease not given back: it expires", "error", err.Error())
	}
}
