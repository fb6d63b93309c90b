package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const stopGrace = 20 * time.Second

// procs are the demo's processes. Ctrl-C reaches the demo alone: each of them has a process group of its own and is
// ended in the reverse order of its start.
type procs struct {
	dir    string // of logs
	all    []*proc
	failed chan error // the first thing that ended by itself
	ending atomic.Bool
}

type proc struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func newProcs(dir string) *procs { return &procs{dir: dir, failed: make(chan error, 1)} }

// start runs a program with its output in <name>.log, standard output apart in <name>.out.
func (ps *procs) start(name, program string, env []string, args ...string) (*proc, error) {
	p := &proc{name: name, log: filepath.Join(ps.dir, name+".log"), done: make(chan struct{})}
	errs, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer errs.Close()
	out, err := os.Create(p.out())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(unsettled(os.Environ()), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, errs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	ps.all = append(ps.all, p)
	go func() {
		err := p.cmd.Wait()
		close(p.done)
		if !ps.ending.Load() {
			ps.fail(fmt.Errorf("%s ended by itself: %w", name, errors.Join(err, p.lastLine())))
		}
	}()
	return p, nil
}

// fail ends the demo with this error, unless it ends for another one already.
func (ps *procs) fail(err error) {
	select {
	case ps.failed <- err:
	default:
	}
}

func (p *proc) out() string { return strings.TrimSuffix(p.log, ".log") + ".out" }

// lastLine is what a process that ended said last.
func (p *proc) lastLine() error {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return errors.New(string(lines[len(lines)-1]))
}

// stop ends the process, the hard way after a while.
func (p *proc) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not end within %s and was killed", p.name, stopGrace)
}

func (ps *procs) stop() error {
	ps.ending.Store(true)
	var errs []error
	for i := len(ps.all) - 1; i >= 0; i-- {
		errs = append(errs, ps.all[i].stop())
	}
	return errors.Join(errs...)
}

// showLogs prints the end of each log, for the reader of a failed run.
func (ps *procs) showLogs() {
	for _, p := range ps.all {
		b, err := os.ReadFile(p.log)
		if err != nil || len(b) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(lines) > 12 {
			lines = lines[len(lines)-12:]
		}
		fmt.Fprintf(os.Stderr, "-- the last lines of %s:\n%s\n", p.name, strings.Join(lines, "\n"))
	}
}

// port returns the preferred port of the loopback address, or a free one if it is taken, and says so.
func port(preferred int, what string) (int, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: preferred})
	if errors.Is(err, syscall.EADDRINUSE) {
		if l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
			say("port %d is taken; %s listens on %d instead", preferred, what, l.Addr().(*net.TCPAddr).Port)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("find a port for %s: %w", what, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// until calls ok twenty times a second until it is true, fails, or limit has passed.
func (ps *procs) until(ctx context.Context, limit time.Duration, what string, ok func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, err := ok(ctx)
		if done {
			return nil
		}
		select {
		case failure := <-ps.failed:
			return failure
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s: not within %s: %w", what, limit, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unsettled returns an environment without Brokkr's own settings: those of the user's shell are for another broker, with
// certificates and keys of its own.
func unsettled(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "BROKKR_") })
}
