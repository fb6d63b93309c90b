package helmchart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
)

func TestRefuses(t *testing.T) {
	t.Parallel()
	cm := configMap("x", "1")
	schema := `{"type": "object", "properties": {"size": {"type": "integer", "maximum": 3}, "password": {"type": "string", "pattern": "^[0-9]+$"}, "one": {"enum": ["a", "b"]}}}`
	for name, tt := range map[string]struct {
		files map[string]string
		o     helmchart.Options
		want  []string // each is in the error
	}{
		"ReleaseName":  {nil, helmchart.Options{Release: "Not_A_Name"}, []string{`"Not_A_Name"`, "--release"}},
		"NoVersion":    {map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\n"}, helmchart.Options{}, []string{"read the chart", "version is required"}},
		"NoYAML":       {map[string]string{"Chart.yaml": "name: [web\n"}, helmchart.Options{}, []string{"Chart.yaml", "line 1"}},
		"ValuesNoYAML": {map[string]string{"values.yaml": "a: [1\n"}, helmchart.Options{}, []string{"values.yaml", "line 1"}},
		"Library":      {map[string]string{"Chart.yaml": meta + "type: library\n"}, helmchart.Options{}, []string{"Chart.yaml", "library chart", "depends on it"}},
		"FutureChart":  {map[string]string{"Chart.yaml": "apiVersion: v3\nname: web\nversion: 1.0.0\n"}, helmchart.Options{}, []string{`"v3"`, "only v1 and v2"}},
		"KubeVersion":  {map[string]string{"Chart.yaml": meta + "kubeVersion: '>= 1.99'\n"}, helmchart.Options{}, []string{"Chart.yaml", ">= 1.99", "v1.37.0", "--kube-version"}},
		"Missing": {map[string]string{"Chart.yaml": meta + "dependencies:\n- {name: db, version: 1.x, repository: 'https://example.com'}\n"},
			helmchart.Options{}, []string{"Chart.yaml", "db 1.x", "charts/", "helm dependency build"}},
		"MissingBelow": {map[string]string{"charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\ndependencies: [{name: deep, version: '*'}]\n"},
			helmchart.Options{}, []string{"charts/db/Chart.yaml", "deep *"}},
		"Stale": {map[string]string{"Chart.yaml": meta + "dependencies: [{name: db, version: ^2}]\n", "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n"},
			helmchart.Options{}, []string{"db ^2", "holds 1.0.0", "helm dependency update"}},
		"Empty":        {map[string]string{"templates/_x.tpl": "x", "templates/a.yaml": "# nothing\n"}, helmchart.Options{}, []string{"no Kubernetes object"}},
		"HooksAlone":   {map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {helm.sh/hook: test}}\n"}, helmchart.Options{}, []string{"hooks alone (Pod/p (test))", "no Kubernetes object"}},
		"Syntax":       {map[string]string{"templates/a.yaml": "a: 1\nb: {{ .Values.x \n"}, helmchart.Options{}, []string{"web/templates/a.yaml:2", "unclosed action"}},
		"Required":     {map[string]string{"templates/a.yaml": "a: 1\nb: {{ required \"say x\" .Values.x }}\n"}, helmchart.Options{}, []string{"web/templates/a.yaml:2", "say x"}},
		"NotesCheck":   {map[string]string{"templates/a.yaml": cm, "templates/NOTES.txt": "{{ fail \"these do not go together\" }}"}, helmchart.Options{}, []string{"NOTES.txt:1", "these do not go together"}},
		"Environment":  {map[string]string{"templates/a.yaml": "a: {{ env \"HOME\" }}\n"}, helmchart.Options{}, []string{"a.yaml:1", `"env" not defined`}},
		"BadManifest":  {map[string]string{"templates/a.yaml": "# a comment\n---\n" + cm + "---\nkind: ConfigMap\nmetadata: {name: y}\n"}, helmchart.Options{}, []string{"web/templates/a.yaml, as rendered: document 2, line 10: apiVersion is missing"}},
		"BadYAML":      {map[string]string{"templates/a.yaml": cm + "---\nkind: Secret\nstringData: {p: [hunter2\n"}, helmchart.Options{}, []string{"web/templates/a.yaml, as rendered: document 2, line "}},
		"Twice":        {map[string]string{"templates/a.yaml": cm, "templates/b.yaml": cm}, helmchart.Options{}, []string{"web/templates/b.yaml", "appears twice", "web/templates/a.yaml"}},
		"Schema":       {map[string]string{"values.schema.json": schema, "values.yaml": "size: 4\npassword: hunter2\none: c\n", "templates/a.yaml": cm}, helmchart.Options{}, []string{"web/values.schema.json", "size: maximum: want 3", "password: does not match", "one: value must be one of"}},
		"SchemaSet":    {map[string]string{"values.schema.json": schema, "templates/a.yaml": cm}, helmchart.Options{Set: []string{"size=hunter2"}}, []string{"size: got string, want integer"}},
		"SchemaBelow":  {map[string]string{"charts/db/values.schema.json": schema, "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n", "templates/a.yaml": cm}, helmchart.Options{Set: []string{"db.size=9"}}, []string{"web/charts/db/values.schema.json", "size: maximum"}},
		"SchemaAway":   {map[string]string{"values.schema.json": `{"$ref": "https://127.0.0.1:1/schema.json"}`, "templates/a.yaml": cm}, helmchart.Options{}, []string{"web/values.schema.json", "https://127.0.0.1:1/schema.json", "not fetched"}},
		"SchemaFile":   {map[string]string{"values.schema.json": `{"$ref": "file:///etc/passwd"}`, "templates/a.yaml": cm}, helmchart.Options{}, []string{"file:///etc/passwd", "not fetched"}},
		"SchemaNoJSON": {map[string]string{"values.schema.json": `{`, "templates/a.yaml": cm}, helmchart.Options{}, []string{"web/values.schema.json", "no JSON"}},
		"NoSchema":     {map[string]string{"values.schema.json": `{"type": 7}`, "templates/a.yaml": cm}, helmchart.Options{}, []string{"web/values.schema.json", "no schema"}},
		"SetMismatch":  {map[string]string{"templates/a.yaml": cm}, helmchart.Options{Set: []string{"a=1", "a[0]=hunter2"}}, []string{`"a[0]"`}},
		"ValuesAway":   {map[string]string{"templates/a.yaml": cm}, helmchart.Options{ValueFiles: []string{"https://127.0.0.1:1/v.yaml"}}, []string{"local files only"}},
		"NoValues":     {map[string]string{"templates/a.yaml": cm}, helmchart.Options{ValueFiles: []string{"nope.yaml"}}, []string{"read the values", "nope.yaml"}},
		"Clock":        {map[string]string{"templates/a.yaml": configMap("x", `{{ now | date "2006" }}`)}, helmchart.Options{}, []string{"web/templates/a.yaml: line 6 of ConfigMap/x", "something else each time", "--set"}},
		"Chance":       {map[string]string{"templates/a.yaml": configMap("x", `{{ randAlphaNum 1 }}`)}, helmchart.Options{}, []string{"web/templates/a.yaml: line 6"}},
		"ChanceInt":    {map[string]string{"templates/a.yaml": "{{ if randInt 0 2 }}\n" + cm + "{{ end }}"}, helmchart.Options{}, []string{"web/templates/a.yaml: line 1"}},
		"Shuffle":      {map[string]string{"templates/a.yaml": configMap("x", `{{ shuffle "aab" }}`)}, helmchart.Options{}, []string{"line 6"}},
		"UUID":         {map[string]string{"templates/a.yaml": configMap("x", `{{ uuidv4 }}`)}, helmchart.Options{}, []string{"line 6"}},
		"Certificate":  {map[string]string{"templates/a.yaml": configMap("x", `{{ (genCA "x" 1).Cert | b64enc }}`)}, helmchart.Options{}, []string{"line 6"}},
		"Hash":         {map[string]string{"templates/a.yaml": configMap("x", `{{ htpasswd "a" "hunter2" | quote }}`)}, helmchart.Options{}, []string{"line 6"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.files == nil {
				tt.files = map[string]string{}
			}
			if tt.o.Release == "" {
				tt.o.Release = "shop"
			}
			got, err := helmchart.Render(write(t, tt.files), tt.o)
			if err == nil {
				t.Fatalf("it was rendered:\n%s", got.Bundle.Content)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want one with %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q repeats a value", err)
			}
		})
	}
}

// A chart reads nothing outside of its folder, whatever its links say.
func TestLinks(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		link, to string
		ignore   string
		want     string // in the error; empty: it is rendered
	}{
		"File":     {"files/key", secret, "", "files/key: the link leads out of the chart, nowhere or in a circle"},
		"Folder":   {"templates/more", filepath.Dir(secret), "", "templates/more: the link leads out of the chart"},
		"Dangling": {"files/key", "nowhere", "", "files/key: the link leads out of the chart, nowhere or in a circle"},
		"Ignored":  {"files/key", secret, "files/key\n", ""},
		"Inside":   {"files/key", "../templates/a.yaml", "", ""},
		"Circle":   {"files/again", "..", "", "in a circle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"templates/a.yaml": configMap("x", `"{{ .Files.Get "files/key" | b64enc }}"`), "files/x": "x", ".helmignore": tt.ignore})
			if err := os.Symlink(tt.to, filepath.Join(dir, tt.link)); err != nil {
				t.Skipf("there are no links here: %v", err)
			}
			got, err := helmchart.Render(dir, helmchart.Options{Release: "shop"})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error = %v, want one with %q; rendered %q", err, tt.want, got.Bundle.Content)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		o    helmchart.Options
		want string
	}{
		"Good":    {helmchart.Options{KubeVersion: "v1.30", Set: []string{"a.b=1,c={x,y}"}}, ""},
		"Version": {helmchart.Options{KubeVersion: "newest"}, `"newest" is no version of Kubernetes`},
		"Set":     {helmchart.Options{Set: []string{"novalue"}}, `"novalue"`},
		"SetList": {helmchart.Options{Set: []string{"a[x]=hunter2"}}, `"a[x]"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.o.Check()
			if (err == nil) != (tt.want == "") || (err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2"))) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
