package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

func itoa(n int) string { return strconv.Itoa(n) }

// The same journey with the command line: apply and wait, look, delete.
func TestCommandLine(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	app := w.App("shop", "one", 2)
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		app.Text = text
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app.Bundle()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cli := func(wantCode int, args ...string) string {
		t.Helper()
		return w.CLI(w.Tenant.PAK).Run(t, wantCode, args...)
	}
	write("one")
	cli(0, "apply", "-f", dir, "--stack", "shop", "--label", world.All, "--wait")
	runs(t, w, app)
	write("two")
	cli(0, "apply", "-f", dir, "--stack", "shop", "--wait")
	runs(t, w, app)
	if out := cli(0, "apply", "-f", dir, "--stack", "shop", "--wait"); !strings.Contains(out, "unchanged") {
		t.Errorf("applied again: got %q, want unchanged", out)
	}
	if out := cli(0, "status", "shop"); !strings.Contains(out, "healthy") || !strings.Contains(out, w.Agents[0].Name) {
		t.Errorf("status: got %q", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte("apiVersion: v1\nmetadata: {name: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := cli(1, "apply", "-f", dir, "--stack", "shop"); !strings.Contains(out, "line 1") {
		t.Errorf("bad YAML: got %q, want the line", out)
	}
	cli(0, "delete", "stack", "shop", "--yes")
	for _, c := range w.Clusters {
		absent(t, c, app)
	}
	cli(1, "status", "shop")
}
