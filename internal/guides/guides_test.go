package guides_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/internal/guides"
)

const root = "../.."

func TestReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "README.md", "See `brokkr get agents` and `brokkr rollout pause\\|resume STACK`.\n\n```bash\nX=1 ./brokkr apply -f \"a b\" \\\n  --stack 'c' | tee x   # why\n```\n"+
		"<!-- needs: a moon -->\n```bash\necho \"$(brokkr login --pak <admin_pak>)\"\n```\n```yaml\nbrokkr: no\n```\n")
	blocks, text, err := guides.Read(dir, "README.md")
	if err != nil || len(blocks) != 3 || blocks[0].Needs != "" || blocks[1].Needs != "a moon" || blocks[2].Shell() || strings.Contains(text, "tee") {
		t.Fatalf("got %v, %q, %v", blocks, text, err)
	}
	if blocks[0].Where() != "README.md:4" || strings.Count(text, "\n") < 14 {
		t.Errorf("got %s, %d lines", blocks[0].Where(), strings.Count(text, "\n"))
	}
	got, err := guides.Commands(dir, "brokkr")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got {
		lines = append(lines, c.Where+" "+c.String())
	}
	want := []string{"README.md:4 ./brokkr apply -f a b --stack c", "README.md:9 brokkr login --pak _admin_pak_", "README.md:1 brokkr get agents",
		"README.md:1 brokkr rollout pause STACK", "README.md:1 brokkr rollout resume STACK"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	for name, bad := range map[string]string{"open": "```bash\nx\n", "lost mark": "<!-- needs: x -->\ntext\n", "no shell": "```bash\nif\n```\n"} {
		write(t, dir, "README.md", bad)
		if got, err := guides.Commands(dir, "brokkr"); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// texts are all guides, as they are.
func texts(t *testing.T) map[string]string {
	t.Helper()
	files, err := guides.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		out[f] = string(b)
	}
	return out
}

// Each `make x` is a target, and each variable that is given to it is one that the Makefile knows.
func TestTargets(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	cmds, err := guides.Commands(root, "make")
	if err != nil || len(cmds) < 5 {
		t.Fatalf("got %d commands, %v", len(cmds), err)
	}
	for _, c := range cmds {
		for _, a := range c.Args[1:] {
			if name, _, ok := strings.Cut(a, "="); ok && !regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).Match(b) {
				t.Errorf("%s: `%s`: the Makefile knows no %s", c.Where, c, name)
			}
			if !strings.Contains(a, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(a)+`:`).Match(b) {
				t.Errorf("%s: `%s`: the Makefile has no target %s", c.Where, c, a)
			}
		}
	}
}

// Each environment variable is one that a program reads, in the guides and in what they tell to copy.
func TestVariables(t *testing.T) {
	t.Parallel()
	all := texts(t)
	keys := all["docs/configuration.md"]
	for _, pattern := range []string{"deploy/*.yaml", "deploy/*/*.yaml", "docs/adr/*.md"} {
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			all[p] = string(b)
		}
	}
	seen := 0
	for file, text := range all {
		for _, m := range regexp.MustCompile(`BROKKR__([A-Z]+)__([A-Z_]+[A-Z])`).FindAllStringSubmatch(text, -1) {
			if m[1] == "SECTION" {
				continue
			}
			seen++
			if key := strings.ToLower(m[1] + "." + m[2]); !strings.Contains(keys, "`"+key+"`") {
				t.Errorf("%s: %s: docs/configuration.md has no %s", file, m[0], key)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d variables were looked at", seen)
	}
}

// Each link leads to a file of the repository, and to a heading in it.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := texts(t)
	seen := 0
	for file, text := range all {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				target = file
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s: %v", file, m[1], err)
				continue
			}
			if to, ok := all[filepath.ToSlash(target)]; ok && anchor != "" && !slices.Contains(anchors(to), anchor) {
				t.Errorf("%s: %s: no heading makes #%s", file, m[1], anchor)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d links were looked at", seen)
	}
	index := all["docs/README.md"]
	for file := range all {
		if name, ok := strings.CutPrefix(file, "docs/"); ok && !strings.Contains(name, "/") && name != "README.md" && !strings.Contains(index, "("+name) {
			t.Errorf("docs/README.md does not lead to %s", file)
		}
	}
}

// anchors are the headings as links name them.
func anchors(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

// What the guide to troubles says that the programs say, they say.
func TestMessages(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, dir := range []string{"cmd", "pkg", "services", "charts"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{".go", ".yaml", ".tpl"}, filepath.Ext(path)) {
				return err
			}
			b, err := os.ReadFile(path)
			code.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := code.String()
	seen := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(texts(t)["docs/troubleshooting.md"], -1) {
		for part := range strings.SplitSeq(m[1], "...") {
			seen++
			if !strings.Contains(all, strings.TrimSpace(part)) {
				t.Errorf("docs/troubleshooting.md: `%s`: no program says %q", m[1], part)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d messages were looked at", seen)
	}
}

// Each block says what it is, so that none is overlooked.
func TestBlocks(t *testing.T) {
	t.Parallel()
	files, err := guides.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		blocks, _, err := guides.Read(root, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			if b.Language == "" {
				t.Errorf("%s: a block without a language", b.Where())
			}
			if b.Needs != "" && !b.Shell() {
				t.Errorf("%s: only blocks of a shell are run", b.Where())
			}
		}
	}
}
