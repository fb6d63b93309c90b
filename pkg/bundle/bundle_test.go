package bundle_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n"

func cm(name string) string { return fmt.Sprintf(configMap, name) }

type found struct {
	Document, Line int
	Key            string
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		want    []found
	}{
		"empty":              {"", nil},
		"only markers":       {"---\n---\n# nothing\n---\n", nil},
		"one":                {cm("a"), []found{{1, 1, "ConfigMap a"}}},
		"leading marker":     {"---\n" + cm("a"), []found{{1, 2, "ConfigMap a"}}},
		"comment and marker": {"# licence\n---\n" + cm("a"), []found{{1, 3, "ConfigMap a"}}},
		"directive":          {"%YAML 1.1\n---\n" + cm("a"), []found{{1, 3, "ConfigMap a"}}},
		"byte order mark":    {"\xef\xbb\xbf" + cm("a"), []found{{1, 1, "ConfigMap a"}}},
		"windows line ends":  {strings.ReplaceAll(cm("a")+"---\n"+cm("b"), "\n", "\r\n"), []found{{1, 1, "ConfigMap a"}, {2, 6, "ConfigMap b"}}},
		"empty between":      {cm("a") + "---\n# nothing\n---\n" + cm("b"), []found{{1, 1, "ConfigMap a"}, {3, 8, "ConfigMap b"}}},
		"document end":       {cm("a") + "...\n---\n" + cm("b"), []found{{1, 1, "ConfigMap a"}, {2, 7, "ConfigMap b"}}},
		"marker within text": {cm("a") + "data:\n  a: |\n    ---\n    x\n---\n" + cm("b"), []found{{1, 1, "ConfigMap a"}, {2, 10, "ConfigMap b"}}},
		"json":               {`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"n"}}`, []found{{1, 1, "Deployment.apps n/a"}}},
		"json after yaml": {cm("a") + "---\n\n{\t\"apiVersion\": \"v1\",\n\"kind\": \"Secret\", \"metadata\": {\"name\": \"s\"}}",
			[]found{{1, 1, "ConfigMap a"}, {2, 7, "Secret s"}}},
		"flow style": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", []found{{1, 1, "ConfigMap a"}}},
		"list": {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n",
			[]found{{1, 4, "ConfigMap a"}, {1, 7, "Secret b"}}},
		"json list": {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"b\"}}]}",
			[]found{{1, 2, "Secret b"}}},
		"typed list":             {"apiVersion: v1\nkind: ConfigMapList\nmetadata: {}\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", []found{{1, 5, "ConfigMap a"}}},
		"empty list":             {"apiVersion: v1\nkind: List\nitems: []\n", nil},
		"kind that ends in list": {"apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [1]\n", []found{{1, 1, "AllowList.x.io a"}}},
		"same name, other kind":  {cm("a") + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", []found{{1, 1, "ConfigMap a"}, {2, 6, "Secret a"}}},
		"null annotations":       {"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n  namespace:\n", []found{{1, 1, "ConfigMap a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := bundle.Parse([]byte(tc.content), bundle.DefaultLimits())
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			var got []found
			for _, o := range objects {
				got = append(got, found{o.Document, o.Line, o.Key().String()})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := cm("a") + "data: " + strings.Repeat("[", 130) + strings.Repeat("]", 130)
	bomb := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("x%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, tc := range map[string]struct {
		content        string
		limits         bundle.Limits
		document, line int
		says           string
	}{
		"syntax":               {cm("a") + "---\n" + cm("b") + "  x: [1\n", bundle.Limits{}, 2, 10, "YAML syntax"},
		"tab":                  {cm("a") + "\tx: 1\n", bundle.Limits{}, 1, 5, "YAML syntax"},
		"indentation":          {"apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  labels:\n    a: b\n   c: d\n", bundle.Limits{}, 1, 7, "YAML syntax"},
		"unclosed quote":       {cm("a") + "data:\n  a: \"b\n  c: d\n", bundle.Limits{}, 1, 6, "YAML syntax"},
		"plain text":           {cm("a") + "---\nhello\n", bundle.Limits{}, 2, 6, "a plain value, not a Kubernetes object"},
		"sequence":             {"- a\n- b\n", bundle.Limits{}, 1, 1, "a list, not a Kubernetes object"},
		"no apiVersion":        {"\n\nkind: A\nmetadata: {name: a}\n", bundle.Limits{}, 1, 3, "apiVersion is missing"},
		"bad apiVersion":       {"kind: A\napiVersion: a/b/c\nmetadata: {name: a}\n", bundle.Limits{}, 1, 2, "apiVersion"},
		"no kind":              {"apiVersion: v1\nmetadata: {name: a}\n", bundle.Limits{}, 1, 1, "kind is missing"},
		"no metadata":          {"apiVersion: v1\nkind: A\n", bundle.Limits{}, 1, 1, "metadata is missing"},
		"no name":              {"apiVersion: v1\nkind: A\nmetadata: {}\n", bundle.Limits{}, 1, 3, "metadata.name is missing"},
		"number as name":       {"apiVersion: v1\nkind: A\nmetadata: {name: 1}\n", bundle.Limits{}, 1, 3, "quotes"},
		"path as name":         {"apiVersion: v1\nkind: A\nmetadata: {name: ../b}\n", bundle.Limits{}, 1, 3, "metadata.name"},
		"generateName":         {"apiVersion: v1\nkind: Job\nmetadata:\n  generateName: a-\n", bundle.Limits{}, 1, 3, "each apply would create one more"},
		"annotation not text":  {"apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  annotations:\n    b: c\n    d: true\n", bundle.Limits{}, 1, 7, `metadata.annotations["d"]`},
		"labels a list":        {"apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  labels: [b]\n", bundle.Limits{}, 1, 5, "not a mapping"},
		"duplicate":            {cm("a") + "---\n" + cm("b") + "---\n" + cm("a"), bundle.Limits{}, 3, 11, "first in document 1, line 1"},
		"duplicate by version": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n", bundle.Limits{}, 2, 5, "appears twice"},
		"duplicate key":        {cm("a") + "data:\n  b: c\n  b: d\n", bundle.Limits{}, 1, 7, `key "b" appears twice in one mapping (first in line 6)`},
		"duplicate json key":   {"{\"apiVersion\":\"v1\",\n\"apiVersion\":\"v1\"}", bundle.Limits{}, 1, 2, "appears twice"},
		"duplicate in list":    {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n", bundle.Limits{}, 1, 5, "appears twice"},
		"list of text":         {"apiVersion: v1\nkind: List\nitems:\n- a\n", bundle.Limits{}, 1, 4, "item 1 of the list"},
		"too deep":             {deep, bundle.Limits{}, 1, 5, "deeper than 128"},
		"json too deep":        {`{"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}", bundle.Limits{}, 1, 1, "too deeply"},
		"too many documents":   {cm("a") + "---\n" + cm("b") + "---\n" + cm("c"), bundle.Limits{Documents: 2}, 3, 10, "more than 2 documents"},
		"too many items":       {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {apiVersion: v1, kind: A, metadata: {name: b}}\n", bundle.Limits{Documents: 1}, 1, 5, "more than 1 objects"},
		"alias bomb":           {bomb, bundle.Limits{}, 1, 0, "aliases expand"},
		"alias of itself":      {cm("a") + "data: &x\n  y: *x\n", bundle.Limits{}, 1, 6, "contains itself"},
		"custom tag":           {cm("a") + "data: !ruby/object x\n", bundle.Limits{}, 1, 5, "not supported"},
		"infinite":             {cm("a") + "data: .inf\n", bundle.Limits{}, 1, 5, "infinite"},
		"null key":             {cm("a") + "data: {~: a}\n", bundle.Limits{}, 1, 5, "a key is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := bundle.Parse([]byte(tc.content), tc.limits)
			if err == nil {
				t.Fatalf("Parse gave %d objects, want an error", len(objects))
			}
			f, _ := fault.As(err)
			if !fault.Is(err, fault.Invalid) || f.Code != bundle.Code || !strings.Contains(f.Message, tc.says) {
				t.Errorf("error %q (%s, %s), want Invalid with %q", f.Message, f.Kind, f.Code, tc.says)
			}
			if f.Details["document"] != tc.document || (tc.line > 0 && f.Details["line"] != tc.line) {
				t.Errorf("place %v, want document %d line %d (%s)", f.Details, tc.document, tc.line, f.Message)
			}
			if !strings.HasPrefix(f.Message, fmt.Sprintf("document %d, line ", tc.document)) {
				t.Errorf("message %q does not begin with its place", f.Message)
			}
		})
	}
	t.Run("whole bundle", func(t *testing.T) {
		t.Parallel()
		if _, err := bundle.Parse([]byte(cm("a")), bundle.Limits{Bytes: 10}); !fault.Is(err, fault.Invalid) {
			t.Errorf("too large: %v", err)
		}
		if _, err := bundle.Parse([]byte("a: \xff"), bundle.Limits{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("not UTF-8: %v", err)
		}
		if _, err := bundle.Parse([]byte("{"+strings.Repeat("[", maxStructureForTest)), bundle.Limits{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("too many elements: %v", err)
		}
	})
}

const maxStructureForTest = 4<<20 + 1

func TestValuesMeanWhatTheyMeanToKubectl(t *testing.T) {
	t.Parallel()
	content := cm("a") + `
spec:
  int: 7
  octal: 0644
  big: 9223372036854775807
  huge: 18446744073709551615
  float: 1.5
  exp: 1e3
  yes: yes
  quoted: "yes"
  off: off
  true: true
  none: ~
  date: 2020-01-02
  1: one
  text: |
    ---
  merged:
    <<: {a: 1, b: 2}
    b: 3
  tagged: !!str 7
  anchor: &x {deep: [1, two]}
  alias: *x
`
	objects, err := bundle.Parse([]byte(content), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"int": int64(7), "octal": int64(420), "big": int64(9223372036854775807), "huge": float64(18446744073709551615),
		"float": 1.5, "exp": float64(1000), "yes": true, "quoted": "yes", "off": false, "true": true, "none": nil,
		"date": "2020-01-02", "1": "one", "text": "---\n", "merged": map[string]any{"a": int64(1), "b": int64(3)}, "tagged": "7",
		"anchor": map[string]any{"deep": []any{int64(1), "two"}}, "alias": map[string]any{"deep": []any{int64(1), "two"}},
	}
	if diff := cmp.Diff(want, objects[0].Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestErrorsRepeatNoValue(t *testing.T) {
	t.Parallel()
	const canary = "s3cr3t-canary"
	for _, content := range []string{
		cm("a") + "data:\n  p: " + canary + "\n bad\n",
		cm("a") + "data:\n  p: \"" + canary + "\n",
		cm("a") + "data: !!int " + canary + "\n",
		cm("a") + "data: !!binary " + canary + "_\n",
		"apiVersion: v1\nkind: A\nmetadata: {name: a, annotations: [" + canary + "]}\n",
	} {
		_, err := bundle.Parse([]byte(content), bundle.Limits{})
		if err == nil {
			t.Errorf("%q was accepted", content)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("error repeats the value: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(cm("a") + "---\n" + cm("b")))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"A","metadata":{"name":"b"}}]}`))
	f.Add([]byte("a: &a [*a]\n...\n%YAML 1.1\n---\n? {x: y}\n: !!binary z\n<<: *a"))
	f.Fuzz(func(t *testing.T, content []byte) {
		limits := bundle.Limits{Bytes: 1 << 16, Documents: 50, Depth: 30}
		objects, err := bundle.Parse(content, limits)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != bundle.Code {
				t.Fatalf("error %v is not Invalid with the code", err)
			}
			return
		}
		lines := strings.Count(string(content), "\n") + strings.Count(string(content), "\r") + 1
		keys := map[bundle.Key]bool{}
		for _, o := range objects {
			if o.APIVersion() == "" || o.Kind() == "" || o.Name() == "" || o.Document < 1 || o.Line < 1 || o.Line > lines || keys[o.Key()] {
				t.Fatalf("object %+v of %d lines", o, lines)
			}
			keys[o.Key()] = true
			if _, err := o.MarshalJSON(); err != nil {
				t.Fatalf("object %s cannot be JSON: %v", o.Key(), err)
			}
			o.DeepCopy()
		}
	})
}

// BenchmarkParseCRDs parses 40 definitions of about 100 KB each: the size of a large operator's bundle.
func BenchmarkParseCRDs(b *testing.B) {
	var sb strings.Builder
	for i := range 40 {
		fmt.Fprintf(&sb, "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: c%d\nspec:\n  properties:\n", i)
		for j := range 800 {
			fmt.Fprintf(&sb, "    field%d:\n      description: |-\n        What this field is about, at some length,\n        over two lines.\n      type: string\n", j)
		}
	}
	content := []byte(sb.String())
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bundle.Parse(content, bundle.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
