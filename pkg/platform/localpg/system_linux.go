package localpg

import "syscall"

// endWithParent has the system ask for a fast shutdown of the child when the thread that started it ends.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
