package process_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/process"
)

// started is a process on stores of its own test; it ends with the test.
func started(t *testing.T, c process.Common) *process.Process {
	t.Helper()
	var logs bytes.Buffer
	p, err := process.Open(t.Context(), "brokkr-x", "1.2.3", c, &logs)
	if err != nil {
		t.Fatalf("%v\n%s", err, &logs)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := p.Group.Run(ended); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestStoresAreUsedAsConfigured(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	c := process.Defaults(process.Off)
	c.Log.Level = "error"
	c.Database.URL, c.Database.MaxConnections = config.Secret(testenv.Postgres(t)), 7
	c.Redis.URL, c.Redis.Prefix = config.Secret(url+"?read_timeout=30s"), "fleet-a" // a busy machine is no failure here
	c.Secrets.Keys = config.Secret(seal.Generate("k1"))
	p := started(t, c)
	metrics, err := p.Telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	most := 0.0
	for _, m := range metrics {
		if m.GetName() == "brokkr_database_connections_max" {
			most = m.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if most != 7 {
		t.Errorf("it may have %v connections, want database.max_connections", most)
	}

	// redis.prefix: two installations on one Redis see nothing of each other.
	if err := p.Targets.Put(t.Context(), "a", 1, []byte("state")); err != nil {
		t.Fatal(err)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "fleet-a:") {
		t.Errorf("keys %v, %v, want one that begins with the prefix", keys, err)
	}
	heard, err := p.Live.Subscribe(t.Context(), "gateways")
	if err != nil {
		t.Fatal(err)
	}
	if first := <-heard; !first.Lost {
		t.Fatalf("got %+v, want to be told first that it listens", first)
	}
	c.Redis.Prefix, c.Database.URL = "fleet-b", config.Secret(testenv.Postgres(t))
	q := started(t, c)
	for _, of := range []*process.Process{q, p} {
		if err := of.Live.Publish(t.Context(), []ports.LiveBatch{{Topic: "gateways", Frames: [][]byte{[]byte(of.Name + c.Redis.Prefix)}}}); err != nil {
			t.Fatal(err)
		}
		c.Redis.Prefix = "its own"
	}
	if got := <-heard; len(got.Frames) != 1 || string(got.Frames[0]) != "brokkr-xits own" {
		t.Errorf("heard %q, want what its own installation says alone", got.Frames)
	}

	// secrets.keys: what lies in Redis without a stamp is not believed.
	if err := client.HSet(t.Context(), keys[0], "v", "forged").Err(); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := p.Targets.Get(t.Context(), "a", 1); ok || err != nil {
		t.Errorf("a forged state: got %q, %v, %v, want none", got, ok, err)
	}
}
