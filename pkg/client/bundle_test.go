package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/client"
)

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each folder of testdata/published has manifests in `in`, and in `bundle` and `checksum` what the published rule makes of
// them: sorted top-level *.yaml and *.yml, white space at their ends taken away, joined by "\n---\n", one newline at the end.
// All three were written without this package, so that they stand for what other clients have published.
func TestReadBundlePublishedRule(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/published/*/in")
	if err != nil || len(cases) < 6 {
		t.Fatalf("%d cases, error %v", len(cases), err)
	}
	for _, in := range cases {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			got, err := client.ReadBundle(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(read(t, filepath.Join(dir, "bundle")), string(got.Content)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if want := strings.TrimSpace(read(t, filepath.Join(dir, "checksum"))); got.Checksum() != want {
				t.Errorf("Checksum() = %s, want %s", got.Checksum(), want)
			}
		})
	}
}

func TestReadBundle(t *testing.T) {
	t.Parallel()
	a, b := configMap("a"), configMap("b")
	for name, tt := range map[string]struct {
		reason  string
		files   map[string]string
		path    string // below the folder; empty: the folder
		want    string
		objects int
	}{
		"NotBelow":      {"a folder is no manifest, even if its name ends like one", map[string]string{"a.yaml": a, "c.yaml/d.yaml": b}, "", a, 1},
		"BareExtension": {"a file that is named .yaml has no extension", map[string]string{"a.yaml": a, ".yaml": b}, "", a, 1},
		"File":          {"a single file has the same rule for its end", map[string]string{"a.yaml": a + "---\n" + b + "\n\n"}, "a.yaml", a + "---\n" + b, 2},
		"FileAnyName":   {"a file that is named may be called as it likes", map[string]string{"manifests.txt": a}, "manifests.txt", a, 1},
		"Comment":       {"the content is bytes: a comment makes another checksum", map[string]string{"a.yaml": a + "# v2\n"}, "", a + "# v2\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(write(t, tt.files), tt.path)
			got, err := client.ReadBundle(path)
			if err != nil {
				t.Fatalf("%s: %v", tt.reason, err)
			}
			if d := cmp.Diff(tt.want, string(got.Content)); d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
			if len(got.Objects) != tt.objects || got.From != path {
				t.Errorf("%s: %d objects from %s, want %d from %s", tt.reason, len(got.Objects), got.From, tt.objects, path)
			}
		})
	}
}

func TestReadBundleErrors(t *testing.T) {
	t.Parallel()
	a := configMap("a")
	for name, tt := range map[string]struct {
		files map[string]string
		path  string
		want  []string // in the error's text
	}{
		"NoSuchPath":        {nil, "nope", []string{"nope", "no such file"}},
		"NoManifests":       {map[string]string{"sub/a.yaml": a}, "", []string{"no *.yaml or *.yml file"}},
		"PlaceInSecondFile": {map[string]string{"a.yaml": a + "---\n" + configMap("a2"), "b.yaml": configMap("b") + "---\nkind: Secret\nmetadata: {name: s}\n"}, "", []string{"b.yaml: document 2, line 6: apiVersion is missing"}},
		"Syntax":            {map[string]string{"a.yaml": a, "b.yaml": "kind: [unbalanced\n"}, "", []string{"b.yaml: document 1, line"}},
		"TwiceAcrossFiles":  {map[string]string{"a.yaml": a, "b.yaml": "# again\n" + a}, "", []string{"b.yaml: document 1, line 2: ConfigMap a appears twice: first in ", "a.yaml, document 1, line 1"}},
		"TwiceInOneFile":    {map[string]string{"a.yaml": a + "---\n" + a}, "", []string{"a.yaml: document 2, line 6: ConfigMap a appears twice"}},
		"NotText":           {map[string]string{"a.yaml": a + "\xff\xfe"}, "", []string{"a.yaml", "not UTF-8"}},
		"TooLarge":          {map[string]string{"a.yaml": "# " + strings.Repeat("x", 10<<20), "b.yaml": "# " + strings.Repeat("x", 10<<20)}, "", []string{"b.yaml", "16777216 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.ReadBundle(filepath.Join(write(t, tt.files), tt.path))
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func TestReadBundleNoObjects(t *testing.T) {
	t.Parallel()
	_, err := client.ReadBundle(write(t, map[string]string{"a.yaml": "# nothing\n"}))
	if !errors.Is(err, client.ErrNoObjects) {
		t.Errorf("error = %v, want ErrNoObjects", err)
	}
}
