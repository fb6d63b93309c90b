package template_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func TestWhoSeesAndChanges(t *testing.T) {
	t.Parallel()
	owner, other := tenancy.GeneratorID("owner"), tenancy.GeneratorID("other")
	own, system := template.Template{Generator: &owner}, template.Template{}
	for reason, c := range map[string]struct {
		t             template.Template
		s             tenancy.Scope
		sees, changes bool
	}{
		"an admin, a generator's":       {own, tenancy.Everything(), true, true},
		"an admin, the platform's":      {system, tenancy.Everything(), true, true},
		"its owner":                     {own, tenancy.Scope{Generator: owner}, true, true},
		"another generator":             {own, tenancy.Scope{Generator: other}, false, false},
		"a generator, the platform's":   {system, tenancy.Scope{Generator: owner}, true, false},
		"an agent, a generator's":       {own, tenancy.Scope{Agent: "a"}, false, false},
		"an agent, the platform's":      {system, tenancy.Scope{Agent: "a"}, false, false},
		"nobody, the platform's":        {system, tenancy.Scope{}, false, false},
		"nobody, one of no known owner": {template.Template{Generator: new(tenancy.GeneratorID)}, tenancy.Scope{}, false, false},
	} {
		if c.t.VisibleTo(c.s) != c.sees || c.t.OwnedBy(c.s) != c.changes {
			t.Errorf("%s: sees %v, changes %v; want %v, %v", reason, c.t.VisibleTo(c.s), c.t.OwnedBy(c.s), c.sees, c.changes)
		}
	}
	if !own.Fits(owner) || own.Fits(other) || !system.Fits(owner) {
		t.Error("a template fits its owner's stacks, and the platform's everybody's")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	labels := []template.Label{{Label: "tier:web"}, {Label: "prod"}}
	annotations := []template.Annotation{{Key: "team", Value: "x"}}
	for reason, c := range map[string]struct {
		has    []stack.Label
		hasToo []stack.Annotation
		labels []string
		kvs    []template.KeyValue
	}{
		"everything and more": {[]stack.Label{{Label: "prod"}, {Label: "tier:web"}, {Label: "z"}}, []stack.Annotation{{Key: "team", Value: "x"}}, nil, nil},
		"another value":       {[]stack.Label{{Label: "prod"}, {Label: "tier:web"}}, []stack.Annotation{{Key: "team", Value: "y"}}, []string{}, []template.KeyValue{{Key: "team", Value: "x"}}},
		"one label":           {[]stack.Label{{Label: "prod"}}, []stack.Annotation{{Key: "team", Value: "x"}}, []string{"tier:web"}, []template.KeyValue{}},
		"nothing":             {nil, nil, []string{"tier:web", "prod"}, []template.KeyValue{{Key: "team", Value: "x"}}},
	} {
		err := template.Match(labels, annotations, c.has, c.hasToo)
		if c.labels == nil {
			if err != nil {
				t.Errorf("%s: %v", reason, err)
			}
			continue
		}
		f, _ := fault.As(err)
		if f == nil || f.Kind != fault.Refused || f.Code != "template_stack_mismatch" {
			t.Errorf("%s: got %v, want template_stack_mismatch", reason, err)
			continue
		}
		if diff := cmp.Diff(map[string]any{"missing_labels": c.labels, "missing_annotations": c.kvs}, f.Details); diff != "" {
			t.Errorf("%s: details (-want +got):\n%s", reason, diff)
		}
	}
	if err := template.Match(nil, nil, nil, nil); err != nil {
		t.Errorf("a template without labels fits every stack: %v", err)
	}
}
