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

// How long a command waits for a broker that is just starting the private server, and how often it looks.
const (
	attachLimit = 30 * time.Second
	attachEvery = 200 * time.Millisecond
)

// Database is a PostgreSQL that takes connections.
type Database struct {
	url    string
	server *localpg.Server // nil if somebody else runs it
	file   string
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
func Open(ctx context.Context, o Options) (*Database, error) {
	if o.URL != "" {
		return &Database{url: o.URL}, nil
	}
	file := filepath.Join(o.StateDir, urlFile)
	server, err := localpg.Start(ctx, localpg.Config{DataDir: filepath.Join(o.StateDir, serverFolder), Logger: o.Log})
	switch {
	case errors.Is(err, localpg.ErrInUse) && o.Attach:
		return attach(ctx, file)
	case errors.Is(err, localpg.ErrInUse):
		return nil, fmt.Errorf("another broker runs on %s; stop it, or give this one a folder of its own (--state-dir): %w", o.StateDir, err)
	case errors.Is(err, localpg.ErrNotInstalled):
		return nil, fmt.Errorf("%w; or name a database of yours by DATABASE_URL=postgres://user:password@host/brokkr", err)
	case err != nil:
		return nil, fmt.Errorf("private database in %s (broker.state_dir): %w", o.StateDir, err)
	}
	d := &Database{url: server.URL(), server: server, file: file}
	if err := os.WriteFile(file, []byte(d.url+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("note where the private database listens: %w", err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// attach reads where the running server listens. A broker that has just begun to start has not written that yet.
func attach(ctx context.Context, file string) (*Database, error) {
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	for {
		b, err := os.ReadFile(file)
		if err == nil && len(b) > 0 {
			return &Database{url: strings.TrimSpace(string(b))}, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find the running broker's database: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the private database is in use, but its address did not appear in %s", file)
		case <-time.After(attachEvery):
		}
	}
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

// Close stops a private server; a database that is not ours stays as it is.
func (d *Database) Close(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	if err := os.Remove(d.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("forget where the private database listened: %w", err), d.server.Stop(ctx))
	}
	return d.server.Stop(ctx)
}
