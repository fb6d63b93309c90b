package scheduler_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func TestDependencyHoldsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		a, b := f.agent("a", "prod"), f.agent("b", "prod")
		crds, web := f.stack("crds", "prod"), f.stack("web", "prod")
		f.follow(web, policy.Document{Name: "after", DependsOn: []policy.Dependency{{Stack: "crds"}}})
		o := f.publish(web, "web")
		settle()
		f.wantHas("the dependency is not published", web, o)
		f.publish(crds, "crds")
		synctest.Wait()
		f.wantHas("published, and not reported", web, o)
		f.healthy(crds, a)
		synctest.Wait()
		f.wantHas("healthy in one cluster", web, o, a)
		f.healthy(crds, b)
		synctest.Wait()
		f.wantHas("healthy in both", web, o, a, b)
	})
}

// What a rollout waits for may come to be, or come to its name, after it began.
func TestADependencyThatComesLater(t *testing.T) {
	t.Parallel()
	for name, come := range map[string]func(f *fleet) stack.ID{
		"it is created": func(f *fleet) stack.ID { return f.stack("crds", "prod") },
		"it is renamed": func(f *fleet) stack.ID {
			id := f.stack("other", "prod")
			synctest.Wait()
			f.write(func(ctx context.Context, tx ports.Repositories) error {
				s, err := tx.Stacks().Get(ctx, tenancy.Everything(), id)
				if err != nil {
					return err
				}
				s.Name = "crds"
				if err := tx.Stacks().Update(ctx, s); err != nil {
					return err
				}
				return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: id, At: time.Now()})
			})
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				defer f.start(f.store)()
				a, web := f.agent("a", "prod"), f.stack("web", "prod")
				f.follow(web, policy.Document{Name: "after", DependsOn: []policy.Dependency{{Stack: "crds"}}})
				o := f.publish(web, "web")
				settle()
				f.wantHas("the dependency is not there", web, o)
				crds := come(f)
				f.publish(crds, "crds")
				synctest.Wait() // no time passes: the event wakes it, not the poll
				f.healthy(crds, a)
				synctest.Wait()
				f.wantHas("it came, and is healthy", web, o, a)
			})
		})
	}
}

// A replica that starts in the middle knows whose reports a rollout waits for, although its first decision changes nothing.
func TestARestartWaitsForTheSameReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		a := f.agent("a", "prod")
		crds, web := f.stack("crds", "prod"), f.stack("web", "prod")
		f.follow(web, policy.Document{Name: "after", DependsOn: []policy.Dependency{{Stack: "crds"}}})
		f.publish(crds, "crds")
		o := f.publish(web, "web")
		settle()
		f.wantHas("not reported", web, o)
		stop()
		settle()
		defer f.start(f.store)()
		settle()
		f.healthy(crds, a)
		synctest.Wait() // no time passes: the event wakes it, not the poll
		f.wantHas("healthy after a restart", web, o, a)
	})
}

// joined is a stack whose rollout is completed on one cluster, and a cluster that joins then: with the stack that the first one
// depends on if it has the label crds.
type joined struct {
	*fleet
	crds, web   stack.ID
	o           stack.ObjectID
	first, late agent.ID
	stop        func()
}

func join(t *testing.T, labels ...string) *joined {
	t.Helper()
	x := &joined{fleet: newFleet(t)}
	x.stop = x.start(x.store)
	x.first = x.agent("a", "prod", "crds")
	x.crds, x.web = x.stack("crds", "crds"), x.stack("web", "prod")
	x.follow(x.web, policy.Document{Name: "after", DependsOn: []policy.Dependency{{Stack: "crds"}}})
	x.publish(x.crds, "crds")
	x.o = x.publish(x.web, "web")
	settle()
	x.healthy(x.crds, x.first)
	synctest.Wait()
	x.healthy(x.web, x.first)
	synctest.Wait()
	if r := x.governing(x.web); r.Phase != rollout.PhaseCompleted {
		t.Fatalf("rollout %s, want it completed: %+v", r.Phase, r.Blockers)
	}
	x.late = x.agent("b", labels...)
	synctest.Wait()
	x.waits("it has just joined")
	return x
}

// waits fails unless the cluster that has joined, and no other, waits for the dependency.
func (x *joined) waits(why string) {
	x.t.Helper()
	x.wantHas(why, x.web, x.o, x.first)
	r := x.governing(x.web)
	if r.Phase != rollout.PhaseCompleted || len(r.Blockers) != 1 || r.Blockers[0].Kind != rollout.BlockedByDependency || !slices.Equal(r.Blockers[0].Agents, []agent.ID{x.late}) {
		x.t.Fatalf("%s: rollout %s, blockers %+v; want it completed, and %s to lack the dependency", why, r.Phase, r.Blockers, x.late)
	}
}

// came fails unless both clusters have the stack, and nobody waits.
func (x *joined) came(why string) {
	x.t.Helper()
	x.wantHas(why, x.web, x.o, x.first, x.late)
	if r := x.governing(x.web); r.Phase != rollout.PhaseCompleted || len(r.Blockers) != 0 {
		x.t.Fatalf("%s: rollout %s, blockers %+v; want it completed, and nobody to wait", why, r.Phase, r.Blockers)
	}
}

func TestWhoJoinsLateGetsDependenciesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := join(t, "prod", "crds")
		if got := x.assignments(x.crds)[x.late]; got.State != delivery.Assigned {
			t.Fatalf("the dependency in the cluster that has joined: %+v, want it assigned", got)
		}
		x.tell(x.crds, x.late, delivery.HealthProgressing, false)
		time.Sleep(20 * time.Minute) // also after everything has been read and decided again
		synctest.Wait()
		x.waits("it is not healthy there")
		x.stop()
		x.stop = x.start(x.store)
		defer x.stop()
		settle()
		x.waits("another scheduler")
		x.healthy(x.crds, x.late)
		synctest.Wait() // no time passes: the event wakes it, not the poll
		x.came("healthy there")
		x.tell(x.crds, x.late, delivery.HealthFailing, false)
		x.publish(x.crds, "newer")
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		x.came("what a cluster has it keeps")
	})
}

func TestWhoJoinsLateWithoutDependenciesWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := join(t, "prod")
		defer x.stop()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		x.waits("the dependency is not in its cluster")
		x.label(x.late, "crds")
		settle()
		x.waits("it is given to it")
		x.wantMetrics("it waits", map[string]float64{`brokkr_rollout_clusters{state="joining"}`: 1, `brokkr_rollout_open{phase="progressing"}`: 0})
		if since := x.metric(`brokkr_rollout_blocked_since_timestamp_seconds{kind="dependency"}`); since <= 0 || since > float64(time.Now().Add(-19*time.Minute).Unix()) {
			t.Errorf("it waits since %v, want 20 minutes and more", since)
		}
		x.healthy(x.crds, x.late)
		synctest.Wait()
		x.came("and healthy")
		settle()
		x.wantMetrics("nobody waits", map[string]float64{`brokkr_rollout_clusters{state="joining"}`: 0, `brokkr_rollout_blocked_since_timestamp_seconds{kind="dependency"}`: 0})
	})
}
