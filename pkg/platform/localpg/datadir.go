package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// account is the user that the server runs as, where that is not this process's own.
type account struct {
	name     string
	uid, gid uint32
	groups   []uint32
}

// accountFor returns nil unless this process is root's.
func accountFor(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if name == "" {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user %q to run it as instead: create it (useradd --system %s) or start this program as another user: %w", name, name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read id of user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read group of user %s: %w", name, err)
	}
	if uid == 0 {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and user %q is root as well", name)
	}
	return &account{name: name, uid: uint32(uid), gid: uint32(gid), groups: []uint32{uint32(gid)}}, nil
}

// prepareDir makes the data directory, whose files are private to this process, and checks that the account can reach pgdata in it.
func prepareDir(f files, a *account) error {
	dir := f.dir
	parents := []string{}
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil || p == filepath.Dir(p) {
			break
		}
		parents = append(parents, p)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if err := refuseForeign(dir); err != nil {
		return err
	}
	if a == nil {
		return nil
	}
	for _, p := range parents { // only those that were made right now
		if err := os.Chmod(p, 0o755); err != nil { //nolint:gosec // another user has to pass through
			return fmt.Errorf("open the way to the data directory: %w", err)
		}
	}
	if err := takeBack(f); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	for p := filepath.Dir(real); ; p = filepath.Dir(p) {
		ok, err := a.mayEnter(p)
		if err != nil {
			return fmt.Errorf("check the way to the data directory: %w", err)
		}
		if !ok {
			return fmt.Errorf("user %s, which PostgreSQL runs as when started by root, cannot enter %s: choose a data directory elsewhere, such as /var/lib/brokkr/postgres, or chmod o+x %s", a.name, p, p)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

// refuseForeign keeps a folder of something else, /tmp for one, from being given away to the account.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Lstat(filesOf(dir).lock); err != nil {
		return fmt.Errorf("%s is neither empty nor a data directory of this program", dir)
	}
	return nil
}

// keepPassword returns the superuser's password, made before the first start. Once there is data that knows it, it cannot be made anew.
func keepPassword(f files, bin string) (string, error) {
	b, err := readOwn(f.password)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read password: %w", err)
	}
	if password := strings.TrimSpace(string(b)); password != "" {
		return password, nil
	}
	if _, err := os.Lstat(filepath.Join(f.pgdata, "PG_VERSION")); err == nil {
		return "", fmt.Errorf("the password of the database is lost: %[1]s is empty or gone. Write it there again, or a new one, which the owner of %[2]s gives to the database by "+
			"`echo \"ALTER ROLE %[3]s PASSWORD '...'\" | %[4]s --single -D %[2]s postgres`", f.password, f.pgdata, superuser, filepath.Join(bin, "postgres"))
	}
	password := rand.Text()
	if err := writeOwn(f.password, password+"\n"); err != nil {
		return "", fmt.Errorf("write password: %w", err)
	}
	return password, nil
}

// choosePort returns the port of the last run if it is free, so that clients find the server again, and else a free one.
func choosePort(path string, another bool) (int, error) {
	if b, err := readOwn(path); err == nil && !another {
		if port, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			if port, err := freePort(port); err == nil {
				return port, nil
			}
		}
	}
	port, err := freePort(0)
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	if err := writeOwn(path, strconv.Itoa(port)+"\n"); err != nil {
		return 0, fmt.Errorf("keep port: %w", err)
	}
	return port, nil
}

// freePort checks a port of the loopback address, or finds one if port is 0.
func freePort(port int) (int, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// endOrphan ends the server that an earlier process of this package left behind in a data directory that this process has
// locked, also one that is only starting; a stale postmaster.pid is removed; any other server is an error.
func endOrphan(ctx context.Context, f files) error {
	if pid, err := readPID(f.pid); err == nil && serves(ctx, pid, f.pgdata) {
		if err := end(ctx, pid); err != nil {
			return err
		}
	}
	path := filepath.Join(f.pgdata, "postmaster.pid")
	pid, err := settledPID(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, errNoPID) {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	if err == nil && isPostgres(ctx, pid) {
		return fmt.Errorf("%w by a PostgreSQL that was started by other means (process %d)", ErrInUse, pid)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale postmaster.pid: %w", err)
	}
	return nil
}

// end goes the way that pg_ctl stop goes: fast first, then immediate.
func end(ctx context.Context, pid int) error {
	for _, fast := range []bool{true, false} {
		if err := signalStop(pid, fast); err != nil && isPostgres(ctx, pid) {
			return fmt.Errorf("end the server of an earlier run (process %d): %w", pid, err)
		}
		for range 100 {
			if !isPostgres(ctx, pid) {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("end the server of an earlier run (process %d): %w", pid, ctx.Err())
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return fmt.Errorf("the server of an earlier run (process %d) does not end", pid)
}

// serves says whether the process lives and is a PostgreSQL that was started for the folder: before it has written
// postmaster.pid only its command line tells.
func serves(ctx context.Context, pid int, pgdata string) bool {
	if !isPostgres(ctx, pid) {
		return false
	}
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if errors.Is(err, exec.ErrNotFound) {
		out, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	}
	return err == nil && bytes.Contains(out, []byte(pgdata))
}

// errNoPID is a file that a server has made but not written: it starts at this moment, or died in the middle of it.
var errNoPID = errors.New("no process id")

// settledPID reads the process id of a file that a server may be writing: an empty one is read again for two seconds.
func settledPID(ctx context.Context, path string) (int, error) {
	for range 100 {
		pid, err := readPID(path)
		if !errors.Is(err, errNoPID) {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return 0, fmt.Errorf("%s: %w", path, errNoPID)
}

// readPID reads the process id from a file's first line.
func readPID(path string) (int, error) {
	b, err := readOwn(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if strings.TrimSpace(first) == "" {
		return 0, fmt.Errorf("%s: %w", path, errNoPID)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return pid, nil
}

// isPostgres says whether the process lives and is a PostgreSQL; process ids are used again.
func isPostgres(ctx context.Context, pid int) bool {
	out, err := exec.CommandContext(ctx, "ps", "-o", "stat=,comm=", "-p", strconv.Itoa(pid)).Output()
	if errors.Is(err, exec.ErrNotFound) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && strings.HasPrefix(string(b), "postgres")
	}
	fields := strings.Fields(string(out))
	return err == nil && len(fields) > 1 && !strings.HasPrefix(fields[0], "Z") &&
		strings.HasPrefix(filepath.Base(fields[1]), "postgres")
}
