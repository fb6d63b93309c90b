package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Fields of an agent's hash. The revision is written with leading zeros: Lua's numbers are exact to 2^53 only, texts of
// one length compare like the numbers that they show.
const (
	fieldRevision = "r"
	fieldValue    = "v"
)

// putScript stores revision and value unless a newer revision is there. ARGV: revision, value, time to live in
// milliseconds or 0.
const putScript = `
local known = redis.call('HGET', KEYS[1], 'r')
if known and known > ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'r', ARGV[1], 'v', ARGV[2])
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`

// perRound bounds how many keys one round trip asks for.
const perRound = 1000

// TargetCache implements ports.TargetCache: one hash an agent. Use NewTargetCache.
type TargetCache struct {
	client *goredis.Client
	guard  *guard
	put    *goredis.Script
	prefix string
	ttl    time.Duration
	keys   *seal.Keyring // nil: what is there is believed
}

var _ ports.TargetCache = (*TargetCache)(nil)

// NewTargetCache returns a cache whose entries go when nobody has put them for ttl; zero or less keeps them. The client
// remains the caller's to close.
func NewTargetCache(client *goredis.Client, ttl time.Duration, options ...Option) *TargetCache {
	s := with(options)
	return &TargetCache{
		client: client, guard: newGuard(client), put: goredis.NewScript(putScript), prefix: s.prefix, ttl: max(ttl, 0), keys: s.keys,
	}
}

// place is what a stamp is for: a state that is copied to another agent or revision is noticed.
func place(a agent.ID, r delivery.Revision) string { return "targets/" + string(a) + "/" + padded(r) }

func (t *TargetCache) key(a agent.ID) string { return t.prefix + "target:" + string(a) }

func padded(r delivery.Revision) string { return fmt.Sprintf("%020d", r) }

// Revisions implements ports.TargetCache, in one round trip for each thousand agents.
func (t *TargetCache) Revisions(ctx context.Context, agents []agent.ID) (map[agent.ID]delivery.Revision, error) {
	out := make(map[agent.ID]delivery.Revision, len(agents))
	for len(agents) > 0 {
		n := min(len(agents), perRound)
		if err := t.revisions(ctx, agents[:n], out); err != nil {
			return nil, err
		}
		agents = agents[n:]
	}
	return out, nil
}

func (t *TargetCache) revisions(ctx context.Context, agents []agent.ID, out map[agent.ID]delivery.Revision) error {
	return t.guard.do(ctx, "read revisions", func(ctx context.Context) error {
		answers := make([]*goredis.StringCmd, len(agents))
		_, err := t.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, a := range agents {
				answers[i] = p.HGet(ctx, t.key(a), fieldRevision)
			}
			return nil
		})
		if err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
		for i, answer := range answers {
			text, err := answer.Result()
			if errors.Is(err, goredis.Nil) {
				continue
			}
			if err != nil {
				return err
			}
			r, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				continue // not ours, so as good as empty
			}
			out[agents[i]] = delivery.Revision(r)
		}
		return nil
	})
}

// Get implements ports.TargetCache. What has no good stamp is not there.
func (t *TargetCache) Get(ctx context.Context, a agent.ID, r delivery.Revision) ([]byte, bool, error) {
	var value []byte
	var found bool
	err := t.guard.do(ctx, "read target state", func(ctx context.Context) error {
		fields, err := t.client.HMGet(ctx, t.key(a), fieldRevision, fieldValue).Result()
		if err != nil {
			return err
		}
		known, _ := fields[0].(string)
		text, ok := fields[1].(string)
		if found = ok && known == padded(r); found {
			value = []byte(text)
		}
		return nil
	})
	if found && t.keys != nil {
		if value, found = t.keys.Stamped(place(a, r), value); !found {
			value = nil
		}
	}
	return value, found, err
}

// Put implements ports.TargetCache.
func (t *TargetCache) Put(ctx context.Context, a agent.ID, r delivery.Revision, encoded []byte) error {
	if r < 0 {
		return fault.Newf(fault.Invalid, "invalid_revision", "revision %d is negative", r)
	}
	if t.keys != nil {
		encoded = t.keys.Stamp(place(a, r), encoded)
	}
	return t.guard.do(ctx, "store target state", func(ctx context.Context) error {
		return t.put.Run(ctx, t.client, []string{t.key(a)}, padded(r), encoded, t.ttl.Milliseconds()).Err()
	})
}

// Flush implements ports.TargetCache: it deletes every key with the product's prefix, a thousand at a time. Keys that are
// written meanwhile may stay.
func (t *TargetCache) Flush(ctx context.Context) error {
	pattern := literal(t.prefix) + "*"
	for cursor := uint64(0); ; {
		err := t.guard.do(ctx, "flush target states", func(ctx context.Context) error {
			keys, next, err := t.client.Scan(ctx, cursor, pattern, perRound).Result()
			if err != nil {
				return err
			}
			cursor = next
			if len(keys) == 0 {
				return nil
			}
			return t.client.Unlink(ctx, keys...).Err()
		})
		if err != nil || cursor == 0 {
			return err
		}
	}
}

// literal makes a glob pattern that matches text only.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
