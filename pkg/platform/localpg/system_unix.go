//go:build unix

package localpg

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openOwn opens a file that is what it seems: no link to one elsewhere, and no pipe or device; for root also none that has another name elsewhere. The
// account can have put those where root is about to read or write.
func openOwn(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600) //nolint:gosec // below the data directory
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a link: put a file in its place", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && stat.Nlink > 1 && os.Geteuid() == 0 {
		return nil, errors.Join(fmt.Errorf("%s is no file, or has another name elsewhere: put a file of its own in its place", path), f.Close())
	}
	return f, nil
}

// lock takes the file's lock for this process alone, without waiting; share takes it beside others who share it. ErrInUse if that cannot be. The
// system releases it when the process ends, however that comes about.
func lock(path string) (release func(), err error) { return flock(path, syscall.LOCK_EX) }

func share(path string) (release func(), err error) { return flock(path, syscall.LOCK_SH) }

func flock(path string, how int) (release func(), err error) {
	f, err := openOwn(path, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w by another process", ErrInUse)
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() {
		// Closing alone leaves the lock to a child that is just being started and has not dropped its copy of the file yet.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	}, nil
}

// signalStop asks a server for a fast shutdown (roll back, flush, end) or an immediate one (end, recover at next start).
func signalStop(pid int, fast bool) error {
	sig := syscall.SIGQUIT
	if fast {
		sig = syscall.SIGINT
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// mayEnter says whether the account may pass through a folder.
func (a *account) mayEnter(dir string) (bool, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true, nil
	}
	mode := info.Mode().Perm()
	switch {
	case stat.Uid == a.uid:
		return mode&0o100 != 0, nil
	case stat.Gid == a.gid:
		return mode&0o010 != 0, nil
	default:
		return mode&0o001 != 0, nil
	}
}

// attributes of a child: the account, if any, and for the server itself a process group of its own, so that ctrl-C in a
// terminal does not end the database before the program that uses it.
func attributes(a *account, server bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: server}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
	}
	if server {
		endWithParent(attr)
	}
	return attr
}
