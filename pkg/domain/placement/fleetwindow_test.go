package placement_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// admitting is a window that admits so many removals.
func admitting(n int) *placement.FleetWindow {
	return &placement.FleetWindow{Floor: n, Length: 10 * time.Minute}
}

func removed(n int, ago time.Duration) placement.Removal {
	return placement.Removal{Stack: web, Count: n, At: now.Add(-ago)}
}

func TestTheFleetsWindow(t *testing.T) {
	t.Parallel()
	w := placement.FleetWindow{Share: 0.2, Floor: 10, Length: 10 * time.Minute, Assigned: 100}
	tests := map[string]struct {
		assigned int
		removals []placement.Removal
		lost     int
		left     int
	}{
		"nothing was removed":                {100, nil, 0, 20},
		"the floor is more than the share":   {30, nil, 0, 10},
		"what was removed counts in the sum": {94, []placement.Removal{removed(2, time.Minute), removed(4, 0)}, 6, 14},
		"what is over counts no more":        {97, []placement.Removal{removed(5, 10*time.Minute), removed(3, 10*time.Minute-time.Microsecond)}, 3, 17},
		"they come in any order":             {97, []placement.Removal{removed(3, time.Minute), removed(5, time.Hour)}, 3, 17},
		"more was approved than it admits":   {50, []placement.Removal{removed(50, time.Minute)}, 50, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := w.With(tc.removals...)
			w.Assigned = tc.assigned
			if got := w.Lost(now); got != tc.lost {
				t.Errorf("lost %d, want %d", got, tc.lost)
			}
			if got := w.Left(now); got != tc.left {
				t.Errorf("it admits %d more, want %d", got, tc.left)
			}
		})
	}
	if w.Left(now) != 20 {
		t.Error("a window was changed by what was made of it")
	}
}

// Whatever is added in whatever order, and whenever the past is forgotten, the same is in the window; what was made of a window
// before leaves it as it is.
func TestTheFleetsWindowProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := placement.FleetWindow{Share: 0.2, Floor: 3, Length: 10 * time.Minute, Assigned: rapid.IntRange(0, 100).Draw(t, "assigned")}
		var all []placement.Removal
		for range rapid.IntRange(0, 12).Draw(t, "removals") {
			r := removed(rapid.IntRange(1, 5).Draw(t, "count"), time.Duration(rapid.IntRange(0, 15).Draw(t, "minutes"))*time.Minute)
			r.Stack = stack.ID(rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "stack"))
			kept, before := w, w.Lost(now)
			if w = w.With(r); kept.Lost(now) != before || !w.Knows(r) {
				t.Fatal("the window was changed, or does not know what was added")
			}
			if all = append(all, r); rapid.Bool().Draw(t, "forget") {
				w = w.Forget(now)
			}
		}
		want := 0
		for _, r := range all {
			in := r.At.After(w.Began(now))
			if in {
				want += r.Count
			}
			if in && !w.Knows(r) {
				t.Fatalf("%+v is in the window and not known", r)
			}
		}
		if got := w.Lost(now); got != want {
			t.Fatalf("lost %d, want %d", got, want)
		}
		if left := w.Left(now); left < 0 || left > max(3, 20+want) {
			t.Fatalf("it admits %d more", left)
		}
	})
}

// Two windows that go on from one do not see each other's removals.
func TestFleetWindowIsAValue(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	from := placement.FleetWindow{Floor: 10, Length: time.Hour}
	for i := range 3 { // room is left behind the third
		from = from.With(placement.Removal{Stack: "s", Count: 1, At: at.Add(time.Duration(i) * time.Second)})
	}
	a, b := placement.Removal{Stack: "a", Count: 1, At: at.Add(time.Minute)}, placement.Removal{Stack: "b", Count: 1, At: at.Add(time.Minute)}
	one := from.With(a)
	other := from.With(b)
	if !one.Knows(a) || one.Knows(b) || !other.Knows(b) || other.Knows(a) || from.Knows(a) {
		t.Errorf("one knows a %t, b %t; the other a %t, b %t", one.Knows(a), one.Knows(b), other.Knows(a), other.Knows(b))
	}
}
