package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis returns the URL of a Redis that is this test's alone: a redis-server process of its own (20 ms), so that keys,
// pub/sub channels, scripts and FLUSHALL of tests cannot meet. Where no redis-server is installed it is a logical database,
// claimed and flushed, of the server that BROKKR_TEST_REDIS names; pub/sub channels are then shared.
func Redis(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return NewRedisServer(t).URL()
	}
	url := os.Getenv(EnvRedis)
	if url == "" {
		Missing(t, "redis-server is not installed and "+EnvRedis+" is not set")
	}
	return claimRedisDB(t, url)
}

// RedisServer is a redis-server process without persistence: what is killed is lost.
type RedisServer struct {
	port int
	mu   sync.Mutex
	cmd  *exec.Cmd
	exit chan struct{} // closed when cmd has ended
	out  bytes.Buffer
}

// NewRedisServer starts a redis-server that the test may kill, pause and start again. It ends with the test.
func NewRedisServer(t testing.TB) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		Missing(t, "redis-server is not installed")
	}
	s, err := StartRedis(t.Context())
	if err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// StartRedis starts a redis-server on a free port, for callers that are no tests; they have to Kill it.
func StartRedis(ctx context.Context) (*RedisServer, error) {
	var err error
	for range 3 { // another process may take the port
		s := &RedisServer{}
		if s.port, err = freePort(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		if err = s.Restart(ctx); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// URL stays the same over Kill and Restart.
func (s *RedisServer) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", s.port) }

// Addr is the server's host:port.
func (s *RedisServer) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Restart starts the server, killing the running one, and returns when it answers.
func (s *RedisServer) Restart(ctx context.Context) error {
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--databases", "256", "--daemonize", "no", "--loglevel", "warning", "--dir", os.TempDir())
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	exit := make(chan struct{})
	if err := startBound(cmd, func() { close(exit) }); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.cmd, s.exit = cmd, exit
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	defer client.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-exit:
			return fmt.Errorf("redis-server ended: %s", s.out.String())
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill is kill -9; it returns when the process is gone. It does nothing if none runs.
func (s *RedisServer) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // fails only if it has ended
	<-s.exit
	s.cmd = nil
}

// Pause makes the server hang: connections stay open, nothing is answered. Resume ends it.
func (s *RedisServer) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *RedisServer) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("redis-server does not run")
	}
	return s.cmd.Process.Signal(sig)
}

// claimRedisDB takes a logical database that no other test uses. The claims are keys of database 0.
func claimRedisDB(t testing.TB, url string) string {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("%s: %v", EnvRedis, err)
	}
	registry := *options
	registry.DB = 0
	claims := redis.NewClient(&registry)
	t.Cleanup(func() { _ = claims.Close() })
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for n := 1; ; n++ {
			mine := *options
			mine.DB = n
			client := redis.NewClient(&mine)
			err := client.Ping(t.Context()).Err()
			if err != nil {
				_ = client.Close()
				if n == 1 {
					t.Fatalf("connect to %s: %v", EnvRedis, err)
				}
				break // no more databases: wait for one to be given back
			}
			key := fmt.Sprintf("brokkr-test-db:%d", n)
			got, err := claims.SetNX(t.Context(), key, os.Getpid(), 15*time.Minute).Result()
			if err != nil {
				t.Fatalf("claim a redis database: %v", err)
			}
			if !got {
				_ = client.Close()
				continue
			}
			t.Cleanup(func() {
				ctx := context.Background()
				if err := errors.Join(client.FlushDB(ctx).Err(), claims.Del(ctx, key).Err(), client.Close()); err != nil {
					t.Errorf("give back redis database: %v", err)
				}
			})
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Fatalf("flush redis database: %v", err)
			}
			return fmt.Sprintf("redis://%s%s/%d", userinfo(options), options.Addr, n)
		}
	}
	t.Fatal("all redis databases are in use")
	return ""
}

func userinfo(o *redis.Options) string {
	if o.Username == "" && o.Password == "" {
		return ""
	}
	return o.Username + ":" + o.Password + "@"
}
