package kube

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// catalog is a cluster of which only the kinds are of interest.
type catalog struct {
	looks atomic.Int32
	now   atomic.Pointer[offers]
	takes time.Duration
	err   error
}

func (c *catalog) discover(ctx context.Context) (offers, error) {
	c.looks.Add(1)
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return offers{}, translate(ctx.Err(), false)
	}
	return *c.now.Load(), c.err
}

func (c *catalog) serve(kinds ...schema.GroupVersionKind) {
	var o offers
	for _, k := range kinds {
		o.add(k.GroupVersion(), strings.ToLower(k.Kind)+"s", k.Kind, true, []string{"list", "delete"}, 0)
	}
	c.now.Store(&o)
}

func (c *catalog) wantLooks(t *testing.T, what string, n int32) {
	t.Helper()
	if got := c.looks.Load(); got != n {
		t.Fatalf("%s: got %d looks at the cluster, want %d", what, got, n)
	}
}

func newCatalog(kinds ...schema.GroupVersionKind) (*catalog, *Cluster) {
	c := &catalog{}
	c.serve(kinds...)
	k := &Cluster{}
	k.kinds.discover = c.discover
	return c, k
}

func kind(group, version, name string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: name}
}

func wantServed(t *testing.T, c *Cluster, k schema.GroupVersionKind) {
	t.Helper()
	if m, err := c.Mapping(t.Context(), k); err != nil || m.Kind != k {
		t.Fatalf("mapping of %s: got %v, %v", k, m, err)
	}
}

func wantNotServed(t *testing.T, c *Cluster, k schema.GroupVersionKind) {
	t.Helper()
	if _, err := c.Mapping(t.Context(), k); fault.CodeOf(err) != cluster.CodeKindNotServed {
		t.Fatalf("mapping of %s: got %v, want that it is not served", k, err)
	}
}

func TestKindsAreAskedForSparingly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := kind("g", "v1", "A"), kind("g", "v1", "B")
		cat, c := newCatalog(a)
		wantServed(t, c, a)
		for range 100 {
			wantServed(t, c, a)
			wantNotServed(t, c, b)
		}
		cat.wantLooks(t, "within the gap", 1)
		cat.serve(a, b)
		wantNotServed(t, c, b)
		time.Sleep(refreshGap + 1)
		wantServed(t, c, b)
		cat.wantLooks(t, "after the gap", 2)
		time.Sleep(time.Hour)
		wantServed(t, c, a)
		cat.wantLooks(t, "for what is known", 2)
	})
}

func TestForgetLooksAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := kind("g", "v1", "A"), kind("g", "v1", "B")
		cat, c := newCatalog(a)
		wantServed(t, c, a)
		cat.serve(b)
		wantNotServed(t, c, b)
		c.Forget()
		wantServed(t, c, b)
		wantNotServed(t, c, a)
		cat.wantLooks(t, "after Forget", 2)
	})
}

// TestForgetDuringALook has what is found come from before the definitions changed.
func TestForgetDuringALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := kind("g", "v1", "A"), kind("g", "v1", "B")
		cat, c := newCatalog(a)
		cat.takes = time.Second
		early := make(chan error)
		go func() {
			_, err := c.Mapping(t.Context(), a)
			early <- err
		}()
		synctest.Wait()
		c.Forget()
		late := make(chan error)
		go func() {
			_, err := c.Mapping(t.Context(), b)
			late <- err
		}()
		time.Sleep(time.Second / 2)
		cat.serve(b) // both looks read it when they end, the first of them in vain
		if err := <-late; err != nil {
			t.Errorf("mapping asked for after Forget: %v", err)
		}
		if err := <-early; fault.CodeOf(err) != cluster.CodeKindNotServed {
			t.Errorf("mapping asked for before Forget: got %v, want what its look found", err)
		}
		cat.wantLooks(t, "around Forget", 2)
		wantServed(t, c, b)
		cat.wantLooks(t, "after Forget", 2)
	})
}

func TestManyShareALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := kind("g", "v1", "A")
		cat, c := newCatalog(a)
		cat.takes = time.Second
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := c.Mapping(impatient, a); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("mapping for the impatient: got %v, want Unavailable", err)
		}
		errs := make(chan error)
		for range 50 {
			go func() {
				_, err := c.Mapping(t.Context(), a)
				errs <- err
			}()
		}
		for range 50 {
			if err := <-errs; err != nil {
				t.Errorf("mapping: %v", err)
			}
		}
		cat.wantLooks(t, "for all of them", 1)
	})
}

func TestKnownKindsNeedNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := kind("g", "v1", "A"), kind("g", "v1", "B")
		cat, c := newCatalog(a)
		wantServed(t, c, a)
		time.Sleep(refreshGap + 1)
		cat.takes = time.Hour // it hangs
		began := time.Now()
		unknown := make(chan error)
		go func() {
			_, err := c.Mapping(t.Context(), b)
			unknown <- err
		}()
		synctest.Wait()
		wantServed(t, c, a)
		if m, err := c.Any(t.Context(), kind("g", "v9", "A")); err != nil || m.Kind != a {
			t.Errorf("any version: got %v, %v", m, err)
		}
		if err := <-unknown; !fault.Is(err, fault.Unavailable) {
			t.Errorf("mapping of what is not known: got %v, want Unavailable", err)
		}
		if took := time.Since(began); took != callTimeout {
			t.Errorf("the look was given up after %v, want %v", took, callTimeout)
		}
		cat.takes, cat.err = 0, errors.New("away")
		if _, err := c.Mapping(t.Context(), b); !errors.Is(err, cat.err) {
			t.Errorf("mapping while the cluster is away: got %v, want that", err)
		}
		cat.err = nil
		wantNotServed(t, c, b)
	})
}

func TestBrokenAPIs(t *testing.T) {
	t.Parallel()
	a, b := kind("g", "v1", "A"), kind("broken", "v1", "B")
	cat, c := newCatalog(a)
	cat.now.Load().broken = []schema.GroupVersion{{Group: "zz", Version: "v1"}, b.GroupVersion()}
	wantServed(t, c, a)
	for act, ask := range map[string]func() error{
		"mapping":   func() error { _, err := c.Mapping(t.Context(), b); return err },
		"any":       func() error { _, err := c.Any(t.Context(), kind("broken", "v7", "B")); return err },
		"strangers": func() error { _, err := c.Strangers(t.Context(), "", "n", nil, 1); return err },
	} {
		err := ask()
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "broken/v1") {
			t.Errorf("%s: got %v, want Unavailable that names the API", act, err)
		}
	}
	wantNotServed(t, c, kind("g", "v1", "B"))
}

func TestAnyPrefersTheGivenThenTheMature(t *testing.T) {
	t.Parallel()
	_, c := newCatalog(kind("g", "v1alpha1", "A"), kind("g", "v2beta1", "A"), kind("g", "v1", "A"), kind("g", "v1", "B"))
	for given, want := range map[string]string{"v2beta1": "v2beta1", "v1alpha1": "v1alpha1", "v3": "v1"} {
		if m, err := c.Any(t.Context(), kind("g", given, "A")); err != nil || m.Kind.Version != want {
			t.Errorf("any, preferably %s: got %v, %v, want %s", given, m, err, want)
		}
	}
}

func TestWhatANamespaceHoldsIsLookedForOnceInWhateverVersion(t *testing.T) {
	t.Parallel()
	all, verbs := offers{}, []string{"get", "list", "delete"}
	for i, v := range []string{"v1", "v1beta1", "v1alpha1"} {
		gv := schema.GroupVersion{Group: "g", Version: v}
		all.add(gv, "everywheres", "Everywhere", true, verbs, i)
		if i > 0 {
			all.add(gv, "youngs", "Young", true, verbs, i)
		}
		all.add(gv, "halves", "Half", true, []string{"list", "delete"}[:min(i+1, 2)], i)
		all.add(gv, "wides", "Wide", false, verbs, i)
		all.add(gv, "asks", "Ask", true, []string{"create"}, i)
	}
	slices.Reverse(all.list) // the order in which answers came says nothing
	got := map[string]int{}
	for _, m := range inANamespace(all.list) {
		got[m.Kind.String()]++
	}
	want := map[string]int{kind("g", "v1", "Everywhere").String(): 1, kind("g", "v1beta1", "Young").String(): 1, kind("g", "v1beta1", "Half").String(): 1}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
