package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/platform/localpg"
)

// stopGrace is how long a process gets to end after SIGTERM.
const stopGrace = 10 * time.Second

// wanted says which servers to start.
type wanted struct {
	clusters            int
	noPostgres, noRedis bool
	durable             bool // PostgreSQL as a user's: it syncs to disk and vacuums
}

// started collects what the servers, started in parallel, add.
type started struct {
	mu   sync.Mutex
	env  []string
	ends []func()
	errs []error
}

// start boots the servers in parallel and returns the environment variables that lead to them. end stops what runs; it is
// never nil and has to be called after an error, too.
func (w wanted) start(ctx context.Context) (env []string, end func(), err error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "brokkr-testenv-")
	if err != nil {
		return nil, func() {}, fmt.Errorf("make temporary folder: %w", err)
	}
	s := &started{ends: []func(){func() { _ = os.RemoveAll(dir) }}}
	// PostgreSQL may run as another user, which has to get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, s.end, fmt.Errorf("open temporary folder: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	boot := func(what, variable string, f func(context.Context) (value string, end func(), err error)) {
		wg.Go(func() {
			value, end, err := f(ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			if end != nil {
				s.ends = append(s.ends, end)
			}
			if err != nil {
				s.errs = append(s.errs, fmt.Errorf("start %s: %w", what, err))
				cancel() // one missing is enough
				return
			}
			s.env = append(s.env, variable+"="+value)
			fmt.Fprintf(os.Stderr, "testenv: %s after %.1f s\n", what, time.Since(begin).Seconds())
		})
	}
	if !w.noPostgres {
		boot("PostgreSQL", testenv.EnvPostgres, func(ctx context.Context) (string, func(), error) {
			return startPostgres(ctx, filepath.Join(dir, "postgres"), w.durable)
		})
	}
	if !w.noRedis {
		boot("Redis", testenv.EnvRedis, startRedis)
	}
	if w.clusters > 0 {
		boot(fmt.Sprintf("%d Kubernetes control planes", w.clusters), testenv.EnvKubeconfigs, func(ctx context.Context) (string, func(), error) {
			return startClusters(ctx, filepath.Join(dir, "kube"), w.clusters)
		})
	}
	wg.Wait()
	if ctx.Err() != nil && len(s.errs) == 0 {
		s.errs = append(s.errs, ctx.Err())
	}
	if len(s.errs) > 0 {
		return nil, s.end, s.errs[0] // the others follow from its cancelling
	}
	return s.env, s.end, nil
}

func (s *started) end() {
	for i := len(s.ends) - 1; i >= 0; i-- { // the folder goes last
		s.ends[i]()
	}
}

func startPostgres(ctx context.Context, dir string, durable bool) (string, func(), error) {
	c := localpg.Config{DataDir: dir, FsyncOff: !durable, Settings: map[string]string{"max_connections": "500"}}
	if !durable {
		c.Settings["autovacuum"] = "off"
	}
	server, err := localpg.Start(ctx, c)
	if err != nil {
		return "", nil, err
	}
	return server.URL(), func() {
		// The data is thrown away, so an immediate end will do.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
		}
	}, nil
}

func startRedis(ctx context.Context) (string, func(), error) {
	server, err := testenv.StartRedis(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil, errors.New("redis-server is not installed: tools/install-deps.sh")
	}
	if err != nil {
		return "", nil, err
	}
	return server.URL(), server.Kill, nil
}

// startClusters builds the control planes if need be and boots them.
func startClusters(ctx context.Context, dir string, count int) (string, func(), error) {
	root, err := testenv.Repository(ctx)
	if err != nil {
		return "", nil, err
	}
	build := exec.CommandContext(ctx, filepath.Join(root, "test", "kubecluster", "build.sh"))
	build.Stderr = os.Stderr
	build.Cancel = func() error { return build.Process.Signal(syscall.SIGTERM) }
	build.WaitDelay = stopGrace
	out, err := build.Output()
	if err != nil {
		return "", nil, fmt.Errorf("build control planes: %w", err)
	}
	cmd := exec.Command(strings.TrimSpace(string(out)), "up", "--dir", dir, "--count", strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C is for the command first
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start kubecluster: %w", err)
	}
	ready, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if paths, ok := strings.CutPrefix(lines.Text(), "ready: "); ok {
				ready <- paths
			}
		}
		_ = cmd.Wait() // how it ended is of no use: its end itself is the failure
	}()
	end := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
		select {
		case <-done:
		case <-time.After(stopGrace):
			_ = cmd.Process.Kill() // its children end by themselves then
			<-done
		}
	}
	select {
	case paths := <-ready:
		return paths, end, nil
	case <-done:
		return "", nil, errors.New("kubecluster ended before it was ready")
	case <-ctx.Done():
		return "", end, ctx.Err()
	}
}
