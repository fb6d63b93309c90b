package scheduler_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

// Waves begin when a window of the policy is open, by the clock of its time zone. Nothing but time opens it: no poll coincides
// with the openings.
func TestWavesBeginInWindows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(700 * time.Millisecond) // polls are at other moments than full minutes
		x := released(t, canaryThenRest(func(r *policy.Rollout) {
			r.Deadline = policy.Duration(2 * time.Hour)
			r.Windows = []policy.Window{{Cron: "0 6,7 * * *", Duration: policy.Duration(20 * time.Minute), Timezone: "Asia/Kolkata"}}
		}))
		defer x.stop()
		midnight := time.Now().UTC().Truncate(24 * time.Hour)
		first, second := midnight.Add(30*time.Minute), midnight.Add(90*time.Minute) // five and a half hours before it is so in UTC
		until := func(at time.Time) {
			t.Helper()
			time.Sleep(time.Until(at))
			synctest.Wait()
		}
		waits := func(why string, opens time.Time) {
			t.Helper()
			r := x.governing(x.s)
			if r.Phase != rollout.PhaseWaitingWindow || len(r.Blockers) != 1 || r.Blockers[0].Kind != rollout.BlockedByWindow ||
				r.Blockers[0].Until == nil || !r.Blockers[0].Until.Equal(opens) {
				t.Fatalf("%s: rollout %s, blockers %+v; want it to wait for the window at %s", why, r.Phase, r.Blockers, opens)
			}
		}

		x.wantHas("before the window", x.s, x.next)
		waits("before the window", first)
		until(first.Add(-time.Millisecond))
		x.wantHas("just before the window", x.s, x.next)
		until(first)
		x.wantHas("the window opens", x.s, x.next, x.canary)

		until(first.Add(20*time.Minute - time.Millisecond))
		x.tell(x.s, x.canary, delivery.HealthProgressing, false)
		until(first.Add(20 * time.Minute))
		x.healthy(x.s, x.canary)
		synctest.Wait()
		x.wantHas("the window has closed when the canary is healthy", x.s, x.next, x.canary)
		waits("the window has closed", second)
		until(second.Add(-time.Millisecond))
		x.wantHas("just before the next window", x.s, x.next, x.canary)
		until(second)
		x.wantHas("the window opens again", x.s, x.next, append(x.rest, x.canary)...)
	})
}
