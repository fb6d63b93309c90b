package scheduler_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// option is a value of a setting, and what is so with it and not so by default.
type option struct {
	value string
	is    func(f *fleet) bool
}

// settings are as they stand in the environment.
type settings struct {
	Scheduler scheduler.Config `koanf:"scheduler"`
}

func (s *settings) Validate() error { return s.Scheduler.Validate() }

// Every setting of the environment does what docs/configuration.md says of it.
func TestEveryOptionDoesSomething(t *testing.T) {
	t.Parallel()
	options := map[string]option{
		"shards": {"3", func(f *fleet) bool { return f.heldLeases() == 3 }},
		"lease_ttl": {"30s", func(f *fleet) bool { // shown by how long a lease still holds
			f.heldLeases()
			leases, err := f.store.Leases().List(f.t.Context(), "scheduler/shard/")
			return err == nil && time.Until(leases[0].Until) > 10*time.Second
		}},
		"poll": {"1m", func(f *fleet) bool {
			f.rings = silence{}
			a, s := f.running()
			time.Sleep(20 * time.Second)
			synctest.Wait()
			_, found := f.assignments(s)[a]
			return !found
		}},
		"resync": {"10s", func(f *fleet) bool {
			a, s := f.running()
			settle()
			f.write(func(ctx context.Context, tx ports.Repositories) error { return tx.Agents().RemoveLabel(ctx, a, "prod") }) // an event that is lost
			time.Sleep(time.Minute)
			synctest.Wait()
			return f.assignments(s)[a].State == delivery.Removing
		}},
		"brake_share":    {"1", func(f *fleet) bool { return f.goneAtOnce(6) }},
		"brake_at_least": {"7", func(f *fleet) bool { return f.goneAtOnce(6) }},
		"brake_fleet_floor": {"12", func(f *fleet) bool {
			defer f.start(f.store)()
			settle()
			x := thin(f, 14)
			x.lose(0, 14)
			settle()
			return x.removed() == 12
		}},
		"brake_window": {"1m", func(f *fleet) bool {
			defer f.start(f.store)()
			settle()
			x := thin(f, 14)
			x.lose(0, 14)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			return x.removed() == 14
		}},
		"keep_events": {"1h", func(f *fleet) bool {
			f.write(func(ctx context.Context, tx ports.Repositories) error {
				return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, At: time.Now().Add(-2 * time.Hour)})
			})
			defer f.start(f.store)()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			events, _, err := f.store.Outbox().Read(f.t.Context(), ports.Cursor{}, time.Now(), 0, 10)
			return err == nil && len(events) == 0
		}},
		"keep_decisions": {"1h", func(f *fleet) bool {
			_, s := f.running()
			settle()
			f.publish(s, "two")
			settle()
			f.publish(s, "three")
			settle()
			f.ahead.Store(int64(2 * time.Hour))
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			records, err := f.store.History().Page(f.t.Context(), tenancy.Everything(), s, placement.RecordList().All(10))
			return err == nil && len(records.Items) == 1
		}},
		"audit_seal": {"1m", func(f *fleet) bool {
			defer f.start(f.store)()
			settle()
			f.entry(0)
			settle()
			waiting, err := f.store.AuditLog().Waiting(f.t.Context())
			return err == nil && waiting == 1
		}},
		"keep_audit": {"24h", func(f *fleet) bool {
			f.entry(100 * 24 * time.Hour)
			if _, err := f.store.AuditKeeper().Seal(f.t.Context(), 10); err != nil {
				f.t.Fatal(err)
			}
			defer f.start(f.store)()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			_, n, err := f.store.AuditLog().List(f.t.Context(), audit.Filter{}, audit.Page{Limit: 10})
			return err == nil && n == 0
		}},
		"unreachable_after": {"10m", func(f *fleet) bool { return f.unreachableOf(1, 3*time.Minute) == 0 }},
		"outage_share":      {"1", func(f *fleet) bool { return f.unreachableOf(4, 100*time.Second) == 4 }},
		"outage_wait":       {"0s", func(f *fleet) bool { return f.unreachableOf(4, 100*time.Second) == 4 }},
		"keep_agent_events": {"1h", func(f *fleet) bool {
			a, o := f.agent("told"), f.publish(f.stack("told"), "one")
			f.write(func(ctx context.Context, tx ports.Repositories) error {
				at := time.Now().Add(-2 * time.Hour)
				_, err := tx.Reports().AddEvent(ctx, agent.Event{ID: agent.EventID(uuid.NewString()), Agent: a, Object: o, Type: "DEPLOY", Status: "SUCCESS", CreatedAt: at, UpdatedAt: at})
				return err
			})
			defer f.start(f.store)()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			events, err := f.store.Insights().Feed(f.t.Context(), tenancy.Everything(), agent.EventList().All(10))
			return err == nil && len(events.Items) == 0
		}},
		"keep_deleted_stacks": {"0s", func(f *fleet) bool {
			s := f.stack("web", "prod")
			f.deleteStack(s)
			defer f.start(f.store)()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			_, err := f.store.Stacks().Deleted(f.t.Context(), tenancy.Everything(), s)
			return fault.Is(err, fault.NotFound)
		}},
		"keep_collected_stacks": {"0s", func(f *fleet) bool {
			s := f.stack("web", "prod")
			o := f.publish(s, "one")
			f.deleteStack(s)
			f.ahead.Store(int64(8 * 24 * time.Hour)) // it is collected
			defer f.start(f.store)()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			_, err := f.store.Objects().Get(f.t.Context(), tenancy.Everything(), o)
			return fault.Is(err, fault.NotFound)
		}},
		"keep_work_orders":      {"1h", func(f *fleet) bool { return f.logged(f.ordered(3*time.Hour, true)) == 0 }},
		"unclaimed_work_orders": {"1m", func(f *fleet) bool { return f.logged(f.ordered(2*time.Minute, false)) == 1 }},
	}
	for field := range reflect.TypeFor[scheduler.Config]().Fields() {
		key := field.Tag.Get("koanf")
		o, ok := options[key]
		if !ok {
			t.Errorf("nothing shows what scheduler.%s does", key)
			continue
		}
		for _, given := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %t", key, given), func(t *testing.T) {
				t.Parallel()
				var environ []string
				if given {
					environ = []string{"BROKKR__SCHEDULER__" + strings.ToUpper(key) + "=" + o.value}
				}
				s := settings{Scheduler: scheduler.Defaults()}
				if err := config.Load(&s, config.Source{Environ: environ}); err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t)
					f.config = s.Scheduler
					if got := o.is(f); got != given {
						t.Errorf("with %v its effect is seen: %t, want %t", environ, got, given)
					}
				})
			})
		}
	}
}

