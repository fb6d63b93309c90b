package api_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every row of the contract's error table is made somewhere, with its status, and asserted by a test; or the table says why it is
// never answered, and then no source makes it.
func TestEveryRowOfTheErrorTableIsProduced(t *testing.T) {
	t.Parallel()
	var sources, tests strings.Builder
	for _, root := range []string{"../../services", "../../pkg"} {
		must(t, fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(root + "/" + path) //nolint:gosec // a source file of this repository
			if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "ports/porttest/") {
				tests.Write(text)
			} else {
				sources.Write(text)
			}
			return err
		}))
	}
	statuses := map[string]string{
		"Invalid": "400", "Unauthenticated": "401", "Forbidden": "403", "NotFound": "404", "Conflict": "409", "Refused": "422", "Limited": "429", "Unavailable": "503", "Internal": "500",
	}
	made := map[string]map[string]bool{}
	for _, m := range regexp.MustCompile(`fault\.Newf?\(fault\.(\w+),\s*"([a-z0-9_]+)"`).FindAllStringSubmatch(sources.String(), -1) {
		if made[m[2]] == nil {
			made[m[2]] = map[string]bool{}
		}
		made[m[2]][statuses[m[1]]] = true
	}
	table, err := os.ReadFile("testdata/error-codes.txt")
	must(t, err)
	rows := 0
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rows++
		row, reason, never := strings.Cut(strings.TrimSpace(line), " ! ")
		status, code, ok := strings.Cut(row, " ")
		quoted := `"` + code + `"`
		switch {
		case !ok:
			t.Errorf("row %q is not: status code [! reason]", line)
		case never && (reason == "" || made[code] != nil):
			t.Errorf("%s is said to be never answered (%q), and a source makes it", code, reason)
		case never:
		case !strings.Contains(sources.String(), quoted):
			t.Errorf("%s %s is made nowhere", status, code)
		case !strings.Contains(tests.String(), quoted):
			t.Errorf("%s %s is asserted by no test", status, code)
		case made[code] != nil && !made[code][status]:
			t.Errorf("%s is made with %v, want %s", code, made[code], status)
		}
	}
	if rows < 80 {
		t.Errorf("%d rows, want the whole table", rows)
	}
	t.Logf("%d rows", rows)
}
