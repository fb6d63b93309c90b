package wiring

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
)

// shift is an office with what it lets run.
type shift struct {
	office
	spoke, worked, rested bool
	end                   error
	done                  chan struct{}
	stop                  context.CancelFunc
}

// begin opens an office in a bubble; the test's end closes it.
func begin(t *testing.T) *shift {
	t.Helper()
	s := &shift{done: make(chan struct{})}
	s.open(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		if err := s.speak(ctx, func(ctx context.Context) error { s.spoke = true; <-ctx.Done(); return nil }); err != nil {
			t.Errorf("speak: %v", err)
		}
	}()
	go func() {
		defer close(s.done)
		s.end = s.serve(ctx, func(ctx context.Context) error { s.worked = true; <-ctx.Done(); s.rested = true; return nil })
	}()
	t.Cleanup(func() {
		cancel()
		<-talked
		<-s.done
	})
	return s
}

func (s *shift) want(t *testing.T, when string, spoke, worked bool) {
	t.Helper()
	synctest.Wait()
	if s.spoke != spoke || s.worked != worked {
		t.Errorf("%s: speaks %t, works %t; want %t, %t", when, s.spoke, s.worked, spoke, worked)
	}
	if acting := s.check(t.Context()) == nil; acting != (worked && !s.rested) {
		t.Errorf("%s: the check says that it acts: %t", when, acting)
	}
}

func TestTheHolderSpeaksAndWorksAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		s.want(t, "before", false, false)
		s.changed(kube.LeaseHeld, "")
		s.want(t, "holder", true, true)
		s.stop()
		if <-s.done; s.end != nil {
			t.Errorf("the end: %v", s.end)
		}
	})
}

func TestWithoutAnAPIServerItSpeaksSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		time.Sleep(leasePatience)
		s.want(t, "after a moment", true, false)
	})
}

func TestOneThatStandsByIsSilentDuringAHandOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		s.changed(kube.LeaseOther, "host_1_2_boot")
		time.Sleep(time.Minute)
		s.want(t, "after a minute", false, false)
		if err := s.check(t.Context()); err == nil || !strings.Contains(err.Error(), "host_1_2_boot") {
			t.Errorf("got %v, want who acts", err)
		}
		s.changed(kube.LeaseHeld, "")
		s.want(t, "its turn", true, true)
	})
}

func TestASecondProcessThatStaysShowsItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		s.changed(kube.LeaseOther, "x")
		time.Sleep(handOver)
		s.want(t, "after the hand-over", true, false)
		s.changed(kube.LeaseHeld, "")
		s.want(t, "its turn", true, true)
	})
}

func TestAProcessThatLosesTheLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		s.changed(kube.LeaseHeld, "")
		s.changed(kube.LeaseOther, "thief")
		<-s.done
		if !s.rested || s.end == nil || !strings.Contains(s.end.Error(), "thief") {
			t.Errorf("work has ended: %t, got %v; want who has the lease", s.rested, s.end)
		}
		s.changed(kube.LeaseHeld, "") // too late
		if s.check(t.Context()) == nil {
			t.Error("it is said to act")
		}
	})
}
