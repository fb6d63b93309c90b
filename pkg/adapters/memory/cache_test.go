package memory_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
)

func TestSignals(t *testing.T) {
	t.Parallel()
	porttest.Signals(t, func(*testing.T) ports.Signals { return memory.NewSignals() })
}

func TestLive(t *testing.T) {
	t.Parallel()
	porttest.Live(t, func(*testing.T) (ports.Live, ports.Live) {
		l := memory.NewLive()
		return l, l
	})
}

func TestTargetCache(t *testing.T) {
	t.Parallel()
	porttest.TargetCache(t, func(*testing.T) ports.TargetCache { return memory.NewTargetCache(2 << 20) })
}

// TestSlowSubscriberIsTold shows that a reader who leaves everything lying gets a nil batch, not everything.
func TestSlowSubscriberIsTold(t *testing.T) {
	t.Parallel()
	s := memory.NewSignals()
	ch, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first := <-ch; first != nil {
		t.Fatalf("first batch: got %v, want nil", first)
	}
	const published = 10_000
	for i := range published {
		if err := s.Publish(t.Context(), []ports.Signal{{Agent: "a", Revision: delivery.Revision(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	seen, lost := 0, 0
	for b := range ch {
		if b == nil {
			lost++
			continue
		}
		seen++
		if b[0].Revision == published {
			break
		}
	}
	if lost == 0 || seen > 1000 {
		t.Fatalf("got %d batches and %d nil ones of %d, want few and at least one", seen, lost, published)
	}
}

// TestTargetCacheIsBounded fills the cache far beyond its bytes: the least recently used entries go, the used stay.
func TestTargetCacheIsBounded(t *testing.T) {
	t.Parallel()
	const room = 64 << 10
	c := memory.NewTargetCache(room)
	value := bytes.Repeat([]byte("x"), 1000)
	id := func(i int) agent.ID { return agent.ID(fmt.Sprintf("agent-%d", i)) }
	var all []agent.ID
	for i := range 1000 {
		if err := c.Put(t.Context(), id(i), 1, value); err != nil {
			t.Fatal(err)
		}
		all = append(all, id(i))
		if _, ok, err := c.Get(t.Context(), id(0), 1); err != nil || !ok {
			t.Fatalf("after %d entries: the entry in use is gone (%v)", i, err)
		}
	}
	left, err := c.Revisions(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(left) * len(value); n > room || n < room/2 {
		t.Fatalf("%d entries with %d bytes are left, want at most %d and not much less", len(left), n, room)
	}
	if _, ok := left[id(999)]; !ok {
		t.Fatal("the newest entry is gone")
	}
}

// TestTargetCacheForgetsWhatDoesNotFit shows that a newer state which is too large leaves no older one behind.
func TestTargetCacheForgetsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	c := memory.NewTargetCache(4 << 10)
	for i, size := range []int{100, 8 << 10} {
		if err := c.Put(t.Context(), "a", delivery.Revision(i+1), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	for r := range delivery.Revision(3) {
		if _, ok, err := c.Get(t.Context(), "a", r); ok || err != nil {
			t.Fatalf("revision %d: got %v, %v, want nothing", r, ok, err)
		}
	}
}

// TestTargetCacheAccounting puts at random and then fills the cache anew: bytes that were miscounted would show as room lost.
func TestTargetCacheAccounting(t *testing.T) {
	t.Parallel()
	const room = 32 << 10
	c := memory.NewTargetCache(room)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a := agent.ID(fmt.Sprint(rnd.IntN(50)))
		if err := c.Put(t.Context(), a, delivery.Revision(rnd.IntN(20)), make([]byte, rnd.IntN(4<<10))); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(500) == 0 {
			if err := c.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var ids []agent.ID
	for i := range 20 {
		a := agent.ID(fmt.Sprintf("fresh-%d", i))
		if err := c.Put(t.Context(), a, 1, make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a)
	}
	left, err := c.Revisions(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != len(ids) {
		t.Fatalf("%d of %d entries that fit are there", len(left), len(ids))
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	porttest.Channels(t, func(*testing.T) (ports.Channels, ports.Channels, func(time.Duration)) {
		var passed atomic.Int64
		c := memory.NewChannels(func() time.Time { return time.Unix(0, passed.Load()) })
		return c, c, func(d time.Duration) { passed.Add(int64(d)) }
	})
}
