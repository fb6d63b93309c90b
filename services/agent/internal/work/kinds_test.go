package work

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func buildRun(status map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"status": status}}
}

func succeeded(status string) map[string]any {
	return map[string]any{
		"conditions": []any{map[string]any{"type": "Succeeded", "status": status, "reason": "BuildRunTimeout", "message": "too slow"}},
		"output":     map[string]any{"digest": "sha256:abc"},
	}
}

func TestABuildRunEndsByItsCondition(t *testing.T) {
	t.Parallel()
	key := cluster.Key{Group: shipwright, Kind: "BuildRun", Namespace: "n", Name: "r"}
	for name, tc := range map[string]struct {
		status  map[string]any
		health  delivery.Health
		message string
	}{
		"nothing yet": {nil, delivery.HealthProgressing, "it has not said anything yet"},
		"running":     {succeeded("Unknown"), delivery.HealthProgressing, "BuildRunTimeout: too slow"},
		"done":        {succeeded("True"), delivery.HealthHealthy, ""},
		"failed":      {succeeded("False"), delivery.HealthFailing, "BuildRunTimeout: too slow"},
	} {
		if got := stateOf(nil, key, buildRun(tc.status)); got.Health != tc.health || got.Message != tc.message {
			t.Errorf("%s: got %s %q, want %s %q", name, got.Health, got.Message, tc.health, tc.message)
		}
	}
	if got := resultOf(key, buildRun(succeeded("True"))); got != "sha256:abc" {
		t.Errorf("result: got %q, want the image's digest", got)
	}
}

func TestABuildGetsARun(t *testing.T) {
	t.Parallel()
	const order = "0d9c4b9e-2a9b-4a62-8d6e-3b1f5f1c9a77"
	build := "apiVersion: shipwright.io/v1beta1\nkind: Build\nmetadata: {name: image, namespace: ci}\n"
	run := "apiVersion: shipwright.io/v1beta1\nkind: BuildRun\nmetadata: {name: mine, namespace: ci}\n"
	for name, tc := range map[string]struct{ yaml, last, refusal string }{
		"a build alone":      {yaml: build, last: "image-0d9c4b9e"},
		"a build with a run": {yaml: build + "---\n" + run, last: "mine"},
		"two builds":         {yaml: build + "---\n" + strings.Replace(build, "image", "other", 1), refusal: "this one has 2"},
		"another version":    {yaml: strings.Replace(build, "v1beta1", "v1alpha1", 1), refusal: "a build is of shipwright.io/v1beta1"},
	} {
		objects, err := bundle.Parse([]byte(tc.yaml), bundle.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		got, err := withBuildRun(objects, order)
		switch {
		case tc.refusal != "":
			if err == nil || !strings.Contains(err.Error(), tc.refusal) {
				t.Errorf("%s: got %v, want a refusal that says %q", name, err, tc.refusal)
			}
		case err != nil || got[len(got)-1].GetName() != tc.last || got[len(got)-1].GetNamespace() != "ci" || got[len(got)-1].GetKind() != "BuildRun":
			t.Errorf("%s: got %v, %v; want the run %s last", name, got, err, tc.last)
		}
	}
}
