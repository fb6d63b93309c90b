package clustertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// patience is how long a test waits for what must come. Clusters on small machines take their time.
const patience = 40 * time.Second

// wantNone fails if err is not nil.
func wantNone(t *testing.T, act string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", act, err)
	}
}

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

func wantCancelled(t *testing.T, act string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%s: got %v, want context.Canceled", act, err)
	}
}

// wantSame fails unless got equals want; nil and empty are the same.
func wantSame[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// await waits until done says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
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

func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
