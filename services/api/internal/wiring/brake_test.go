package wiring

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/services/api"
)

// The brake by which plans foretell is what the configuration says of the scheduler's, and that of its defaults where it says nothing.
func TestPlansHaveTheSchedulersBrake(t *testing.T) {
	t.Parallel()
	database := "DATABASE_URL=postgres://u:secret@h/db"
	s, err := load([]string{database})
	if err != nil {
		t.Fatal(err)
	}
	usual := api.UsualBrake()
	if x := s.Scheduler; x.BrakeShare != usual.Share || x.BrakeAtLeast != usual.AtOne || x.BrakeFleet != usual.Fleet.Floor || x.BrakeWindow != usual.Fleet.Length {
		t.Errorf("by default %+v, want that of the scheduler's defaults, %+v with %+v", x, usual, usual.Fleet)
	}
	s, err = load([]string{database, "BROKKR__SCHEDULER__BRAKE_SHARE=0.5", "BROKKR__SCHEDULER__BRAKE_AT_LEAST=2", "BROKKR__SCHEDULER__BRAKE_FLEET_FLOOR=3", "BROKKR__SCHEDULER__BRAKE_WINDOW=4m"})
	if err != nil {
		t.Fatal(err)
	}
	if x := s.Scheduler; x.BrakeShare != 0.5 || x.BrakeAtLeast != 2 || x.BrakeFleet != 3 || x.BrakeWindow != 4*time.Minute {
		t.Errorf("configured: %+v", x)
	}
	_, err = load([]string{database, "BROKKR__SCHEDULER__BRAKE_FLEET_FLOOR=0", "BROKKR__SCHEDULER__BRAKE_WINDOW=1ms"})
	for _, key := range []string{"scheduler.brake_fleet_floor", "scheduler.brake_window"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("error %v, want it to name %s", err, key)
		}
	}
}

// Until when deleted stacks can be restored is said by what the configuration says of the scheduler.
func TestDeletedStacksAreKeptAsTheSchedulerKeepsThem(t *testing.T) {
	t.Parallel()
	database := "DATABASE_URL=postgres://u:secret@h/db"
	for given, want := range map[string]time.Duration{"": 7 * 24 * time.Hour, "BROKKR__SCHEDULER__KEEP_DELETED_STACKS=0s": 0, "BROKKR__SCHEDULER__KEEP_DELETED_STACKS=36h": 36 * time.Hour} {
		s, err := load(append([]string{database}, strings.Fields(given)...))
		if err != nil || s.Scheduler.KeepDeletedStacks != want {
			t.Errorf("with %q: %v, %v; want %s", given, s, err, want)
		}
	}
	if _, err := load([]string{database, "BROKKR__SCHEDULER__KEEP_DELETED_STACKS=-1s"}); err == nil || !strings.Contains(err.Error(), "scheduler.keep_deleted_stacks") {
		t.Errorf("error %v, want it to name the key", err)
	}
}
