package identity_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// counted counts look-ups and can be taken away.
type counted struct {
	ports.Credentials
	lookups int
	touches int
	down    atomic.Bool
	before  func() // between the look-up's answer and its return
}

func (c *counted) ByShort(ctx context.Context, short string) (tenancy.Credential, error) {
	c.lookups++
	if c.down.Load() {
		return tenancy.Credential{}, fault.New(fault.Unavailable, "unavailable", "away")
	}
	found, err := c.Credentials.ByShort(ctx, short)
	if c.before != nil {
		c.before()
	}
	return found, err
}

func (c *counted) Touch(ctx context.Context, used map[tenancy.CredentialID]time.Time) error {
	if c.down.Load() {
		return fault.New(fault.Unavailable, "unavailable", "away")
	}
	c.touches++
	return c.Credentials.Touch(ctx, used)
}

// wakeups are told by the test.
type wakeups chan ports.Wakeup

func (w wakeups) Listen(ctx context.Context, _ ...string) (<-chan ports.Wakeup, error) {
	out := make(chan ports.Wakeup)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case v := <-w:
				select {
				case out <- v:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

type fixture struct {
	*testing.T
	store *memory.Store
	creds *counted
	wake  wakeups
	v     *identity.Verifier
	stop  func() error
}

// inBubble runs test in virtual time with a running verifier that hears.
func inBubble(t *testing.T, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, store: memory.New(time.Now), wake: make(wakeups, 8)}
		f.creds = &counted{Credentials: f.store.Credentials()}
		f.v = identity.NewVerifier(f.creds, f.wake, time.Now)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.v.Run(ctx) }()
		stopped := false
		f.stop = func() error {
			if stopped {
				return nil
			}
			stopped = true
			cancel()
			return <-done
		}
		f.tell(ports.Wakeup{Lost: true})
		test(f)
		if err := f.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func (f *fixture) tell(w ports.Wakeup) {
	f.wake <- w
	synctest.Wait()
}

func (f *fixture) credential(change func(*tenancy.Credential)) pak.PAK {
	f.Helper()
	key, err := pak.Generate(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	c := tenancy.Credential{
		ID: tenancy.CredentialID(uuid.NewString()), Name: "n", Role: tenancy.RoleAdmin, Short: key.Short(), Hash: key.Hash(), CreatedAt: time.Now(),
	}
	if change != nil {
		change(&c)
	}
	if err := f.store.Credentials().Insert(f.Context(), c); err != nil {
		f.Fatal(err)
	}
	return key
}

func (f *fixture) reason(key pak.PAK) identity.Reason {
	_, err := f.v.Verify(f.Context(), key)
	return identity.ReasonOf(err)
}

func TestVerifySaysWhy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		past := time.Now().Add(-time.Minute)
		good, err := pak.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for want, key := range map[identity.Reason]pak.PAK{
			"":                     f.credential(nil),
			identity.ReasonUnknown: good,
			identity.ReasonWrong:   f.credential(func(c *tenancy.Credential) { c.Hash = good.Hash() }),
			identity.ReasonExpired: f.credential(func(c *tenancy.Credential) { c.ExpiresAt = &past }),
			identity.ReasonRevoked: f.credential(func(c *tenancy.Credential) { c.RevokedAt = &past }),
		} {
			p, err := f.v.Verify(f.Context(), key)
			if got := identity.ReasonOf(err); got != want {
				t.Errorf("got reason %q, want %q", got, want)
			}
			if want != "" && (fault.KindOf(err) != fault.Unauthenticated || p != (tenancy.Principal{})) {
				t.Errorf("%s: got %+v and %v, want nobody and Unauthenticated", want, p, err)
			}
		}
		f.creds.down.Store(true)
		if got := f.reason(f.credential(nil)); got != identity.ReasonUnavailable {
			t.Errorf("store away: got reason %q, want %q", got, identity.ReasonUnavailable)
		}
		f.creds.down.Store(false)
	})
}

func TestTrustIsLongWhileHeardAndShortWhileDeaf(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		key := f.credential(nil)
		for range 9 {
			if got := f.reason(key); got != "" {
				t.Fatalf("got %q, want it verified", got)
			}
			time.Sleep(time.Minute)
		}
		if f.creds.lookups != 1 {
			t.Errorf("look-ups in 9 minutes: got %d, want 1", f.creds.lookups)
		}
		f.tell(ports.Wakeup{Deaf: true})
		_ = f.reason(key)
		time.Sleep(400 * time.Millisecond)
		_ = f.reason(key)
		if f.creds.lookups != 2 {
			t.Errorf("look-ups when deaf: got %d, want one more", f.creds.lookups)
		}
		if _, err := f.store.Credentials().Revoke(f.Context(), tenancy.RoleAdmin, "", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(101 * time.Millisecond)
		if got := f.reason(key); got != identity.ReasonRevoked {
			t.Errorf("revoked while deaf: got %q after half a second, want revoked", got)
		}
	})
}

