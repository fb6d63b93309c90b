package kube

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Times of a lease.
const (
	leaseDuration = 15 * time.Second
	leaseRenew    = 5 * time.Second
	leaseRetry    = time.Second
	microTime     = "2006-01-02T15:04:05.000000Z07:00"
)

// LeaseState is what this process knows of its lease.
type LeaseState uint8

// The states. While the API server is away a holder keeps Held: nobody else can have taken the lease.
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
	holder   string
	onChange func(LeaseState, string)

	state    LeaseState
	other    string // holder that was last seen
	renewed  string // its renewTime, as text
	observed time.Time
}

// Lease returns the lease of the agent. onChange is called from Run, with the holder if that is another one.
func (c *Cluster) Lease(boot string, onChange func(LeaseState, string)) *Lease {
	return &Lease{cluster: c, log: c.options.Log, holder: holder(boot), onChange: onChange}
}

// holder names this process: host, process namespace, process id and boot. The first three let a process that was
// started again on the same machine see that the one before is dead.
func holder(boot string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.Join([]string{host, processNamespace(), fmt.Sprint(os.Getpid()), boot}, "_")
}

func processNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return "host"
	}
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// deadHere reports whether the holder was a process of this machine and namespace that has ended.
func (l *Lease) deadHere(other string) bool {
	mine, theirs := strings.Split(l.holder, "_"), strings.Split(other, "_")
	if len(mine) != 4 || len(theirs) != 4 || mine[0] != theirs[0] || mine[1] != theirs[1] || mine[1] == "host" {
		return false
	}
	if mine[2] == theirs[2] {
		return true // its process id is ours now
	}
	var pid int
	if _, err := fmt.Sscan(theirs[2], &pid); err != nil || pid <= 0 {
		return false
	}
	return syscall.Kill(pid, 0) == syscall.ESRCH
}

// Run tries for the lease and keeps it until ctx ends; then it gives it back, so that a successor need not wait.
// It fails if the agent lacks the right to have one.
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
		case err != nil && !fault.Is(err, fault.Conflict):
			l.log.DebugContext(ctx, "lease not renewed", "error", err.Error())
		case l.state == LeaseHeld:
			wait = leaseRenew
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func leases() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
}

func (l *Lease) name() string { return "brokkr-agent-" + l.cluster.options.Agent }

func (l *Lease) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	r := l.cluster.dynamic.Resource(leases()).Namespace(l.cluster.options.Namespace)
	u, err := r.Get(ctx, l.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		u = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}}
		u.SetName(l.name())
		u.SetLabels(map[string]string{labelAgent: l.cluster.options.Agent, "app.kubernetes.io/managed-by": "brokkr-agent"})
		l.fill(u, true)
		if _, err = r.Create(ctx, u, metav1.CreateOptions{FieldManager: cluster.FieldManager}); err == nil {
			l.become(LeaseHeld, "")
		}
		return translate(err, false)
	}
	if err != nil {
		return translate(err, false)
	}
	other, _, _ := unstructured.NestedString(u.Object, "spec", "holderIdentity")
	if other != "" && other != l.holder && !l.expired(u, other) {
		l.become(LeaseOther, other)
		return nil
	}
	l.fill(u, other != l.holder)
	if _, err = r.Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager}); err == nil {
		l.become(LeaseHeld, "")
	}
	return translate(err, false)
}

// expired reports whether another's lease has not been renewed for its duration, by this machine's clock alone.
func (l *Lease) expired(u *unstructured.Unstructured, other string) bool {
	renewed, _, _ := unstructured.NestedString(u.Object, "spec", "renewTime")
	if other != l.other || renewed != l.renewed {
		l.other, l.renewed, l.observed = other, renewed, time.Now()
	}
	return l.deadHere(other) || time.Since(l.observed) > leaseDuration
}

func (l *Lease) fill(u *unstructured.Unstructured, take bool) {
	now := time.Now().UTC().Format(microTime)
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
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
	if s == l.state {
		return
	}
	l.state = s
	l.onChange(s, other)
}

func (l *Lease) release(ctx context.Context) {
	if l.state != LeaseHeld {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r := l.cluster.dynamic.Resource(leases()).Namespace(l.cluster.options.Namespace)
	u, err := r.Get(ctx, l.name(), metav1.GetOptions{})
	if err != nil {
		return // it expires
	}
	if other, _, _ := unstructured.NestedString(u.Object, "spec", "holderIdentity"); other != l.holder {
		return
	}
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	spec["holderIdentity"] = ""
	u.Object["spec"] = spec
	if _, err := r.Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager}); err != nil {
		l.log.DebugContext(ctx, "lease not given back", "error", err.Error())
	}
}
