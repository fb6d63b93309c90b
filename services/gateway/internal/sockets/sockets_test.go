package sockets_test

import (
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

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