// silence is wakeups of a connection that is there and says nothing.
type silence struct{}

func (silence) Listen(ctx context.Context, _ ...string) (<-chan ports.Wakeup, error) {
	out := make(chan ports.Wakeup)
	context.AfterFunc(ctx, func() { close(out) })
	return out, nil
}

// heldLeases starts a replica, which takes all shards, and returns how many those are.
func (f *fleet) heldLeases() int {
	f.t.Helper()
	f.t.Cleanup(f.start(f.store))
	settle()
	leases, err := f.store.Leases().List(f.t.Context(), "scheduler/shard/")
	if err != nil || len(leases) == 0 {
		f.t.Fatalf("leases: %v, %v", leases, err)
	}
	return len(leases)
}

// running starts a replica and publishes a stack that has one cluster.
func (f *fleet) running() (agent.ID, stack.ID) {
	f.t.Helper()
	f.t.Cleanup(f.start(f.store))
	settle()
	a, s := f.agent("a", "prod"), f.stack("web", "prod")
	f.publish(s, "one")
	return a, s
}

// goneAtOnce takes a stack's label away and reports whether it leaves all of its n clusters without an approval.
func (f *fleet) goneAtOnce(n int) bool {
	f.t.Helper()
	f.t.Cleanup(f.start(f.store))
	for i := range n {
		f.agent(fmt.Sprint("a", i), "prod")
	}
	s := f.stack("web", "prod")
	f.publish(s, "one")
	settle()
	f.unlabelStack(s, "prod")
	settle()
	removing := 0
	for _, a := range f.assignments(s) {
		if a.State == delivery.Removing {
			removing++
		}
	}
	return removing == n
}

// entry puts an entry of that age into the audit log.
func (f *fleet) entry(age time.Duration) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		return tx.AuditLog().Append(ctx, audit.Did(audit.PAKRotated, "", nil, nil).Complete(audit.ID(uuid.NewString()), time.Now().Add(-age), audit.Actor{Type: audit.System}, audit.Source{}))
	})
}

// unreachableOf returns how many of n agents are called unreachable when all were silent for so long.
func (f *fleet) unreachableOf(n int, silent time.Duration) int {
	f.t.Helper()
	f.t.Cleanup(f.start(f.store))
	var agents []agent.ID
	var beats []agent.Heartbeat
	for i := range n {
		agents = append(agents, f.agent(fmt.Sprint("a", i)))
		beats = append(beats, agent.Heartbeat{Agent: agents[i], At: time.Now()})
	}
	if err := f.store.Agents().Beat(f.t.Context(), beats); err != nil {
		f.t.Fatal(err)
	}
	time.Sleep(silent)
	synctest.Wait()
	known, err := f.store.Clusters().Known(f.t.Context(), tenancy.Everything(), agents)
	if err != nil {
		f.t.Fatal(err)
	}
	marked := 0
	for _, k := range known {
		if k.UnreachableSince != nil {
			marked++
		}
	}
	return marked
}

// ordered inserts a work order of that age, done at once or waiting for an agent.
func (f *fleet) ordered(age time.Duration, done bool) workorder.ID {
	f.t.Helper()
	o := workorder.Order{}
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		sum, err := tx.Blobs().Put(ctx, []byte("kind: Job"))
		if err != nil {
			return err
		}
		o, err = workorder.New(workorder.ID(uuid.NewString()), workorder.Spec{Type: "x", Targeting: workorder.Targeting{Labels: []string{"l"}}}, sum, 9, time.Now().Add(-age))
		if err != nil {
			return err
		}
		if err := tx.WorkOrders().Insert(ctx, o); err != nil || !done {
			return err
		}
		_, e, err := o.Complete(workorder.Completer{Anybody: true}, workorder.Result{Success: true}, time.Now().Add(-age))
		if err != nil {
			return err
		}
		return tx.WorkOrders().Finish(ctx, o.Version, *e)
	})
	return o.ID
}

// logged lets a replica work for a while and returns how many finished orders with this id are kept.
func (f *fleet) logged(id workorder.ID) int {
	f.t.Helper()
	f.t.Cleanup(f.start(f.store))
	time.Sleep(30 * time.Second)
	synctest.Wait()
	page, err := f.store.WorkOrderLog().Page(f.t.Context(), workorder.LogList().All(10))
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, e := range page.Items {
		if e.ID == id {
			n++
		}
	}
	return n
}
