package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// A key that is taken back is felt within a second on both gateways and the api, also by a sync that is parked.
func TestRevokedKeyIsFeltAtOnce(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	for name, revoke := range map[string]func(id string){
		"rotated": func(id string) {
			w.Admin.Must(t, http.MethodPost, "/agents/"+id+"/rotate-pak", nil, http.StatusOK, nil)
		},
		"deleted": func(id string) {
			w.Admin.Must(t, http.MethodDelete, "/agents/"+id, nil, http.StatusNoContent, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			id, key := w.NewAgent(w.Unique(name))
			api := world.NewClient(w.API.URL(), key)
			api.Must(t, http.MethodPost, "/auth/pak", nil, http.StatusOK, nil)
			gateways := []*world.Client{world.NewClient(w.Gateways[0].URL(), key), world.NewClient(w.Gateways[1].URL(), key)}
			for _, g := range gateways { // so that both remember the key
				g.Must(t, http.MethodPost, "/agents/"+id+"/heartbeat", nil, http.StatusNoContent, nil)
			}
			parked := make(chan world.Answer, 1)
			failed := make(chan error, 1)
			before := parkedSyncs(t, w.Gateways[0])
			boot := uuid.NewString()
			var first wire.SyncResponse // a new process is told everything at once; its next sync parks
			gateways[0].Must(t, http.MethodPost, "/agents/"+id+"/sync", wire.SyncRequest{BootID: boot, Seq: 1}, http.StatusOK, &first)
			go func() {
				a, err := gateways[0].Do(t.Context(), http.MethodPost, "/agents/"+id+"/sync",
					wire.SyncRequest{BootID: boot, Seq: 2, Revision: first.Revision, WaitSeconds: wire.MaxWaitSeconds})
				if err != nil {
					failed <- err
					return
				}
				parked <- a
			}()
			world.Eventually(t, world.Patience, "a sync is parked", func() error {
				if n := parkedSyncs(t, w.Gateways[0]); n <= before {
					return fmt.Errorf("%v are parked, %v before", n, before)
				}
				return nil
			})
			revoke(id)
			began := time.Now()
			for _, g := range append(gateways, api) {
				world.Eventually(t, time.Second-time.Since(began), "401 at "+g.Base, func() error {
					path := "/agents/" + id + "/heartbeat"
					if g == api {
						path = "/auth/pak"
					}
					return unauthorized(t.Context(), g, path)
				})
			}
			select {
			case a := <-parked:
				if a.Status != http.StatusUnauthorized || len(a.Body) != 0 {
					t.Errorf("parked sync: got %d %q, want 401 and nothing", a.Status, a.Body)
				}
			case err := <-failed:
				t.Errorf("parked sync: %v", err)
			case <-time.After(time.Second - time.Since(began)):
				t.Error("the parked sync is still parked a second after the revocation")
			}
		})
	}
}

func parkedSyncs(t *testing.T, gateway *world.Service) float64 {
	t.Helper()
	n, err := gateway.Metric("brokkr_gateway_parked_syncs", nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// unauthorized returns nil if the call is answered 401 with an empty body.
func unauthorized(ctx context.Context, c *world.Client, path string) error {
	a, err := c.Do(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusUnauthorized || len(a.Body) != 0 {
		return fmt.Errorf("got %d %q, want 401 and an empty body", a.Status, a.Body)
	}
	return nil
}

// Keys that are missing, no keys at all, unknown, wrong, expired or revoked are answered 401 with an empty body, and
// each is counted under its reason.
func TestBadKeysAreRefusedAndCounted(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	unknown, err := pak.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, expired := w.NewAgent(w.Unique("expired"))
	w.Expire(expired)
	_, good := w.NewAgent(w.Unique("good"))
	other, revoked := w.NewAgent(w.Unique("revoked"))
	w.Admin.Must(t, http.MethodPost, "/agents/"+other+"/rotate-pak", nil, http.StatusOK, nil)
	// The public part of a good key with the secret part of another.
	wrong := strings.Join([]string{"brokkr", strings.Split(good, "_")[1], strings.Split(unknown.Reveal(), "_")[2]}, "_")

	faces := map[*world.Service]string{w.API: "/auth/pak", w.Gateways[0]: "/agents/" + id + "/heartbeat", w.Gateways[1]: "/agents/" + id + "/heartbeat"}
	for _, c := range []struct{ reason, key string }{
		{"missing", ""}, {"malformed", "garbage"}, {"malformed", strings.Repeat("x", 8000)}, {"unknown", unknown.Reveal()},
		{"wrong", wrong}, {"expired", expired}, {"revoked", revoked},
	} {
		for s, path := range faces {
			count := func() float64 {
				n, err := s.Metric("brokkr_auth_failures_total", map[string]string{"reason": c.reason})
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := count()
			if err := unauthorized(t.Context(), world.NewClient(s.URL(), c.key), path); err != nil {
				t.Errorf("%s key at %s: %v", c.reason, s.Name, err)
			}
			if got := count() - before; got != 1 {
				t.Errorf("%s key at %s: counted %v times, want once", c.reason, s.Name, got)
			}
			if len(c.key) > 20 && strings.Contains(s.Logs(), c.key) {
				t.Errorf("%s key: the log of %s repeats it", c.reason, s.Name)
			}
		}
	}
}
