package fleet_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/fleet"
)

func TestAgesOfAView(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time {
		v := now.Add(d)
		return &v
	}
	n := func(v int64) *int64 { return &v }
	for reason, c := range map[string]struct {
		at   *time.Time
		want *int64
	}{
		"what never was has no age":            {nil, nil},
		"whole seconds are counted":            {at(-90*time.Second - 999*time.Millisecond), n(90)},
		"a clock that is ahead gives no minus": {at(5 * time.Second), n(0)},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			v := fleet.Record{LastHeartbeat: c.at, LastEventAt: c.at}.At(now)
			if diff := cmp.Diff([]*int64{c.want, c.want}, []*int64{v.HeartbeatAgeSeconds, v.SecondsSinceLastEvent}); diff != "" {
				t.Errorf("ages of heartbeat and event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestViewIsConnectedSince(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 8, 2, 14, 0, 0, 0, time.FixedZone("", 7200))
	v := fleet.Record{ConnectedSince: &since}.At(since)
	if !v.Connected || v.ConnectedSince == nil || v.ConnectedSince.Location() != time.UTC || !v.ConnectedSince.Equal(since) {
		t.Errorf("got connected %v since %v, want true since %v in UTC", v.Connected, v.ConnectedSince, since)
	}
	if v := (fleet.Record{}).At(since); v.Connected || v.ConnectedSince != nil {
		t.Errorf("without a channel: got connected %v since %v", v.Connected, v.ConnectedSince)
	}
}
