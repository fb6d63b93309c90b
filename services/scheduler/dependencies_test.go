package scheduler_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
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
