// Package localpg runs a private PostgreSQL server as a child process, from programs that are installed on the machine.
// It lets the all-in-one server and the tests run without a database that somebody has set up.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Errors that callers may want to tell apart, by errors.Is.
var (
	// ErrNotInstalled says that no usable PostgreSQL programs were found.
	ErrNotInstalled = errors.New("PostgreSQL is not installed: apt-get install postgresql (Debian, Ubuntu) or brew install postgresql (macOS)")
	// ErrInUse says that another process runs a server on the data directory.
	ErrInUse = errors.New("data directory is in use")
	// ErrVersion says that the data directory was made by a major version that is not installed.
	ErrVersion = errors.New("data directory is of another PostgreSQL version")
)

// Config says where the server keeps its data and how it runs.
type Config struct {
	// DataDir is created if absent and holds everything: the database files, the password, the port. See DefaultDataDir. Where this process is
	// root's, so is the folder; the user of RunAs has the database files alone.
	DataDir string
	// Locked is called as soon as the data directory is this process's, before a server is started. An error ends the start.
	Locked func() error
	// Database is created if absent; URL leads to it. Default: brokkr.
	Database string
	// Logger gets the server's own log, errors of single statements at debug level. Default: none.
	Logger *slog.Logger
	// FsyncOff trades durability for speed: data may be corrupt after a crash of the machine. For tests.
	FsyncOff bool
	// RunAs is the user whose process the server is if this process is root's, since PostgreSQL refuses to run as root.
	// Default: postgres. Ignored for any other user.
	RunAs string
	// Settings are further parameters of postgresql.conf, such as max_connections.
	Settings map[string]string
	// StartTimeout bounds initdb and boot, each; a boot that recovers from a crash takes as long as it needs. Default: one minute.
	StartTimeout time.Duration
}

// Server is a running PostgreSQL.
type Server struct {
	cfg      Config
	files    files
	port     int
	password string
	process  *process
	release  func()
	alone    func() // after AwaitGuests
	stopOnce sync.Once
	stopErr  error
}

const (
	superuser     = "brokkr"
	stopLimit     = 20 * time.Second
	startAttempts = 3 // another process may take the port that was found free
	oldOnesLimit  = 30 * time.Second
	oldOnesPause  = 200 * time.Millisecond
	guestsPause   = 50 * time.Millisecond
)

// files are the paths below a data directory.
type files struct {
	dir, pgdata, password, port, lock, pid, guests string
}

func filesOf(dir string) files {
	in := func(name string) string { return filepath.Join(dir, name) }
	return files{dir: dir, pgdata: in("pgdata"), password: in("password"), port: in("port"), lock: in("lock"), pid: in("pid"), guests: in("guests")}
}

// Start boots a server on cfg.DataDir and returns when it takes connections; ctx bounds the start only. A data directory
// from an earlier run keeps its data and password, and its port as long as that is free. The server ends with Stop and,
// on Linux, with this process; elsewhere a server left over is ended by the next Start.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	account, err := accountFor(cfg.RunAs)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, files: filesOf(cfg.DataDir)}
	if err := prepareDir(s.files, account); err != nil {
		return nil, err
	}
	if s.release, err = lock(s.files.lock); err != nil {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", cfg.DataDir, err)
	}
	if cfg.Locked != nil {
		if err := cfg.Locked(); err != nil {
			s.release()
			return nil, err
		}
	}
	if err := s.start(ctx, account); err != nil {
		s.release()
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", cfg.DataDir, err)
	}
	return s, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("start PostgreSQL: no data directory given")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("resolve data directory: %w", err)
	}
	c.DataDir = dir
	if c.Database == "" {
		c.Database = "brokkr"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = time.Minute
	}
	return c, nil
}

