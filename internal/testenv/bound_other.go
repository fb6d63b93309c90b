//go:build unix && !linux

package testenv

import "syscall"

// boundAttributes keeps a child apart from the terminal's signals. Only Linux can end it with this process.
func boundAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
