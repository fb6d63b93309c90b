package witness_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/witness"
)

// node has the logs of containers, as a kubelet does.
type node struct {
	see func(cluster.LoggedPod)

	mu      sync.Mutex
	logs    map[string][]written // by pod/container
	ended   map[string]bool      // the run has ended
	more    chan struct{}        // closed when anything changes
	refuse  error
	cut     chan struct{} // closed: streams break off
	follows int
	stack   func(string) bool
	watches int
	now     int // streams that are open
	most    int
}

type written struct {
	at   time.Time
	text string
}

func newNode() *node {
	return &node{logs: map[string][]written{}, ended: map[string]bool{}, more: make(chan struct{}), cut: make(chan struct{})}
}

func (n *node) Watch(ctx context.Context, stack func(string) bool, fn func(cluster.LoggedPod), _ func(error)) {
	n.mu.Lock()
	n.see, n.stack = fn, stack
	n.watches++
	n.mu.Unlock()
	<-ctx.Done()
}

func (n *node) Follow(ctx context.Context, _, pod, container string, since time.Time, fn func(time.Time, string)) error {
	key := pod + "/" + container
	n.mu.Lock()
	n.follows++
	n.now++
	n.most = max(n.most, n.now)
	refuse, cut := n.refuse, n.cut
	n.mu.Unlock()
	defer n.change(func() { n.now-- })
	if refuse != nil {
		return refuse
	}
	for next := 0; ; {
		n.mu.Lock()
		lines, ended, more := n.logs[key], n.ended[key], n.more
		n.mu.Unlock()
		for ; next < len(lines); next++ {
			if !lines[next].at.Before(since.Truncate(time.Second)) {
				fn(lines[next].at, lines[next].text)
			}
		}
		if ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-cut:
			return fault.New(fault.Unavailable, cluster.CodeUnreachable, "cut")
		case <-more:
		}
	}
}

func (n *node) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.more)
	n.more = make(chan struct{})
}

// write has a container write lines, all at this moment.
func (n *node) write(pod string, lines ...string) {
	n.change(func() {
		for _, l := range lines {
			n.logs[pod+"/main"] = append(n.logs[pod+"/main"], written{at: time.Now(), text: l})
		}
	})
}

// breakOff ends all streams with an error.
func (n *node) breakOff() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.cut)
	n.cut = make(chan struct{})
}

func (n *node) pod(name, run string, running bool) {
	n.see(cluster.LoggedPod{Stack: "s", Namespace: "ns", Name: name, UID: "uid-" + name, Created: time.Now(),
		Containers: []cluster.LoggedContainer{{Name: "main", Run: run, Running: running}}})
}

func (n *node) gone(name string) { n.see(cluster.LoggedPod{Stack: "s", UID: "uid-" + name}) }

