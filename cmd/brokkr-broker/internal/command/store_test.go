package command

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func TestMigrateWaitsForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	away, broken := fault.New(fault.Unavailable, "unavailable", "away"), errors.New("a migration is wrong")
	for name, c := range map[string]struct {
		wait   time.Duration
		back   time.Duration // after which it is there
		then   error
		want   error
		waited time.Duration
	}{
		"it comes":              {wait: time.Minute, back: 10 * time.Second, waited: 10 * time.Second},
		"it comes too late":     {wait: 5 * time.Second, back: time.Minute, want: away, waited: 5 * time.Second},
		"nothing is waited for": {back: time.Minute, want: away},
		"another error":         {wait: time.Minute, then: broken, want: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				err := patient(t.Context(), c.wait, slog.New(slog.DiscardHandler), func() error {
					if time.Since(begin) < c.back {
						return away
					}
					return c.then
				})
				if !errors.Is(err, c.want) || time.Since(begin) != c.waited {
					t.Errorf("got %v after %s, want %v after %s", err, time.Since(begin), c.want, c.waited)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		begin := time.Now()
		if err := patient(ctx, time.Hour, slog.New(slog.DiscardHandler), func() error { return away }); !errors.Is(err, away) || time.Since(begin) != 3*time.Second {
			t.Errorf("got %v after %s, want it to end with its context", err, time.Since(begin))
		}
	})
}
