package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// TargetCache checks that an adapter keeps the contract of ports.TargetCache. Open returns an empty cache with room for
// a megabyte or more, whose server works all through the test and that only this test uses. A cache may forget, but what
// fits should be there: the suite insists.
func TargetCache(t *testing.T, open func(t *testing.T) ports.TargetCache) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, ports.TargetCache){
		"what is put comes back at its revision":    cacheRoundTrip,
		"an older revision never replaces a newer":  cacheOlder,
		"the same revision may be put again":        cacheSame,
		"revisions of those that are known":         cacheRevisions,
		"a flush forgets everything":                cacheFlush,
		"values are copies":                         cacheCopies,
		"a cancelled context":                       cacheCancelled,
		"racing writers leave the newest":           cacheRace,
		"a reader never sees one of another's half": cacheTorn,
		"a large value":                             cacheLarge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func put(t *testing.T, c ports.TargetCache, a agent.ID, r delivery.Revision, value string) {
	t.Helper()
	wantNone(t, "put", c.Put(t.Context(), a, r, []byte(value)))
}

// wantCached fails unless the cache has this value at this revision; "-" means that there must be none.
func wantCached(t *testing.T, c ports.TargetCache, a agent.ID, r delivery.Revision, want string) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), a, r)
	wantNone(t, "get", err)
	if ok != (want != "-") || (ok && string(got) != want) {
		t.Fatalf("get at revision %d: got %q, %v, want %q", r, got, ok, want)
	}
}

func wantRevisions(t *testing.T, c ports.TargetCache, want map[agent.ID]delivery.Revision, agents ...agent.ID) {
	t.Helper()
	got, err := c.Revisions(t.Context(), agents)
	wantNone(t, "revisions", err)
	wantSame(t, "revisions", got, want)
}

func cacheRoundTrip(t *testing.T, c ports.TargetCache) {
	a, b := newID[agent.ID](), newID[agent.ID]()
	wantCached(t, c, a, 1, "-")
	put(t, c, a, 1, "one\x00\xff")
	put(t, c, b, 7, "seven")
	wantCached(t, c, a, 1, "one\x00\xff")
	wantCached(t, c, b, 7, "seven")
	wantCached(t, c, a, 2, "-")
	wantCached(t, c, b, 1, "-")
	put(t, c, a, 2, "")
	wantCached(t, c, a, 2, "")
	wantCached(t, c, a, 1, "-")
}

func cacheOlder(t *testing.T, c ports.TargetCache) {
	a := newID[agent.ID]()
	// As texts, 9 and 10 and the large ones are ordered otherwise than as numbers.
	for _, r := range []delivery.Revision{9, 10, 1 << 53, 1<<53 + 1, 1<<62 + 1} {
		put(t, c, a, r, "newer")
		put(t, c, a, r-1, "older")
		wantRevisions(t, c, map[agent.ID]delivery.Revision{a: r}, a)
		wantCached(t, c, a, r, "newer")
		wantCached(t, c, a, r-1, "-")
	}
}

func cacheSame(t *testing.T, c ports.TargetCache) {
	a := newID[agent.ID]()
	put(t, c, a, 3, "value")
	put(t, c, a, 3, "value")
	wantCached(t, c, a, 3, "value")
}

func cacheRevisions(t *testing.T, c ports.TargetCache) {
	a, b, unknown := newID[agent.ID](), newID[agent.ID](), newID[agent.ID]()
	wantRevisions(t, c, nil, a)
	put(t, c, a, 1, "one")
	put(t, c, b, 5, "five")
	put(t, c, a, 2, "two")
	wantRevisions(t, c, map[agent.ID]delivery.Revision{a: 2, b: 5}, a, unknown, b, a)
	wantRevisions(t, c, nil)
	wantRevisions(t, c, nil, unknown)
}

func cacheFlush(t *testing.T, c ports.TargetCache) {
	const n = 300
	agents := make([]agent.ID, n)
	for i := range agents {
		agents[i] = newID[agent.ID]()
		put(t, c, agents[i], 5, "five")
	}
	wantNone(t, "flush", c.Flush(t.Context()))
	wantRevisions(t, c, nil, agents...)
	for _, a := range agents {
		wantCached(t, c, a, 5, "-")
	}
	put(t, c, agents[0], 1, "one")
	wantCached(t, c, agents[0], 1, "one")
	wantNone(t, "flush", c.Flush(t.Context()))
	wantNone(t, "flush nothing", c.Flush(t.Context()))
}

func cacheCopies(t *testing.T, c ports.TargetCache) {
	a := newID[agent.ID]()
	mine := []byte("value")
	wantNone(t, "put", c.Put(t.Context(), a, 1, mine))
	mine[0] = 'X'
	wantCached(t, c, a, 1, "value")
	got, _, err := c.Get(t.Context(), a, 1)
	wantNone(t, "get", err)
	got[0] = 'X'
	wantCached(t, c, a, 1, "value")
}

func cacheCancelled(t *testing.T, c ports.TargetCache) {
	a := newID[agent.ID]()
	put(t, c, a, 1, "value")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, getErr := c.Get(ctx, a, 1)
	for name, err := range map[string]error{
		"get": getErr, "put": c.Put(ctx, a, 2, []byte("late")), "flush": c.Flush(ctx),
		"revisions": discard(c.Revisions(ctx, []agent.ID{a})),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	wantCached(t, c, a, 1, "value")
}

func cacheRace(t *testing.T, c ports.TargetCache) {
	const writers, each = 4, 25
	a := newID[agent.ID]()
	for _, err := range race(writers, func(i int) error {
		for n := range each {
			r := delivery.Revision(n*writers + i + 1)
			if err := c.Put(t.Context(), a, r, fmt.Append(nil, r)); err != nil {
				return err
			}
		}
		return nil
	}) {
		wantNone(t, "put", err)
	}
	wantRevisions(t, c, map[agent.ID]delivery.Revision{a: writers * each}, a)
	wantCached(t, c, a, writers*each, fmt.Sprint(writers*each))
}

// cacheTorn reads while revisions are written: a value is always that of the revision that was asked for.
func cacheTorn(t *testing.T, c ports.TargetCache) {
	const last = 200
	a := newID[agent.ID]()
	for _, err := range race(3, func(i int) error {
		for n := delivery.Revision(1); n <= last; n++ {
			if i == 0 {
				if err := c.Put(t.Context(), a, n, fmt.Append(nil, n)); err != nil {
					return err
				}
				continue
			}
			known, err := c.Revisions(t.Context(), []agent.ID{a})
			if err != nil {
				return err
			}
			got, ok, err := c.Get(t.Context(), a, known[a])
			if err != nil {
				return err
			}
			if ok && string(got) != fmt.Sprint(known[a]) {
				return fmt.Errorf("at revision %d: got %q", known[a], got)
			}
		}
		return nil
	}) {
		wantNone(t, "put and get", err)
	}
}

func cacheLarge(t *testing.T, c ports.TargetCache) {
	a := newID[agent.ID]()
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	wantNone(t, "put", c.Put(t.Context(), a, 1, value))
	got, ok, err := c.Get(t.Context(), a, 1)
	wantNone(t, "get", err)
	if !ok || !bytes.Equal(got, value) {
		t.Fatalf("got %d bytes (%v) that differ from the %d that were put", len(got), ok, len(value))
	}
}
