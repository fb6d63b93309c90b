package database_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/database"
	"github.com/colliery-io/brokkr/pkg/platform/localpg"
)

// stateDir is a folder that the user postgres can pass through when the test runs as root, unlike t.TempDir.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "brokkr-state-")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // as above
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

type opened struct {
	*database.Database
	err error
}

func open(t *testing.T, dir string, attach bool) opened {
	t.Helper()
	d, err := database.Open(t.Context(), database.Options{StateDir: dir, Attach: attach, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, localpg.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err == nil {
		t.Cleanup(func() { _ = d.Close(context.Background()) })
	}
	return opened{d, err}
}

// must is open where nothing may fail.
func must(t *testing.T, dir string, attach bool) *database.Database {
	t.Helper()
	o := open(t, dir, attach)
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.Database
}

func works(t *testing.T, d *database.Database, when string) {
	t.Helper()
	if err := localpg.Ping(t.Context(), d.URL()); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// later opens meanwhile.
func later(t *testing.T, dir string, attach bool) <-chan opened {
	t.Helper()
	c := make(chan opened, 1)
	go func() {
		d, err := database.Open(t.Context(), database.Options{StateDir: dir, Attach: attach, Log: slog.New(slog.DiscardHandler)})
		c <- opened{d, err}
	}()
	return c
}

// Of two commands at once the second uses the server of the first, which ends it only when the second has done its work.
func TestACommandWaitsForThoseThatUseItsServer(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first := must(t, dir, true)
	second := must(t, dir, true)
	if !first.Private() || second.Private() || first.URL() != second.URL() {
		t.Fatalf("got %v and %v, want one server", first, second)
	}
	closed := make(chan error, 1)
	go func() { closed <- first.Close(t.Context()) }()
	select {
	case err := <-closed:
		t.Fatalf("the first ended (%v) while the second is at work", err)
	case <-time.After(500 * time.Millisecond):
	}
	works(t, second, "while the first would like to end")
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	third := must(t, dir, true)
	works(t, third, "afterwards")
	if !third.Private() {
		t.Error("afterwards somebody's server is used that has ended")
	}
}

// A broker that is started while a command runs the server waits for it; a second broker is told at once.
func TestABrokerWaitsForACommandAndNotForABroker(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	command := must(t, dir, true)
	broker := later(t, dir, false)
	select {
	case b := <-broker:
		t.Fatalf("the broker did not wait: %v", b.err)
	case <-time.After(time.Second):
	}
	if err := command.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := <-broker
	if b.err != nil {
		t.Fatal(b.err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	works(t, b.Database, "the broker")
	begin := time.Now()
	if another := open(t, dir, false); another.err == nil || !strings.Contains(another.err.Error(), "another broker runs on "+dir) || time.Since(begin) > 10*time.Second {
		t.Errorf("got %v after %s, want to be told of the other broker", another.err, time.Since(begin))
	}
	works(t, must(t, dir, true), "a command beside the broker")
}

// The note of a server that crashed is no address of the one that is just starting: it is forgotten with the lock, and nobody attaches to what does not answer.
func TestANoteOfACrashedServerIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	if err := must(t, dir, false).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(dir, "database-url")
	stale := func() {
		t.Helper()
		if err := os.WriteFile(note, []byte("postgres://brokkr:x@127.0.0.1:1/brokkr?sslmode=disable\nserve\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stale()
	starting, err := localpg.Start(t.Context(), localpg.Config{DataDir: filepath.Join(dir, "postgres"), FsyncOff: true}) // as a broker that has not noted it yet
	if err != nil {
		t.Fatal(err)
	}
	command := later(t, dir, true)
	select {
	case c := <-command:
		t.Fatalf("the command did not wait: %v", c.err)
	case <-time.After(time.Second):
	}
	if err := os.WriteFile(note, []byte(starting.URL()+"\nserve\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := <-command
	if c.err != nil {
		t.Fatal(c.err)
	}
	works(t, c.Database, "the command")
	if err := errors.Join(c.Close(t.Context()), starting.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}

	stale()
	version := filepath.Join(dir, "postgres", "pgdata", "PG_VERSION")
	if err := os.WriteFile(version, []byte("9\n"), 0o600); err != nil { // it gets no further than the lock
		t.Fatal(err)
	}
	if o := open(t, dir, false); !errors.Is(o.err, localpg.ErrVersion) {
		t.Fatalf("got %v, want another version", o.err)
	}
	if _, err := os.Stat(note); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note of the crashed server is there still (%v)", err)
	}
}
