package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// gate asks whether g lets requests pass; those to /free are free for credentials.
func gate(g *identity.Guard) func(*http.Request) *fault.Error {
	var refused error
	h := g.Limit(func(_ context.Context, _ http.ResponseWriter, err error) { refused = err },
		func(r *http.Request, _ tenancy.Principal) bool { return r.URL.Path == "/free" })(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return func(r *http.Request) *fault.Error {
		refused = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		f, _ := fault.As(refused)
		return f
	}
}

// passing counts how many of n requests pass.
func passing(pass func(*http.Request) *fault.Error, n int, r func() *http.Request) int {
	count := 0
	for range n {
		if pass(r()) == nil {
			count++
		}
	}
	return count
}

func TestRatesOfSourcesAndCredentials(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		counted := counters{}
		g := identity.NewGuard(f.v, identity.GuardConfig{Service: "s", SourceRate: 2, CredentialRate: 3, PulseRate: 4}, counted)
		pass := gate(g)
		known, fresh := f.credential(nil), f.credential(nil)
		kind(g, request("192.0.2.9:1", known.Reveal())) // it is remembered from now on
		stranger := func() *http.Request { return request("192.0.2.1:1", fresh.Reveal()) }
		if got := passing(pass, 50, stranger); got != 20 {
			t.Errorf("a source: %d of 50 at once passed, want ten seconds' worth: 20", got)
		}
		refused := pass(stranger())
		if refused == nil || refused.Kind != fault.Limited || refused.Code != "rate_limited" || refused.RetryAfter <= 0 || refused.RetryAfter > 500*time.Millisecond ||
			!strings.Contains(refused.Message, "from this address: more than 2 a second") {
			t.Errorf("got %+v, want rate_limited with at most 500ms to wait", refused)
		}
		if f.creds.lookups != 1 {
			t.Errorf("%d look-ups, want none for what is counted", f.creds.lookups)
		}
		if pass(request("192.0.2.2:1", "")) != nil {
			t.Error("another source is refused")
		}
		mine := func() *http.Request { return request("192.0.2.1:2", known.Reveal()) }
		if got := passing(pass, 50, mine); got != 30 {
			t.Errorf("a known credential of a limited source: %d of 50 passed, want 30", got)
		}
		if refused := pass(mine()); refused == nil || !strings.Contains(refused.Message, "with this credential") {
			t.Errorf("got %+v", refused)
		}
		free := mine()
		free.URL.Path = "/free"
		if pass(free) != nil {
			t.Error("a free request of a limited credential is refused")
		}
		if got := 1 + passing(pass, 99, func() *http.Request { r := mine(); r.URL.Path = "/free"; return r }); got != 40 {
			t.Errorf("%d free requests of one at once passed, want ten seconds' worth of their own: 40", got)
		}
		free = stranger()
		free.URL.Path = "/free"
		if pass(free) == nil {
			t.Error("what is free for credentials is free for strangers")
		}
		time.Sleep(time.Second)
		if got, want := fmt.Sprint(passing(pass, 9, stranger), passing(pass, 9, mine)), "2 3"; got != want {
			t.Errorf("after a second %s passed, want %s", got, want)
		}
		g.Configure(identity.GuardConfig{Service: "s", SourceRate: 1})
		if got, want := fmt.Sprint(passing(pass, 9, stranger), passing(pass, 99, mine)), "0 99"; got != want {
			t.Errorf("with other rates %s passed, want %s", got, want)
		}
		time.Sleep(time.Hour)
		if got := passing(pass, 99, stranger); got != 10 {
			t.Errorf("after an hour at the lower rate %d passed, want 10", got)
		}
		if counted["source"] == 0 || counted["credential"] == 0 || counted["agent"] != 60 {
			t.Errorf("refusals are not counted: %v", counted)
		}
	})
}

func TestTheSourcesThatAreCountedAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		pass := gate(identity.NewGuard(f.v, identity.GuardConfig{Service: "s", SourceRate: 1, MaxSources: 2}, counters{}))
		from := func(n int) func() *http.Request {
			return func() *http.Request { return request(fmt.Sprintf("192.0.2.%d:1", n), "") }
		}
		passing(pass, 10, from(1))
		passing(pass, 10, from(2))
		if pass(from(1)()) == nil || pass(from(3)()) != nil || pass(from(1)()) == nil || pass(from(2)()) != nil {
			t.Error("want the one that asked longest ago forgotten, and no other")
		}
	})
}

// Who was here before is told from strangers for as long as his key is good, not only while the store need not be asked again.
func TestWhoWasHereBeforeIsNoStrangerLater(t *testing.T) {
	t.Parallel()
	for reason, later := range map[string]func(*fixture){
		"the trust has ended":              func(*fixture) { time.Sleep(11 * time.Minute) },
		"revocations may have been missed": func(f *fixture) { f.tell(ports.Wakeup{Lost: true}) },
		"revocations are not heard":        func(f *fixture) { f.tell(ports.Wakeup{Deaf: true}); time.Sleep(time.Second) },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(f *fixture) {
				g := identity.NewGuard(f.v, identity.GuardConfig{Service: "s", PerMinute: 3, SourceRate: 2, CredentialRate: 3}, counters{})
				pass := gate(g)
				var kept tenancy.CredentialID
				known, gone := f.credential(func(c *tenancy.Credential) { kept = c.ID }), f.credential(nil)
				for _, k := range []pak.PAK{known, gone} {
					if got := kind(g, request("192.0.2.1:1", k.Reveal())); got != "ok" {
						t.Fatalf("good key: got %s", got)
					}
				}
				later(f)
				for range 50 { // a stranger behind the same address
					_, _ = pass(request("192.0.2.1:2", "Bearer nonsense")), kind(g, request("192.0.2.1:2", "Bearer nonsense"))
				}
				asked := f.creds.lookups
				if refused := pass(request("192.0.2.1:3", known.Reveal())); refused != nil {
					t.Errorf("rate: got %v, want it to count for its credential", refused)
				}
				if got := kind(g, request("192.0.2.1:3", known.Reveal())); got != "ok" || f.creds.lookups == asked {
					t.Errorf("got %s after %d questions to the store, want ok after it was asked again", got, f.creds.lookups-asked)
				}
				if _, err := f.store.Credentials().Revoke(f.Context(), tenancy.RoleAdmin, "", "", time.Now(), kept); err != nil { // unheard
					t.Fatal(err)
				}
				if got := kind(g, request("192.0.2.1:4", gone.Reveal())); got != "unauthenticated" {
					t.Errorf("a key that was revoked meanwhile: got %s", got)
				}
				if got := kind(g, request("192.0.2.1:4", gone.Reveal())); got != "limited" {
					t.Errorf("and then: got %s, want it a stranger's", got)
				}
			})
		})
	}
}
