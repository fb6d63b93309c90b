package app

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// readings is a fleet of one cluster, whose reading takes a while and which has a new name each time.
type readings struct {
	takes time.Duration
	fail  error
	n     int
}

func (r *readings) read(context.Context) ([]placement.Cluster, error) {
	time.Sleep(r.takes)
	if r.fail != nil {
		return nil, r.fail
	}
	r.n++
	return []placement.Cluster{{Agent: agent.ID(rune('a' + r.n - 1))}}, nil
}

func TestAReadingServesAWhile(t *testing.T) {
	t.Parallel()
	for reason, tc := range map[string]struct {
		takes, after time.Duration
		between      func(f *fleets)
		want         int
	}{
		"a small fleet is read each time":         {time.Millisecond, 0, nil, 2},
		"for twenty times as long as it took":     {50 * time.Millisecond, time.Second - 1, nil, 1},
		"and no longer":                           {50 * time.Millisecond, time.Second, nil, 2},
		"for three seconds at most":               {time.Second, 3*time.Second - 1, nil, 1},
		"and not longer than that":                {time.Second, 3 * time.Second, nil, 2},
		"until something is changed here":         {time.Second, 0, func(f *fleets) { n := f.touched.Load(); f.touch(); f.settle(n) }, 2},
		"what changes nothing of it is no reason": {time.Second, 0, func(f *fleets) { f.settle(f.touched.Load()) }, 1},
		"others' readings leave it":               {time.Second, 0, func(f *fleets) { f.glance("other", time.Now()) }, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var f fleets
			r := readings{takes: tc.takes}
			for i := range 2 {
				if i == 1 {
					time.Sleep(tc.after)
					if tc.between != nil {
						tc.between(&f)
					}
				}
				if _, err := f.of(t.Context(), "g", time.Now, r.read); err != nil {
					t.Fatal(err)
				}
			}
			if r.n != tc.want {
				t.Errorf("%s: read %d times, want %d", reason, r.n, tc.want)
			}
		})
	}
}

// Many who ask at once are answered by one reading; a failed one is nobody's answer, and who has gone waits for none.
func TestOneReadsForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleets
		r := readings{takes: time.Second, fail: errors.New("away")}
		if _, err := f.of(t.Context(), "g", time.Now, r.read); !errors.Is(err, r.fail) {
			t.Fatalf("got %v, want %v", err, r.fail)
		}
		r.fail = nil
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				got, err := f.of(t.Context(), "g", time.Now, r.read)
				if err != nil || len(got) != 1 || got[0].Agent != "a" {
					t.Errorf("got %v, %v; want the first reading", got, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.of(ctx, "g", time.Now, r.read); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: got %v, want %v", err, context.Canceled)
		}
		wg.Wait()
		if r.n != 1 {
			t.Errorf("read %d times, want 1", r.n)
		}
	})
}

// A reading that began before a change is not kept for those who come after it.
func TestAReadingFromBeforeAChangeIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleets
		r := readings{takes: time.Second}
		before := f.touched.Load()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.of(t.Context(), "g", time.Now, r.read); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		f.touch()
		f.settle(before)
		wg.Wait()
		if got, err := f.of(t.Context(), "g", time.Now, r.read); err != nil || got[0].Agent != "b" {
			t.Errorf("got %v, %v; want a second reading", got, err)
		}
	})
}

// What is too old is forgotten with the next generator that is asked for.
func TestOldReadingsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleets
		r := readings{takes: time.Second}
		if _, err := f.of(t.Context(), "g", time.Now, r.read); err != nil {
			t.Fatal(err)
		}
		time.Sleep(glanceMost)
		f.glance("other", time.Now())
		if _, there := f.known["g"]; there || len(f.known) != 1 {
			t.Errorf("%d are known, the old one %t; want only the other", len(f.known), there)
		}
	})
}
