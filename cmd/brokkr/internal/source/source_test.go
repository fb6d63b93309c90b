package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
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
		"Folder":          {"files are taken by name", map[string]string{"2.yaml": b, "1.yml": a}, "", "", a + "---\n" + b},
		"File":            {"a single file has the same rule for its end", map[string]string{"a.yaml": a + "\n\n"}, "a.yaml", "", a},
		"Stdin":           {"so has standard input", nil, "-", a + "\n\n", a},
		"StdinWithoutEnd": {"a missing newline is added", nil, "-", strings.TrimSpace(a), a},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tt.path
			if path != source.Stdin {
				path = filepath.Join(write(t, tt.files), tt.path)
			}
			got, err := source.Read(path, source.Options{Stdin: strings.NewReader(tt.stdin)})
			if err != nil {
				t.Fatalf("%s: %v", tt.reason, err)
			}
			if d := cmp.Diff(tt.want, string(got.Content)); d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, stdin string
		want        string // in the error's text
	}{
		"NoSuchPath":      {"nope", "", "no such file"},
		"EmptyStdin":      {"-", "", "no Kubernetes object"},
		"StdinPlace":      {"-", "kind: ConfigMap\n", "standard input: document 1, line 1: apiVersion is missing"},
		"SecretNotQuoted": {"-", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  k: [hunter2\n", "standard input: document 1, line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := source.Read(tt.path, source.Options{Stdin: strings.NewReader(tt.stdin)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want one that says %q", err, tt.want)
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
	if _, err := source.Read(source.Stdin, source.Options{Stdin: big}); err == nil || !strings.Contains(err.Error(), "16777216 bytes") {
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
		got, err := source.Read(filepath.Join(dir, path), source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got.Content)); d != "" {
			t.Errorf("%s: -want +got:\n%s", path, d)
		}
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	chart := map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "templates/cm.yaml": configMap("{{ .Release.Name }}"), "values.yaml": "not: a manifest\n", "web-1.0.0.tgz": "x"}
	both := map[string]string{"kustomization.yaml": "resources: [cm.yaml]\n", "cm.yaml": configMap("k")}
	for name, text := range chart {
		both[name] = text
	}
	named := source.Options{Chart: helmchart.Options{Release: "shop"}}
	for name, tt := range map[string]struct {
		files map[string]string
		path  string
		o     source.Options
		want  string // the object's name
		err   string
	}{
		"Folder":         {chart, "", named, "shop", ""},
		"File":           {chart, "Chart.yaml", named, "shop", ""},
		"Packed":         {chart, "web-1.0.0.tgz", named, "", "unpack it"},
		"NoRelease":      {chart, "", source.Options{}, "", "the chart's release needs a name"},
		"Both":           {both, "", named, "", "holds both a kustomization and a chart; name the one that is meant"},
		"BothNamed":      {both, "Chart.yaml", named, "shop", ""},
		"BothNamedOther": {both, "kustomization.yaml", source.Options{}, "k", ""},
		"NoChart":        {map[string]string{"cm.yaml": configMap("a")}, "", source.Options{ForCharts: "--set"}, "", "is no Helm chart, and --set is for charts alone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := source.Read(filepath.Join(write(t, tt.files), tt.path), tt.o)
			switch {
			case tt.err != "":
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want one with %q", err, tt.err)
				}
			case err != nil:
				t.Error(err)
			case len(got.Objects) != 1 || got.Objects[0].Name() != tt.want:
				t.Errorf("got %v, want the object %s", got.Objects, tt.want)
			}
		})
	}
}

func TestKustomizeExample(t *testing.T) {
	t.Parallel()
	examples := filepath.Join("..", "..", "..", "..", "deploy", "examples")
	for name, objects := range map[string]int{"hello": 5, "hello-kustomize": 4} {
		got, err := source.Read(filepath.Join(examples, name), source.Options{})
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
			_, err := source.Read(dir, source.Options{})
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
			_, err := source.Read(dir, source.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
