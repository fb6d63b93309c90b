package localpg_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/localpg"
)

// dataDir is a folder that the user postgres can reach when the test runs as root, unlike t.TempDir.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

func start(t *testing.T, cfg localpg.Config) *localpg.Server {
	t.Helper()
	cfg.FsyncOff = true
	s, err := localpg.Start(t.Context(), cfg)
	if errors.Is(err, localpg.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func exec1(t *testing.T, dsn, query string) (got string) {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&got); err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func TestRestartKeepsDataAndAddress(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t), Database: "some name", Settings: map[string]string{"max_connections": "33"}}
	first := start(t, cfg)
	exec1(t, first.URL(), "CREATE TABLE a AS SELECT 'kept' AS v")
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Done():
	default:
		t.Error("Done is not closed after Stop")
	}
	second := start(t, cfg)
	if got := exec1(t, second.URL(), "SELECT v FROM a"); got != "kept" {
		t.Errorf("got %q after restart, want kept", got)
	}
	if first.URL() != second.URL() {
		t.Errorf("got URL %s after restart, want %s", second.URL(), first.URL())
	}
	if got := exec1(t, second.URL(), "SHOW max_connections"); got != "33" {
		t.Errorf("got max_connections %s, want 33", got)
	}
	info, err := os.Stat(filepath.Join(cfg.DataDir, "password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got password file %v, %v, want mode 0600", info, err)
	}
	u, err := url.Parse(second.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "wrong")
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil {
		t.Error("a wrong password is accepted")
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t)}
	s := start(t, cfg)
	if _, err := localpg.Start(t.Context(), cfg); !errors.Is(err, localpg.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if got := exec1(t, s.URL(), "SELECT 'alive'"); got != "alive" {
		t.Errorf("the first server suffered: got %q", got)
	}
}

// A start that succeeds reads like one, also when the server before was killed and connections are turned away until it has
// recovered; what goes wrong afterwards is an error in the log.
func TestAStartLogsNoError(t *testing.T) {
	t.Parallel()
	var logs buffer
	cfg := localpg.Config{DataDir: dataDir(t), Logger: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	killed := start(t, cfg)
	exec1(t, killed.URL(), "CREATE TABLE a AS SELECT generate_series(1, 10000) AS v")
	text, err := os.ReadFile(filepath.Join(cfg.DataDir, "pgdata", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-killed.Done()
	if err := killed.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg)
	if said := logs.String(); strings.Contains(said, "level=ERROR") || !strings.Contains(said, "database system was interrupted") {
		t.Errorf("a start after a crash logs, want no error:\n%s", said)
	}
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/absent"
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil {
		t.Error("a database that is absent is there")
	}
	waitFor(t, "the error in the log", func() bool { return strings.Contains(logs.String(), "level=ERROR msg=\"FATAL:") })
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t)}
	s := start(t, cfg)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A process that lives, but is no PostgreSQL: this one.
	pid := filepath.Join(cfg.DataDir, "pgdata", "postmaster.pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exec1(t, start(t, cfg).URL(), "SELECT 1")
}

func TestOtherMajorVersion(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t)}
	if err := start(t, cfg).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, "pgdata", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := localpg.Start(t.Context(), cfg)
	if !errors.Is(err, localpg.ErrVersion) || !strings.Contains(err.Error(), "made by PostgreSQL 9") {
		t.Errorf("got %v, want ErrVersion naming 9", err)
	}
}

func TestUnreachableDirectoryIsExplained(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	start(t, localpg.Config{DataDir: dataDir(t)}) // skips where PostgreSQL is absent
	dir := dataDir(t)
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+filepath.Dir(dir)) {
		t.Errorf("got %v, want an error about %s", err, filepath.Dir(dir))
	}
	_, err = localpg.Start(t.Context(), localpg.Config{DataDir: dataDir(t), RunAs: "nobody-of-this-name"})
	if err == nil || !strings.Contains(err.Error(), "there is no user") {
		t.Errorf("got %v, want an error about the user", err)
	}
}

// TestHelperProcess is not a test: it is the process that TestServerOfAKilledProcess kills.
func TestHelperProcess(t *testing.T) {
	dir := os.Getenv("LOCALPG_TEST_DIR")
	if dir == "" {
		t.Skip("run by TestServerOfAKilledProcess")
	}
	if _, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir, FsyncOff: true}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

func TestServerOfAKilledProcess(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t)}
	if err := start(t, cfg).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), "LOCALPG_TEST_DIR="+cfg.DataDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(cfg.DataDir, "pid")
	var pid int
	waitFor(t, "the helper's server", func() bool {
		b, err := os.ReadFile(pidFile)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err == nil
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	exec1(t, start(t, cfg).URL(), "SELECT 1") // whether the system has ended the old server yet or not
	waitFor(t, "the old server's end", func() bool { return syscall.Kill(pid, 0) != nil })
}

// The main process is killed while another of the server's processes lives on: two servers on one data directory would
// destroy it, so the next start waits for that one's end.
func TestStartWaitsForTheProcessesOfAKilledServer(t *testing.T) {
	t.Parallel()
	logs := &buffer{}
	cfg := localpg.Config{DataDir: dataDir(t), Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	killed := start(t, cfg)
	db, err := sql.Open("postgres", killed.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var last int
	if err := db.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&last); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(last, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(cfg.DataDir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-killed.Done()
	if err := killed.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() {
		for !strings.Contains(logs.String(), "pre-existing shared memory block") && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		released <- syscall.Kill(last, syscall.SIGCONT)
	}()
	s := start(t, cfg)
	select {
	case err := <-released:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("the server started beside a process of the one before")
		_ = syscall.Kill(last, syscall.SIGKILL)
	}
	if got := exec1(t, s.URL(), "SELECT 1"); got != "1" {
		t.Errorf("got %q, want a server that works", got)
	}
}

// A server that died right after it had made postmaster.pid leaves it empty.
func TestEmptyPIDFile(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t)}
	if err := start(t, cfg).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, "pgdata", "postmaster.pid"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := exec1(t, start(t, cfg).URL(), "SELECT 1"); got != "1" {
		t.Errorf("got %q, want a server that starts", got)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
