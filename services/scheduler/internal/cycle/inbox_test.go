package cycle

import (
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// What has come at the same time is taken together, however it came, and of each kind once.
func TestWhatHasComeIsTakenTogether(t *testing.T) {
	t.Parallel()
	for range 50 { // a select takes any
		wakeups, poll, resync, gained := make(chan ports.Wakeup, 2), make(chan time.Time, 1), make(chan time.Time, 1), make(chan struct{}, 2)
		in := inbox{wakeups: wakeups, poll: poll, resync: resync, gained: gained}
		wakeups <- ports.Wakeup{}
		wakeups <- ports.Wakeup{}
		poll <- time.Time{}
		resync <- time.Time{}
		gained <- struct{}{}
		gained <- struct{}{}
		if got, want := in.wait(t.Context(), false), (arrivals{woken: true, polled: true, resync: true, gained: true}); got != want {
			t.Fatalf("first: got %+v, want %+v", got, want)
		}
		if got, want := in.wait(t.Context(), true), (arrivals{woken: true, gained: true}); got != want {
			t.Fatalf("then: got %+v, want %+v", got, want)
		}
		if got := in.wait(t.Context(), true); got.any() {
			t.Fatalf("at last: got %+v, want nothing, and no wait", got)
		}
	}
}

// Wakeups that have ended wake nobody any more.
func TestWakeupsThatHaveEndedAreLeftAlone(t *testing.T) {
	t.Parallel()
	wakeups := make(chan ports.Wakeup)
	close(wakeups)
	in := inbox{wakeups: wakeups}
	in.wait(t.Context(), false)
	if got := in.wait(t.Context(), true); got.any() {
		t.Errorf("got %+v, want nothing", got)
	}
}
