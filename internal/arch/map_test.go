package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The map in ARCHITECTURE.md has every folder that a newcomer sees, and none that is not there.
func TestTheMapIsWhole(t *testing.T) {
	t.Parallel()
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), "\n## The map\n")
	table, _, ended := strings.Cut(rest, "\n## ")
	if !begun || !ended {
		t.Fatal("ARCHITECTURE.md has no map")
	}
	named := map[string]bool{}
	for line := range strings.SplitSeq(table, "\n") {
		row, isRow := strings.CutPrefix(line, "|")
		if !isRow {
			continue
		}
		place, _, _ := strings.Cut(row, "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(place, -1) {
			before, braces, several := strings.Cut(m[1], "{")
			for name := range strings.SplitSeq(strings.TrimSuffix(braces, "}"), ",") {
				path := before + name
				if !several {
					path = m[1]
				}
				named[path] = true
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("the map has %s, which is not there: %v", path, err)
				}
			}
		}
	}
	// Folders whose parts have a line each; the others have one line.
	parts := map[string]bool{"cmd": true, "services": true, "pkg": true, "pkg/adapters": true, "internal": true, "test": true}
	var look func(dir string)
	look = func(dir string) {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.ToSlash(filepath.Join(dir, e.Name()))
			switch {
			case !e.IsDir() || strings.HasPrefix(e.Name(), ".") || path == "bin" || path == "dist":
			case parts[path]:
				look(path)
			case path == "api":
				if !named["api/openapi"] {
					t.Error("the map lacks api/openapi")
				}
			case !named[path]:
				t.Errorf("the map lacks %s", path)
			}
		}
	}
	look(".")
}
