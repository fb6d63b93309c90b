package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// announceScript stores what a gateway says and how long it holds, by the server's clock, and forgets the names of gateways that
// have gone silent. KEYS: the gateway's channels, the gateways. ARGV: name, milliseconds, 1 if the rest is all, how many of the rest
// are pairs of agent and time, those, agents that are closed.
const announceScript = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) end
local pairs = 4 + 2 * ARGV[4]
for i = pairs + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 5, pairs, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HLEN', KEYS[1])`

// perAnnouncement bounds how many channels one round trip tells of.
const perAnnouncement = 5000

// Channels implements ports.Channels: a hash a gateway, which expires, and a sorted set of gateways. Use NewChannels.
type Channels struct {
	client   *goredis.Client
	guard    *guard
	announce *goredis.Script
	prefix   string
}

var _ ports.Channels = (*Channels)(nil)

// NewChannels returns channels whose keys begin with brokkr:channels. The client remains the caller's to close.
func NewChannels(client *goredis.Client, options ...Option) *Channels {
	return &Channels{client: client, guard: newGuard(client), announce: goredis.NewScript(announceScript), prefix: with(options).prefix + "channels"}
}

func (c *Channels) key(gateway string) string { return c.prefix + ":" + gateway }

// Announce implements ports.Channels, in one round trip for each five thousand channels.
func (c *Channels) Announce(ctx context.Context, gateway string, n ports.Announcement) (int, error) {
	opened := slices.Sorted(maps.Keys(n.Opened))
	closed, whole, known := n.Closed, n.Whole, 0
	for first := true; first || len(opened)+len(closed) > 0; first = false {
		some, gone := opened[:min(len(opened), perAnnouncement)], closed[:min(len(closed), perAnnouncement)]
		opened, closed = opened[len(some):], closed[len(gone):]
		args := []any{gateway, n.For.Milliseconds(), strconv.Itoa(map[bool]int{true: 1}[whole]), len(some)}
		for _, a := range some {
			args = append(args, string(a), n.Opened[a].UnixMicro())
		}
		for _, a := range gone {
			if _, again := n.Opened[a]; !again {
				args = append(args, string(a))
			}
		}
		whole = false
		err := c.guard.do(ctx, "announce channels", func(ctx context.Context) (err error) {
			known, err = c.announce.Run(ctx, c.client, []string{c.key(gateway), c.prefix}, args...).Int()
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return known, nil
}

// Withdraw implements ports.Channels.
func (c *Channels) Withdraw(ctx context.Context, gateway string) error {
	return c.guard.do(ctx, "withdraw channels", func(ctx context.Context) error {
		_, err := c.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			p.Unlink(ctx, c.key(gateway))
			p.ZRem(ctx, c.prefix, gateway)
			return nil
		})
		return err
	})
}

// Since implements ports.Channels: a round trip for the gateways, and one for each thousand agents.
func (c *Channels) Since(ctx context.Context, agents []agent.ID) (map[agent.ID]time.Time, error) {
	out := map[agent.ID]time.Time{}
	if len(agents) == 0 {
		return out, ctx.Err()
	}
	var gateways []string
	err := c.guard.do(ctx, "list gateways", func(ctx context.Context) (err error) {
		gateways, err = c.client.ZRange(ctx, c.prefix, 0, -1).Result()
		return err
	})
	if err != nil || len(gateways) == 0 {
		return out, err
	}
	for some := range slices.Chunk(agents, perRound) {
		if err := c.since(ctx, gateways, some, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Channels) since(ctx context.Context, gateways []string, agents []agent.ID, out map[agent.ID]time.Time) error {
	fields := make([]string, len(agents))
	for i, a := range agents {
		fields[i] = string(a)
	}
	return c.guard.do(ctx, "read channels", func(ctx context.Context) error {
		answers := make([]*goredis.SliceCmd, len(gateways))
		_, err := c.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, g := range gateways {
				answers[i] = p.HMGet(ctx, c.key(g), fields...)
			}
			return nil
		})
		if err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
		for _, answer := range answers {
			for i, v := range answer.Val() {
				text, ok := v.(string)
				if !ok {
					continue // it has none, or the gateway has gone silent
				}
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					continue // not ours
				}
				at := time.UnixMicro(n).UTC()
				if known, ok := out[agents[i]]; !ok || at.Before(known) {
					out[agents[i]] = at
				}
			}
		}
		return nil
	})
}
