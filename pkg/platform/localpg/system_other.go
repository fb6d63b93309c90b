//go:build !unix

package localpg

import (
	"errors"
	"os"
	"syscall"
)

var errUnsupported = errors.New("a private PostgreSQL is supported on Unix systems only")

func lock(string) (func(), error) { return nil, errUnsupported }

func share(string) (func(), error) { return nil, errUnsupported }

func openOwn(string, int) (*os.File, error) { return nil, errUnsupported }

func signalStop(int, bool) error { return errUnsupported }

func (a *account) mayEnter(string) (bool, error) { return false, errUnsupported }

func attributes(*account, bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
