package gateway_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func TestRevocationEndsAParkedSyncAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, c := w.parked(r, 55)
		_, other := w.parked(r, 55)
		time.Sleep(time.Second)
		_, err := w.store.Credentials().Revoke(w.Context(), tenancy.RoleAgent, "", p.id, time.Now())
		w.must(err)
		synctest.Wait()
		if !c.answered() || c.rec.Code != http.StatusUnauthorized || c.took != time.Second {
			t.Fatalf("answered %v after %s: got %+v, want 401 at once", c.answered(), c.took, c.rec)
		}
		if other.answered() {
			t.Error("another agent's sync was answered too")
		}
		if got := r.metric("brokkr_auth_failures_total", "revoked"); got != 1 {
			t.Errorf("auth failures for revoked: got %v, want 1", got)
		}
	})
}

// A rotation with an overlap tells of an end that is yet to come; a parked sync is answered when it comes.
func TestTheEndOfAnOverlapEndsAParkedSync(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		p, c := w.parked(r, 55)
		time.Sleep(time.Second)
		_, err := w.store.Credentials().Revoke(w.Context(), tenancy.RoleAgent, "", p.id, time.Now().Add(10*time.Second))
		w.must(err)
		synctest.Wait()
		if c.answered() {
			t.Fatalf("answered at once: %d %s", c.rec.Code, c.rec.Body)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !c.answered() || c.rec.Code != http.StatusUnauthorized || c.took != 11*time.Second {
			t.Errorf("answered %v after %s: got %+v, want 401 after 11s", c.answered(), c.took, c.rec)
		}
	})
}

func TestAKeyThatExpiresEndsAParkedSync(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		end := time.Now().Add(10 * time.Second)
		p, parked := w.parked(r, 55)
		parked.leave()
		p.key = w.credential(tenancy.Credential{Role: tenancy.RoleAgent, Agent: p.id, ExpiresAt: &end})
		c := r.sync(p, p.request(55))
		if c.answered() {
			t.Fatalf("answered at once: %d %s", c.rec.Code, c.rec.Body)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !c.answered() || c.rec.Code != http.StatusUnauthorized || c.took != 10*time.Second {
			t.Errorf("answered %v after %s: got %+v, want 401 after 10s", c.answered(), c.took, c.rec)
		}
	})
}

func TestMissedRevocationsAreFoundWhenListeningAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		wake := &controlledWakeups{}
		r := w.gateway(options{wakeups: wake})
		p, c := w.parked(r, 55)
		_, good := w.parked(r, 55)
		wake.tell(ports.Wakeup{Deaf: true})
		synctest.Wait()
		_, err := w.store.Credentials().Revoke(w.Context(), tenancy.RoleAgent, "", p.id, time.Now())
		w.must(err)
		time.Sleep(time.Second)
		late := p.start()
		if s := r.sync(late, late.request(0)); s.rec.Code != http.StatusUnauthorized {
			t.Errorf("a new request while deaf: got %d, want 401 within a second", s.rec.Code)
		}
		wake.tell(ports.Wakeup{Lost: true})
		synctest.Wait()
		if !c.answered() || c.rec.Code != http.StatusUnauthorized {
			t.Error("the parked sync of the revoked key was not ended with 401")
		}
		if good.answered() {
			t.Error("the parked sync of a good key was ended")
		}
	})
}
