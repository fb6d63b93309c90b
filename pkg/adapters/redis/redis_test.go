package redis_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/redis"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func TestOpenRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:6379", "http://localhost", "redis://user:geheim@host:port/0", "redis://:geheim@host/x", "redis://:geheim%zz@host/0"} {
		c, err := redis.Open(url, "")
		if !fault.Is(err, fault.Invalid) || c != nil {
			t.Errorf("open %q: got %v, %v, want Invalid", url, c, err)
			continue
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("open %q: the error repeats the password: %v", url, err)
		}
	}
}

func TestOpenBoundsTheTimes(t *testing.T) {
	t.Parallel()
	type times struct{ Dial, Read, Write, Pool time.Duration }
	const d = 250 * time.Millisecond
	for url, want := range map[string]times{
		"redis://localhost":                               {d, d, d, d},
		"redis://localhost?read_timeout=1s":               {time.Second, time.Second, time.Second, time.Second},
		"rediss://localhost?dial_timeout=2s":              {2 * time.Second, d, d, d},
		"unix:///run/redis.sock?write_timeout=100ms":      {d, d, 100 * time.Millisecond, d},
		"redis://localhost?pool_timeout=3s&max_retries=2": {d, d, d, 3 * time.Second},
	} {
		o := open(t, url).Options()
		if diff := cmp.Diff(want, times{o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}

// TestPrefixesKeepApart has two products on one server: neither sees nor flushes what the other has.
func TestPrefixesKeepApart(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	mine := redis.NewTargetCache(client, time.Hour, redis.WithPrefix("a*[x]?\\:"))
	other := redis.NewTargetCache(client, time.Hour, redis.WithPrefix("abc[x]d\\:"))
	for _, c := range []*redis.TargetCache{mine, other} {
		if err := c.Put(t.Context(), "agent", 1, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := mine.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := mine.Get(t.Context(), "agent", 1); ok || err != nil {
		t.Fatalf("flushed: got %v, %v, want nothing", ok, err)
	}
	if _, ok, err := other.Get(t.Context(), "agent", 1); !ok || err != nil {
		t.Fatalf("the other's: got %v, %v, want it there", ok, err)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "abc[x]d\\:") {
		t.Fatalf("keys: got %q, %v", keys, err)
	}
}

// Whoever can write to Redis cannot make agents remove or apply anything: what has no stamp for its agent and revision is not there.
func TestWhatOthersHavePutIsNotBelieved(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	keys := func(texts ...string) *seal.Keyring {
		t.Helper()
		r, err := seal.Parse(texts)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	k1, k2 := seal.Generate("k1"), seal.Generate("k2")
	c := redis.NewTargetCache(client, time.Hour, redis.WithKeys(keys(k1)))
	see := func(what string, c *redis.TargetCache, a agent.ID, r delivery.Revision, want string) {
		t.Helper()
		got, ok, err := c.Get(t.Context(), a, r)
		if err != nil || ok != (want != "") || string(got) != want {
			t.Errorf("%s: got %q, %v, %v, want %q", what, got, ok, err, want)
		}
	}
	put := func(a agent.ID, r delivery.Revision, content string) string {
		t.Helper()
		if err := c.Put(t.Context(), a, r, []byte(content)); err != nil {
			t.Fatal(err)
		}
		v, err := client.HGet(t.Context(), "brokkr:target:"+string(a), "v").Result()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	forge := func(a agent.ID, r delivery.Revision, value string) {
		t.Helper()
		if err := client.HSet(t.Context(), "brokkr:target:"+string(a), "r", fmt.Sprintf("%020d", r), "v", value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mine, other := put("mine", 7, `{"state":"assigned"}`), put("other", 7, `{"state":"removing"}`)
	see("its own", c, "mine", 7, `{"state":"assigned"}`)
	see("after a rotation", redis.NewTargetCache(client, 0, redis.WithKeys(keys(k2, k1))), "mine", 7, `{"state":"assigned"}`)
	see("without the key", redis.NewTargetCache(client, 0, redis.WithKeys(keys(k2))), "mine", 7, "")
	for what, value := range map[string]string{
		"no stamp": `{"state":"removing"}`, "another agent's": other, "changed": strings.Replace(mine, "assigned", "removing", 1), "nothing": "",
	} {
		forge("mine", 7, value)
		see(what, c, "mine", 7, "")
	}
	forge("mine", 8, mine)
	see("an older one's, at another revision", c, "mine", 8, "")
	put("mine", 8, "next")
	see("put again by who has the key", c, "mine", 8, "next")
}

func TestEntriesGoAfterTheirTTL(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	short, kept := redis.NewTargetCache(client, 50*time.Millisecond), redis.NewTargetCache(client, 0)
	if err := short.Put(t.Context(), "short", 1, []byte("value")); err != nil {
		t.Fatal(err)
	}
	if err := kept.Put(t.Context(), "kept", 1, []byte("value")); err != nil {
		t.Fatal(err)
	}
	await(t, "the entry is gone", func() bool {
		_, ok, err := short.Get(t.Context(), "short", 1)
		return err == nil && !ok
	})
	if _, ok, err := kept.Get(t.Context(), "kept", 1); !ok || err != nil {
		t.Fatalf("the entry without a time to live: got %v, %v", ok, err)
	}
}

// TestAnOlderPutDoesNotProlong: what is refused must not keep the newer entry alive, nor shorten it.
func TestAnOlderPutDoesNotProlong(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	if err := redis.NewTargetCache(client, time.Hour).Put(t.Context(), "agent", 2, []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if err := redis.NewTargetCache(client, time.Millisecond).Put(t.Context(), "agent", 1, []byte("older")); err != nil {
		t.Fatal(err)
	}
	if ttl, err := client.PTTL(t.Context(), "brokkr:target:agent").Result(); err != nil || ttl < time.Minute {
		t.Fatalf("time to live: got %v, %v, want about an hour", ttl, err)
	}
}

// TestForeignKeys shows what a cache does with keys that something else has written: it reads as empty or fails, and never
// returns them.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	c := redis.NewTargetCache(client, time.Hour)
	if err := client.HSet(t.Context(), "brokkr:target:odd", "r", "not a number", "v", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "brokkr:target:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := c.Revisions(t.Context(), []agent.ID{"odd"})
	if err != nil || len(got) != 0 {
		t.Fatalf("revisions: got %v, %v, want none", got, err)
	}
	if _, _, err := c.Get(t.Context(), "text", 1); fault.KindOf(err) != fault.Internal || err == nil {
		t.Fatalf("get of another type: got %v, want Internal", err)
	}
	// An answer, even a refusal, is no silence: the next call goes through.
	if err := c.Put(t.Context(), "fine", 1, []byte("value")); err != nil {
		t.Fatalf("put after a refusal: %v", err)
	}
	if err := c.Put(t.Context(), "fine", -1, []byte("value")); !fault.Is(err, fault.Invalid) {
		t.Fatalf("put at a negative revision: got %v, want Invalid", err)
	}
}

func TestManyAgentsInOneCall(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	c := redis.NewTargetCache(client, time.Hour)
	const n = 2500
	var ids []agent.ID
	want := map[agent.ID]delivery.Revision{}
	for i := range n {
		a := agent.ID(strings.Repeat("x", 1+i%7) + time.Duration(i).String())
		ids = append(ids, a)
		if i%100 == 0 {
			want[a] = delivery.Revision(i + 1)
			if err := c.Put(t.Context(), a, delivery.Revision(i+1), []byte("value")); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := c.Revisions(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("revisions (-want +got):\n%s", diff)
	}
}

// TestGarbageOnTheChannel counts as signals that were lost.
func TestGarbageOnTheChannel(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	s := redis.NewSignals(client, slog.New(slog.DiscardHandler), redis.WithPrefix("garbage:"))
	ch, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next(t, ch, "the first batch", nil)
	if err := client.Publish(t.Context(), "garbage:signals", "{").Err(); err != nil {
		t.Fatal(err)
	}
	next(t, ch, "garbage", nil)
	want := []ports.Signal{{Agent: "agent", Revision: 7}}
	if err := s.Publish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	next(t, ch, "a signal after garbage", want)
}

func next(t *testing.T, ch <-chan []ports.Signal, what string, want []ports.Signal) {
	t.Helper()
	select {
	case got, ok := <-ch:
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Fatalf("%s (open %v, -want +got):\n%s", what, ok, diff)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing came", what)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so", what)
		}
	}
}
