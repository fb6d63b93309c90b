package porttest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// quiet is how long a test waits for what must not come.
const quiet = 150 * time.Millisecond

// wantKind fails unless err is a fault of this kind.
func wantKind(t *testing.T, act string, err error, want fault.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: got no error, want %v", act, want)
	}
	if got := fault.KindOf(err); got != want {
		t.Fatalf("%s: got kind %v (%v), want %v", act, got, err, want)
	}
}

// wantCode fails unless err is a fault of this kind with this code.
func wantCode(t *testing.T, act string, err error, want fault.Kind, code string) {
	t.Helper()
	wantKind(t, act, err, want)
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("%s: got code %q (%v), want %q", act, got, err, code)
	}
}

// wantNone fails if err is not nil.
func wantNone(t *testing.T, act string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", act, err)
	}
}

// wantSame fails unless got equals want; nil and empty are the same, and Change.Version is not stored.
func wantSame[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(placement.Change{}, "Version")); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// wantGrown fails unless after is greater than before.
func wantGrown[N ~int64](t *testing.T, what string, before, after N) {
	t.Helper()
	if after <= before {
		t.Fatalf("%s: got %d after %d, want it to grow", what, after, before)
	}
}

// race runs n racers at once and returns their errors.
func race(n int, run func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner fails unless exactly one of the racers had no error and all others a Conflict.
func wantOneWinner(t *testing.T, what string, errs []error) {
	t.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantKind(t, what+": a loser", err, fault.Conflict)
	}
	if won != 1 {
		t.Fatalf("%s: got %d winners of %d, want one", what, won, len(errs))
	}
}

// receive waits for the next value of a channel.
func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("%s: the channel is closed", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came within %v", what, patience)
	}
	panic("unreachable")
}

// wantQuiet fails if a value comes.
func wantQuiet[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	select {
	case v, ok := <-ch:
		t.Fatalf("%s: got %v (open %v), want nothing", what, v, ok)
	case <-time.After(quiet):
	}
}

// wantClosed waits until a channel is closed, whatever comes before.
func wantClosed[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	end := time.After(patience)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-end:
			t.Fatalf("%s: still open after %v", what, patience)
		}
	}
}

// await waits until done says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}
