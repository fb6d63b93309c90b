package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// fakeGo stands for the go command: its build takes a moment, notes itself, and notes if another one is at work.
const fakeGo = `#!/usr/bin/env bash
set -eu
[ "$1" = env ] && { echo fake; exit; }
while [ $# -gt 0 ]; do [ "$1" != -o ] || out=$2; shift; done
echo build >>"$NOTES"
mkdir "$NOTES.building" || echo "two at a time" >>"$NOTES"
sleep 1.5
printf '#!/bin/sh\n' >"$out" && chmod +x "$out" || echo "lost its folder" >>"$NOTES"
rmdir "$NOTES.building" || true
`

// builders runs the script that builds the control planes, with its own cache and a go command that builds nothing.
type builders struct {
	script, cache, notes string
	env                  []string
}

func newBuilders(t *testing.T) builders {
	t.Helper()
	root, err := testenv.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(fakeGo), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	b := builders{script: filepath.Join(root, "test", "kubecluster", "build.sh"), cache: filepath.Join(dir, "cache"), notes: filepath.Join(dir, "notes")}
	b.env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "BROKKR_CACHE="+b.cache, "NOTES="+b.notes)
	return b
}

func (b builders) command() (*exec.Cmd, *bytes.Buffer) {
	cmd, out := exec.Command(b.script), &bytes.Buffer{}
	cmd.Env, cmd.Stderr = b.env, out
	return cmd, out
}

// lock is the path of the lock; empty if there is none.
func (b builders) lock(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.cache, "kubecluster", "*.lock"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, " ")
}

// Many want the control planes at a moment at which a build that was killed has left its lock: one builds, all get what it made.
func TestManyBuildOnceAfterAKilledBuild(t *testing.T) {
	t.Parallel()
	b := newBuilders(t)
	killed, _ := b.command()
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); b.lock(t) == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the build takes no lock")
		}
	}
	_ = killed.Process.Kill()
	_ = killed.Wait()
	time.Sleep(2 * time.Second) // what it had begun ends
	left := b.lock(t)
	holder, err := os.Readlink(left)
	if err != nil || holder != strconv.Itoa(killed.Process.Pid) {
		t.Fatalf("the killed build left the lock %q of %q, %v, want one of process %d", left, holder, err, killed.Process.Pid)
	}
	// Somebody was killed while taking it away, too.
	if err := os.Symlink(holder, left+"."+holder); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(b.notes); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(b.notes + ".building")

	var wg sync.WaitGroup
	answers := make([]string, 12)
	for i := range answers {
		wg.Go(func() {
			cmd, said := b.command()
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%v: %s", err, said)
			}
			answers[i] = strings.TrimSpace(string(out))
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.HasPrefix(a, b.cache) {
			t.Errorf("got %q, and %q", a, answers[0])
		}
	}
	notes, err := os.ReadFile(b.notes)
	if err != nil || string(notes) != "build\n" {
		t.Errorf("got %q, %v, want one build", notes, err)
	}
	if left, err := filepath.Glob(filepath.Join(b.cache, "kubecluster", "*.*")); err != nil || len(left) > 1 { // the folder of the killed one's work
		t.Errorf("left are %v, %v", left, err)
	}
}
