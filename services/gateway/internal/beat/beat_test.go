package beat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/beat"
)

// store takes heartbeats, or is away.
type store struct {
	ports.Agents
	away  bool
	taken []agent.Heartbeat
}

func (s *store) Beat(_ context.Context, beats []agent.Heartbeat) error {
	if s.away {
		return errors.New("away")
	}
	s.taken = beats
	return nil
}

// An agent that names another process in each request costs a flush no more than one that was started a few times: a flush that
// takes too long is repeated with all that has come meanwhile, and nobody's heartbeats are stored any more.
func TestAFlushHoldsFewProcessesOfAnAgent(t *testing.T) {
	t.Parallel()
	to := &store{away: true}
	b := beat.New(to, slog.New(slog.DiscardHandler), func(int) {})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	said := true
	b.Add(agent.Heartbeat{Agent: "quiet", Boot: "one", At: start, K8sReachable: &said})
	for i := range 5000 {
		b.Add(agent.Heartbeat{Agent: "loud", Boot: fmt.Sprint(i), At: start.Add(time.Duration(i) * time.Millisecond)})
		if i == 2500 {
			if err := b.Flush(t.Context()); err == nil {
				t.Fatal("a flush succeeds without a store")
			}
		}
	}
	b.Add(agent.Heartbeat{Agent: "quiet", Boot: "one", At: start.Add(time.Minute)})
	b.Add(agent.Heartbeat{Agent: "quiet", Boot: "one", At: start.Add(time.Second)}) // on its way for long
	if got := b.Pending(); got != 1+agent.KeptBoots {
		t.Errorf("%d heartbeats wait, want %d of the loud one and one of the other", got, agent.KeptBoots)
	}
	to.away = false
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var loud []string
	for _, h := range to.taken {
		switch {
		case h.Agent == "loud":
			loud = append(loud, h.Boot)
		case !h.At.Equal(start.Add(time.Minute)) || h.K8sReachable == nil || !*h.K8sReachable:
			t.Errorf("of the quiet one: got %+v, want the newest, with what an earlier one said of the cluster", h)
		}
	}
	if want := []string{"4996", "4997", "4998", "4999"}; !slices.Equal(loud, want) || len(to.taken) != 5 {
		t.Errorf("of the loud one, beside the other: got %v, want %v", loud, want)
	}
}
