package source_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/source"
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

func TestRead(t *testing.T) {
	t.Parallel()
	a, b := configMap("a"), configMap("b")
	for name, tt := range map[string]struct {
		reason string
		files  map[string]string
		path   string // below the folder; empty: the folder
		stdin  string
		want   string
	}{
		"Sorted":           {"files are taken by name, not by when they were made", map[string]string{"2.yaml": b, "1.yml": a}, "", "", a + "---\n" + b},
		"ByBytes":          {"names are compared as bytes: capitals first, 10 before 2", map[string]string{"b.yaml": b, "A.yaml": a, "10.yaml": configMap("ten"), "2.yaml": configMap("two")}, "", "", configMap("ten") + "---\n" + configMap("two") + "---\n" + a + "---\n" + b},
		"OnlyYAML":         {"other files, capital endings and a bare .yaml are not manifests", map[string]string{"a.yaml": a, "b.json": "{}", "c.YAML": b, "d.yaml.bak": b, ".yaml": b, "README.md": "x"}, "", "", a},
		"HiddenCounts":     {"a hidden file with the ending is a manifest", map[string]string{".a.yaml": a, "b.yaml": b}, "", "", a + "---\n" + b},
		"NotBelow":         {"folders below are not read, even if their name ends like a manifest", map[string]string{"a.yaml": a, "sub/b.yaml": b, "c.yaml/d.yaml": b}, "", "", a},
		"EndsTrimmed":      {"white space at a file's end does not count", map[string]string{"a.yaml": a + "\n \t\r\n\n", "b.yaml": strings.TrimSpace(b)}, "", "", a + "---\n" + b},
		"UnicodeTrimmed":   {"as the published clients do, unicode white space at the end too", map[string]string{"a.yaml": a + "\u00a0\u2003\n"}, "", "", a},
		"BeginKept":        {"a file's begin is kept as it is", map[string]string{"a.yaml": "\n\n# first\n" + a, "b.yaml": "---\n" + b}, "", "", "\n\n# first\n" + a + "---\n---\n" + b},
		"CRLFKept":         {"line ends inside of a file are kept", map[string]string{"a.yaml": strings.ReplaceAll(a, "\n", "\r\n")}, "", "", strings.ReplaceAll(strings.TrimSpace(a), "\n", "\r\n") + "\n"},
		"File":             {"a single file has the same rule for its end", map[string]string{"a.yaml": a + "---\n" + b + "\n\n"}, "a.yaml", "", a + "---\n" + b},
		"FileAnyName":      {"a file that is named may be called as it likes", map[string]string{"manifests.txt": a}, "manifests.txt", "", a},
		"Stdin":            {"so has standard input", nil, "-", a + "\n\n", a},
		"StdinWithoutEnd":  {"a missing newline is added", nil, "-", strings.TrimSpace(a), a},
		"CommentOnlyFile":  {"a file of comments adds to the content, not to the objects", map[string]string{"a.yaml": "# nothing\n", "b.yaml": b}, "", "", "# nothing\n---\n" + b},
		"CommentsAreBytes": {"the content is bytes: a comment makes another checksum", map[string]string{"a.yaml": a + "# v2\n"}, "", "", a + "# v2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tt.path
			if path != source.Stdin {
				path = filepath.Join(write(t, tt.files), tt.path)
			}
			got, err := source.Read(path, strings.NewReader(tt.stdin))
			if err != nil {
				t.Fatalf("%s: %v", tt.reason, err)
			}
			if d := cmp.Diff(tt.want, string(got.Content)); d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
			sum := sha256.Sum256([]byte(tt.want))
			if got.Checksum() != hex.EncodeToString(sum[:]) {
				t.Errorf("Checksum() = %s, want the SHA-256 of the content", got.Checksum())
			}
		})
	}
}

// The published rule, written down once more as simply as can be: the checksum of a folder must be the same for all
// clients of Brokkr.
func TestReadKnownChecksum(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"01-namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n\n",
		"02-deploy.yml":     "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\n  namespace: ns\n",
		"notes.txt":         "ignored",
	})
	got, err := source.Read(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	const content = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\n  namespace: ns\n"
	if string(got.Content) != content {
		t.Errorf("content = %q, want %q", got.Content, content)
	}
	if len(got.Objects) != 2 {
		t.Errorf("%d objects, want 2", len(got.Objects))
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	a := configMap("a")
	for name, tt := range map[string]struct {
		files map[string]string
		path  string
		stdin string
		want  []string // in the error's text
	}{
		"NoSuchPath":        {nil, "nope", "", []string{"nope", "no such file"}},
		"NoManifests":       {map[string]string{"sub/a.yaml": a}, "", "", []string{"no *.yaml or *.yml file"}},
		"NoObjects":         {map[string]string{"a.yaml": "# nothing\n"}, "", "", []string{"no Kubernetes object", "brokkr delete stack"}},
		"EmptyStdin":        {nil, "-", "", []string{"no Kubernetes object"}},
		"PlaceInSecondFile": {map[string]string{"a.yaml": a + "---\n" + configMap("a2"), "b.yaml": configMap("b") + "---\nkind: Secret\nmetadata: {name: s}\n"}, "", "", []string{"b.yaml: document 2, line 6: apiVersion is missing"}},
		"Syntax":            {map[string]string{"a.yaml": a, "b.yaml": "kind: [unbalanced\n"}, "", "", []string{"b.yaml: document 1, line"}},
		"TwiceAcrossFiles":  {map[string]string{"a.yaml": a, "b.yaml": "# again\n" + a}, "", "", []string{"b.yaml: document 1, line 2: ConfigMap a appears twice: first in ", "a.yaml, document 1, line 1"}},
		"TwiceInOneFile":    {map[string]string{"a.yaml": a + "---\n" + a}, "", "", []string{"a.yaml: document 2, line 6: ConfigMap a appears twice"}},
		"NotText":           {map[string]string{"a.yaml": a + "\xff\xfe"}, "", "", []string{"a.yaml", "not UTF-8"}},
		"StdinPlace":        {nil, "-", "kind: ConfigMap\n", []string{"standard input: document 1, line 1: apiVersion is missing"}},
		"SecretNotQuoted":   {nil, "-", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  k: [hunter2\n", []string{"standard input: document 1, line"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tt.path
			if path != source.Stdin {
				path = filepath.Join(write(t, tt.files), tt.path)
			}
			_, err := source.Read(path, strings.NewReader(tt.stdin))
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q repeats a value of the bundle", err)
			}
		})
	}
}

