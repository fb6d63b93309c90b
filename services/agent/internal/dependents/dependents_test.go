package dependents_test

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
)

// contents are the objects of a kind, or why they cannot be listed.
type contents struct {
	cluster.Contents
	found []cluster.Key
	err   error
	asked []cluster.Mapping
}

func (c *contents) Instances(_ context.Context, _ cluster.Identity, m cluster.Mapping, _ map[string]bool, _ int) ([]cluster.Key, error) {
	c.asked = append(c.asked, m)
	return c.found, c.err
}

// definition has one version, v1.
func definition(served, established bool) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"spec": map[string]any{"group": "x.io", "scope": "Namespaced", "names": map[string]any{"kind": "Widget", "plural": "widgets"},
			"versions": []any{map[string]any{"name": "v1", "served": served, "storage": true}}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "NamesAccepted", "status": "False"}}},
	}}
	if established {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
	}
	return u
}

func TestDefinitionsThatMayGo(t *testing.T) {
	t.Parallel()
	notServed := fault.New(fault.NotFound, cluster.CodeKindNotServed, "the cluster does not have the kind")
	for name, tc := range map[string]struct {
		live  *unstructured.Unstructured
		found []cluster.Key
		err   error
		why   string // begins so; empty: it may go
		fails fault.Kind
	}{
		"with nothing of it":           {live: definition(true, true)},
		"with objects of others":       {live: definition(true, true), found: []cluster.Key{{Group: "x.io", Kind: "Widget", Namespace: "n", Name: "theirs"}}, why: "other things depend on it: Widget.x.io n/theirs"},
		"that is gone":                 {},
		"that never came into use":     {live: definition(true, false), err: notServed},
		"in use, and not served":       {live: definition(true, true), err: notServed, fails: fault.NotFound},
		"that nobody may look at":      {live: definition(true, true), err: fault.New(fault.Forbidden, "cluster_forbidden", "no"), why: "it cannot be seen"},
		"without a version served":     {live: definition(false, true), why: "it cannot be seen whether other things depend on it: it has no version that is served"},
		"while the cluster is away":    {live: definition(true, false), err: fault.New(fault.Unavailable, cluster.CodeUnreachable, "away"), fails: fault.Unavailable},
		"whose path something answers": {live: definition(true, false), err: fault.New(fault.Unavailable, cluster.CodeKindNotHere, "a proxy"), fails: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &contents{found: tc.found, err: tc.err}
			k := cluster.Key{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "widgets.x.io"}
			why, err := dependents.Guard{Contents: c, Home: "agent"}.Keep(t.Context(), "", k, nil, func() (*unstructured.Unstructured, error) { return tc.live, nil })
			switch {
			case tc.fails != 0 && !fault.Is(err, tc.fails), tc.fails == 0 && err != nil:
				t.Fatalf("keep: got %v, want kind %v", err, tc.fails)
			case tc.why == "" && why != "", !strings.HasPrefix(why, tc.why):
				t.Errorf("it stays because %q, want %q", why, tc.why)
			}
			if asks := tc.live != nil && !strings.Contains(tc.why, "no version"); asks != (len(c.asked) == 1) {
				t.Errorf("asked for %v", c.asked)
			}
		})
	}
}
