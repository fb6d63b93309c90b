//go:build unix && !linux

package localpg

import "syscall"

// endWithParent does nothing here: only Linux can. The next Start ends a server that was left over.
func endWithParent(*syscall.SysProcAttr) {}
