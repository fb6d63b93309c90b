package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience with a process that is to be ready, or to end.
const patience = time.Minute

// process is one program of the product.
type process struct {
	name, path string
	args       []string
	env        []string
	ready      string // URL that answers 200 when it is ready; a handler of the public or the health listener
	admin      string // URL of the listener for metrics and profiles
	log        string // file

	cmd     *exec.Cmd
	done    chan struct{}
	started time.Time
	spent   float64 // CPU seconds of former processes
	peak    int64   // largest resident memory of former ones
}

// freeAddress is a port of the loopback address that was free just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts the program and returns at once.
func (p *process) start() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer out.Close() //nolint:errcheck // the program has its own
	p.cmd = exec.Command(p.path, p.args...)
	if filepath.Base(p.path) == "brokkr-broker" {
		p.cmd.Args = append(p.cmd.Args, "serve")
	}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	go func() {
		_ = p.cmd.Wait() // how it ended is in its state
		close(p.done)
	}()
	return nil
}

// await waits until the program is ready.
func (p *process) await(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for end := time.Now().Add(patience); ; {
		err := get(ctx, client, p.ready, nil)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready; the end of its log:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", p.name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %s: %w; the end of its log:\n%s", p.name, patience, err, p.tail())
		}
	}
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// stop ends the program by SIGTERM, or SIGKILL if it does not end.
func (p *process) stop() error {
	if p.done == nil {
		return nil
	}
	u := p.usage()
	p.spent, p.peak = u.cpu, u.peak
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s after SIGTERM", p.name, patience)
	}
	p.done = nil
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with status %d after SIGTERM; the end of its log:\n%s", p.name, code, p.tail())
	}
	return nil
}

// usage is what a process has used: CPU seconds, and the largest resident memory in bytes.
type usage struct {
	cpu  float64
	peak int64
}

func (p *process) usage() usage {
	u := usage{cpu: p.spent, peak: p.peak}
	if p.done != nil {
		u.cpu += cpuOf(p.cmd.Process.Pid, false)
		u.peak = max(u.peak, peakOf(p.cmd.Process.Pid))
	}
	return u
}

// ticks a second, in which Linux tells of CPU time on all machines that Go runs on.
const ticks = 100

// cpuOf returns the CPU seconds of a process, with those of its ended children if wanted; 0 where there is no /proc.
func cpuOf(pid int, children bool) float64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // a name may have spaces
	if len(fields) < 15 {
		return 0
	}
	sum, last := 0.0, 13
	if children {
		last = 15
	}
	for _, f := range fields[11:last] {
		n, _ := strconv.ParseFloat(f, 64) // the kernel writes numbers
		sum += n
	}
	return sum / ticks
}

// parentOf returns the parent of a process.
func parentOf(pid int) int {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// treeCPU is the CPU time of a process and its children, the ended ones included.
func treeCPU(pid int) float64 {
	sum := cpuOf(pid, true)
	all, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range all {
		if child, err := strconv.Atoi(filepath.Base(dir)); err == nil && parentOf(child) == pid {
			sum += cpuOf(child, true)
		}
	}
	return sum
}

// peakOf is the largest resident memory that a process has had.
func peakOf(pid int) int64 { return statusOf(pid, "VmHWM:") }

// statusOf reads a size of /proc/PID/status, in bytes.
func statusOf(pid int, name string) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// get reads a URL; out may be nil.
func get(ctx context.Context, c *http.Client, url string, out *[]byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	res, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	if out != nil {
		*out = text
	}
	return nil
}

// metrics are what a program tells of itself.
type metrics string

func (p *process) metrics(ctx context.Context) (metrics, error) {
	var text []byte
	err := get(ctx, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, p.admin+"/metrics", &text)
	return metrics(text), err
}

// sum is the sum over the series of a metric that contain label, as text; "" is any.
func (m metrics) sum(name, label string) float64 {
	sum := 0.0
	for line := range strings.Lines(string(m)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '{') || !strings.Contains(rest, label) {
			continue
		}
		fields := strings.Fields(rest)
		n, _ := strconv.ParseFloat(fields[len(fields)-1], 64) // Prometheus' text has numbers there
		sum += n
	}
	return sum
}
