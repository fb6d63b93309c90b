package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Channels checks that an adapter keeps the contract of ports.Channels. Open returns two processes' views of one empty server,
// which works all through the test and which only this test uses; an adapter within one process returns the same one twice. Wait
// lets so much time pass for the adapter.
func Channels(t *testing.T, open func(t *testing.T) (one, two ports.Channels, wait func(time.Duration))) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, channelsOf){
		"what one gateway has others see":      channelsSeen,
		"what is closed is gone":               channelsClosed,
		"a whole replaces what was":            channelsWhole,
		"of several the earliest counts":       channelsEarliest,
		"a gateway that withdraws has nothing": channelsWithdrawn,
		"a gateway that goes silent is gone":   channelsSilent,
		"one that speaks up stays":             channelsKept,
		"many at once":                         channelsMany,
		"a cancelled context":                  channelsCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two, wait := open(t)
			run(t, channelsOf{one: one, two: two, wait: wait, at: time.Date(2026, 3, 1, 12, 0, 0, 123000, time.UTC)})
		})
	}
}

type channelsOf struct {
	one, two ports.Channels
	wait     func(time.Duration)
	at       time.Time
}

const channelsFor = time.Minute

func announce(t *testing.T, c ports.Channels, gateway string, n ports.Announcement, want int) {
	t.Helper()
	if n.For == 0 {
		n.For = channelsFor
	}
	got, err := c.Announce(t.Context(), gateway, n)
	wantNone(t, "announce", err)
	wantSame(t, "channels of "+gateway, got, want)
}

func wantChannels(t *testing.T, c ports.Channels, what string, agents []agent.ID, want map[agent.ID]time.Time) {
	t.Helper()
	got, err := c.Since(t.Context(), agents)
	wantNone(t, "since", err)
	if len(want) == 0 && len(got) == 0 {
		return
	}
	wantSame(t, what, got, want)
}

type opened = map[agent.ID]time.Time

func channelsSeen(t *testing.T, c channelsOf) {
	a, b, none := newID[agent.ID](), newID[agent.ID](), newID[agent.ID]()
	wantChannels(t, c.two, "before", []agent.ID{a}, nil)
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at}}, 1)
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{b: c.at.Add(time.Second)}}, 2)
	announce(t, c.one, "g1", ports.Announcement{}, 2)
	wantChannels(t, c.two, "both", []agent.ID{a, b, none}, opened{a: c.at, b: c.at.Add(time.Second)})
	wantChannels(t, c.two, "one of them", []agent.ID{b}, opened{b: c.at.Add(time.Second)})
	wantChannels(t, c.two, "nobody", nil, nil)
}

func channelsClosed(t *testing.T, c channelsOf) {
	a, b := newID[agent.ID](), newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at, b: c.at}}, 2)
	announce(t, c.one, "g1", ports.Announcement{Closed: []agent.ID{a, newID[agent.ID]()}}, 1)
	wantChannels(t, c.two, "the other", []agent.ID{a, b}, opened{b: c.at})
	later := c.at.Add(time.Hour)
	announce(t, c.one, "g1", ports.Announcement{Closed: []agent.ID{b}, Opened: opened{b: later}}, 1)
	wantChannels(t, c.two, "closed and opened again", []agent.ID{a, b}, opened{b: later})
}

func channelsWhole(t *testing.T, c channelsOf) {
	a, b := newID[agent.ID](), newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at}}, 1)
	announce(t, c.one, "g1", ports.Announcement{Whole: true, Opened: opened{b: c.at}}, 1)
	wantChannels(t, c.two, "the new one", []agent.ID{a, b}, opened{b: c.at})
	announce(t, c.one, "g1", ports.Announcement{Whole: true}, 0)
	wantChannels(t, c.two, "nothing", []agent.ID{a, b}, nil)
}

func channelsEarliest(t *testing.T, c channelsOf) {
	a := newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at.Add(time.Second)}}, 1)
	announce(t, c.two, "g2", ports.Announcement{Opened: opened{a: c.at}}, 1)
	wantChannels(t, c.one, "both", []agent.ID{a}, opened{a: c.at})
	announce(t, c.two, "g2", ports.Announcement{Closed: []agent.ID{a}}, 0)
	wantChannels(t, c.one, "the one that is left", []agent.ID{a}, opened{a: c.at.Add(time.Second)})
}

func channelsWithdrawn(t *testing.T, c channelsOf) {
	a, b := newID[agent.ID](), newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at}}, 1)
	announce(t, c.two, "g2", ports.Announcement{Opened: opened{b: c.at}}, 1)
	wantNone(t, "withdraw", c.one.Withdraw(t.Context(), "g1"))
	wantNone(t, "withdraw again", c.one.Withdraw(t.Context(), "g1"))
	wantChannels(t, c.two, "the other's", []agent.ID{a, b}, opened{b: c.at})
}

func channelsSilent(t *testing.T, c channelsOf) {
	a, b := newID[agent.ID](), newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at}, For: 300 * time.Millisecond}, 1)
	announce(t, c.two, "g2", ports.Announcement{Opened: opened{b: c.at}}, 1)
	c.wait(400 * time.Millisecond)
	wantChannels(t, c.two, "the one that is not silent", []agent.ID{a, b}, opened{b: c.at})
	announce(t, c.one, "g1", ports.Announcement{}, 0) // so it notices, and says all of it again
}

func channelsKept(t *testing.T, c channelsOf) {
	a := newID[agent.ID]()
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{a: c.at}, For: 600 * time.Millisecond}, 1)
	c.wait(400 * time.Millisecond)
	announce(t, c.one, "g1", ports.Announcement{For: time.Minute}, 1)
	c.wait(400 * time.Millisecond)
	wantChannels(t, c.two, "still", []agent.ID{a}, opened{a: c.at})
}

func channelsMany(t *testing.T, c channelsOf) {
	const n = 12_000
	all := opened{}
	var ids []agent.ID
	for i := range n {
		id := agent.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
		ids, all[id] = append(ids, id), c.at.Add(time.Duration(i)*time.Microsecond)
	}
	announce(t, c.one, "g1", ports.Announcement{Opened: opened{newID[agent.ID](): c.at}}, 1)
	announce(t, c.one, "g1", ports.Announcement{Whole: true, Opened: all}, n)
	wantChannels(t, c.two, "all", ids, all)
	announce(t, c.one, "g1", ports.Announcement{Closed: ids[1:]}, 1)
	wantChannels(t, c.two, "one", ids, opened{ids[0]: all[ids[0]]})
}

func channelsCancelled(t *testing.T, c channelsOf) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.one.Announce(ctx, "g1", ports.Announcement{For: time.Minute})
	_, err2 := c.one.Since(ctx, []agent.ID{newID[agent.ID]()})
	for what, err := range map[string]error{"announce": err, "since": err2, "withdraw": c.one.Withdraw(ctx, "g1")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
	}
}
