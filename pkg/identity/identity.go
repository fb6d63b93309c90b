// Package identity turns a PAK into a principal for the services that have a public face. Verified credentials are
// remembered per process and forgotten at once when a revocation is announced.
package identity

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// How long a credential is trusted without asking the store: long while revocations are heard, so short otherwise
// that a revocation is still felt within a second.
const (
	trustHeard   = 10 * time.Minute
	trustUnheard = 500 * time.Millisecond
	maxRemember  = 100_000
	touchEvery   = time.Minute
	touchLimit   = 10 * time.Second
)

// Verifier verifies PAKs. It is safe for concurrent use; Run must be running for long trust and for last-used times.
type Verifier struct {
	creds ports.Credentials
	wake  ports.Wakeups
	now   func() time.Time

	mu    sync.Mutex
	known map[string]entry // by short token
	heard bool
	used  map[tenancy.CredentialID]time.Time
	epoch int64 // grows with each forgetting, so that a look-up that began before does not bring a revoked one back
	onEnd []func(short string)
}

type entry struct {
	cred  tenancy.Credential
	at    time.Time // before the store was asked
	stale bool      // a revocation of it may have been missed: it is known, and not trusted
}

// NewVerifier returns a verifier over the stored credentials.
func NewVerifier(creds ports.Credentials, wake ports.Wakeups, now func() time.Time) *Verifier {
	return &Verifier{creds: creds, wake: wake, now: now, known: map[string]entry{}, used: map[tenancy.CredentialID]time.Time{}}
}

// OnRevoked calls f with each short token whose revocation is heard, after the verifier has forgotten it (empty:
// revocations may have been missed, so any may be revoked). f must not block.
func (v *Verifier) OnRevoked(f func(short string)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onEnd = append(v.onEnd, f)
}

// Request verifies the Authorization header of r.
func (v *Verifier) Request(ctx context.Context, r *http.Request) (tenancy.Principal, error) {
	p, err := fromHeader(r)
	if err != nil {
		return tenancy.Principal{}, err
	}
	return v.Verify(ctx, p)
}

func fromHeader(r *http.Request) (pak.PAK, error) {
	h := r.Header.Get("Authorization")
	if h == "" {
		return pak.PAK{}, unauthorized(ReasonMissing)
	}
	p, err := pak.FromHeader(h)
	if err != nil {
		return pak.PAK{}, unauthorized(ReasonMalformed)
	}
	return p, nil
}

// Verify returns the principal of p. Unknown, wrong, expired and revoked keys are all Unauthenticated alike. The first use of a
// key is stored before the answer, for it ends what one who was never heard may ask for (an agent that joins); later ones are when Run does.
func (v *Verifier) Verify(ctx context.Context, p pak.PAK) (tenancy.Principal, error) {
	c, ok := v.remembered(p)
	if ok {
		return v.check(p, c)
	}
	c, err := v.lookup(ctx, p)
	if fault.Is(err, fault.NotFound) {
		return tenancy.Principal{}, unauthorized(ReasonUnknown)
	}
	if err != nil {
		return tenancy.Principal{}, err
	}
	out, err := v.check(p, c)
	if err == nil && c.LastUsedAt == nil && c.Role == tenancy.RoleAgent {
		err = v.creds.Touch(ctx, map[tenancy.CredentialID]time.Time{c.ID: v.now()})
	}
	if err != nil {
		return tenancy.Principal{}, err
	}
	return out, nil
}

// Remembered is Verify without the store: false unless p is known to be good.
func (v *Verifier) Remembered(p pak.PAK) (tenancy.Principal, bool) {
	c, ok := v.remembered(p)
	if !ok {
		return tenancy.Principal{}, false
	}
	principal, err := v.check(p, c)
	return principal, err == nil
}

func (v *Verifier) check(p pak.PAK, c tenancy.Credential) (tenancy.Principal, error) {
	now := v.now()
	switch {
	case !p.Matches(c.Hash):
		return tenancy.Principal{}, unauthorized(ReasonWrong)
	case c.Usable(now) && c.Suspended:
		return tenancy.Principal{}, unauthorized(ReasonInactive)
	case c.Usable(now):
	case c.RevokedAt != nil && !now.Before(*c.RevokedAt):
		return tenancy.Principal{}, unauthorized(ReasonRevoked)
	default:
		return tenancy.Principal{}, unauthorized(ReasonExpired)
	}
	v.mu.Lock()
	v.used[c.ID] = now
	v.mu.Unlock()
	return tenancy.Of(c), nil
}

