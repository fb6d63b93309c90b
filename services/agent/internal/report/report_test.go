package report_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
)

const all = 1000

func applied(stack, message string) wire.Applied {
	return wire.Applied{StackID: stack, Phase: "applied", Message: message, ObservedAt: time.Now()}
}

// rings reports whether the box asks for a sync now.
func rings(b *report.Box) bool {
	select {
	case <-b.News():
		return true
	default:
		return false
	}
}

// messages is what a batch says, one entry a report.
func messages(t report.Batch) []string {
	var out []string
	for _, r := range t.Removed {
		out = append(out, fmt.Sprintf("%s removed %d", r.StackID, r.Revision))
	}
	for _, a := range t.Applied {
		out = append(out, a.StackID+" "+a.Message)
	}
	return out
}

func wantBatch(t *testing.T, b *report.Box, limit int, want ...string) report.Batch {
	t.Helper()
	got := b.Take(limit)
	if diff := cmp.Diff(want, messages(got)); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	return got
}

func TestUrgentReportsRingAtOnceOthersWaitAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := report.New()
		b.Applied(applied("a", "applying"), false)
		if rings(b) {
			t.Error("a report that may wait rang at once")
		}
		time.Sleep(200 * time.Millisecond)
		b.Applied(applied("a", "done"), true)
		if !rings(b) {
			t.Error("an urgent report did not ring")
		}
		b.Acknowledge(wantBatch(t, b, all, "a done"))
		time.Sleep(time.Second)
		if rings(b) {
			t.Error("a report that was replaced rang later")
		}

		b.Applied(applied("a", "applying"), false)
		time.Sleep(400 * time.Millisecond)
		if !rings(b) {
			t.Error("a report that nothing better followed did not ring")
		}
		b.Applied(applied("b", "applying"), false)
		wantBatch(t, b, all, "a applying", "b applying") // taken along
		time.Sleep(time.Second)
		if rings(b) {
			t.Error("a report that was taken along rang later")
		}
		b.Applied(applied("b", "applying"), true)
		if rings(b) {
			t.Error("an urgent report rang that says what is on its way already")
		}
	})
}

func TestWhatWasNotAnsweredIsRepeated(t *testing.T) {
	t.Parallel()
	b := report.New()
	b.Applied(applied("a", "one"), true)
	b.Removed(wire.Removed{StackID: "r", Revision: 4})
	wantBatch(t, b, all, "r removed 4", "a one")
	again := wantBatch(t, b, all, "r removed 4", "a one")
	b.Acknowledge(again)
	wantBatch(t, b, all)
	if !b.Empty() {
		t.Error("the box is not empty")
	}
}

func TestAnAnswerAcknowledgesOnlyWhatItsRequestCarried(t *testing.T) {
	t.Parallel()
	b := report.New()
	b.Applied(applied("a", "one"), true)
	b.Removed(wire.Removed{StackID: "r", Revision: 4})
	batch := wantBatch(t, b, all, "r removed 4", "a one")
	b.Applied(applied("a", "two"), true)
	b.Applied(applied("b", "one"), true)
	b.Removed(wire.Removed{StackID: "r", Revision: 5})
	b.Acknowledge(batch)
	if !rings(b) {
		t.Error("what came meanwhile did not ring")
	}
	wantBatch(t, b, all, "r removed 5", "a two", "b one")
}

func TestTakeIsBounded(t *testing.T) {
	t.Parallel()
	b := report.New()
	for _, s := range []string{"d", "b", "c", "a"} {
		b.Applied(applied(s, "x"), true)
	}
	b.Removed(wire.Removed{StackID: "r", Revision: 1})
	b.Acknowledge(wantBatch(t, b, 3, "r removed 1", "a x", "b x"))
	b.Acknowledge(wantBatch(t, b, 3, "c x", "d x"))
	if !b.Empty() {
		t.Error("the box is not empty")
	}
}

func TestWhatWasToldIsNoNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := report.New()
		b.Applied(applied("a", "one"), true)
		b.Acknowledge(b.Take(all))
		time.Sleep(30 * time.Minute)
		b.Applied(applied("a", "one"), true) // seen later, but the same
		if rings(b) || !b.Empty() {
			t.Error("what was told already is told again")
		}
		time.Sleep(40 * time.Minute)
		b.Applied(applied("a", "one"), true)
		if !rings(b) {
			t.Error("it is not told again after an hour, in which the broker may have lost it")
		}
		b.Acknowledge(b.Take(all))
		b.Applied(applied("a", "two"), true)
		b.Acknowledge(b.Take(all))
		b.Applied(applied("a", "one"), true)
		wantBatch(t, b, all, "a one")
	})
}

func TestARemovalEndsReportsOfItsStack(t *testing.T) {
	t.Parallel()
	b := report.New()
	b.Applied(applied("a", "one"), true)
	b.Acknowledge(b.Take(all))
	b.Applied(applied("a", "removing"), true)
	b.Removed(wire.Removed{StackID: "a", Revision: 2})
	b.Acknowledge(wantBatch(t, b, all, "a removed 2"))
	b.Applied(applied("a", "one"), true) // assigned again
	wantBatch(t, b, all, "a one")
}

func TestRepeatTellsEverythingAgain(t *testing.T) {
	t.Parallel()
	b := report.New()
	for _, s := range []string{"a", "b"} {
		b.Applied(applied(s, "one"), true)
	}
	b.Acknowledge(b.Take(all))
	b.Applied(applied("b", "two"), false)
	b.Repeat()
	if !rings(b) {
		t.Error("the box does not ring")
	}
	wantBatch(t, b, all, "a one", "b two")
}

func TestRing(t *testing.T) {
	t.Parallel()
	b := report.New()
	b.Ring()
	b.Ring()
	if !rings(b) || rings(b) || !b.Empty() {
		t.Error("want one ring, and nothing in the box")
	}
}
