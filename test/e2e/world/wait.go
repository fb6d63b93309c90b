package world

import (
	"fmt"
	"testing"
	"time"
)

// Patience is how long a change may take before a journey fails. It is far above what is promised: these tests ask
// whether things converge, on machines of any speed; how fast is measured elsewhere.
const Patience = 60 * time.Second

const pause = 25 * time.Millisecond

// Eventually looks until ok returns nil, and fails the test with its last error when the limit has passed. It returns
// how long it took.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := ok()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(pause)
	}
}

// Throughout looks again and again until the time has passed, and fails the test at the first error.
func Throughout(t testing.TB, d time.Duration, what string, ok func() error) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < d; time.Sleep(pause) {
		if err := ok(); err != nil {
			t.Fatalf("%s: not so after %s: %v", what, time.Since(begin).Round(time.Millisecond), err)
		}
	}
}

// want makes an error of a value that is not the wanted one.
func want[T comparable](what string, got, wanted T) error {
	if got != wanted {
		return fmt.Errorf("%s: got %v, want %v", what, got, wanted)
	}
	return nil
}
