package cycle

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// absent is a store that is away; it counts how often it is asked.
type absent struct {
	ports.Store
	asked *int
}

func (s absent) Outbox() ports.Outbox { return absentOutbox{asked: s.asked} }

type absentOutbox struct {
	ports.Outbox
	asked *int
}

func (o absentOutbox) Read(context.Context, ports.Cursor, time.Time, time.Duration, int) ([]event.Event, ports.Cursor, error) {
	*o.asked++
	return nil, ports.Cursor{}, fault.New(fault.Unavailable, "unavailable", "the store is away")
}

func (o absentOutbox) End(context.Context) (ports.Cursor, error) {
	*o.asked++
	return ports.Cursor{}, fault.New(fault.Unavailable, "unavailable", "the store is away")
}

type quiet struct{}

func (quiet) Listen(context.Context, ...string) (<-chan ports.Wakeup, error) {
	return make(chan ports.Wakeup), nil
}

// While the store is away, what is due asks it no more often than a poll does.
func TestWhatIsDueDoesNotHammerAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		e := New(absent{asked: &asked}, quiet{}, nil, allShards{}, time.Now, slog.New(slog.DiscardHandler), noop.NewTracerProvider().Tracer(""), NewMetrics(prometheus.NewRegistry()),
			Options{Resync: 24 * time.Hour})
		e.world = empty().world
		soon := time.Now().Add(time.Second)
		e.alarms.set("s", &soon)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if most := 2 * int(time.Minute/e.opt.Poll); asked == 0 || asked > most {
			t.Errorf("it was asked %d times in a minute, want some and at most %d", asked, most)
		}
	})
}

// What is remembered of a policy goes when it decides about nothing any longer.
func TestPoliciesThatDecideAboutNothingAreForgotten(t *testing.T) {
	t.Parallel()
	e := empty()
	for _, id := range []policy.ID{"used", "gone"} {
		c, err := placement.Compile(policy.Document{Name: string(id), Clusters: &policy.Selector{Labels: []string{string(id)}},
			Affinity: &policy.Affinity{WithStacks: []string{"db"}}}, placement.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		e.know(policy.Policy{ID: id, Revision: 1})
		e.prepared(id, ready{revision: 1, compiled: c})
		e.peering[id] = true
	}
	s := placement.Subject{Stack: "s", Policy: &policy.Ref{ID: "used", Revision: 1}}
	e.world.put(s)
	e.world.index.add(s)
	e.retry["s"], e.retry["gone"] = 1, 1
	e.forget()
	if len(e.policies) != 1 || len(e.ready) != 1 || len(e.peering) != 1 || len(e.retry) != 1 || e.ready["used"].compiled == nil {
		t.Errorf("remembered: %d policies, %d ready, %d peering, %d tries; want one of each", len(e.policies), len(e.ready), len(e.peering), len(e.retry))
	}
	if _, reads := e.triggers.decisions[policy.KeyLabel+"gone"]; reads {
		t.Error("a policy that is gone still reads its label")
	}
	if _, reads := e.triggers.decisions[policy.KeyLabel+"used"]; !reads {
		t.Error("the policy that is used reads its label no longer")
	}
}
