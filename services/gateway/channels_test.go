package gateway_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// mortal is what a replica says until it is dead.
type mortal struct {
	ports.Channels
	dead atomic.Bool
}

func (m *mortal) Announce(ctx context.Context, gateway string, n ports.Announcement) (int, error) {
	if m.dead.Load() {
		return 0, fault.New(fault.Unavailable, "unavailable", "it is dead")
	}
	return m.Channels.Announce(ctx, gateway, n)
}

func (m *mortal) Withdraw(ctx context.Context, gateway string) error {
	if m.dead.Load() {
		return fault.New(fault.Unavailable, "unavailable", "it is dead")
	}
	return m.Channels.Withdraw(ctx, gateway)
}

func (m *mortal) Since(ctx context.Context, agents []agent.ID) (map[agent.ID]time.Time, error) {
	if m.dead.Load() {
		return nil, fault.New(fault.Unavailable, "unavailable", "it is dead")
	}
	return m.Channels.Since(ctx, agents)
}

// connected returns which of these are connected, whoever looks.
func (w *world) connected(of ...subject) map[agent.ID]time.Time {
	w.Helper()
	synctest.Wait()
	ids := make([]agent.ID, len(of))
	for i, s := range of {
		ids[i] = s.id
	}
	out, err := w.channels.Since(w.Context(), ids)
	w.must(err)
	return out
}

// Who has a WebSocket or a parked sync with any replica is connected: at once, for as long as that is so, and no longer.
func TestEverybodyLearnsWhoIsConnected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b, c := w.agent("socket", agent.Active), w.agent("parked", agent.Active), w.agent("neither", agent.Active)
		doomed := &mortal{Channels: w.channels}
		one, two := w.gateway(options{channels: doomed}), w.gateway(options{})
		began := time.Now()
		w.dial(one.listen(), agentPath, a.key)
		p, n := b.start(), c.start()
		one.catchUp(p)
		two.catchUp(n)
		parked := one.sync(p, p.request(55))
		time.Sleep(1500 * time.Millisecond)
		got := w.connected(a, b, c)
		if len(got) != 2 || got[a.id].Before(began) || got[b.id].Before(began) {
			t.Fatalf("connected: %v, want the one by WebSocket and the one that parks, since now", got)
		}
		parked.answer()
		parked = one.sync(p, p.request(55))
		time.Sleep(50 * time.Second)
		if again := w.connected(a, b, c); len(again) != 2 || !again[b.id].Equal(got[b.id]) {
			t.Errorf("after another sync: %v, want the same as before, %v", again, got)
		}
		parked.leave()
		<-parked.done
		time.Sleep(12 * time.Second)
		if got := w.connected(a, b, c); len(got) != 1 || got[a.id].IsZero() {
			t.Errorf("after the one that parked went away: %v, want the WebSocket alone", got)
		}

		// A replica that is killed says nothing more. Its agents are connected again when another one has them.
		doomed.dead.Store(true)
		one.stop()
		two.catchUp(p)
		held := two.sync(p, p.request(55))
		time.Sleep(16 * time.Second)
		if got := w.connected(a, b, c); len(got) != 1 || got[b.id].IsZero() {
			t.Errorf("after a replica was killed: %v, want the one that parks with the other", got)
		}
		two.stop()
		<-held.done
		if got := w.connected(a, b, c); len(got) != 0 {
			t.Errorf("after a replica that could say so has stopped: %v, want nobody at once", got)
		}
	})
}

// While it is not known who is connected, those who watch the fleet still see what else changes.
func TestTheFleetIsShownWithoutChannels(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		lost := &mortal{Channels: w.channels}
		one := w.gateway(options{channels: lost})
		watch, _ := w.dial(one.listen(), "/api/v1/fleet/live", w.admin())
		time.Sleep(3 * time.Second) // it has looked once, to know what changes
		w.dial(one.listen(), agentPath, a.key)
		time.Sleep(5 * time.Second)
		if got := watch.heard(); !strings.Contains(got, `"ws_connected":true`) {
			t.Errorf("heard %s, want the agent that is connected", got)
		}
		lost.dead.Store(true)
		b := w.agent("b", agent.Active)
		time.Sleep(5 * time.Second)
		if got := watch.heard(); strings.Count(got, "fleet_update") != 2 || !strings.Contains(got, string(b.id)) || strings.Contains(got, `"ws_connected":true`) {
			t.Errorf("heard %s, want the new agent, and nobody connected", got)
		}
		lost.dead.Store(false)
		time.Sleep(5 * time.Second)
		if got := watch.heard(); strings.Count(got, "fleet_update") != 1 || !strings.Contains(got, `"ws_connected":true`) {
			t.Errorf("heard %s, want the agent that is connected", got)
		}
	})
}
