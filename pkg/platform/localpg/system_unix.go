//go:build unix

package localpg

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes the file's lock without waiting. The system releases it when the process ends, however that comes about.
func lock(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
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
