package placement_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// waits is a stack whose removals from so many clusters wait for the window since then.
func waits(id stack.ID, n int, ago time.Duration) placement.Subject {
	return placement.Subject{Stack: id, Hold: &placement.Hold{Cause: placement.HoldFleet, Since: now.Add(-ago), Removes: make([]agent.ID, n)}}
}

// What has waited for longer than the window is long goes before what waits for less long, if it would ever find room. Everybody else goes as
// there is room.
func TestWhoHasWaitedForAWholeWindowGoesFirst(t *testing.T) {
	t.Parallel()
	w, q := admitting(10), placement.Waiting{}
	shared := waits("shared", 2, time.Hour)
	shared.Hold.Cause = placement.HoldShare
	for _, s := range []placement.Subject{waits("old", 6, 11*time.Minute), waits("young", 3, 10*time.Minute), waits("huge", 11, time.Hour), shared} {
		q.Put(s)
	}
	for name, tc := range map[string]struct {
		s    placement.Subject
		want int
	}{
		"one that never waited":          {placement.Subject{Stack: "new"}, 6},
		"one that waits for less long":   {waits("young", 3, 10*time.Minute), 6},
		"one that waits for something":   {shared, 6},
		"the one that waits for longest": {waits("old", 6, 11*time.Minute), 0},
		"one that has waited for longer": {waits("x", 1, 12*time.Minute), 0},
		"as long, behind it":             {waits("x", 1, 11*time.Minute), 6},
		"as long, before it":             {waits("a", 1, 11*time.Minute), 0},
		"what could not go for hours":    {waits("x", 1, 361*time.Minute), 0},
	} {
		if got := q.Ahead(tc.s, w, now); got != tc.want {
			t.Errorf("%s: %d removals go first, want %d", name, got, tc.want)
		}
	}
	if got := q.Ahead(placement.Subject{Stack: "new"}, nil, now); got != 0 {
		t.Errorf("without a window %d removals go first", got)
	}
	q.Put(waits("other", 6, 20*time.Minute))
	if got := q.Ahead(placement.Subject{Stack: "new"}, w, now); got != 10 {
		t.Errorf("%d removals go first, want no more than an empty window admits", got)
	}
	q.Put(placement.Subject{Stack: "other"})
	q.Put(waits("old", 6, 361*time.Minute))
	if got := q.Ahead(placement.Subject{Stack: "new"}, w, now); got != 0 {
		t.Errorf("%d removals go first where one could not go for hours", got)
	}
	q.Put(waits("old", 6, 11*time.Minute))
	q.Put(placement.Subject{Stack: "old"})
	if got := q.Ahead(placement.Subject{Stack: "new"}, w, now); got != 0 {
		t.Errorf("%d removals go first after the one that did has gone", got)
	}
}

// Room that is kept for others is not taken, and whoever waits for it looks again when they may have gone, also when it is there already.
func TestRoomIsKeptForWhoGoesFirst(t *testing.T) {
	t.Parallel()
	in := func(ahead int, w *placement.FleetWindow) placement.Input {
		q := placement.Waiting{}
		for i := range ahead {
			q.Put(waits(stack.ID(fmt.Sprint("old", i)), 1, time.Hour))
		}
		return placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("c0"), cluster("c1")}, Prior: prior("o2", "c0", "c1"), Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: w, Waiting: q}}
	}
	lost := func(x placement.Input) placement.Input {
		for i := range x.Clusters {
			x.Clusters[i].Labels = nil
		}
		return x
	}
	if d := placement.Decide(lost(in(8, admitting(10))), now); d.Hold != nil || len(d.Changes) != 2 {
		t.Errorf("there is room for two beside eight: hold %+v, changes %+v", d.Hold, d.Changes)
	}
	d := placement.Decide(lost(in(9, admitting(10))), now)
	if d.Hold == nil || d.Hold.Cause != placement.HoldFleet || len(d.Changes) != 0 || !strings.Contains(d.Hold.Reason, "and others have waited for longer") {
		t.Fatalf("nine go first where there is room for ten: hold %+v, changes %+v", d.Hold, d.Changes)
	}
	if d.WakeAt == nil || !d.WakeAt.After(now) || d.WakeAt.After(now.Add(11*time.Second)) {
		t.Errorf("it looks again at %v, want within ten seconds of %v", d.WakeAt, now)
	}
	taken := admitting(10).With(removed(3, 9*time.Minute), removed(7, 2*time.Minute))
	for ahead, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 2: 8 * time.Minute, 100: 8 * time.Minute} {
		d := placement.Decide(lost(in(ahead, &taken)), now)
		if d.WakeAt == nil || d.WakeAt.Before(now.Add(want)) || d.WakeAt.After(now.Add(want+11*time.Second)) {
			t.Errorf("with %d that go first it looks again at %v, want %s after %v", ahead, d.WakeAt, want, now)
		}
	}
	again := lost(in(9, admitting(10)))
	again.Subject.Hold = &placement.Hold{Cause: placement.HoldFleet, Since: now.Add(-time.Minute), Removes: []agent.ID{"c0"}, Fingerprint: "of one alone"}
	if d := placement.Decide(again, now); d.Hold == nil || !d.Hold.Since.Equal(now.Add(-time.Minute)) {
		t.Errorf("more waits than before: %+v; want it to keep its place", d.Hold)
	}
}

// What would leave a stack nowhere waits for approval also while the window has no room: that there is room again lets it not go.
func TestWhatWouldLeaveAStackNowhereWaitsForNoRoom(t *testing.T) {
	t.Parallel()
	full := admitting(10).With(removed(10, 9*time.Minute))
	in := placement.Input{Subject: subject(func(s *placement.Subject) { s.Labels = nil; s.Decided = &policy.Ref{ID: "p"} }), Clusters: []placement.Cluster{cluster("c0"), cluster("c1")},
		Prior: prior("o2", "c0", "c1"), Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: &full}}
	for range 3 { // whatever the window has room for
		d := placement.Decide(in, now)
		if d.Hold == nil || d.Hold.Cause != placement.HoldNowhere || len(d.Changes) != 0 {
			t.Fatalf("hold %+v, changes %+v; want it held for it would be nowhere", d.Hold, d.Changes)
		}
		in.Subject = in.Subject.After(d, now)
		in.Brake.Fleet = admitting(10)
	}
	young := subject()
	young.Hold = &placement.Hold{Cause: placement.HoldNowhere, Since: now.Add(-time.Hour), Removes: []agent.ID{"c0"}}
	in = placement.Input{Subject: young, Clusters: []placement.Cluster{cluster("c0"), cluster("c1")}, Prior: prior("o2", "c0", "c1"), Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: &full}}
	in.Clusters[0].Labels = nil
	first := placement.Decide(in, now)
	in.Subject.Hold.Fingerprint = first.Hold.Fingerprint
	if d := placement.Decide(in, now); d.Hold == nil || d.Hold.Cause != placement.HoldFleet || !d.Hold.Since.Equal(now) {
		t.Errorf("hold %+v; want one that begins to wait for room now", d.Hold)
	}
}
