package testenv

import "syscall"

// boundAttributes has a child end with this process, and apart from the terminal's signals.
func boundAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
