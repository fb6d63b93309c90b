package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

func keyring(t testing.TB, keys ...string) *seal.Keyring {
	t.Helper()
	r, err := seal.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openWith opens a store with these keys, the current one first; none: without any.
func openWith(t testing.TB, dsn string, keys ...string) *postgres.Store {
	t.Helper()
	var ring *seal.Keyring
	if len(keys) > 0 {
		ring = keyring(t, keys...)
	}
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{Keys: ring})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func canary(n int) []byte {
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nstringData: {n: \"%d\", password: hunter2-canary}\n", n)
}

func wantUsage(t *testing.T, s *postgres.Store, want map[string]int64) {
	t.Helper()
	got, err := s.Secrets().Usage(t.Context())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("usage %v, %v, want %v", got, err, want)
	}
}

func TestSealedAtRestAndRotated(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	plain := openWith(t, dsn)
	sums := map[stack.Checksum][]byte{}
	put := func(s *postgres.Store, content []byte) {
		t.Helper()
		sum, err := s.Blobs().Put(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		sums[sum] = content
	}
	readable := func() int {
		return len(column(t, db, `SELECT encode(sha256, 'hex') FROM blobs WHERE position('hunter2-canary'::bytea IN content) > 0`))
	}
	check := func(s *postgres.Store) {
		t.Helper()
		if err := s.CheckKeys(t.Context()); err != nil {
			t.Fatalf("check keys: %v", err)
		}
	}
	all := func(s *postgres.Store) {
		t.Helper()
		for sum, want := range sums {
			if got, err := s.Blobs().Get(t.Context(), sum); err != nil || !bytes.Equal(got, want) {
				t.Errorf("get %s: %d bytes, %v", sum, len(got), err)
			}
		}
	}
	// Short texts do not shrink, so that without a key they lie there as they are.
	put(plain, canary(1))
	if readable() != 1 {
		t.Fatal("the test does not see what lies readable")
	}

	k1, k2 := seal.Generate("k1"), seal.Generate("k2")
	first := openWith(t, dsn, k1)
	check(first)
	put(first, canary(2))
	put(first, bytes.Repeat(canary(3), 500)) // compressed, then sealed
	wantUsage(t, first, map[string]int64{"": 1, "k1": 2})
	all(first)
	if n, err := first.Secrets().Rewrap(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("seal what lies readable: %d, %v", n, err)
	}
	if readable() != 0 {
		t.Error("a value is still readable")
	}

	second := openWith(t, dsn, k2, k1)
	check(second)
	all(second)
	before := column(t, db, `SELECT encode(sha256(content), 'hex') FROM blobs ORDER BY sha256`)
	if n, err := second.Secrets().Rewrap(t.Context(), 2); err != nil || n != 2 {
		t.Errorf("rewrap two: %d, %v", n, err)
	}
	if n, err := second.Secrets().Rewrap(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("rewrap the rest: %d, %v", n, err)
	}
	if n, err := second.Secrets().Rewrap(t.Context(), 10); err != nil || n != 0 {
		t.Errorf("nothing is left: %d, %v", n, err)
	}
	if after := column(t, db, `SELECT encode(sha256(content), 'hex') FROM blobs ORDER BY sha256`); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("rotation has rewritten contents")
	}
	wantUsage(t, second, map[string]int64{"k2": 3})
	last := openWith(t, dsn, k2)
	check(last)
	all(last)
}

func TestKeysThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	k1 := seal.Generate("k1")
	s := openWith(t, dsn, k1)
	if err := s.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A key that sealed nothing yet is not missed.
	if err := openWith(t, dsn).CheckKeys(t.Context()); err != nil {
		t.Errorf("nothing is sealed: %v", err)
	}
	sum, err := s.Blobs().Put(t.Context(), canary(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		keys []string
		code string
		want string
	}{
		"none":    {nil, "secret_key_missing", "sealed with the key k1"},
		"other":   {[]string{seal.Generate("k2")}, "secret_key_missing", "sealed with the key k1"},
		"changed": {[]string{seal.Generate("k1")}, "secret_key_changed", "another one than the k1"},
	} {
		bad := openWith(t, dsn, tt.keys...)
		err := bad.CheckKeys(t.Context())
		if fault.CodeOf(err) != tt.code || !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
		got, err := bad.Blobs().Get(t.Context(), sum)
		if err == nil {
			t.Errorf("%s: read %q", name, got)
		}
		var unknown *seal.UnknownKeyError
		if name != "changed" && !errors.As(err, &unknown) {
			t.Errorf("%s: %v, want an UnknownKeyError", name, err)
		}
	}
}

// One damaged value is told of and holds up no other.
func TestRewrapGoesPastWhatIsDamaged(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	k1, k2 := seal.Generate("k1"), seal.Generate("k2")
	old := openWith(t, dsn, k1)
	if err := old.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := old.Blobs().Put(t.Context(), []byte(uuid.NewString())); err != nil {
			t.Fatal(err)
		}
	}
	damaged := column(t, db, `UPDATE blobs SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))
		WHERE sha256 = (SELECT sha256 FROM blobs ORDER BY sha256 LIMIT 1) RETURNING encode(sha256, 'hex')`)
	if len(damaged) != 1 {
		t.Fatalf("damaged %v", damaged)
	}
	s := openWith(t, dsn, k2, k1)
	if err := s.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	n, err := s.Secrets().Rewrap(t.Context(), 10)
	if n != 4 || err == nil || !strings.Contains(err.Error(), damaged[0]) {
		t.Errorf("rewrapped %d, %v, want 4 and the damaged one named", n, err)
	}
	wantUsage(t, s, map[string]int64{"k1": 1, "k2": 4})
}
