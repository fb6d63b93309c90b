package localpg

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A child that another goroutine is just starting holds a copy of every open file until it runs its program: the lock
// must not live on in it. Here the copy is made by hand.
func TestReleaseInSpiteOfCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	held := -1
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != path {
			continue
		}
		if held, err = strconv.Atoi(e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	dup, err := syscall.Dup(held)
	if err != nil {
		t.Fatalf("copy the lock's file: %v", err)
	}
	defer syscall.Close(dup) //nolint:errcheck // nothing was written
	release()
	again, err := lock(path)
	if err != nil {
		t.Fatalf("lock after its release: %v", err)
	}
	again()
}
