package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ProcSpec says how to start a program and when it counts as ready.
type ProcSpec struct {
	Name string   // for logs; default: the program's file name
	Path string   // program, see Build
	Args []string // without the program's name
	Env  []string // NAME=value, added to PATH, HOME and TMPDIR of this process, which is all that it inherits
	Dir  string   // working directory; default: a new temporary one

	// All of the given ones have to hold; none given: ready at once.
	ReadyLog string // a text that its output contains
	ReadyTCP string // host:port that takes connections
	ReadyURL string // URL that answers GET with 2xx

	Timeout time.Duration // for getting ready; default: 30 s
}

// Proc is a program under test. Its output goes to the test's log if the test fails.
type Proc struct {
	spec ProcSpec
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
}

// Start starts a program, waits until it is ready, and kills it when the test ends. A program that ends or is not ready
// in time fails the test.
func Start(t testing.TB, spec ProcSpec) *Proc {
	t.Helper()
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Path)
	}
	if spec.Timeout == 0 {
		spec.Timeout = 30 * time.Second
	}
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	p := &Proc{spec: spec, done: make(chan struct{})}
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Dir = spec.Dir
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = 5 * time.Second // do not wait longer for grandchildren that hold the output open
	if err := startBound(p.cmd, func() { close(p.done) }); err != nil {
		t.Fatalf("start %s: %v", spec.Name, err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s (%s):\n%s", spec.Name, p.cmd.ProcessState, p.Logs())
		}
	})
	p.awaitReady(t)
	return p
}

func (p *Proc) awaitReady(t testing.TB) {
	t.Helper()
	end := time.Now().Add(p.spec.Timeout)
	if p.spec.ReadyLog != "" {
		p.WaitLog(t, p.spec.ReadyLog, p.spec.Timeout)
	}
	for {
		err := p.answers()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended before it was ready: %s", p.spec.Name, p.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not ready after %s: %v", p.spec.Name, p.spec.Timeout, err)
		}
	}
}

func (p *Proc) answers() error {
	if p.spec.ReadyTCP != "" {
		c, err := net.DialTimeout("tcp", p.spec.ReadyTCP, time.Second)
		if err != nil {
			return err
		}
		_ = c.Close()
	}
	if p.spec.ReadyURL != "" {
		client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(p.spec.ReadyURL)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode/100 != 2 {
			return errors.New(res.Status)
		}
	}
	return nil
}

// PID is the process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Logs is all that the program has written so far to its standard output and standard error.
func (p *Proc) Logs() string { return p.out.String() }

// WaitLog waits until the output contains text and returns the first line that does. It fails the test if the program
// ends or the time passes first.
func (p *Proc) WaitLog(t testing.TB, text string, limit time.Duration) string {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		for line := range strings.Lines(p.Logs()) {
			if strings.Contains(line, text) {
				return strings.TrimRight(line, "\r\n")
			}
		}
		if ended {
			t.Fatalf("%s ended (%s) without writing %q", p.spec.Name, p.cmd.ProcessState, text)
		}
		if time.Now().After(end) {
			t.Fatalf("%s has not written %q in %s", p.spec.Name, text, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill is kill -9; it returns when the process is gone.
func (p *Proc) Kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}

// Signal sends a signal; SIGSTOP and SIGCONT make the program hang and go on.
func (p *Proc) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", p.spec.Name, err)
	}
}

// Terminate sends SIGTERM and returns the exit code. It fails the test if the program does not end within limit.
func (p *Proc) Terminate(t testing.TB, limit time.Duration) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("terminate %s: %v", p.spec.Name, err)
	}
	return p.Wait(t, limit)
}

// Wait waits for the program to end by itself and returns the exit code, -1 if a signal ended it. It fails the test if
// that takes longer than limit.
func (p *Proc) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("%s still runs after %s", p.spec.Name, limit)
		return -1
	}
}

// Build compiles a main package of this repository, named by its path from the root ("./cmd/brokkr"), into a temporary
// folder and returns the program's path. Go's build cache makes the second time cheap.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	root, err := Repository(t.Context())
	if err != nil {
		t.Fatalf("build %s: %v", pkg, err)
	}
	program := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := []string{"build", "-ldflags=-s -w", "-o", program}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program
}

// startBound starts a child that, on Linux, ends with this process, and calls ended when it has. The thread that starts
// it is kept, since Linux takes the thread's end for the process's.
func startBound(cmd *exec.Cmd, ended func()) error {
	cmd.SysProcAttr = boundAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
			ended()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return nil
}

// output collects what a process writes while others read.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
