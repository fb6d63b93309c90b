package plan_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	var many, none = "{", "{"
	for i := range 30 {
		many += fmt.Sprintf("f%02d: 1, ", i)
	}
	for name, tc := range map[string]struct {
		live, would string
		ignore      []string
		want        []string
	}{
		"the same":                          {"{spec: {a: [1, {b: x}]}}", "{spec: {a: [1, {b: x}]}}", nil, nil},
		"what the server keeps":             {"{apiVersion: a/v1, metadata: {uid: a, generation: 1, resourceVersion: '1', creationTimestamp: x, selfLink: y, managedFields: [1]}, status: {a: 1}}", "{apiVersion: a/v2, metadata: {uid: b, generation: 2}}", nil, nil},
		"but a field named status below":    {"{spec: {status: a}}", "{spec: {status: b}}", nil, []string{"/spec/status"}},
		"a value":                           {"{spec: {a: 1, b: x}}", "{spec: {a: 2, b: x}}", nil, []string{"/spec/a"}},
		"another type":                      {"{spec: {a: {b: 1}, c: [1]}}", "{spec: {a: 1, c: {d: 1}}}", nil, []string{"/spec/a", "/spec/c"}},
		"each field of a mapping that came": {"{}", "{metadata: {labels: {a: b, c/d~e: f}}}", nil, []string{"/metadata/labels/a", "/metadata/labels/c~1d~0e"}},
		"or went":                           {"{spec: {a: {b: {c: 1}}}}", "{spec: {}}", nil, []string{"/spec/a/b/c"}},
		"an element of a list":              {"{a: [{b: 1}, {b: 2}]}", "{a: [{b: 1}, {b: 3}]}", nil, []string{"/a/1/b"}},
		"a list of another length":          {"{a: [1, 2]}", "{a: [1]}", nil, []string{"/a"}},
		"an empty list and none":            {"{a: [], b: null}", "{c: []}", nil, nil},
		"null and none":                     {"{metadata: {creationTimestamp: null, a: null}}", "{}", nil, nil},
		"an empty mapping and none": {"{spec: {from: [{podSelector: {}}]}}", "{spec: {from: [{namespaceSelector: {}}]}}", nil,
			[]string{"/spec/from/0/namespaceSelector", "/spec/from/0/podSelector"}},
		"an empty mapping and null":        {"{a: {}}", "{a: null}", nil, []string{"/a"}},
		"at most 20":                       {none + "}", many + "}", nil, []string{"/f00", "/f01", "/f02", "/f03", "/f04", "/f05", "/f06", "/f07", "/f08", "/f09", "/f10", "/f11", "/f12", "/f13", "/f14", "/f15", "/f16", "/f17", "/f18", "/f19"}},
		"not what is ignored":              {"{a: 1, b: {c: 1, d: 1}, e: 1, ef: 1}", "{a: 2, b: {c: 2, d: 2}, e: 2, ef: 2}", []string{"/b", "/e", "/a/x", ""}, []string{"/a", "/ef"}},
		"nor what is ignored in what went": {"{}", "{metadata: {annotations: {x/y: a, b: c}}}", []string{"/metadata/annotations/x~1y"}, []string{"/metadata/annotations/b"}},
		"but always the stamps": {"{}", "{metadata: {labels: {brokkr.io/stack: s, app: w}, annotations: {brokkr.io/owner-id: a, k8s.brokkr.io/stack: s, team: t}}}",
			[]string{"/metadata"}, []string{"/metadata/annotations/brokkr.io~1owner-id", "/metadata/annotations/k8s.brokkr.io~1stack", "/metadata/labels/brokkr.io~1stack"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const head = "kind: Widget, "
			live, would := object(t, "{"+head+tc.live[1:]), object(t, "{"+head+tc.would[1:])
			if diff := cmp.Diff(tc.want, plan.Differences(live, would, tc.ignore...)); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if len(tc.want) < 20 && len(plan.Differences(would, live, tc.ignore...)) != len(tc.want) {
				t.Errorf("the other way round they are %v", plan.Differences(would, live, tc.ignore...))
			}
		})
	}
}