func TestARevocationIsFeltAtOnceAndPassedOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		var told []string
		f.v.OnRevoked(func(short string) { told = append(told, short) })
		key, other := f.credential(nil), f.credential(nil)
		_ = f.reason(key)
		_ = f.reason(other)
		f.tell(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: key.Short()})
		if _, ok := f.v.Remembered(key); ok {
			t.Error("the revoked key is still remembered")
		}
		if _, ok := f.v.Remembered(other); !ok {
			t.Error("another key was forgotten")
		}
		f.tell(ports.Wakeup{Lost: true})
		if _, ok := f.v.Remembered(other); ok {
			t.Error("a key is trusted although revocations may have been missed")
		}
		if len(told) != 2 || told[0] != key.Short() || told[1] != "" {
			t.Errorf("told: got %q, want the short token and then everything", told)
		}
	})
}

func TestALookUpThatARevocationOvertookIsNotRemembered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		key := f.credential(nil)
		f.creds.before = func() { f.tell(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: key.Short()}) }
		_ = f.reason(key)
		if _, ok := f.v.Remembered(key); ok {
			t.Error("a credential that was read before its revocation is remembered after it")
		}
	})
}

func TestLastUsedIsStoredNowAndThenAndAtTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		key := f.credential(nil)
		used := func() *time.Time {
			c, err := f.store.Credentials().ByShort(context.Background(), key.Short())
			if err != nil {
				t.Fatal(err)
			}
			return c.LastUsedAt
		}
		first := time.Now()
		_ = f.reason(key)
		f.creds.down.Store(true)
		time.Sleep(61 * time.Second)
		f.creds.down.Store(false)
		if used() != nil {
			t.Fatal("stored although the store was away")
		}
		time.Sleep(time.Minute)
		if got := used(); got == nil || !got.Equal(first) {
			t.Errorf("last used: got %v, want %v kept for the next try", got, first)
		}
		last := time.Now()
		_ = f.reason(key)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		if got := used(); !got.Equal(last) {
			t.Errorf("last used after the stop: got %v, want %v", got, last)
		}
	})
}

// Whoever joins again asks whether the agent's key was used: so the first use is stored before it is answered, and once.
func TestTheFirstUseOfAnAgentsKeyIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "a", ClusterName: "c", Status: agent.Active, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := f.store.Agents().Insert(f.Context(), a); err != nil {
			t.Fatal(err)
		}
		key := f.credential(func(c *tenancy.Credential) { c.Role, c.Agent = tenancy.RoleAgent, a.ID })
		for range 3 {
			if got := f.reason(key); got != "" {
				t.Fatalf("got %q, want it verified", got)
			}
			f.tell(ports.Wakeup{Lost: true}) // it is looked up anew
		}
		c, err := f.store.Credentials().ByShort(f.Context(), key.Short())
		if err != nil || c.LastUsedAt == nil || f.creds.touches != 1 {
			t.Errorf("got %+v, %v after %d stores of a use, want one at the first", c, err, f.creds.touches)
		}
	})
}

// The keys of an inactive generator are refused from the moment on at which that is announced, and good again likewise.
func TestKeysOfAnInactiveGenerator(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "g", Active: true, RegistrationPolicy: tenancy.PolicyOpen}
		if err := f.store.Generators().Insert(f.Context(), g); err != nil {
			t.Fatal(err)
		}
		key := f.credential(func(c *tenancy.Credential) { c.Role, c.Generator = tenancy.RoleGenerator, g.ID })
		for active, want := range map[bool]identity.Reason{false: identity.ReasonInactive, true: ""} {
			_ = f.reason(key)
			g.Active = active
			if err := f.store.Generators().Update(f.Context(), g); err != nil {
				t.Fatal(err)
			}
			f.tell(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: key.Short()})
			_, err := f.v.Verify(f.Context(), key)
			if got := identity.ReasonOf(err); got != want || (want != "" && !fault.Is(err, fault.Unauthenticated)) {
				t.Errorf("active %t: got %q, %v, want %q", active, got, err, want)
			}
			if _, known := f.v.Known(key); known != active {
				t.Errorf("active %t: known %t", active, known)
			}
		}
	})
}
