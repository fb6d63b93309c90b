package override_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/override"
)

const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - {name: app, image: "web:1"}
      - {name: proxy, image: "proxy:1"}
---
# kept as it is
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: canary}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: a}
spec: {parts: [x, y], on: true}
`

func step(target policy.PatchTarget, ops, merge string) override.Step {
	return override.Step{Path: "overrides[0].patches[0]", Patch: policy.Patch{Target: target, JSON6902: []byte(ops), Merge: []byte(merge)}}
}

func TestRender(t *testing.T) {
	t.Parallel()
	deployment, widget := policy.PatchTarget{Kind: "Deployment", Name: "web"}, policy.PatchTarget{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "a"}
	for reason, tc := range map[string]struct {
		steps    []override.Step
		has, not []string
	}{
		"an operation":                                  {[]override.Step{step(deployment, `[{"op":"replace","path":"/spec/replicas","value":5}]`, "")}, []string{"replicas: 5", "image: web:1"}, []string{"replicas: 1"}},
		"a strategic merge by the list's key":           {[]override.Step{step(deployment, "", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:2"}]}}}}`)}, []string{"image: web:2", "image: proxy:1"}, []string{"image: web:1"}},
		"a merge of a kind that nobody knows":           {[]override.Step{step(widget, "", `{"spec":{"parts":["z"],"on":null}}`)}, []string{"- z"}, []string{"- x", "on: true"}},
		"one patch after the other":                     {[]override.Step{step(deployment, `[{"op":"add","path":"/metadata/labels","value":{}}]`, ""), step(deployment, `[{"op":"add","path":"/metadata/labels/a","value":"b"}]`, "")}, []string{"a: b"}, nil},
		"an empty target is every object but no Secret": {[]override.Step{step(policy.PatchTarget{}, "", `{"metadata":{"annotations":{"site":"x"}}}`)}, []string{"site: x", "token: canary"}, nil},
	} {
		out, problems := override.Render([]byte(web), tc.steps)
		if len(problems) != 0 {
			t.Errorf("%s: problems %+v", reason, problems)
		}
		for _, s := range tc.has {
			if !strings.Contains(string(out), s) {
				t.Errorf("%s: lacks %q in\n%s", reason, s, out)
			}
		}
		for _, s := range tc.not {
			if strings.Contains(string(out), s) {
				t.Errorf("%s: still has %q in\n%s", reason, s, out)
			}
		}
		again, _ := override.Render([]byte(web), tc.steps)
		if diff := cmp.Diff(string(out), string(again)); diff != "" {
			t.Errorf("%s: another time it is another text:\n%s", reason, diff)
		}
		secrets := strings.Count(string(out), "site: x")
		if reason == "an empty target is every object but no Secret" && secrets != 2 {
			t.Errorf("%s: %d objects were annotated, want 2 of 3", reason, secrets)
		}
	}
}

func TestRenderChangesNothingWithoutNeed(t *testing.T) {
	t.Parallel()
	for reason, steps := range map[string][]override.Step{
		"no patch":                   nil,
		"a patch that says what is":  {step(policy.PatchTarget{Kind: "Deployment"}, `[{"op":"replace","path":"/spec/replicas","value":1}]`, "")},
		"a target that is not there": {step(policy.PatchTarget{Kind: "Ingress"}, `[{"op":"remove","path":"/spec"}]`, "")},
		"a Secret":                   {step(policy.PatchTarget{Kind: "Secret"}, "", `{"stringData":{"token":"x"}}`)},
	} {
		out, problems := override.Render([]byte(web), steps)
		if string(out) != web {
			t.Errorf("%s: got\n%s", reason, out)
		}
		for _, p := range problems {
			if !p.Warning {
				t.Errorf("%s: error %+v", reason, p)
			}
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	all := policy.PatchTarget{Kind: "Deployment"}
	for reason, tc := range map[string]struct {
		step override.Step
		says string
	}{
		"a path that is not there":      {step(all, `[{"op":"replace","path":"/spec/nope/x","value":1}]`, ""), "operation 1 (replace /spec/nope/x): nothing is there"},
		"a test that fails":             {step(all, `[{"op":"test","path":"/spec/replicas","value":9}]`, ""), "something else is there"},
		"no list of operations":         {step(all, `{"op":"add"}`, ""), "no list of JSON Patch operations"},
		"a merge that is no object":     {step(all, "", `[1]`), "no object"},
		"a merge that does not fit":     {step(all, "", `{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}`), "does not fit a Deployment"},
		"another name":                  {step(all, `[{"op":"replace","path":"/metadata/name","value":"other"}]`, ""), "another object"},
		"another kind":                  {step(all, "", `{"kind":"DaemonSet"}`), "another object"},
		"nothing left":                  {step(all, `[{"op":"remove","path":"/kind"}]`, ""), "leaves no object"},
		"neither":                       {step(all, "", ""), "neither patch nor merge"},
		"both":                          {step(all, `[]`, `{}`), "both"},
		"a copy that grows without end": {step(all, "["+strings.TrimSuffix(strings.Repeat(`{"op":"copy","from":"/spec","path":"/spec/x"},{"op":"copy","from":"/spec","path":"/spec/y"},`, 20), ",")+"]", ""), "cannot be applied"},
	} {
		out, problems := override.Render([]byte(web), []override.Step{tc.step})
		if out != nil || len(problems) == 0 || problems[0].Warning || problems[0].Path != "overrides[0].patches[0]" || !strings.Contains(problems[0].Message, tc.says) {
			t.Errorf("%s: got %d bytes and %+v, want an error that says %q", reason, len(out), problems, tc.says)
		}
	}
	if _, problems := override.Render([]byte("{"), nil); len(problems) != 1 || problems[0].Warning {
		t.Errorf("content that is no bundle: got %+v", problems)
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	p := func(kind string) policy.Patch { return policy.Patch{Target: policy.PatchTarget{Kind: kind}} }
	d := policy.Document{Overrides: []policy.Override{{Patches: []policy.Patch{p("A")}}, {Patches: []policy.Patch{p("B")}}, {Patches: []policy.Patch{p("C"), p("D")}}}}
	got := []string{}
	for _, s := range override.Steps(d, func(i int) bool { return i != 1 }) {
		got = append(got, s.Path+" "+s.Patch.Target.Kind)
	}
	if diff := cmp.Diff([]string{"overrides[0].patches[0] A", "overrides[2].patches[0] C", "overrides[2].patches[1] D"}, got); diff != "" {
		t.Error(diff)
	}
}
