package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The scan of `make scan-charts` fails where it should: a fault that is high, a file that has nothing to check, an exception that nothing
// needs; and tells what is medium without failing.
func TestScan(t *testing.T) {
	t.Parallel()
	trivy := os.Getenv("TRIVY")
	if trivy == "" {
		t.Skip("TRIVY is not set: run it by `make scan-charts`")
	}
	good, err := os.ReadFile("testdata/broker-external.yaml")
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, with string) string {
		t.Helper()
		if !strings.Contains(string(good), old) {
			t.Fatalf("the render has no %q", old)
		}
		return strings.ReplaceAll(string(good), old, with)
	}
	for name, c := range map[string]struct {
		file, manifest, accept string
		args                   []string
		fails                  bool
		says                   []string
	}{
		"as it is rendered":       {manifest: string(good), accept: "KSV-0125 *.yaml for the test", says: []string{"0 critical, 0 high, 0 medium"}},
		"what is medium":          {manifest: string(good), says: []string{"MEDIUM KSV-0125 ", "0 critical, 0 high"}},
		"told to GitHub":          {manifest: string(good), args: []string{"-github"}, says: []string{"::warning file=", "title=KSV-0125::"}},
		"a root that is writable": {manifest: change("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), fails: true, says: []string{"HIGH KSV-0014 ", "are high or critical"}},
		"privileged":              {manifest: change("allowPrivilegeEscalation: false", "privileged: true"), fails: true, says: []string{"HIGH KSV-0017 "}},
		"accepted in another file": {manifest: change("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), accept: "KSV-0014 other.yaml for the test",
			fails: true, says: []string{"HIGH KSV-0014 "}},
		"accepted":                {manifest: change("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), accept: "KSV-0014 *.yaml for the test", says: []string{"0 critical, 0 high"}},
		"accepted and not found":  {manifest: string(good), accept: "KSV-0001 *.yaml for the test", fails: true, says: []string{"KSV-0001 *.yaml is found nowhere"}},
		"accepted without reason": {manifest: string(good), accept: "KSV-0125 *.yaml", fails: true, says: []string{"want a check, a file or *, and why"}},
		"a Dockerfile as root":    {file: "Dockerfile", manifest: "FROM scratch\nCOPY a /a\nENTRYPOINT [\"/a\"]\n", fails: true, says: []string{"HIGH DS-0002 "}},
		"nothing to check":        {file: "a.txt", manifest: "x", fails: true, says: []string{"has nothing that could be checked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.file == "" {
				c.file = "render.yaml"
			}
			accept := filepath.Join(t.TempDir(), "accepted.txt")
			for path, text := range map[string]string{filepath.Join(dir, c.file): c.manifest, accept: "# a comment\n\n" + c.accept + "\n"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.CommandContext(t.Context(), trivy, append(append([]string{"-accept", accept}, c.args...), dir)...).CombinedOutput() //nolint:gosec // a tool of ours
			if (err != nil) != c.fails {
				t.Errorf("%v: %s", err, out)
			}
			for _, want := range c.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("it says %s, want %q", out, want)
				}
			}
		})
	}
}
