package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// supervisor runs this binary's own subcommands as children, starts again what dies and ends all of them at the end.
type supervisor struct {
	self string // path of this binary
	dir  string
	say  func(format string, args ...any)
	wg   sync.WaitGroup
}

// restartPause keeps a child that dies at once from being started in a tight loop.
const restartPause = 300 * time.Millisecond

// keep runs one child until ctx ends, starting it again whenever it dies. Its output goes to dir/NAME/log, its process id
// to dir/NAME/pid. The returned channel closes when the child is gone for good.
func (s *supervisor) keep(ctx context.Context, name string, args ...string) (<-chan struct{}, error) {
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of %s: %w", name, err)
	}
	child, err := s.start(name, args)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	s.wg.Go(func() {
		defer close(done)
		for {
			exited := make(chan error, 1)
			go func() { exited <- child.cmd.Wait() }()
			select {
			case <-ctx.Done():
				child.stop(exited)
				return
			case err := <-exited:
				child.close()
				s.say("%s ended (%v), starting it again", name, err)
			}
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(restartPause):
				}
				if child, err = s.start(name, args); err == nil {
					break
				}
				s.say("%v", err)
			}
		}
	})
	return done, nil
}

// child is a running subcommand. It ends by itself when its standard input closes, which happens when the supervisor is
// gone, however that came about.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   io.Closer
	pid   string // path of the file
}

func (s *supervisor) start(name string, args []string) (*child, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, name, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	cmd := exec.Command(s.self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C reaches the supervisor alone, which then ends them in order
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe of %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{cmd: cmd, stdin: stdin, log: log, pid: filepath.Join(s.dir, name, "pid")}
	if err := os.WriteFile(c.pid, strconv.AppendInt(nil, int64(cmd.Process.Pid), 10), 0o600); err != nil {
		s.say("write process id of %s: %v", name, err)
	}
	return c, nil
}

// stop kills at once: nothing here is worth an orderly end, etcd's log survives it, and tests are over sooner.
func (c *child) stop(exited <-chan error) {
	_ = c.cmd.Process.Kill() // fails only if it is gone already
	<-exited
	c.close()
}

func (c *child) close() {
	_ = os.Remove(c.pid)
	_ = c.stdin.Close()
	_ = c.log.Close()
}

// endWithParent calls cancel when standard input ends, which the supervisor holds open, and ends the process if that does
// not suffice within two seconds.
func endWithParent(cancel func()) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
		time.Sleep(2 * time.Second)
		os.Exit(1)
	}()
}
