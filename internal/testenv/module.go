package testenv

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ModuleFiles returns the files of a Go module that match pattern, as YAML documents of one text. They come from the module cache, or from where
// Go gets modules.
func ModuleFiles(t testing.TB, module, version, pattern string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("download %s@%s: %v\n%s", module, version, err, out)
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(got.Dir, filepath.FromSlash(pattern)))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s@%s has no %s (%v)", module, version, pattern, err)
	}
	slices.Sort(paths)
	var b strings.Builder
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n" + strings.TrimPrefix(string(text), "---\n") + "\n")
	}
	return b.String()
}
