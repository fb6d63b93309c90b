package world

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// CLI is the command line with one key, and a home of its own.
type CLI struct {
	program, home, url, pak string
}

// CLI returns the command line with a key.
func (w *World) CLI(pak string) CLI {
	return CLI{program: w.programs.CLI, home: w.T.TempDir(), url: w.API.URL(), pak: pak}
}

// Run runs the program, fails the test at another exit status than the wanted one, and returns all that was written.
func (c CLI) Run(t testing.TB, wantCode int, args ...string) string {
	t.Helper()
	out, err := c.try(t, wantCode, args)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("$ brokkr %s\n%s", strings.Join(args, " "), out)
	return out
}

// Says is Run, and fails the test unless all of this is in what was written.
func (c CLI) Says(t testing.TB, wantCode int, args, parts []string) string {
	t.Helper()
	out := c.Run(t, wantCode, args...)
	if err := says(out, parts); err != nil {
		t.Fatalf("brokkr %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// WaitSays runs the program until it ends well and all of this is in what was written.
func (c CLI) WaitSays(t testing.TB, args, parts []string) {
	t.Helper()
	var out string
	Eventually(t, Patience, "brokkr "+strings.Join(args, " "), func() (err error) {
		if out, err = c.try(t, 0, args); err != nil {
			return err
		}
		return says(out, parts)
	})
	t.Logf("$ brokkr %s\n%s", strings.Join(args, " "), out)
}

func (c CLI) try(t testing.TB, wantCode int, args []string) (string, error) {
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Env = []string{"HOME=" + c.home, "XDG_CONFIG_HOME=" + filepath.Join(c.home, ".config"), "BROKKR_URL=" + c.url, "BROKKR_PAK=" + c.pak}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return "", fmt.Errorf("brokkr %s: %w", strings.Join(args, " "), err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		return "", fmt.Errorf("brokkr %s: exit status %d, want %d\n%s", strings.Join(args, " "), code, wantCode, &out)
	}
	return out.String(), nil
}

func says(out string, parts []string) error {
	for _, p := range parts {
		if !strings.Contains(out, p) {
			return fmt.Errorf("%q is not said:\n%s", p, out)
		}
	}
	return nil
}

// File writes a file for commands to read and returns its path.
func (c CLI) File(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(c.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
