package redis_test

import (
	"log/slog"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/redis"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
)

func open(t *testing.T, url string) *goredis.Client {
	t.Helper()
	c, err := redis.Open(url, "")
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSignals(t *testing.T) {
	t.Parallel()
	porttest.Signals(t, func(t *testing.T) ports.Signals {
		// The prefix keeps tests apart where they share one server: channels know no databases.
		return redis.NewSignals(open(t, testenv.Redis(t)), slog.New(slog.DiscardHandler), redis.WithPrefix(t.Name()+":"))
	})
}

func TestTargetCache(t *testing.T) {
	t.Parallel()
	porttest.TargetCache(t, func(t *testing.T) ports.TargetCache {
		return redis.NewTargetCache(open(t, testenv.Redis(t)), time.Hour)
	})
}

func TestTargetCacheWithoutTTL(t *testing.T) {
	t.Parallel()
	porttest.TargetCache(t, func(t *testing.T) ports.TargetCache { return redis.NewTargetCache(open(t, testenv.Redis(t)), 0) })
}

func TestTargetCacheWithKeys(t *testing.T) {
	t.Parallel()
	keys, err := seal.Parse([]string{seal.Generate("k1")})
	if err != nil {
		t.Fatal(err)
	}
	porttest.TargetCache(t, func(t *testing.T) ports.TargetCache {
		return redis.NewTargetCache(open(t, testenv.Redis(t)), time.Hour, redis.WithKeys(keys))
	})
}

func TestLive(t *testing.T) {
	t.Parallel()
	porttest.Live(t, func(t *testing.T) (ports.Live, ports.Live) {
		url := testenv.Redis(t)
		replica := func() ports.Live {
			return redis.NewLive(open(t, url), slog.New(slog.DiscardHandler), redis.WithPrefix(t.Name()+":"))
		}
		return replica(), replica()
	})
}

func TestChannels(t *testing.T) {
	t.Parallel()
	porttest.Channels(t, func(t *testing.T) (ports.Channels, ports.Channels, func(time.Duration)) {
		url := testenv.Redis(t)
		process := func() ports.Channels {
			return redis.NewChannels(open(t, url), redis.WithPrefix(t.Name()+":"))
		}
		return process(), process(), time.Sleep // the server's clock is the one that counts
	})
}
