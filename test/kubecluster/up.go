package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// portsPerCluster is the distance between the ports of neighbours; etcd has the first block.
const portsPerCluster = 4

// bootLimit bounds the wait for one cluster, several booting at once on a small machine included.
const bootLimit = 3 * time.Minute

type upOptions struct {
	dir      string
	count    int
	port     int
	nodes    int
	detached bool
}

func runUp(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("up", flag.ContinueOnError)
	var o upOptions
	fs.StringVar(&o.dir, "dir", "", "folder for data, logs and kubeconfigs; booted again with the same folder, the clusters keep their data")
	fs.IntVar(&o.count, "count", 1, "clusters")
	fs.IntVar(&o.port, "port", 0, "first port of a free range; 0: choose one, and the same again for the same folder")
	fs.IntVar(&o.nodes, "nodes", 1, "simulated nodes in each cluster")
	fs.BoolVar(&o.detached, "detached", false, "keep running when the parent process ends")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.dir == "" || o.count < 1 || o.nodes < 0 {
		return errors.New("up: --dir, a --count of 1 or more and --nodes of 0 or more are required")
	}
	return up(ctx, o)
}

// up boots the clusters and returns when ctx ends, the parent process ends or a cluster does not get ready.
func up(ctx context.Context, o upOptions) error {
	start := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !o.detached {
		go watchParent(ctx, cancel)
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", o.dir, err)
	}
	o.dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer unlock()
	ready := filepath.Join(dir, "ready")
	_ = os.Remove(ready)
	defer os.Remove(ready) //nolint:errcheck // absent if boot failed

	if o.port, err = choosePorts(dir, o.port, o.count); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	s := &supervisor{self: self, dir: dir, say: func(format string, args ...any) {
		fmt.Printf("%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}
	err = boot(ctx, s, o)
	if err == nil {
		<-ctx.Done()
		s.say("stopping")
	}
	cancel()
	s.wg.Wait()
	return err
}

// boot starts everything and returns when all the clusters are usable.
func boot(ctx context.Context, s *supervisor, o upOptions) error {
	s.say("booting %d control planes on ports from %d", o.count, o.port)
	// etcd outlives the clusters, so that their last requests do not hang.
	etcdCtx, stopEtcd := context.WithCancel(context.WithoutCancel(ctx))
	if _, err := s.keep(etcdCtx, "etcd", "etcd", "--dir", filepath.Join(s.dir, "etcd", "data"), "--port", strconv.Itoa(o.port)); err != nil {
		stopEtcd()
		return err
	}
	var gone []<-chan struct{}
	defer func() {
		s.wg.Go(func() {
			<-ctx.Done()
			for _, g := range gone {
				<-g
			}
			stopEtcd()
		})
	}()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, o.count)
	var paths []string
	for i := 1; i <= o.count; i++ {
		name := "c" + strconv.Itoa(i)
		dir := filepath.Join(s.dir, name)
		port := o.port + i*portsPerCluster
		if err := writeIdentity(dir, name, port); err != nil {
			return err
		}
		done, err := s.keep(ctx, name, "cluster", "--name", name, "--dir", dir, "--port", strconv.Itoa(port),
			"--etcd", fmt.Sprintf("http://127.0.0.1:%d", o.port), "--nodes", strconv.Itoa(o.nodes))
		if err != nil {
			return err
		}
		gone = append(gone, done)
		path := filepath.Join(dir, "kubeconfig")
		paths = append(paths, path)
		cfg, err := restConfig(path)
		if err != nil {
			return err
		}
		go func() { results <- result{name, waitUsable(ctx, cfg, o.nodes, bootLimit)} }()
	}
	for range o.count {
		r := <-results
		switch {
		case ctx.Err() != nil:
			return nil
		case r.err != nil:
			return fmt.Errorf("boot %s: %w (its log: %s)", r.name, r.err, filepath.Join(s.dir, r.name, "log"))
		}
		s.say("%s ready", r.name)
	}
	line := strings.Join(paths, ",")
	if err := os.WriteFile(filepath.Join(s.dir, "ready"), []byte(line+"\n"), 0o644); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	fmt.Println("ready: " + line)
	return nil
}

// watchParent ends the run when the parent process ends: the system then gives this process another parent.
func watchParent(ctx context.Context, cancel func()) {
	parent := os.Getppid()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				cancel()
				return
			}
		}
	}
}

// lockFolder refuses a second "up" on the same folder. The system releases the lock when the process ends.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use by another kubecluster", dir)
	}
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a child being started may hold a copy of the file a little longer
		_ = f.Close()
	}, nil
}

// choosePorts returns the first port of a range that is free now: want if given, else the folder's last one, else a
// random one below the range from which systems draw the ports of outgoing connections.
func choosePorts(dir string, want, count int) (int, error) {
	file := filepath.Join(dir, "port")
	size := (count + 1) * portsPerCluster
	candidates := []int{want}
	if want == 0 {
		candidates = nil
		if b, err := os.ReadFile(file); err == nil {
			if p, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				candidates = append(candidates, p)
			}
		}
		for range 200 {
			candidates = append(candidates, 16000+rand.IntN(16000-size))
		}
	}
	for _, p := range candidates {
		if !rangeFree(p, size) {
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(p)+"\n"), 0o644); err != nil {
			return 0, fmt.Errorf("keep port: %w", err)
		}
		return p, nil
	}
	if want != 0 {
		return 0, fmt.Errorf("ports %d to %d are not all free", want, want+size-1)
	}
	return 0, errors.New("found no free range of ports")
}

func rangeFree(first, size int) bool {
	for p := first; p < first+size; p++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// runKill ends one child of an "up" the hard way, for tests of what happens then.
func runKill(args []string) error {
	fs := flag.NewFlagSet("kill", flag.ContinueOnError)
	dir := fs.String("dir", "", "folder given to up")
	name := fs.String("name", "c1", "cluster, or etcd")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if unlock, err := lockFolder(*dir); err == nil {
		unlock()
		return fmt.Errorf("no kubecluster runs in %s", *dir)
	}
	b, err := os.ReadFile(filepath.Join(*dir, *name, "pid"))
	if err != nil {
		return fmt.Errorf("find process of %s: %w", *name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read process id of %s: %w", *name, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", *name, err)
	}
	return nil
}
