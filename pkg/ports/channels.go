package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Channels tell which agents have a live channel just now, to whichever gateway: a WebSocket or a parked sync. A gateway says
// what changes and, from time to time, that it is still there; what a gateway has that goes silent is forgotten. It may forget
// everything at any time: gateways notice, and say all of it again.
type Channels interface {
	// Announce says what has changed in what the gateway of this name has, and that it is there. It returns how many channels of
	// the gateway are known now: another number than it has means that some were forgotten.
	Announce(ctx context.Context, gateway string, n Announcement) (int, error)
	// Withdraw forgets what the gateway has.
	Withdraw(ctx context.Context, gateway string) error
	// Since returns since when these agents have a channel, the earliest if they have several; those that have none are absent.
	Since(ctx context.Context, agents []agent.ID) (map[agent.ID]time.Time, error)
}

// Announcement is what a gateway says of its channels.
type Announcement struct {
	Opened map[agent.ID]time.Time // in microseconds; what was known of an agent is replaced
	Closed []agent.ID
	Whole  bool          // Opened is all that there is
	For    time.Duration // all of the gateway's channels are forgotten after this time, unless it announces something before; above 0
}