// reading runs a witness of a node in virtual time.
func reading(t *testing.T, tails int, test func(t *testing.T, n *node, s *scene, w *witness.Witness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, n := &scene{n: map[string]int{}}, newNode()
		w := witness.New(witness.Config{Events: s, Logs: n, Tails: tails, Broker: s, Agent: "a", Boot: "boot", Count: func(string) {},
			CountLine: func(o string) { go s.count(o) }, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		test(t, n, s, w)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n.now != 0 {
			t.Errorf("%d streams are open after the end", n.now)
		}
	})
}

// told is what the broker got, after a while.
func (s *scene) told() (lines []string, gaps []wire.LogGap) {
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.got {
		for _, l := range r.Lines {
			lines = append(lines, l.Line)
		}
		gaps = append(gaps, r.Gaps...)
	}
	return lines, gaps
}

func expect(t *testing.T, s *scene, want string) {
	t.Helper()
	lines, gaps := s.told()
	if got := strings.Join(lines, " "); got != want || len(gaps) != 0 {
		t.Errorf("got lines %q and gaps %v, want %q and none", got, gaps, want)
	}
}

func TestLinesAreToldWithWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		n.pod("p", "1", true)
		at := time.Now()
		n.write("p", "a\x00b\xff")
		if lines, _ := s.told(); len(lines) != 1 {
			t.Fatalf("got %q, want one line", lines)
		}
		want := wire.PodLogLine{StackID: "s", Namespace: "ns", Pod: "p", Container: "main", TS: at.UTC(), Line: "a\uFFFDb\uFFFD"}
		if got := s.got[0].Lines[0]; got != want || s.got[0].Seq != 1 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// Whatever was written before the agent began is not told, and that something may be missing is.
func TestAPodThatWasThereBefore(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		began := time.Now()
		n.logs["p/main"] = []written{{at: began.Add(-time.Nanosecond), text: "before"}}
		n.see(cluster.LoggedPod{Stack: "s", Namespace: "ns", Name: "p", UID: "u", Created: began.Add(-time.Hour),
			Containers: []cluster.LoggedContainer{{Name: "main", Run: "1", Running: true}}})
		time.Sleep(time.Second)
		n.write("p", "after")
		lines, gaps := s.told()
		if strings.Join(lines, " ") != "after" || len(gaps) != 1 || gaps[0].Reason != "disconnected" || gaps[0].DroppedCount != 0 || gaps[0].StackID != "s" {
			t.Errorf("got lines %q and gaps %v, want what came after, and one gap of unknown size", lines, gaps)
		}
	})
}

func TestABrokenStreamGoesOnWithoutRepeating(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		n.pod("p", "1", true)
		n.write("p", "a", "b", "b") // all of one moment
		synctest.Wait()
		n.breakOff()
		synctest.Wait()
		n.write("p", "b", "c") // of the same moment
		time.Sleep(time.Minute)
		n.breakOff()
		n.write("p", "d")
		expect(t, s, "a b b b c d")
	})
}

func TestRestartsAreFollowed(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		n.pod("p", "", false) // not begun
		time.Sleep(10 * time.Minute)
		if synctest.Wait(); n.follows != 0 {
			t.Errorf("followed %d times before it began", n.follows)
		}
		n.pod("p", "1", true)
		n.write("p", "one")
		synctest.Wait()
		n.change(func() { n.ended["p/main"] = true })
		n.pod("p", "1", false)
		time.Sleep(time.Hour)
		if synctest.Wait(); n.follows > 3 {
			t.Errorf("followed %d times a container that has ended", n.follows)
		}
		n.change(func() { n.ended["p/main"], n.logs["p/main"] = false, nil })
		n.write("p", "two")
		n.pod("p", "2", true)
		expect(t, s, "one two")
	})
}

// One container above its rate loses lines, told as one gap; another loses none.
func TestTheRateOfAContainer(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		n.pod("loud", "1", true)
		n.pod("calm", "1", true)
		for i := range 5 {
			n.write("loud", make([]string, 300)...)
			n.write("calm", fmt.Sprint(i))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		lines, gaps := s.told()
		if len(lines) != 5*100+5 || len(gaps) != 1 || gaps[0].Reason != "rate_limit" || gaps[0].DroppedCount != 5*200 {
			t.Errorf("got %d lines and gaps %+v, want 100 a second and the calm one's, and one gap of 1000", len(lines), gaps)
		}
		if s.n["rate_limited"] != 1000 || s.n["sent"] != 505 {
			t.Errorf("counted: %v", s.n)
		}
	})
}

func TestWhileTheBrokerIsAwayLinesAreBounded(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		s.set(fault.New(fault.Unavailable, "unavailable", "away"))
		n.pod("p", "1", true)
		for range 100 {
			n.write("p", make([]string, 100)...)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		s.set(nil)
		lines, gaps := s.told()
		if len(gaps) != 1 || gaps[0].Reason != "buffer_full" || len(lines)+int(gaps[0].DroppedCount) != 10_000 || len(lines) < 5000 || len(lines) > 5500 {
			t.Errorf("got %d lines and gaps %+v, want some more than 5000 and the rest as one gap", len(lines), gaps)
		}
	})
}

