package syncer_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func TestParksWhileThereIsNoNews(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(3 * time.Minute)
		seen := w.gateway.requests()
		if len(seen) != 4 {
			t.Fatalf("got %d requests in three minutes, want one each 55 s", len(seen))
		}
		for i, r := range seen {
			if r.BootID != boot || r.Seq != int64(i)+1 || r.WaitSeconds != 55 || r.Heartbeat.K8sReachable == nil || *r.Heartbeat.K8sAPILatencyMS != 7 {
				t.Errorf("request %d: got %+v", i, r.SyncRequest)
			}
		}
	})
}

func TestTakesTheTargetStateAtOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.publish(7, wire.Stack{StackID: "a"})
		w.settle(0)
		w.gateway.publish(8, wire.Stack{StackID: "a"}, wire.Stack{StackID: "b"})
		w.settle(time.Minute)
		want := [][]wire.Stack{{{StackID: "a"}}, {{StackID: "a"}, {StackID: "b"}}}
		if diff := cmp.Diff(want, w.target.got); diff != "" {
			t.Errorf("target states (-want +got):\n%s", diff)
		}
		last := w.gateway.requests()
		if r := last[len(last)-1]; r.Revision != 8 {
			t.Errorf("the last request has revision %d, want 8", r.Revision)
		}
	})
}

func TestAReportCutsTheParking(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(10 * time.Second)
		w.gateway.requests()
		w.box.Applied(applied("a", "done"), true)
		w.box.Applied(applied("b", "done"), true)
		w.settle(20 * time.Millisecond)
		seen := w.gateway.requests()
		if len(seen) != 2 || len(seen[0].Applied) != 2 || seen[0].WaitSeconds != 0 || seen[1].WaitSeconds != 55 || len(seen[1].Applied) != 0 {
			t.Fatalf("got %+v, want one request that tells both at once and one that parks", seen)
		}
	})
}

func TestReportsThatMayWaitMakeOneSync(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.requests()
		w.box.Applied(applied("a", "applying"), false)
		w.settle(100 * time.Millisecond)
		w.box.Applied(applied("a", "done"), true)
		w.settle(5 * time.Second)
		if diff := cmp.Diff([]string{"a done"}, w.gateway.reports()); diff != "" || len(w.gateway.requests()) != 2 {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

func TestARingBringsANewHeartbeat(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.requests()
		w.box.Ring()
		w.settle(time.Second)
		if seen := w.gateway.requests(); len(seen) != 1 || seen[0].WaitSeconds != 55 {
			t.Errorf("got %+v, want one request that parks", seen)
		}
	})
}

func TestALostAnswerLosesNothing(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.set(func(g *gateway) { g.lose = true })
		w.gateway.publish(3, wire.Stack{StackID: "a"})
		w.box.Applied(applied("a", "done"), true)
		w.box.Removed(wire.Removed{StackID: "r", Revision: 2})
		w.settle(5 * time.Second)
		if w.target.times() != 0 {
			t.Error("a target state came through")
		}
		w.gateway.set(func(g *gateway) { g.lose = false })
		w.settle(time.Minute)
		seen := w.gateway.requests()
		for i, r := range seen {
			if r.Seq != int64(i)+1 {
				t.Errorf("request %d has seq %d", i, r.Seq)
			}
		}
		told := w.gateway.reports()
		if len(told) < 4 || len(told)%2 != 0 || !slices.Equal(told[len(told)-2:], []string{"r removed", "a done"}) {
			t.Errorf("got reports %q, want both repeated until they are answered", told)
		}
		if w.target.times() != 1 {
			t.Errorf("the target state came %d times, want once", w.target.times())
		}
		w.settle(5 * time.Minute)
		if got := w.gateway.reports(); len(got) != len(told) {
			t.Errorf("what was acknowledged is told again: %q", got)
		}
	})
}

func TestANewProcessTellsAgainWhatTheOldOneCouldNot(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.set(func(g *gateway) { g.fail = func(wire.SyncRequest) error { return lost } })
		w.box.Applied(applied("a", "done"), true)
		w.settle(time.Second)
		w.stop()
		w.wantLines("made anew after the next start", 1)
		if w.box.Empty() {
			t.Error("the report is taken for told")
		}
	})
}

