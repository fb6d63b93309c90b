package localpg

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lib/pq"
)

// A server that recovers is waited for as long as it says so; one that says nothing, or something else, for as long as it is given.
func TestARecoveryTakesAsLongAsItNeeds(t *testing.T) {
	t.Parallel()
	busy := &pq.Error{Code: "57P03", Message: "the database system is starting up"}
	refused := errors.New("connection refused")
	for name, c := range map[string]struct {
		until time.Duration // it answers busy
		then  error
		ready bool
		took  time.Duration
		ends  bool // the process, at that moment
	}{
		"a long recovery":         {until: 20 * time.Minute, ready: true, took: 20 * time.Minute},
		"then it is lost":         {until: 5 * time.Minute, then: refused, took: 6 * time.Minute},
		"nobody answers":          {then: refused, took: time.Minute},
		"it ends while it starts": {until: 5 * time.Minute, then: refused, ends: true, took: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var said strings.Builder
				s := &Server{cfg: Config{StartTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&said, nil))}, process: &process{done: make(chan struct{}), log: &logTail{}}}
				begin := time.Now()
				err := s.awaitReady(t.Context(), func(context.Context) error {
					if time.Since(begin) < c.until {
						return busy
					}
					if c.ends {
						close(s.process.done)
					}
					return c.then
				})
				if took := time.Since(begin); (err == nil) != c.ready || took < c.took-time.Second || took > c.took+time.Second {
					t.Errorf("got %v after %s, want ready %v after %s", err, took, c.ready, c.took)
				}
				if told := strings.Count(said.String(), "recovers from a crash"); told < int(c.until/time.Minute) || told > int(c.until/tellEvery) {
					t.Errorf("it was told %d times:\n%s", told, &said)
				}
			})
		})
	}
}
