package api_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// Of several that change the same thing on the condition that it is as they have read it, one does; a deletion counts too.
func TestOneOfRacingConditionalChangesWins(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for kind, open := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, c, api.Config{}, open(t))
			policy := answer[policyAnswer](w, asOwner, http.MethodPost, "/placement-policies", `{"name":"raced"}`)
			for _, path := range []string{"/stacks/" + string(w.stack.ID), "/agents/" + string(w.agent.ID), "/placement-policies/" + policy.ID, "/generators/" + string(w.other.ID)} {
				for _, last := range []string{http.MethodPut, http.MethodDelete} {
					match := map[string]string{"If-Match": etag(t, w, path)}
					var wg sync.WaitGroup
					var won, lost atomic.Int32
					for i := range 4 {
						q := request{method: http.MethodPut, path: path, body: fmt.Sprintf(`{"name":"by-%d-%s"}`, i, last), header: match}
						if i == 0 && last == http.MethodDelete {
							q.method, q.body = last, ""
						}
						wg.Go(func() {
							switch rec := w.do(asAdmin, q); rec.Code {
							case http.StatusOK, http.StatusNoContent:
								won.Add(1)
							case http.StatusPreconditionFailed, http.StatusNotFound: // 404: after the deletion
								lost.Add(1)
							default:
								t.Errorf("%s: got %d %s", path, rec.Code, rec.Body)
							}
						})
					}
					wg.Wait()
					if won.Load() != 1 || lost.Load() != 3 {
						t.Errorf("%s with %s: %d won and %d lost, want one winner", path, last, won.Load(), lost.Load())
					}
				}
			}
			made, second := w.mint(asAdmin, "raced", `{"name":"raced","role":"operator"}`), w.mint(asAdmin, "another admin", `{"name":"another","role":"admin"}`)
			token, _ := w.storedJoinToken()
			for _, path := range []string{"/credentials/" + string(made.Credential.ID), "/credentials/" + string(second.Credential.ID), "/join-tokens/" + string(token.ID)} {
				q := request{method: http.MethodDelete, path: path, header: map[string]string{"If-Match": etag(t, w, path)}}
				var wg sync.WaitGroup
				var won, lost atomic.Int32
				for range 4 {
					wg.Go(func() {
						switch rec := w.do(asAdmin, q); rec.Code {
						case http.StatusNoContent:
							won.Add(1)
						case http.StatusPreconditionFailed:
							lost.Add(1)
						default:
							t.Errorf("%s: got %d %s", path, rec.Code, rec.Body)
						}
					})
				}
				wg.Wait()
				if won.Load() != 1 || lost.Load() != 3 {
					t.Errorf("%s: %d ended it and %d lost, want one winner", path, won.Load(), lost.Load())
				}
			}
		})
	}
}

// revoking is a store in which somebody else revokes a credential right after it was read in a transaction.
type revoking struct {
	*memory.Store
	id tenancy.CredentialID
}

func (s revoking) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	return s.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, revokingRepositories{tx, s.id}) })
}

type revokingRepositories struct {
	ports.Repositories
	id tenancy.CredentialID
}

func (r revokingRepositories) Keyring() ports.Keyring {
	return revokingKeyring{r.Repositories.Keyring(), r.id}
}

type revokingKeyring struct {
	ports.Keyring
	id tenancy.CredentialID
}

func (k revokingKeyring) Get(ctx context.Context, s tenancy.Scope, id tenancy.CredentialID) (tenancy.Credential, error) {
	c, err := k.Keyring.Get(ctx, s, id)
	if err == nil && id == k.id {
		_, err = k.End(ctx, id, time.Now().UTC().Add(-time.Second))
	}
	return c, err
}

// A key that is revoked while it is rotated has no successor.
func TestRotationLosesAgainstRevocation(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	made := w.mint(asAdmin, "deploy", `{"name":"deploy","role":"operator"}`)
	q := request{method: http.MethodPost, path: "/credentials/" + string(made.Credential.ID) + "/rotate", body: `{"grace_seconds":60}`}
	before, err := inner.Keyring().Page(t.Context(), tenancy.Everything(), tenancy.CredentialList().All(100))
	must(t, err)
	rec := w.on(w.handlerOf(revoking{inner, made.Credential.ID}), asAdmin, q)
	if rec.Code != http.StatusUnprocessableEntity || code(t, rec) != "credential_ended" {
		t.Fatalf("got %d %s, want 422 credential_ended", rec.Code, rec.Body)
	}
	after, err := inner.Keyring().Page(t.Context(), tenancy.Everything(), tenancy.CredentialList().All(100))
	must(t, err)
	if len(after.Items) != len(before.Items) {
		t.Errorf("%d credentials after %d: it has a successor", len(after.Items), len(before.Items))
	}
}

// dropping is a store that drops a month of the audit log while somebody reads it.
type dropping struct {
	*memory.Store
	period audit.Period
}

func (s dropping) AuditLog() ports.AuditLog { return droppingLog{s.Store.AuditLog(), s} }

type droppingLog struct {
	ports.AuditLog
	s dropping
}

func (l droppingLog) Sealed(ctx context.Context, p audit.Period, seq int64, limit int) ([]audit.Entry, error) {
	if p == l.s.period {
		if err := l.s.AuditKeeper().Drop(ctx, p, time.Now()); err != nil {
			return nil, err
		}
	}
	return l.AuditLog.Sealed(ctx, p, seq, limit)
}

// A month whose time is over is let go; that is no break, whenever it happens.
func TestVerifyBesideRetention(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	inner := memory.New(func() time.Time {
		if late.Load() {
			return time.Now().Add(62 * 24 * time.Hour)
		}
		return time.Now()
	})
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	period := w.seal()
	h := w.handlerOf(dropping{inner, period})
	rec := w.on(h, asAdmin, request{method: http.MethodGet, path: "/admin/audit-logs/verify"})
	if got := decode[auditReport](t, rec); rec.Code != http.StatusOK || !got.OK || got.Broken != nil {
		t.Errorf("got %d %s, want all right", rec.Code, rec.Body)
	}
	if rec := w.do(asAdmin, request{method: http.MethodGet, path: "/admin/audit-logs?cursor=MDAwMC0wMS0wMVQwMDowMDowMFogMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAx"}); rec.Code != http.StatusBadRequest {
		t.Errorf("a cursor in the year 0: got %d %s, want 400", rec.Code, rec.Body)
	}
}