func TestBackoff(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(0)
		w.gateway.set(func(g *gateway) {
			n := 0
			g.fail = func(wire.SyncRequest) error {
				n++ // another text each time, as of another port
				return fault.Newf(fault.Unavailable, "broker_unreachable", "connection %d refused", n)
			}
		})
		w.settle(15 * time.Minute)
		seen := w.gateway.requests()[1:]
		if len(seen) < 25 || len(seen) > 70 {
			t.Errorf("got %d tries in a quarter of an hour, want about one each 30 s", len(seen))
		}
		for i := 1; i < len(seen); i++ {
			if gap := seen[i].at - seen[i-1].at; gap < 250*time.Millisecond || gap > 45*time.Second {
				t.Errorf("try %d after %s", i, gap)
			}
		}
		if gap := seen[1].at - seen[0].at; gap > time.Second {
			t.Errorf("the second try comes after %s", gap)
		}
		w.wantLines("sync failed", 2) // and a reminder
		if err := w.syncer.Err(); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want why it fails", err)
		}
		w.gateway.set(func(g *gateway) { g.fail = nil })
		w.settle(2 * time.Minute)
		w.wantLines("the broker answers again", 1)
		if err := w.syncer.Err(); err != nil {
			t.Errorf("got %v after it has answered", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		err         error
		least, most time.Duration // between tries
	}{
		"RevokedKey": {fault.New(fault.Unauthenticated, "unauthorized", "no"), 30 * time.Second, 90 * time.Second},
		"Inactive":   {&fault.Error{Kind: fault.Forbidden, Code: "agent_inactive", RetryAfter: 5 * time.Second}, 5 * time.Second, 45 * time.Second},
		"Limited":    {&fault.Error{Kind: fault.Limited, Code: "rate_limited", RetryAfter: 3 * time.Minute}, 3 * time.Minute, 3 * time.Minute},
		"Other":      {errors.New("unheard of"), 250 * time.Millisecond, 45 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.settle(0)
				w.gateway.set(func(g *gateway) { g.fail = func(wire.SyncRequest) error { return tt.err } })
				w.settle(9 * time.Minute)
				seen := w.gateway.requests()[1:]
				if len(seen) < 2 {
					t.Fatal("it has given up")
				}
				for i := 1; i < len(seen); i++ {
					if gap := seen[i].at - seen[i-1].at; gap < tt.least || gap > tt.most {
						t.Errorf("try %d after %s, want %s to %s", i, gap, tt.least, tt.most)
					}
				}
				w.wantLines("sync failed", 1)
				w.gateway.set(func(g *gateway) { g.fail = nil })
				w.gateway.publish(1)
				w.settle(4 * time.Minute)
				if w.target.times() != 1 {
					t.Error("it has not come back")
				}
			})
		})
	}
}

func TestLastReportsAreToldAtTheEnd(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.box.Applied(applied("a", "stopped half-way"), false)
		w.stop()
		if diff := cmp.Diff([]string{"a stopped half-way"}, w.gateway.reports()); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

func TestTheEndDoesNotWaitForASilentBroker(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.set(func(g *gateway) { g.fail = func(wire.SyncRequest) error { time.Sleep(3 * time.Second); return lost } })
		w.box.Applied(applied("a", "x"), false)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

func TestManyReportsTravelInPortions(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.requests()
		for i := range 1200 {
			w.box.Applied(applied(fmt.Sprintf("s%04d", i), "x"), true)
		}
		w.settle(time.Second)
		var sizes []int
		for _, r := range w.gateway.requests() {
			sizes = append(sizes, len(r.Applied))
		}
		if diff := cmp.Diff([]int{500, 500, 200, 0}, sizes); diff != "" {
			t.Errorf("reports in each request (-want +got):\n%s", diff)
		}
	})
}

func TestOneRefusedReportHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		w.gateway.set(func(g *gateway) {
			g.fail = func(r wire.SyncRequest) error {
				if slices.ContainsFunc(r.Applied, func(a wire.Applied) bool { return a.StackID == "s0077" }) {
					return fault.New(fault.Invalid, "invalid_report", "phase is not known")
				}
				return nil
			}
		})
		for i := range 200 {
			w.box.Applied(applied(fmt.Sprintf("s%04d", i), "x"), true)
		}
		w.settle(time.Second)
		if got := w.gateway.reports(); len(got) != 199 || !w.box.Empty() {
			t.Errorf("got %d reports, want all but the refused one", len(got))
		}
		w.wantLines("the broker refuses a report", 1)
		w.gateway.requests()
		w.settle(2 * time.Minute)
		if n := len(w.gateway.requests()); n > 3 {
			t.Errorf("got %d requests in two minutes, want it to park again", n)
		}
	})
}

func TestABrokerThatHasForgottenIsToldEverything(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.publish(9, wire.Stack{StackID: "a"})
		w.settle(time.Second)
		w.box.Applied(applied("a", "done"), true)
		w.settle(time.Second)
		w.gateway.publish(4, wire.Stack{StackID: "a"}) // restored from a backup
		w.settle(time.Second)
		if diff := cmp.Diff([]string{"a done", "a done"}, w.gateway.reports()); diff != "" || w.target.times() != 2 {
			t.Errorf("target states: %d; reports (-want +got):\n%s", w.target.times(), diff)
		}
		if w.target.forgot != 1 {
			t.Errorf("the target was told %d times that the broker went back, want once", w.target.forgot)
		}
	})
}

func TestABrokerThatNeverParksIsNotFlooded(t *testing.T) {
	inBubble(t, func(w *world) {
		w.gateway.set(func(g *gateway) { g.hasty = true })
		w.settle(time.Minute)
		if n := len(w.gateway.requests()); n > 600 {
			t.Errorf("got %d requests in a minute", n)
		}
	})
}

func TestManyChangesInARowAreTakenAtOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.settle(time.Second)
		began := time.Now()
		for revision := range int64(50) {
			w.gateway.publish(revision+1, wire.Stack{StackID: "a"})
			w.settle(time.Millisecond)
			if got := w.target.times(); got != int(revision)+1 {
				t.Fatalf("%s after the first, %d of %d target states have arrived", time.Since(began), got, revision+1)
			}
		}
	})
}
