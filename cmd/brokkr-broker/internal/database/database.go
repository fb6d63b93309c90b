// Package database finds the PostgreSQL that the broker works on: the one that is configured, or a private one in the
// user's state folder that lives as long as it is needed.
package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/localpg"
)

// The private server's place below the state folder, and the file that tells other commands of the same user where a
// running one listens. It holds the password and is readable by its owner alone.
const (
	serverFolder = "postgres"
	urlFile      = "database-url"
)

// How long a process waits for another one that is just starting or stopping the private server, and how often it looks.
const (
	attachLimit = 30 * time.Second
	attachEvery = 200 * time.Millisecond
	pingLimit   = 5 * time.Second
)

// How long a server waits before it ends for commands that use it. A broker is asked to end by somebody who waits for that.
const (
	guestsOfACommand = time.Minute
	guestsOfABroker  = 5 * time.Second
)

// Database is a PostgreSQL that takes connections.
type Database struct {
	url     string
	server  *localpg.Server // nil if somebody else runs it
	file    string
	guests  time.Duration // how long Close waits for others that use the server
	release func()        // of somebody else's
	log     *slog.Logger
}

// Options say where to look.
type Options struct {
	URL      string // of the configured database; empty: the private one
	StateDir string // of the private one; empty: the user's state folder
	Log      *slog.Logger
	// Attach allows the use of a private server that another process of this user runs.
	Attach bool
}

// StateDir returns the folder that holds the private server unless another is configured.
func StateDir(getenv func(string) string) (string, error) {
	dir, err := localpg.DefaultDataDir(getenv)
	if err != nil {
		return "", err
	}
	return filepath.Dir(dir), nil
}

// Open returns the configured database as it is, or starts the private server. ctx bounds the start alone.
//
// Of the processes of one user one runs the private server. The others of them that attach use it; it waits for them before it stops it. One that
// does not attach, a broker, waits for commands that run it, but not for another broker.
func Open(ctx context.Context, o Options) (*Database, error) {
	if o.URL != "" {
		return &Database{url: o.URL}, nil
	}
	file := filepath.Join(o.StateDir, urlFile)
	for begin, seen, told := time.Now(), 0, false; ; {
		server, err := localpg.Start(ctx, localpg.Config{DataDir: filepath.Join(o.StateDir, serverFolder), Logger: o.Log,
			Locked: func() error { return forget(file) }}) // of a server that is no more
		if !errors.Is(err, localpg.ErrInUse) {
			return started(ctx, o, file, server, err)
		}
		owner, url := noted(file)
		switch {
		case o.Attach:
			if d, ok := attach(ctx, o.StateDir, file, url); ok {
				return d, nil
			}
		case owner == ofServe:
			if seen++; seen > 1 { // and not just a note that the one which starts now is about to remove
				return nil, fmt.Errorf("another broker runs on %s; stop it, or give this one a folder of its own (--state-dir): %w", o.StateDir, err)
			}
		}
		if !told && o.Log != nil {
			told = true
			o.Log.InfoContext(ctx, "waiting for another process that has the private database", "state_dir", o.StateDir, "at_most", attachLimit.String())
		}
		if time.Since(begin) >= attachLimit {
			return nil, fmt.Errorf("another process has had the private database in %s for %s, and takes no connections: %w", o.StateDir, attachLimit, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(attachEvery):
		}
	}
}

func started(ctx context.Context, o Options, file string, server *localpg.Server, err error) (*Database, error) {
	switch {
	case errors.Is(err, localpg.ErrNotInstalled):
		return nil, fmt.Errorf("%w; or name a database of yours by DATABASE_URL=postgres://user:password@host/brokkr", err)
	case err != nil:
		return nil, fmt.Errorf("private database in %s (broker.state_dir): %w", o.StateDir, err)
	}
	d := &Database{url: server.URL(), server: server, file: file, guests: guestsOfABroker, log: o.Log}
	owner := ofServe
	if o.Attach {
		d.guests, owner = guestsOfACommand, ofCommand
	}
	if err := os.WriteFile(file, []byte(d.url+"\n"+owner+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("note where the private database listens: %w", err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// Whose server it is, as the second line of the note says.
const (
	ofServe   = "serve"
	ofCommand = "command"
)

// noted reads whose the running server is and where it listens; empty as long as that is not known.
func noted(file string) (owner, url string) {
	b, err := os.ReadFile(file) //nolint:gosec // in the operator's state folder
	if err != nil {
		return "", ""
	}
	url, rest, complete := strings.Cut(string(b), "\n")
	if !complete {
		return "", ""
	}
	if strings.TrimSpace(rest) == ofCommand {
		return ofCommand, url
	}
	return ofServe, url
}

func forget(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget where the private database listened: %w", err)
	}
	return nil
}

// attach returns the running server if it takes connections, and holds it until Close.
func attach(ctx context.Context, stateDir, file, url string) (*Database, bool) {
	if url == "" {
		return nil, false
	}
	release, err := localpg.Attend(filepath.Join(stateDir, serverFolder))
	if err != nil {
		return nil, false // it is about to end
	}
	// Noted still: otherwise it was about to end before it was attended.
	if _, now := noted(file); now == url && answers(ctx, url) {
		return &Database{url: url, release: release}, true
	}
	release()
	return nil, false
}

// answers says whether the server at url is ours and takes connections.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	return localpg.Ping(ctx, url) == nil
}

// URL is the DSN; it is secret.
func (d *Database) URL() string { return d.url }

// Private reports whether this process runs the server.
func (d *Database) Private() bool { return d.server != nil }

// Watch returns when ctx ends, or with an error when a private server ends by itself.
func (d *Database) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.Done():
		return errors.New("the private PostgreSQL ended by itself; its last lines are in this log")
	}
}

// Close stops a private server, when the others that use it have done what they are at, or had the time for it; a database that is not ours stays
// as it is.
func (d *Database) Close(ctx context.Context) error {
	if d.release != nil {
		d.release()
	}
	if d.server == nil {
		return nil
	}
	if err := forget(d.file); err != nil {
		return errors.Join(err, d.server.Stop(ctx))
	}
	wait, cancel := context.WithTimeout(ctx, d.guests)
	defer cancel()
	if err := d.server.AwaitGuests(wait); err != nil && d.log != nil {
		d.log.WarnContext(ctx, "the private PostgreSQL is stopped while another command uses it", "waited", d.guests.String())
	}
	return d.server.Stop(ctx)
}
