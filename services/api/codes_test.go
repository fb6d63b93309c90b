package api_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every code that the api's own sources answer with is produced by a test, which names it.
func TestEveryErrorCodeIsProduced(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`fault\.Newf?\(fault\.\w+,\s*"([a-z0-9_]+)"`)
	codes, tests := map[string]string{}, ""
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a source file of this package
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			tests += string(text)
			return nil
		}
		for _, m := range made.FindAllStringSubmatch(string(text), -1) {
			codes[m[1]] = path
		}
		return nil
	})
	must(t, err)
	if len(codes) < 15 {
		t.Fatalf("found %d codes, want all of them", len(codes))
	}
	unreachable := map[string]bool{"invalid_path": true} // net/http refuses such a path before
	for c, path := range codes {
		if !unreachable[c] && !strings.Contains(tests, `"`+c+`"`) {
			t.Errorf("%s (%s) is produced by no test", c, path)
		}
	}
	t.Logf("%d codes", len(codes))
}