func TestReadTooLarge(t *testing.T) {
	t.Parallel()
	big := strings.NewReader("# " + strings.Repeat("x", 16<<20) + "\n")
	if _, err := source.Read(source.Stdin, big); err == nil || !strings.Contains(err.Error(), "16777216 bytes") {
		t.Errorf("error = %v, want one that names the limit", err)
	}
}

func TestKustomize(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"base/kustomization.yaml":           "resources: [cm.yaml]\n",
		"base/cm.yaml":                      configMap("web"),
		"overlay/kustomization.yaml":        "resources: [../base]\nnamespace: eu\nnamePrefix: my-\n",
		"overlay/ignored-by-kustomize.yaml": "not: [a manifest\n",
	}
	dir := write(t, files)
	want := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: my-web\n  namespace: eu\n"
	for _, path := range []string{"overlay", "overlay/kustomization.yaml"} {
		got, err := source.Read(filepath.Join(dir, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got.Content)); d != "" {
			t.Errorf("%s: -want +got:\n%s", path, d)
		}
	}
}

func TestKustomizeExample(t *testing.T) {
	t.Parallel()
	examples := filepath.Join("..", "..", "..", "..", "deploy", "examples")
	for name, objects := range map[string]int{"hello": 5, "hello-kustomize": 4} {
		got, err := source.Read(filepath.Join(examples, name), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(got.Objects) != objects {
			t.Errorf("%s holds %d objects, want %d", name, len(got.Objects), objects)
		}
	}
}

func TestKustomizeIsLocal(t *testing.T) {
	t.Parallel()
	for name, kustomization := range map[string]string{
		"URL":          "resources: ['https://127.0.0.1:1/cm.yaml']\n",
		"URLCapitals":  "resources: ['HTTPS://127.0.0.1:1/cm.yaml']\n",
		"Git":          "resources: ['git@127.0.0.1:org/repo']\n",
		"GitPrefix":    "resources: ['git::https://127.0.0.1:1/org/repo']\n",
		"GitHub":       "resources: ['github.com/org/repo?ref=v1']\n",
		"Component":    "components: ['ssh://git@127.0.0.1/org/repo']\n",
		"FieldCase":    "Resources: ['https://127.0.0.1:1/cm.yaml']\n",
		"Patch":        "resources: [cm.yaml]\npatches: [{path: 'https://127.0.0.1:1/p.yaml'}]\n",
		"ConfigMap":    "configMapGenerator: [{name: x, files: ['a=https://127.0.0.1:1/a?b=c']}]\n",
		"Env":          "secretGenerator: [{name: x, envs: ['http://127.0.0.1:1/a']}]\n",
		"OpenAPI":      "resources: [cm.yaml]\nopenapi: {path: 'https://127.0.0.1:1/schema.json'}\n",
		"Replacement":  "resources: [cm.yaml]\nreplacements: [{path: 'https://127.0.0.1:1/r.yaml'}]\n",
		"Inline":       "resources: [cm.yaml]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: p}\n  path: https://127.0.0.1:1/p.yaml\n",
		"PluginFile":   "resources: [cm.yaml]\ngenerators: [generator.yaml]\n",
		"Below":        "resources: [below]\n",
		"FolderOfName": "resources: ['github.com/org/repo']\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{
				"kustomization.yaml": kustomization, "cm.yaml": configMap("web"),
				"generator.yaml":                         "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nfiles: ['https://127.0.0.1:1/a']\n",
				"below/kustomization.yml":                "resources: ['https://127.0.0.1:1/cm.yaml']\n",
				"github.com/org/repo/kustomization.yaml": "resources: []\n",
			})
			_, err := source.Read(dir, nil)
			if err == nil || !strings.Contains(err.Error(), "local files only") {
				t.Errorf("error = %v, want a refusal to fetch", err)
			}
		})
	}
}

func TestKustomizeErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ kustomization, want string }{
		"Missing":  {"resources: [nope.yaml]\n", `names "nope.yaml", which is neither a file nor a folder here`},
		"BadField": {"resourcez: [cm.yaml]\n", "resourcez"},
		"Outside":  {"resources: [cm.yaml]\npatches: [{path: ../outside.yaml}]\n", "outside"},
		"BadBuilt": {"resources: [cm.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{op: replace, path: /metadata/labels, value: {a: 1}}]'}]\n", "build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(write(t, map[string]string{
				"k/kustomization.yaml": tt.kustomization, "k/cm.yaml": configMap("web"), "outside.yaml": configMap("web"),
			}), "k")
			_, err := source.Read(dir, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
