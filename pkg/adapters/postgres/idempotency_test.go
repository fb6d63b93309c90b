package postgres_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func key(t *testing.T, text string) idempotency.Key {
	t.Helper()
	k, err := idempotency.NewKey("generator/1", "create_deployment_object", "/", text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What was published is shown in the answer too: it is sealed as well, and follows the keys.
func TestAnswersAreSealedAndRotated(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	now := time.Now()
	kept := map[idempotency.Key][]byte{}
	answer := func(s *postgres.Store, text string, body []byte) {
		t.Helper()
		k := key(t, text)
		if err := s.Idempotency().Mark(t.Context(), idempotency.Record{Key: k, At: now}); err != nil {
			t.Fatal(err)
		}
		if body == nil {
			return
		}
		if err := s.Idempotency().Answer(t.Context(), k, idempotency.Answer{Status: 201, Body: body}); err != nil {
			t.Fatal(err)
		}
		kept[k] = body
	}
	all := func(s *postgres.Store) {
		t.Helper()
		for k, want := range kept {
			if r, err := s.Idempotency().Get(t.Context(), k, now); err != nil || r.Answer == nil || !bytes.Equal(r.Answer.Body, want) {
				t.Errorf("get: %+v, %v", r.Answer, err)
			}
		}
	}
	plain := openWith(t, dsn)
	answer(plain, "plain", canary(1))
	answer(plain, "without", nil)
	wantUsage(t, plain, map[string]int64{"": 1})
	k1, k2 := seal.Generate("k1"), seal.Generate("k2")
	first := openWith(t, dsn, k1)
	if err := first.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer(first, "sealed", canary(2))
	if n, err := first.Secrets().Rewrap(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("seal what lies readable: %d, %v", n, err)
	}
	all(first)
	if sealed := column(t, db, `SELECT key_id FROM idempotency_keys WHERE answer IS NOT NULL`); len(sealed) != 2 || sealed[0] != "k1" || sealed[1] != "k1" {
		t.Errorf("sealed with %v, want k1 twice", sealed)
	}
	second := openWith(t, dsn, k2, k1)
	if err := second.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Secrets().Rewrap(t.Context(), 10); err != nil || n != 2 {
		t.Errorf("rewrap: %d, %v", n, err)
	}
	wantUsage(t, second, map[string]int64{"k2": 2})
	last := openWith(t, dsn, k2)
	if err := last.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	all(last)
	if _, err := plain.Idempotency().Get(t.Context(), key(t, "sealed"), now); err == nil || fault.Is(err, fault.NotFound) {
		t.Errorf("without its key: got %v, want that it cannot be opened", err)
	}
	if err := plain.CheckKeys(t.Context()); !fault.Is(err, fault.Invalid) {
		t.Errorf("check without keys: %v, want that one is missing", err)
	}
}

// Who repeats a request that is being done is told so at once: it holds no connection until the first is done.
func TestClaimDoesNotWait(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	k, now := key(t, "k"), time.Now()
	err := s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Idempotency().Claim(ctx, k, now); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := s.Idempotency().Claim(short, k, now); fault.CodeOf(err) != "idempotency_in_progress" {
			t.Errorf("meanwhile: got %v, want idempotency_in_progress", err)
		}
		return s.Idempotency().Claim(short, key(t, "another"), now)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Idempotency().Claim(t.Context(), k, now); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
