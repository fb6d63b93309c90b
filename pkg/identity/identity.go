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

// How long a verified credential is trusted without asking the store: long while revocations are heard, so short
// otherwise that a revocation is still felt within a second.
const (
	trustHeard   = time.Minute
	trustUnheard = 500 * time.Millisecond
	maxRemember  = 100_000
	touchEvery   = 30 * time.Second
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
	cred tenancy.Credential
	at   time.Time
}

// NewVerifier returns a verifier over the stored credentials.
func NewVerifier(creds ports.Credentials, wake ports.Wakeups, now func() time.Time) *Verifier {
	return &Verifier{creds: creds, wake: wake, now: now, known: map[string]entry{}, used: map[tenancy.CredentialID]time.Time{}}
}

// OnRevoked calls f with each short token whose revocation is heard (empty: any may be revoked). Set before Run.
func (v *Verifier) OnRevoked(f func(short string)) { v.onEnd = append(v.onEnd, f) }

// Request verifies the Authorization header of r.
func (v *Verifier) Request(ctx context.Context, r *http.Request) (tenancy.Principal, error) {
	p, err := pak.FromHeader(r.Header.Get("Authorization"))
	if err != nil {
		return tenancy.Principal{}, err
	}
	return v.Verify(ctx, p)
}

// Verify returns the principal of p. Unknown, wrong, expired and revoked keys are all Unauthenticated alike.
func (v *Verifier) Verify(ctx context.Context, p pak.PAK) (tenancy.Principal, error) {
	c, err := v.lookup(ctx, p.Short())
	if fault.Is(err, fault.NotFound) {
		return tenancy.Principal{}, unauthorized()
	}
	if err != nil {
		return tenancy.Principal{}, err
	}
	now := v.now()
	if !p.Matches(c.Hash) || !c.Usable(now) {
		return tenancy.Principal{}, unauthorized()
	}
	v.mu.Lock()
	v.used[c.ID] = now
	v.mu.Unlock()
	return tenancy.Of(c), nil
}

func unauthorized() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "the PAK is unknown, wrong, expired or revoked")
}

func (v *Verifier) lookup(ctx context.Context, short string) (tenancy.Credential, error) {
	v.mu.Lock()
	e, ok := v.known[short]
	trust := trustUnheard
	if v.heard {
		trust = trustHeard
	}
	epoch := v.epoch
	v.mu.Unlock()
	if ok && v.now().Sub(e.at) < trust {
		return e.cred, nil
	}
	c, err := v.creds.ByShort(ctx, short)
	if err != nil {
		return tenancy.Credential{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if epoch == v.epoch {
		if len(v.known) >= maxRemember {
			clear(v.known)
		}
		v.known[short] = entry{cred: c, at: v.now()}
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
			if !ok {
				v.forget("", false)
				return v.touch(context.WithoutCancel(ctx))
			}
			if w.Lost {
				v.forget("", true)
			} else {
				v.forget(w.Payload, true)
			}
		case <-tick.C:
			if err := v.touch(ctx); err != nil && ctx.Err() == nil {
				v.forget("", true) // the store is away: trust nothing for longer than needed; times are kept for the next try
			}
		}
	}
}

func (v *Verifier) forget(short string, heard bool) {
	v.mu.Lock()
	v.epoch++
	v.heard = heard
	if short == "" {
		clear(v.known)
	} else {
		delete(v.known, short)
	}
	v.mu.Unlock()
	for _, f := range v.onEnd {
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
