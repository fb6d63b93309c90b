package sockets_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

// replicas are two registries that hear each other, the second with a clock that is so far ahead.
func replicas(t *testing.T, ahead time.Duration) (one, two *sockets.Registry) {
	t.Helper()
	live := memory.NewLive()
	replica := func(now func() time.Time) *sockets.Registry {
		r := sockets.New(live, func(b []ports.LiveBatch) {
			if err := live.Publish(t.Context(), b); err != nil {
				t.Error(err)
			}
		}, 10, func() int { return 0 }, now)
		go func() { _ = r.Run(t.Context()) }()
		return r
	}
	one, two = replica(time.Now), replica(func() time.Time { return time.Now().Add(ahead) })
	synctest.Wait()
	return one, two
}

// The newer connection of an agent stays, whatever the replicas' clocks say.
func TestTheNewerConnectionStaysWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Minute, 0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			first, second := replicas(t, ahead)
			enter := func(r *sockets.Registry) *sockets.Conn {
				c, err := r.Enter("a", "short")
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				return c
			}
			old := enter(first)
			time.Sleep(11 * time.Second)
			now := enter(second)
			if len(old.Ends()) != 1 || len(now.Ends()) != 0 {
				t.Errorf("clock %s ahead: ends of the old one: %d, of the new one: %d, want the old one alone ended", ahead, len(old.Ends()), len(now.Ends()))
			}
		})
	}
}

// A doubt about the credential must not hide that the connection is to end.
func TestADoubtHidesNoEnd(t *testing.T) {
	t.Parallel()
	for want, end := range map[sockets.End]func(*sockets.Registry){
		sockets.Drained: func(r *sockets.Registry) { r.Drain() },
		sockets.Replaced: func(r *sockets.Registry) {
			if _, err := r.Enter("a", "short"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		r := sockets.New(memory.NewLive(), func([]ports.LiveBatch) {}, 10, func() int { return 0 }, time.Now)
		c, err := r.Enter("a", "short")
		if err != nil {
			t.Fatal(err)
		}
		r.Revoked("short")
		r.Revoked("") // told once
		end(r)
		if n := len(c.Doubts()); n != 1 {
			t.Errorf("%d doubts, want 1", n)
		}
		select {
		case got := <-c.Ends():
			if got != want {
				t.Errorf("it ends because of %d, want %d", got, want)
			}
		default:
			t.Errorf("the end %d is lost", want)
		}
	}
}