func (v *Verifier) remembered(p pak.PAK) (tenancy.Credential, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.known[p.Short()]
	if !ok {
		e, ok = v.known[p.Hash()]
	}
	trust := trustUnheard
	if v.heard {
		trust = trustHeard
	}
	return e.cred, ok && !e.stale && v.now().Sub(e.at) < trust
}

// Known reports whose key p was when the store was last asked, also if that is too long ago to be trusted: false if it was none,
// or has ended since as far as is known. It is no authentication; it tells those who were here before from strangers.
func (v *Verifier) Known(p pak.PAK) (tenancy.Principal, bool) {
	v.mu.Lock()
	e, ok := v.known[p.Short()]
	if !ok {
		e, ok = v.known[p.Hash()]
	}
	v.mu.Unlock()
	if !ok || !p.Matches(e.cred.Hash) || !e.cred.Usable(v.now()) || e.cred.Suspended {
		return tenancy.Principal{}, false
	}
	return tenancy.Of(e.cred), true
}

// lookup asks the store. A preset credential, of which only the hash is known, has its hash in the short token's place.
func (v *Verifier) lookup(ctx context.Context, p pak.PAK) (tenancy.Credential, error) {
	v.mu.Lock()
	epoch, asked := v.epoch, v.now()
	v.mu.Unlock()
	c, err := v.creds.ByShort(ctx, p.Short())
	if fault.Is(err, fault.NotFound) {
		c, err = v.creds.ByShort(ctx, p.Hash())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if fault.Is(err, fault.NotFound) { // it is gone, whatever was known
		delete(v.known, p.Short())
		delete(v.known, p.Hash())
	}
	if err != nil {
		return tenancy.Credential{}, err
	}
	if epoch == v.epoch {
		if len(v.known) >= maxRemember {
			clear(v.known)
		}
		v.known[c.Short] = entry{cred: c, at: asked}
	}
	return c, nil
}

// Run listens for revocations and stores last-used times until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	wakeups, err := v.wake.Listen(ctx, ports.CredentialsRevoked)
	if err != nil {
		return err
	}
	tick := time.NewTicker(touchEvery)
	defer tick.Stop()
	for {
		select {
		case w, ok := <-wakeups:
			switch {
			case !ok:
				v.deaf()
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), touchLimit)
				defer cancel()
				return v.touch(last)
			case w.Deaf:
				v.deaf()
			case w.Lost:
				v.forget("")
			default:
				v.forget(w.Payload)
			}
		case <-tick.C:
			some, cancel := context.WithTimeout(ctx, touchLimit)
			_ = v.touch(some) // the times are kept for the next try; the last try's error is Run's
			cancel()
		}
	}
}

// deaf shortens all trust: revocations may go unheard from now on.
func (v *Verifier) deaf() {
	v.mu.Lock()
	v.heard = false
	v.mu.Unlock()
}

// forget drops what a heard revocation names, or trusts nothing any more that it knows.
func (v *Verifier) forget(short string) {
	v.mu.Lock()
	v.epoch++
	v.heard = true
	if short == "" {
		for k, e := range v.known {
			e.stale = true
			v.known[k] = e
		}
	} else {
		delete(v.known, short)
	}
	tell := v.onEnd
	v.mu.Unlock()
	for _, f := range tell {
		f(short)
	}
}

func (v *Verifier) touch(ctx context.Context) error {
	v.mu.Lock()
	used := v.used
	v.used = map[tenancy.CredentialID]time.Time{}
	v.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	err := v.creds.Touch(ctx, used)
	if err != nil {
		v.mu.Lock()
		for id, at := range used {
			if at.After(v.used[id]) {
				v.used[id] = at
			}
		}
		v.mu.Unlock()
	}
	return err
}

type key struct{}

// With returns ctx that carries the principal of its request.
func With(ctx context.Context, p tenancy.Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// Of returns the request's principal; the zero one, which may do nothing, if there is none.
func Of(ctx context.Context) tenancy.Principal {
	p, _ := ctx.Value(key{}).(tenancy.Principal)
	return p
}
