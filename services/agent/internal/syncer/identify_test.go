package syncer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/services/agent/internal/syncer"
)

type directory func() (agent.ID, error)

func (d directory) WhoAmI(context.Context) (agent.ID, error) { return d() }

func TestIdentifyWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		began := time.Now()
		got, err := syncer.Identify(t.Context(), directory(func() (agent.ID, error) {
			if time.Since(began) < 5*time.Minute {
				return "", lost
			}
			return me, nil
		}), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || got != me {
			t.Errorf("got %q, %v", got, err)
		}
		if n := strings.Count(log.String(), "waiting for the broker"); n != 1 || !strings.Contains(log.String(), "connection reset") {
			t.Errorf("it is said %d times, want once, with the reason:\n%s", n, &log)
		}
	})
}

func TestIdentifyGivesUpWithAKeyThatIsNoAgents(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unauthenticated, fault.Forbidden} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			_, err := syncer.Identify(t.Context(), directory(func() (agent.ID, error) {
				asked++
				return "", fault.New(kind, "x", "no")
			}), slog.New(slog.DiscardHandler))
			if !fault.Is(err, kind) || asked != 1 {
				t.Errorf("got %v after %d questions, want %s after one", err, asked, kind)
			}
		})
	}
}

func TestIdentifyEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := syncer.Identify(ctx, directory(func() (agent.ID, error) { return "", lost }), slog.New(slog.DiscardHandler))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}
