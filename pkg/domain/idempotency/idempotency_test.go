package idempotency_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
)

func TestKeyIsOfSubjectOperationPathAndText(t *testing.T) {
	t.Parallel()
	seen := map[idempotency.Key][4]string{}
	for _, c := range [][4]string{
		{"generator/1", "op", "/p", "k"}, {"generator/2", "op", "/p", "k"}, {"generator/1", "po", "/p", "k"}, {"generator/1", "op", "/q", "k"},
		{"generator/1", "op", "/p", "l"}, {"generator/1o", "p", "/p", "k"}, {"generator/1", "op", "/", "pk"},
	} {
		k, err := idempotency.NewKey(c[0], c[1], c[2], c[3])
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[k]; twice {
			t.Errorf("%v and %v have the same key", c, other)
		}
		seen[k] = c
		if again, _ := idempotency.NewKey(c[0], c[1], c[2], c[3]); again != k {
			t.Errorf("%v has two keys", c)
		}
	}
}

func TestTextsThatAreNoKeys(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"": false, "a": true, strings.Repeat("k", 255): true, strings.Repeat("k", 256): false, "a\tb": false, "a\nb": false, "\x7f": false,
		"with spaces and ü": true,
	} {
		_, err := idempotency.NewKey("s", "o", "p", text)
		if ok && err != nil || !ok && (!fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_idempotency_key") {
			t.Errorf("%q: got %v, want it to be a key: %t", text, err, ok)
		}
	}
}

func TestRequestIsOfQueryTypeAndBody(t *testing.T) {
	t.Parallel()
	first := idempotency.RequestOf("a=1", "application/json", []byte(`{}`))
	if first != idempotency.RequestOf("a=1", "application/json", []byte(`{}`)) {
		t.Error("the same request has two digests")
	}
	for _, other := range []idempotency.Request{
		idempotency.RequestOf("a=2", "application/json", []byte(`{}`)),
		idempotency.RequestOf("a=1", "application/yaml", []byte(`{}`)),
		idempotency.RequestOf("a=1", "application/json", []byte(`{ }`)),
		idempotency.RequestOf("a=1a", "pplication/json", []byte(`{}`)),
	} {
		if other == first {
			t.Error("another request has the same digest")
		}
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := idempotency.Record{Request: idempotency.Request{1}, At: at, Resource: idempotency.Resource{Type: "stack", ID: "x"}}
	if !r.Live(at.Add(24*time.Hour-1)) || r.Live(at.Add(24*time.Hour)) {
		t.Error("a record counts for 24 hours, not more and not less")
	}
	if f := r.Repeat(idempotency.Request{2}); f.Kind != fault.Refused || f.Code != "idempotency_key_reused" {
		t.Errorf("another request: got %v", f)
	}
	f := r.Repeat(idempotency.Request{1})
	if f.Kind != fault.Conflict || f.Code != "idempotency_done" || f.Details["resource_type"] != "stack" || f.Details["resource_id"] != "x" || f.Details["done_at"] != at {
		t.Errorf("the same request: got %v %v, want what came of it", f, f.Details)
	}
	r.Resource = idempotency.Resource{}
	if f := r.Repeat(idempotency.Request{1}); len(f.Details) != 1 {
		t.Errorf("without a thing: got details %v", f.Details)
	}
	for err, want := range map[error]bool{
		idempotency.Used(): true, idempotency.InProgress(): true,
		fault.New(fault.Conflict, "conflict", ""): false, errors.New("idempotency_done"): false,
	} {
		if idempotency.Collision(err) != want {
			t.Errorf("%v: a collision: %t", err, !want)
		}
	}
}
