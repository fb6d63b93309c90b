package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	big := "# " + strings.Repeat("x", 2048) + "\n" + manifest
	for name, tc := range map[string]struct {
		config api.Config
		status int
		code   string
	}{
		"body":   {api.Config{Body: 1024}, http.StatusRequestEntityTooLarge, "body_too_large"},
		"bundle": {api.Config{Bundle: 1024}, http.StatusBadRequest, "invalid_deployment_object"},
		"none":   {api.Config{}, http.StatusCreated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, c, tc.config, memory.New(time.Now))
			rec := w.do(asOwner, publishing(big, "")(w))
			if rec.Code != tc.status || code(t, rec) != tc.code {
				t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body, tc.status, tc.code)
			}
		})
	}
}

func TestFailedAuthenticationsAreLimitedBySource(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	ask := func(w *world, as, client string) int {
		return w.do(as, request{method: "POST", path: "/auth/pak", header: map[string]string{"X-Forwarded-For": client}}).Code
	}
	w := newWorldOf(t, c, api.Config{AuthFailures: 2}, memory.New(time.Now))
	got := []int{ask(w, asGarbage, "198.51.100.1"), ask(w, asGarbage, "198.51.100.2"), ask(w, asGarbage, "198.51.100.3")}
	if got[0] != 401 || got[1] != 401 || got[2] != 429 {
		t.Errorf("three failures from one peer answer %v, want 401, 401, 429", got)
	}
	w = newWorldOf(t, c, api.Config{AuthFailures: 1, TrustedProxies: []string{"192.0.2.0/24"}}, memory.New(time.Now)) // httptest's peer
	got = []int{ask(w, asGarbage, "198.51.100.1"), ask(w, asGarbage, "198.51.100.2"), ask(w, asGarbage, "198.51.100.1")}
	if got[0] != 401 || got[1] != 401 || got[2] != 429 {
		t.Errorf("failures of two clients behind a trusted proxy answer %v, want 401, 401, 429", got)
	}
}

func TestRequestsAreLimitedBySourceAndCredential(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{SourceRate: 1, CredentialRate: 2}, memory.New(time.Now))
	whoami := request{method: "POST", path: "/auth/pak"}
	w.ok(asSelf, whoami) // its key is remembered from now on
	for as, want := range map[string]int{asSelf: 20, asNobody: 9} {
		passed := 0
		for range 40 {
			rec := w.checked(as, whoami)
			if rec.Code != http.StatusTooManyRequests {
				passed++
			} else if code(t, rec) != "rate_limited" || rec.Header().Get("Retry-After") == "" {
				t.Errorf("refused with %v %s", rec.Header(), rec.Body)
			}
		}
		if passed < want || passed > want+2 { // a request may take a moment
			t.Errorf("%s: %d of 40 passed, want %d", as, passed, want)
		}
	}
	if rec := w.checked(asNobody, request{method: "GET", path: "/version"}); rec.Code != http.StatusTooManyRequests {
		t.Errorf("version: got %d, want it limited too", rec.Code)
	}
	for _, probe := range []string{"/healthz", "/readyz", "/health", "/metrics"} {
		if rec := w.checked(asNobody, request{method: "GET", path: probe, root: true}); rec.Code != http.StatusOK {
			t.Errorf("%s: got %d, want it free", probe, rec.Code)
		}
	}
}

// slow never answers a list of stacks before the caller gives up.
type slow struct{ *memory.Store }

type slowStacks struct{ ports.Stacks }

func (s slow) Stacks() ports.Stacks { return slowStacks{s.Store.Stacks()} }

func (slowStacks) Page(ctx context.Context, _ tenancy.Scope, _ page.Query) (page.Page[stack.Stack], error) {
	<-ctx.Done()
	return page.Page[stack.Stack]{}, ctx.Err()
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{Timeout: time.Second}, slow{memory.New(time.Now)})
	rec := w.do(asAdmin, request{method: "GET", path: "/stacks"})
	if rec.Code != http.StatusServiceUnavailable || code(t, rec) != "timeout" {
		t.Errorf("got %d %s, want 503 timeout", rec.Code, rec.Body)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	err := api.Config{Body: 1, Bundle: 1, Timeout: 1, AuthFailures: -1, SourceRate: -1, CredentialRate: 1 << 40, Plans: -1, PlansEach: -1, TrustedProxies: []string{"x"}}.Validate()
	for _, key := range []string{"limits.body", "limits.bundle", "limits.timeout", "limits.auth_failures", "limits.source_rate", "limits.credential_rate", "limits.plans ", "limits.plans_each", "limits.trusted_proxies"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("the problems do not name %s: %v", key, err)
		}
	}
	if err := api.Defaults().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestOwnVerifierHearsRevocations(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	must(t, err)
	svc, err := api.New(t.Context(), api.Config{}, api.Deps{Store: store, Wakeups: store, Sender: outbound.ToTheWorld(nil), Telemetry: tel, Version: "1.2.3"})
	must(t, err)
	w.handler = svc.Handler()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	whoami := request{method: "POST", path: "/auth/pak"}
	w.ok(asSelf, whoami)
	w.ok(asAdmin, request{method: "DELETE", path: "/agents/" + string(w.agent.ID)})
	for deadline := time.Now().Add(time.Second); w.do(asSelf, whoami).Code != http.StatusUnauthorized; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a revoked key still works after a second")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if rec := w.get("/readyz"); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz after the end: %d, want 503", rec.Code)
	}
}