func TestItEndsWithThePodAndWithTheAssignment(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, w *witness.Witness) {
		n.pod("p", "1", true)
		n.pod("q", "1", true)
		synctest.Wait()
		n.gone("p")
		if synctest.Wait(); n.now != 1 {
			t.Fatalf("%d streams, want that of the other pod", n.now)
		}
		w.Assigned(nil, nil, []string{"s"})
		if synctest.Wait(); n.now != 0 {
			t.Fatalf("%d streams of a stack that is not assigned", n.now)
		}
		n.pod("r", "1", true) // it is still there
		if synctest.Wait(); n.now != 0 {
			t.Fatalf("%d streams of a stack that is not assigned", n.now)
		}
		w.Assigned([]string{"s"}, nil, nil)
		if synctest.Wait(); n.now != 2 {
			t.Fatalf("%d streams of an assigned stack, want 2", n.now)
		}
		n.write("q", "back")
		expect(t, s, "back")
	})
}

// All pods are looked at anew when another stack opts in or out, and only then.
func TestAStackOptsInForItsPods(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, w *witness.Witness) {
		want := func(what string, watches int, s, other bool) {
			t.Helper()
			synctest.Wait()
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.watches != watches || n.stack("s") != s || n.stack("other") != other {
				t.Errorf("%s: %d watches, s %t, other %t; want %d, %t, %t", what, n.watches, n.stack("s"), n.stack("other"), watches, s, other)
			}
		}
		want("at first", 1, false, false)
		w.Assigned([]string{"s", "other"}, []string{"s"}, nil)
		want("s opts in", 2, true, false)
		n.pod("p", "1", true)
		n.write("p", "hello")
		expect(t, s, "hello")
		w.Assigned([]string{"s", "other"}, []string{"s"}, nil)
		want("the same again", 2, true, false)
		if n.now != 1 {
			t.Errorf("%d streams, want the one that goes on", n.now)
		}
		w.Assigned([]string{"s", "other"}, []string{"other"}, nil)
		want("s opts out, the other in", 3, false, true)
		w.Assigned([]string{"s"}, nil, []string{"other"})
		want("the other is gone", 4, false, false)
	})
}

func TestNoMoreThanSoManyAreFollowed(t *testing.T) {
	t.Parallel()
	reading(t, 2, func(t *testing.T, n *node, s *scene, _ *witness.Witness) {
		for i := range 5 {
			n.pod(fmt.Sprint(i), "1", true)
		}
		if _, gaps := s.told(); n.most != 2 || len(gaps) != 1 || gaps[0].Reason != "buffer_full" {
			t.Errorf("got %d streams and gaps %v, want 2 and one gap", n.most, gaps)
		}
		for i := range 5 {
			n.gone(fmt.Sprint(i))
		}
		synctest.Wait()
		n.pod("late", "1", true)
		if synctest.Wait(); n.now != 1 {
			t.Errorf("%d streams, want that of the one pod", n.now)
		}
	})
}

// A right that is missing is told by Err, asked for now and then, and forgotten when it is there.
func TestARightThatIsMissing(t *testing.T) {
	t.Parallel()
	reading(t, 10, func(t *testing.T, n *node, s *scene, w *witness.Witness) {
		n.refuse = fault.New(fault.Forbidden, "cluster_forbidden", "may not get pods/log")
		n.pod("p", "1", true)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n.follows < 2 || n.follows > 30 {
			t.Errorf("asked %d times in an hour", n.follows)
		}
		if err := w.Err(); err == nil || !strings.Contains(err.Error(), "namespace ns") || !strings.Contains(err.Error(), "may not get pods/log") {
			t.Errorf("got %v, want what is not allowed and where", err)
		}
		n.change(func() { n.refuse = nil })
		n.write("p", "hello")
		time.Sleep(10 * time.Minute)
		expect(t, s, "hello")
		if err := w.Err(); err != nil {
			t.Errorf("got %v after it is allowed", err)
		}
	})
}
