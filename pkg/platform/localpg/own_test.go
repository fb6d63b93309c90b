package localpg_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/localpg"
)

// asRoot skips unless the test runs as root, and returns the ids of the user that PostgreSQL runs as.
func asRoot(t *testing.T) (uid, gid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return uid, gid
}

func owner(t *testing.T, path string) (uid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid), info.Mode().Perm() //nolint:forcetypeassert // of this system
}

// What root reads and writes is in a folder of root's: the account that the database runs as has the database files, and nothing beside them.
func TestRootKeepsItsFiles(t *testing.T) {
	t.Parallel()
	account, group := asRoot(t)
	cfg := localpg.Config{DataDir: dataDir(t), StartTimeout: 5 * time.Minute}
	check := func(when string) {
		t.Helper()
		if uid, mode := owner(t, cfg.DataDir); uid != 0 || mode != 0o711 {
			t.Errorf("%s the folder is of %d with mode %o, want root's with 711", when, uid, mode)
		}
		entries, err := os.ReadDir(cfg.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			uid, mode := owner(t, filepath.Join(cfg.DataDir, e.Name()))
			if e.Name() == "pgdata" && uid != account || e.Name() != "pgdata" && (uid != 0 || mode != 0o600) {
				t.Errorf("%s %s is of %d with mode %o", when, e.Name(), uid, mode)
			}
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s %s was left behind", when, e.Name())
			}
		}
		if len(entries) < 4 {
			t.Errorf("%s there are only %v", when, entries)
		}
	}
	first := start(t, cfg)
	check("after the first start")
	exec1(t, first.URL(), "CREATE TABLE a AS SELECT 'kept' AS v")
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As an earlier version left it.
	for _, name := range []string{"", "password"} {
		if err := os.Chown(filepath.Join(cfg.DataDir, name), account, group); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(cfg.DataDir, 0o700); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	second := start(t, cfg)
	check("after one of an earlier version")
	if got := exec1(t, second.URL(), "SELECT v FROM a"); got != "kept" {
		t.Errorf("got %q, want what was there", got)
	}
}

// A link in place of a file of ours is not followed, neither to read nor to write, and what it leads to stays as it is.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	_, _ = asRoot(t)
	first := localpg.Config{DataDir: dataDir(t), StartTimeout: 5 * time.Minute}
	if err := start(t, first).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"password", "port", "pid", "lock"} {
		for kind, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
			target := filepath.Join(filepath.Dir(first.DataDir), name+"-"+kind)
			if err := os.WriteFile(target, []byte("1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(first.DataDir, name)
			aside := file + ".aside"
			if err := os.Rename(file, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if err := link(target, file); err != nil {
				t.Fatal(err)
			}
			before, _ := owner(t, target)
			s, err := localpg.Start(t.Context(), first)
			if err == nil {
				t.Errorf("%s: a %s link is taken", name, kind)
				_ = s.Stop(t.Context())
			} else if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "in its place") {
				t.Errorf("%s: got %v, want what to do", name, err)
			}
			text, err := os.ReadFile(target)
			if after, _ := owner(t, target); err != nil || string(text) != "1\n" || after != before {
				t.Errorf("%s: what the %s link leads to is %q of %d (%v)", name, kind, text, after, err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, file); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	exec1(t, start(t, first).URL(), "SELECT 1")
}

// A password that a power cut took is not an empty one: before there is data it is made anew, afterwards its loss is said.
func TestALostPassword(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t), StartTimeout: 5 * time.Minute}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(cfg.DataDir, "password")
	for _, file := range []string{"password", "lock"} { // cut before initdb
		if err := os.WriteFile(filepath.Join(cfg.DataDir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, cfg)
	if text, err := os.ReadFile(password); err != nil || len(strings.TrimSpace(string(text))) < 20 || !strings.Contains(s.URL(), strings.TrimSpace(string(text))) {
		t.Errorf("got the password %q, %v", text, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(password)
	if err != nil {
		t.Fatal(err)
	}
	for name, lose := range map[string]func() error{
		"empty": func() error { return os.WriteFile(password, nil, 0o600) }, "gone": func() error { return os.Remove(password) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		if _, err := localpg.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "the password of the database is lost") || !strings.Contains(err.Error(), "ALTER ROLE brokkr PASSWORD") {
			t.Errorf("%s: got %v, want what to do", name, err)
		}
	}
	if err := os.WriteFile(password, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	exec1(t, start(t, cfg).URL(), "SELECT 1")
}

// Who is about to stop the server waits for those who use it, and lets nobody in after that.
func TestGuestsAreWaitedFor(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: dataDir(t), StartTimeout: 5 * time.Minute}
	s := start(t, cfg)
	leave, err := localpg.Attend(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := localpg.Attend(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	alone := make(chan error, 1)
	go func() { alone <- s.AwaitGuests(t.Context()) }()
	leave()
	select {
	case err := <-alone:
		t.Errorf("one guest is left, and it waits no more: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	other()
	if err := <-alone; err != nil {
		t.Error(err)
	}
	if _, err := localpg.Attend(cfg.DataDir); !errors.Is(err, localpg.ErrInUse) {
		t.Errorf("got %v, want nobody let in any more", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	leave, err = localpg.Attend(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	leave()
}
