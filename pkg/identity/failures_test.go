package identity_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// slow takes a second for each look-up, and counts them.
type slow struct {
	ports.Credentials
	mu             sync.Mutex
	all, now, most int
}

func (s *slow) ByShort(ctx context.Context, short string) (tenancy.Credential, error) {
	s.mu.Lock()
	s.all++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return s.Credentials.ByShort(ctx, short)
}

// guard returns one that knows nobody, in front of a slow store.
func (f *fixture) guard(perMinute int) (*identity.Guard, *slow) {
	s := &slow{Credentials: f.store.Credentials()}
	return identity.NewGuard(identity.NewVerifier(s, f.wake, time.Now), identity.GuardConfig{Service: "s", PerMinute: perMinute}, &quiet{}), s
}

// quiet counts nothing.
type quiet struct{}

func (*quiet) CountBy(string, string, string, string, ...string) func(string) { return func(string) {} }

// stranger is a key that nobody has.
func (f *fixture) stranger() pak.PAK {
	f.Helper()
	key, err := pak.Generate(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// atOnce asks with all keys at once from one address and counts the answers.
func atOnce(g *identity.Guard, keys ...pak.PAK) map[string]int {
	var mu sync.Mutex
	var all sync.WaitGroup
	out := map[string]int{}
	for _, k := range keys {
		all.Go(func() {
			got := kind(g, request("192.0.2.1:1", k.Reveal()))
			mu.Lock()
			defer mu.Unlock()
			out[got]++
		})
	}
	all.Wait()
	return out
}

// Of many requests at once no more fail than may, and the rest is refused without a look-up.
func TestABurstDoesNotPassTheLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g, s := f.guard(3)
		bad := f.stranger()
		var keys []pak.PAK
		for range 100 {
			keys = append(keys, bad)
		}
		got := atOnce(g, keys...)
		if got["unauthenticated"] != 3 || got["limited"] != 97 || s.all != 6 { // a look-up is by short token and by hash
			t.Errorf("got %v after %d questions to the store, want 3 refused and 97 limited, after 6", got, s.all)
		}
	})
}

// Many good keys that a replica does not know, as after its restart, wait for each other and are all let in.
func TestAStormOfGoodKeysIsLetIn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g, s := f.guard(3)
		var keys []pak.PAK
		for range 100 {
			keys = append(keys, f.credential(nil))
		}
		keys = append(keys, f.stranger())
		if got := atOnce(g, keys...); got["ok"] != 100 || got["unauthenticated"] != 1 || s.most != 3 {
			t.Errorf("got %v, at most %d at a time; want 100 let in, 3 at a time", got, s.most)
		}
	})
}

// Who fails all the time locks nobody out who shares his address and is not known yet; what is looked up for that is bounded.
func TestFailuresOfNeighboursLockNobodyOut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g, s := f.guard(3)
		bad := f.stranger()
		for range 10 {
			kind(g, request("192.0.2.1:1", bad.Reveal()))
		}
		asked := s.all
		if got := kind(g, request("192.0.2.1:1", bad.Reveal())); got != "limited" || s.all != asked {
			t.Errorf("a key that failed: got %s after %d questions, want limited and none", got, s.all-asked)
		}
		var good []pak.PAK
		for range 60 {
			good = append(good, f.credential(nil))
		}
		if got := atOnce(g, good...); got["ok"] != 60 {
			t.Errorf("good keys of others: got %v, want all let in", got)
		}
		var many []pak.PAK
		for range 300 {
			many = append(many, f.stranger())
		}
		asked = s.all
		if got := atOnce(g, many...); got["unauthenticated"] > 100 || got["unauthenticated"]+got["limited"] != 300 || s.all-asked > 200 {
			t.Errorf("one new key after the other: got %v after %d questions, want no more than a hundred looked up", got, s.all-asked)
		}
		time.Sleep(time.Second)
		if got := kind(g, request("192.0.2.1:1", f.credential(nil).Reveal())); got != "ok" {
			t.Errorf("a second later, a good key: got %s", got)
		}
	})
}

// Who goes away while he waits takes nothing with him.
func TestWhoWaitsMayGo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g, s := f.guard(1)
		first, second := f.credential(nil), f.credential(nil)
		ctx, leave := context.WithCancel(f.Context())
		gone := make(chan error, 1)
		go kind(g, request("192.0.2.1:1", first.Reveal()))
		synctest.Wait()
		go func() {
			_, err := g.Authenticate(request("192.0.2.1:1", second.Reveal()).WithContext(ctx))
			gone <- err
		}()
		synctest.Wait()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) || s.all != 1 {
			t.Errorf("got %v after %d questions, want that he went, after 1", err, s.all)
		}
		if got := kind(g, request("192.0.2.1:1", second.Reveal())); got != "ok" {
			t.Errorf("afterwards: got %s", got)
		}
		if err := g.Try(request("192.0.2.1:1", ""), func() error { return fault.New(fault.Forbidden, "no", "no") }); !fault.Is(err, fault.Forbidden) {
			t.Errorf("another secret: got %v", err)
		}
		if err := g.Try(request("192.0.2.1:1", ""), func() error { return nil }); !fault.Is(err, fault.Limited) {
			t.Errorf("after it failed: got %v, want limited", err)
		}
	})
}
