package localpg

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// errPortTaken says that another process took the port between the choice and the start.
var errPortTaken = errors.New("port was taken")

// errOldOnes says that processes of a server whose main process was killed are not gone yet.
var errOldOnes = errors.New("processes of the server before it still run")

// runner starts PostgreSQL's programs in a data directory, as the right user and without this process's environment.
type runner struct {
	bin     installation
	dir     string
	account *account
	logger  *slog.Logger
}

func (r runner) prepare(cmd *exec.Cmd) {
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + r.bin.dir + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + r.dir, "LC_ALL=C", "TZ=UTC"}
}

func (r runner) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin.dir, name), args...)
	r.prepare(cmd)
	cmd.SysProcAttr = attributes(r.account, false)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// process is a server's child process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its log is read
	err  error         // how it ended; to be read after done
	log  *logTail
}

// serve starts the server and does not wait for it.
func (r runner) serve(f files, settings map[string]string) (*process, error) {
	args := []string{"-D", f.pgdata}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	cmd := exec.Command(filepath.Join(r.bin.dir, "postgres"), args...)
	r.prepare(cmd)
	cmd.SysProcAttr = attributes(r.account, true)
	// A pipe of the system instead of one by os/exec: Wait would otherwise wait for orphaned backends that hold it open.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe for the log: %w", err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	p := &process{cmd: cmd, done: make(chan struct{}), log: &logTail{logger: r.logger}}
	started := make(chan error, 1)
	go func() {
		// Linux ends the child when the thread that started it ends, so that thread must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = write.Close()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			_ = read.SetReadDeadline(time.Now().Add(time.Second))
			p.log.wait()
			close(p.done)
		}
	}()
	p.log.read(read)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := writeOwn(f.pid, strconv.Itoa(cmd.Process.Pid)+"\n"); err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("keep process id: %w", err)
	}
	return p, nil
}

// stop asks for a fast shutdown and, when ctx ends first, for an immediate one.
func (p *process) stop(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.log.serving.Store(false)
	for _, fast := range []bool{true, false} {
		select {
		case <-p.done:
			return nil
		default:
		}
		if err := signalStop(p.cmd.Process.Pid, fast); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
		}
		ctx = context.WithoutCancel(ctx)
		if !fast {
			break
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
	}
	_ = p.cmd.Process.Kill() // fails only if it has ended by now
	<-p.done
	return nil
}

// awaitReady returns nil when the server takes connections. One that answers that it cannot yet, since it recovers from a crash, gets all the time that
// it takes: ended meanwhile it would begin from the start the next time, and never come to the end.
func (s *Server) awaitReady(ctx context.Context, ping func(context.Context) error) error {
	began := time.Now()
	end, told := began.Add(s.cfg.StartTimeout), began
	for {
		err := within(ctx, end, ping)
		if err == nil {
			s.process.log.serving.Store(true)
			return nil
		}
		now := time.Now()
		if recovering(err) {
			end = now.Add(s.cfg.StartTimeout)
			if now.Sub(told) >= tellEvery {
				told = now
				s.cfg.Logger.InfoContext(ctx, "the private PostgreSQL recovers from a crash; waiting", "component", "postgres", "for", now.Sub(began).Round(time.Second).String(), "its_log", s.process.log.tail())
			}
		}
		if !now.Before(end) {
			return fmt.Errorf("not ready in time: %w: %s", err, s.process.log.tail())
		}
		select {
		case <-s.process.done:
			tail := s.process.log.tail()
			if strings.Contains(tail, "could not bind") {
				return fmt.Errorf("%w: %s", errPortTaken, tail)
			}
			if strings.Contains(tail, "pre-existing shared memory block") {
				return fmt.Errorf("%w: %s", errOldOnes, tail)
			}
			return fmt.Errorf("the server ended (%w): %s", s.process.err, tail)
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w: %s", err, s.process.log.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tellEvery is the time between lines that say what is waited for.
const tellEvery = 10 * time.Second

// within bounds one try.
func within(ctx context.Context, end time.Time, ping func(context.Context) error) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return ping(ctx)
}

// recovering says whether the server answered that it takes no connections at the moment.
func recovering(err error) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Code == "57P03" // cannot_connect_now
}

// Ping returns nil if the server of a URL takes this connection.
func Ping(ctx context.Context, dsn string) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

func createDatabase(ctx context.Context, dsn, name string) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(name))
	var pqErr *pq.Error
	if errors.As(err, &pqErr) && pqErr.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// logTail passes the server's log lines on and remembers the last of them for errors.
type logTail struct {
	logger  *slog.Logger
	serving atomic.Bool // it takes connections, and shall go on with it
	wg      sync.WaitGroup
	mu      sync.Mutex
	last    []string
}

const rememberedLines = 8

func (l *logTail) read(r *os.File) {
	l.wg.Go(func() {
		defer r.Close() //nolint:errcheck // nothing was written
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			if line = strings.TrimSpace(line); line != "" {
				l.add(line)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					l.logger.Debug("the server's log ended", "component", "postgres", "error", err)
				}
				return
			}
		}
	})
}

func (l *logTail) add(line string) {
	level := slog.LevelDebug // LOG, and ERROR, which is one statement's and is reported to who sent it
	switch {
	// While it starts and ends it turns connections away with FATAL; a start that fails has these lines in its error.
	case strings.HasPrefix(line, "FATAL:") && l.serving.Load(), strings.HasPrefix(line, "PANIC:"):
		level = slog.LevelError
	case strings.HasPrefix(line, "WARNING:"):
		level = slog.LevelWarn
	}
	l.logger.Log(context.Background(), level, line, "component", "postgres")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, line); len(l.last) > rememberedLines {
		l.last = l.last[1:]
	}
}

func (l *logTail) wait() { l.wg.Wait() }

func (l *logTail) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "; ")
}
