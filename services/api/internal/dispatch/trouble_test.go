package dispatch_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api/internal/dispatch"
)

// leaving is a store that is away for a while.
type leaving struct {
	ports.Store
	away atomic.Bool
}

func (s *leaving) err() error {
	if s.away.Load() {
		return fault.New(fault.Unavailable, "unavailable", "the connection to the database is lost")
	}
	return nil
}

func (s *leaving) Deliveries() ports.Deliveries { return leavingDeliveries{s.Store.Deliveries(), s} }
func (s *leaving) Leases() ports.Leases         { return leavingLeases{s.Store.Leases(), s} }

type leavingDeliveries struct {
	ports.Deliveries
	s *leaving
}

func (d leavingDeliveries) Claim(ctx context.Context, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	if err := d.s.err(); err != nil {
		return nil, err
	}
	return d.Deliveries.Claim(ctx, grace, q)
}

func (d leavingDeliveries) Due(ctx context.Context) (time.Time, bool, error) {
	if err := d.s.err(); err != nil {
		return time.Time{}, false, err
	}
	return d.Deliveries.Due(ctx)
}

type leavingLeases struct {
	ports.Leases
	s *leaving
}

func (l leavingLeases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (ports.Lease, error) {
	if err := l.s.err(); err != nil {
		return ports.Lease{}, err
	}
	return l.Leases.Acquire(ctx, name, holder, ttl)
}

// said is a log that is read while it is written.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A store that is away is said once by each of the two, and once that it is back; what happened meanwhile is delivered.
func TestAStoreThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &leaving{Store: w.store}
		var logs said
		log := slog.New(slog.NewTextHandler(&logs, nil))
		ctx, cancel := context.WithCancel(t.Context())
		f := &dispatch.Fanout{Store: store, Wakeups: w.store, Holder: "a", Keep: time.Hour, Now: time.Now, Log: log, Metrics: w.mets}
		d := &dispatch.Dispatcher{Store: store, Wakeups: w.store, Sender: w.to, Workers: 4, Each: 4, Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: log, Metrics: w.mets}
		var group sync.WaitGroup
		for _, run := range []func(context.Context) error{f.Run, d.Run} {
			group.Go(func() {
				if err := run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		id := w.subscribe("fast")
		settled(time.Minute)
		store.away.Store(true)
		w.happen(event.StackCreated, 3)
		settled(5 * time.Minute)
		for _, what := range []string{"claiming webhooks fails", "queueing webhooks fails"} {
			if n := strings.Count(logs.String(), what); n != 1 {
				t.Errorf("%q was said %d times in five minutes, want once:\n%s", what, n, logs.String())
			}
		}
		settled(6 * time.Minute)
		if n := strings.Count(logs.String(), "queueing webhooks fails"); n != 2 {
			t.Errorf("it was said %d times in eleven minutes, want a reminder", n)
		}
		store.away.Store(false)
		settled(time.Minute)
		for _, what := range []string{"claiming webhooks works again", "queueing webhooks works again"} {
			if n := strings.Count(logs.String(), what); n != 1 {
				t.Errorf("%q was said %d times, want once:\n%s", what, n, logs.String())
			}
		}
		if got := w.statuses(id); got[webhook.Success] != 3 {
			t.Errorf("deliveries: %v, want the three of meanwhile", got)
		}
		cancel()
		group.Wait()
	})
}
