package helmchart_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
)

var update = flag.Bool("update", false, "write the golden files")

const meta = "apiVersion: v2\nname: web\nversion: 1.0.0\n"

func configMap(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  v: " + data + "\n"
}

// write makes a chart of files; Chart.yaml is made if it is not among them.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chart")
	if _, given := files["Chart.yaml"]; !given {
		files["Chart.yaml"] = meta
	}
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

func render(t *testing.T, dir string, o helmchart.Options) helmchart.Rendered {
	t.Helper()
	if o.Release == "" {
		o.Release = "shop"
	}
	got, err := helmchart.Render(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExample(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "..", "..", "deploy", "examples", "hello-helm")
	for name, o := range map[string]helmchart.Options{
		"plain": {Release: "hello"},
		"eu":    {Release: "hello-eu", Namespace: "hello-eu", ValueFiles: []string{filepath.Join(dir, "eu.yaml")}, Set: []string{"replicas=4,disruptionBudget=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, dir, o)
			text := strings.Join(got.Notices, "\n") + "\n" + got.Bundle.Checksum() + "\n" + string(got.Bundle.Content)
			path := filepath.Join("testdata", "hello-"+name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (run with -update)", err)
			}
			if d := cmp.Diff(string(want), text); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	values := filepath.Join(t.TempDir(), "more.yaml")
	if err := os.WriteFile(values, []byte("a: from the file\nb: from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: things.example.com\n"
	hook := "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: migrate-\n  annotations: {helm.sh/hook: pre-upgrade}\n"
	for name, tt := range map[string]struct {
		reason  string
		files   map[string]string
		o       helmchart.Options
		want    string // the bundle, without the comments that name sources where it has no "# Source"
		notices []string
	}{
		"Values": {"files win over the chart, --set over files", map[string]string{
			"values.yaml": "a: 1\nb: 1\nc: 1\n", "templates/cm.yaml": configMap("x", "{{ .Values.a }}, {{ .Values.b }}, {{ .Values.c }}"),
		}, helmchart.Options{ValueFiles: []string{values}, Set: []string{"a=set"}}, configMap("x", "set, from the file, 1"), nil},
		"Release": {"the release is an installation by the name that is given", map[string]string{
			"templates/cm.yaml": configMap("{{ .Release.Name }}", "{{ .Release.Namespace }} {{ .Release.IsInstall }} {{ .Release.Revision }} {{ .Release.Service }}"),
		}, helmchart.Options{Release: "named"}, configMap("named", "default true 1 Helm"), nil},
		"Capabilities": {"the cluster is what the options say, else the library's version", map[string]string{
			"templates/cm.yaml": configMap("x", `{{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has "apps/v1" }} {{ .Capabilities.APIVersions.Has "example.com/v1" }}`),
		}, helmchart.Options{KubeVersion: "1.29.3", APIVersions: []string{"example.com/v1"}}, configMap("x", "29 true true"), nil},
		"DefaultVersion": {"", map[string]string{"templates/cm.yaml": configMap("x", `{{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has "example.com/v1" }}`)},
			helmchart.Options{}, configMap("x", "v1.37.0 false"), nil},
		"NoCluster": {"lookup finds nothing and no name is resolved", map[string]string{
			"templates/cm.yaml": configMap("x", `"{{ len (lookup "v1" "Secret" "a" "b") }}{{ getHostByName "localhost" }}"`),
		}, helmchart.Options{}, configMap("x", `"0"`), nil},
		"Order": {"definitions first, then kinds as Helm installs them, then files by name; unknown kinds last", map[string]string{
			"templates/a.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
			"templates/b.yaml": configMap("b", "1"), "templates/c.yaml": configMap("c", "1"), "crds/z.yaml": crd,
			"templates/n.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n",
		}, helmchart.Options{}, "# Source: web/crds/z.yaml\n" + crd + "\n---\n# Source: web/templates/n.yaml\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n" +
			"\n---\n# Source: web/templates/b.yaml\n" + configMap("b", "1") + "\n---\n# Source: web/templates/c.yaml\n" + configMap("c", "1") +
			"\n---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n" +
			"\n---\n# Source: web/templates/a.yaml\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n", nil},
		"Hooks": {"hooks and tests are left out and named, whatever they lack; notes are no manifest", map[string]string{
			"templates/cm.yaml": hook + "---\n" + configMap("x", "1"), "templates/NOTES.txt": "Thank you!",
			"templates/tests/t.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: t\n  annotations: {helm.sh/hook: 'test,unknown'}\nrandom: {{ uuidv4 }}\n",
		}, helmchart.Options{}, configMap("x", "1"), []string{"left out, because hooks and tests of Helm are no part of a stack: Pod/t (test,unknown), Job/migrate- (pre-upgrade)"}},
		"Homeless": {"what Helm would place in the namespace of the release and a bundle does not is told", map[string]string{
			"templates/cm.yaml": configMap("x", "1") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n",
		}, helmchart.Options{Namespace: "shop"}, "", []string{"these name no namespace and go to default, not to shop: ConfigMap/x; `namespace: {{ .Release.Namespace }}` in their templates places them"}},
		"Ignored": {".helmignore is heeded", map[string]string{".helmignore": "templates/draft.yaml\n", "templates/draft.yaml": "not: [a manifest", "templates/cm.yaml": configMap("x", "1")},
			helmchart.Options{}, configMap("x", "1"), nil},
		"Dependencies": {"conditions and aliases decide which charts below take part, globals reach them", map[string]string{
			"Chart.yaml":  meta + "dependencies:\n- {name: db, version: 1.x, condition: db.enabled}\n- {name: cache, version: 1.x, alias: fast, condition: fast.enabled}\n",
			"values.yaml": "db: {enabled: false}\nfast: {enabled: true, v: own}\nglobal: {v: all}\n", "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.2.3\n",
			"charts/db/templates/cm.yaml": configMap("db", "1"), "charts/cache/Chart.yaml": "apiVersion: v2\nname: cache\nversion: 1.0.0\n",
			"charts/cache/templates/cm.yaml": configMap("{{ .Chart.Name }}", "{{ .Values.v }} {{ .Values.global.v }}"),
		}, helmchart.Options{}, configMap("fast", "own all"), nil},
		"GluedTogether": {"a separator whose line end was trimmed away still separates, as with Helm", map[string]string{"templates/cm.yaml": configMap("a", "1") + "---{{/* x */ -}}\n" + configMap("b", "1")}, helmchart.Options{}, configMap("a", "1") + "---\n" + configMap("b", "1"), nil},
		"ChanceUnused":  {"chance that does not reach a manifest is no matter", map[string]string{"values.yaml": "p: given\n", "templates/cm.yaml": configMap("x", "{{ .Values.p | default (randAlphaNum 20) }}")}, helmchart.Options{}, configMap("x", "given"), nil},
		"MapOrder":      {"maps are walked in one order", map[string]string{"templates/cm.yaml": configMap("x", `{{ $d := dict "c" 3 "a" 1 "b" 2 "e" 5 "d" 4 }}{{ keys $d | join "" }} {{ values $d | join "" }}`)}, helmchart.Options{}, configMap("x", "abcde 12345"), nil},
		"TimeZone":      {"a time is told in UTC, wherever this runs", map[string]string{"templates/cm.yaml": configMap("x", `{{ 1000000000 | date "2006-01-02T15:04" }} {{ toDate "2006-01-02" "2020-05-06" | unixEpoch }}`)}, helmchart.Options{}, configMap("x", "2001-09-09T01:46 1588723200"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, write(t, tt.files), tt.o)
			text := string(got.Bundle.Content)
			if !strings.Contains(tt.want, "# Source") {
				text = regexp.MustCompile(`(?m)^# Source: .*\n`).ReplaceAllString(text, "")
			} else {
				text = strings.ReplaceAll(text, "\n---\n", "\n\n---\n")
			}
			if d := cmp.Diff(tt.want, text); tt.want != "" && d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
			if d := cmp.Diff(tt.notices, got.Notices); d != "" {
				t.Errorf("%s: notices -want +got:\n%s", tt.reason, d)
			}
		})
	}
}

// The same chart is the same bytes however often and from wherever it is rendered.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	files := func() map[string]string {
		out := map[string]string{"templates/cm.yaml": configMap("x", `{{ .Values | toJson | quote }}`), "values.yaml": "m: {c: 1, a: 2, b: {z: 1, y: 2}}\n"}
		for _, name := range []string{"a", "b", "c", "d"} { // Helm reads charts below in no order
			out["charts/"+name+"/Chart.yaml"] = "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"
			out["charts/"+name+"/crds/crd.yaml"] = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + name + ".example.com}\n"
			out["charts/"+name+"/templates/cm.yaml"] = configMap(name, "1")
		}
		return out
	}
	first := render(t, write(t, files()), helmchart.Options{}).Bundle.Checksum()
	for range 10 {
		if again := render(t, write(t, files()), helmchart.Options{}).Bundle.Checksum(); again != first {
			t.Fatalf("checksum %s, then %s", first, again)
		}
	}
}

// The version that charts are rendered for by default is that of the client library which go.mod names.
func TestDefaultKubeVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`k8s\.io/client-go v0\.(\d+)\.`).FindStringSubmatch(string(text))
	if m == nil || helmchart.DefaultKubeVersion != "1."+m[1]+".0" {
		t.Errorf("the default is %s, go.mod has %v", helmchart.DefaultKubeVersion, m)
	}
}
