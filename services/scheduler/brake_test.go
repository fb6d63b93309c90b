package scheduler_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// thinned are stacks on three clusters each, one cluster of each about to be lost: less than the brake of one stack holds.
type thinned struct {
	*fleet
	stacks []stack.ID
	leave  []agent.ID
}

func thin(f *fleet, n int) *thinned {
	x := &thinned{fleet: f}
	for i := range n {
		name := fmt.Sprint("part", i)
		for j := range 2 {
			f.agent(fmt.Sprint("stays", i, "-", j), name)
		}
		x.leave = append(x.leave, f.agent(fmt.Sprint("leaves", i), name))
		s := f.stack(fmt.Sprint("s", i), name)
		f.publish(s, fmt.Sprint("content ", i))
		x.stacks = append(x.stacks, s)
	}
	settle()
	return x
}

// lose takes the label from the clusters that leave, from number i to j.
func (x *thinned) lose(i, j int) {
	for k := i; k < j; k++ {
		x.unlabel(x.leave[k], fmt.Sprint("part", k))
	}
}

// unlabelOne takes the label from one more cluster of stack number i.
func (x *thinned) unlabelOne(i int) {
	x.t.Helper()
	for a, y := range x.assignments(x.stacks[i]) {
		if y.State == delivery.Assigned {
			x.unlabel(a, fmt.Sprint("part", i))
			return
		}
	}
}

func (x *thinned) removed() int {
	x.t.Helper()
	n := 0
	for i, s := range x.stacks {
		if y, ok := x.assignments(s)[x.leave[i]]; !ok || y.State == delivery.Removing {
			n++
		}
	}
	return n
}

// Once more was approved than the window of the whole fleet admits, it admits nothing more: not everything.
func TestNothingIsLeftOfAWindowThatWasOverrun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		x := thin(f, 14) // 42 assignments: the window admits its floor of 10
		x.lose(0, 14)
		settle()
		if got := x.removed(); got != 10 {
			t.Fatalf("%d removals, want 10: the window admits no more", got)
		}
		for _, s := range x.stacks {
			x.approve(s)
		}
		settle()
		if got := x.removed(); got != 14 {
			t.Fatalf("%d removals after an approval, want 14", got)
		}
		x.unlabelOne(0)
		settle()
		if _, hold, err := f.store.Decisions().Latest(t.Context(), x.stacks[0]); err != nil || hold == nil {
			t.Errorf("hold %+v, %v: want it held, for more than the window admits was approved", hold, err)
		}
	})
}

// The brake over the fleet counts what was taken away before a restart.
func TestTheFleetsBrakeOutlivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		x := thin(f, 14) // 42 assignments: the window admits its floor of 10
		x.lose(0, 9)
		settle()
		if got := x.removed(); got != 9 {
			t.Fatalf("%d removals, want 9", got)
		}
		x.acknowledge()
		stop()
		defer f.start(f.store)()
		settle()
		x.lose(9, 14)
		settle()
		if got := x.removed(); got != 10 {
			t.Errorf("%d removals after a restart, want 10: the window admits no more", got)
		}
	})
}

// What is too large for the room that is left most of the time finds its own after it has waited for a whole window: others that come later and
// are small do not take all of it for ever.
func TestTheFleetsWindowKeepsRoomForWhoHasWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		var wide []agent.ID
		for i := range 41 {
			wide = append(wide, f.agent(fmt.Sprint("wide", i), "wide"))
		}
		large := f.stack("large", "wide")
		f.publish(large, "content")
		f.agent("one", "part")
		f.publish(f.stack("part", "part"), "content") // 42 assignments: the window admits its floor of 10
		more := 0
		small := func(n int) {
			for range n { // one more cluster, and one less
				more++
				a := f.agent(fmt.Sprint("more", more), "part")
				settle()
				f.unlabel(a, "part")
				settle()
			}
		}
		small(4)
		for _, a := range wide[:8] { // less than its share
			f.unlabel(a, "wide")
		}
		settle()
		waits := func() bool {
			t.Helper()
			_, hold, err := f.store.Decisions().Latest(t.Context(), large)
			if err != nil {
				t.Fatal(err)
			}
			return hold != nil
		}
		if !waits() {
			t.Fatal("there is room for all of it at once")
		}
		began := time.Now()
		for waits() && time.Since(began) < time.Hour {
			small(1)
			time.Sleep(90 * time.Second)
		}
		if took := time.Since(began); took < 10*time.Minute || took > 25*time.Minute {
			t.Errorf("it has waited for %s, want longer than the window of ten minutes, and not for two and more", took)
		}
	})
}

// acknowledge lets agents say that what was taken away is gone.
func (x *thinned) acknowledge() {
	x.t.Helper()
	for i, s := range x.stacks {
		if y := x.assignments(s)[x.leave[i]]; y.State == delivery.Removing {
			if _, err := x.store.Reports().Acknowledge(x.t.Context(), x.leave[i], delivery.Removal{Stack: s, Revision: y.Revision}); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

// Replicas together take away no more than the brake admits, however they share the stacks.
func TestReplicasShareTheFleetsBrake(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := sharing(t)
				x := thin(f, 16) // 48 assignments: the window admits its floor of 10
				x.lose(0, 16)
				settle()
				if got := x.removed(); got != 10 {
					t.Errorf("%d removals by two replicas, want 10", got)
				}
				for _, s := range x.stacks {
					x.approve(s)
				}
				settle()
				if got := x.removed(); got != 16 {
					t.Errorf("%d removals after an approval, want 16", got)
				}
			})
		})
	}
}

// What the window holds goes on by itself when it has room, without anybody's approval, and no more than it admits at a time.
func TestTheFleetsWindowLetsGoByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		x := thin(f, 24) // 72 assignments: the window admits 14
		x.lose(0, 24)
		settle()
		first := x.removed()
		if first != 14 {
			t.Fatalf("%d removals, want 14: the window admits no more", first)
		}
		time.Sleep(9 * time.Minute)
		if got := x.removed(); got != first {
			t.Fatalf("%d removals within the window, want %d still", got, first)
		}
		time.Sleep(time.Minute + 15*time.Second)
		if got := x.removed(); got != 24 {
			t.Errorf("%d removals when the window has room again, want all 24", got)
		}
		for i, s := range x.stacks {
			if _, hold, err := f.store.Decisions().Latest(t.Context(), s); err != nil || hold != nil {
				t.Errorf("stack %d: hold %+v, %v: want none", i, hold, err)
			}
		}
	})
}
