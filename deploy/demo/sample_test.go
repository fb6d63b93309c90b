package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// The sample can be changed in all the ways in which the story changes it, and stays in the demo's namespace.
func TestSampleCanBeChanged(t *testing.T) {
	t.Chdir("../..")
	d := &demo{dir: t.TempDir()}
	write := func(name string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(d.dir, name, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString("---\n" + string(b))
		}
		read, err := bundle.Parse([]byte(text.String()), bundle.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range read {
			if o.Namespace() != namespace {
				t.Errorf("%s: %s %s is in namespace %q, want %q", name, o.Kind(), o.GetName(), o.Namespace(), namespace)
			}
		}
		return text.String()
	}
	first, err := d.manifests("first")
	was := write(first, err)
	changed, err := d.manifests("changed", firstPage, secondPage)
	if text := write(changed, err); text != strings.Replace(was, firstPage, secondPage, 1) {
		t.Errorf("changed:\n%s", text)
	}
	bad, err := d.broken("bad")
	if text := write(bad, err); !strings.Contains(text, misspeltImage) || !strings.Contains(text, brokenPage) || !strings.Contains(text, "kubecluster/phase: imagepull") {
		t.Errorf("broken:\n%s", text)
	}
	if _, err := d.manifests("nothing", "what is nowhere", "x"); err == nil {
		t.Error("a text that is nowhere was replaced")
	}
}

func TestPolicyIsValid(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../..", policyFile))
	if err != nil {
		t.Fatal(err)
	}
	doc, problems := policy.Parse(text, policy.Checks{})
	if len(problems) > 0 || doc.Name != demoStack {
		t.Errorf("policy %q: %+v", doc.Name, problems)
	}
}