func (s *Server) start(ctx context.Context, account *account) error {
	if err := endOrphan(ctx, s.files); err != nil {
		return err
	}
	bin, err := findFor(ctx, s.files.pgdata)
	if err != nil {
		return err
	}
	run := runner{bin: bin, dir: s.files.dir, account: account, logger: s.cfg.Logger}
	if s.password, err = keepPassword(s.files, bin.dir); err != nil {
		return err
	}
	if err := s.initialise(ctx, run); err != nil {
		return err
	}
	began := time.Now()
	for attempt := 1; ; {
		if s.port, err = choosePort(s.files.port, attempt > 1); err != nil {
			return err
		}
		err = s.boot(ctx, run)
		switch {
		case err == nil:
		case errors.Is(err, errPortTaken) && attempt < startAttempts:
			attempt++
			continue
		case errors.Is(err, errOldOnes) && time.Since(began) < oldOnesLimit && sleep(ctx, oldOnesPause):
			continue // they end by themselves when they have done what they are at
		default:
			return err
		}
		break
	}
	if err := createDatabase(ctx, s.dsn("postgres"), s.cfg.Database); err != nil {
		return errors.Join(err, s.end(context.WithoutCancel(ctx)))
	}
	return nil
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// initialise runs initdb once. It works on a folder aside, so that one cut short leaves nothing that looks complete.
func (s *Server) initialise(ctx context.Context, run runner) error {
	if _, err := os.Stat(filepath.Join(s.files.pgdata, "PG_VERSION")); err == nil {
		return nil
	}
	aside := s.files.pgdata + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("clear unfinished data directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	passwordFile := s.files.password
	if a := run.account; a != nil { // which makes nothing in a folder of root's
		if err := errors.Join(os.Mkdir(aside, 0o700), os.Lchown(aside, int(a.uid), int(a.gid))); err != nil {
			return fmt.Errorf("make the folder of the database files: %w", err)
		}
		lent, err := lend(s.files.dir, s.password+"\n", a)
		if err != nil {
			return fmt.Errorf("show the password to initdb: %w", err)
		}
		defer os.Remove(lent) //nolint:errcheck // it was of use for a moment
		passwordFile = lent
	}
	args := []string{"--pgdata=" + aside, "--username=" + superuser, "--pwfile=" + passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"}
	if s.cfg.FsyncOff {
		args = append(args, "--no-sync")
	}
	if out, err := run.output(ctx, "initdb", args...); err != nil {
		return fmt.Errorf("run initdb: %w: %s", err, out)
	}
	if err := os.Rename(aside, s.files.pgdata); err != nil {
		return fmt.Errorf("finish data directory: %w", err)
	}
	if err := syncDir(s.files.dir); err != nil {
		return fmt.Errorf("finish data directory: %w", err)
	}
	return nil
}

func (s *Server) boot(ctx context.Context, run runner) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		"log_destination":         "stderr",
		"logging_collector":       "off",
		"log_line_prefix":         "",
		"lc_messages":             "C",
	}
	if s.cfg.FsyncOff {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	for k, v := range s.cfg.Settings {
		settings[k] = v
	}
	var err error
	if s.process, err = run.serve(s.files, settings); err != nil {
		return err
	}
	if err := s.awaitReady(ctx, func(ctx context.Context) error { return Ping(ctx, s.dsn("postgres")) }); err != nil {
		return errors.Join(err, s.end(context.WithoutCancel(ctx)))
	}
	return nil
}

// URL is the DSN of Config.Database for lib/pq and everything else that takes a postgres:// URL. It contains the password.
// The user is the server's superuser.
func (s *Server) URL() string { return s.dsn(s.cfg.Database) }

func (s *Server) dsn(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Done is closed when the server has ended, asked or not.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Stop ends the server: open transactions are rolled back, data is flushed. If ctx ends or 20 s pass first, it is ended
// the hard way, which loses nothing that was committed but makes the next start recover. Further calls return the same.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopErr = s.end(ctx)
		if s.alone != nil {
			s.alone()
		}
		s.release()
	})
	return s.stopErr
}

func (s *Server) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := s.process.stop(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if err := os.Remove(s.files.pid); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove process id: %w", err)
	}
	return nil
}

// Attend says that this process uses the server that another one runs on the data directory, until release is called: see AwaitGuests. ErrInUse if
// that one is about to stop it.
func Attend(dataDir string) (release func(), err error) {
	release, err = share(filesOf(dataDir).guests)
	if err != nil {
		return nil, fmt.Errorf("attend the server in %s: %w", dataDir, err)
	}
	return release, nil
}

// AwaitGuests waits until no other process attends the server; none can from then on. Its error is that of ctx. It is for the one that is about to Stop it.
func (s *Server) AwaitGuests(ctx context.Context) error {
	for {
		release, err := lock(s.files.guests)
		if err == nil {
			s.alone = release
			return nil
		}
		if !errors.Is(err, ErrInUse) {
			return err
		}
		if !sleep(ctx, guestsPause) {
			return ctx.Err()
		}
	}
}

// DefaultDataDir is where a private server keeps its data unless told otherwise: /var/lib/brokkr/postgres for root, since
// the user that PostgreSQL then runs as cannot enter root's home, and the user's state directory for anybody else.
func DefaultDataDir(getenv func(string) string) (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/brokkr/postgres", nil
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "brokkr", "postgres"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("choose a data directory for PostgreSQL: neither XDG_STATE_HOME nor HOME is set")
	}
	return filepath.Join(home, ".local", "state", "brokkr", "postgres"), nil
}
