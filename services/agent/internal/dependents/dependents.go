// Package dependents says what else would go if a namespace, or the definition of a kind, were deleted: both take everything with
// them that is in them, whosever it is.
package dependents

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// Shown is how many objects a text names.
const Shown = 3

// Guard looks before something is deleted.
type Guard struct {
	Contents cluster.Contents
	Home     string // the agent's own namespace
}

// Keep says why an object that we have made must not be deleted all the same; empty: it may go. Other people's things would go too,
// or nobody may look whether they would. mine are the uids of what goes with it, and live returns the object as it is, nil if it is
// not there; it is asked of definitions alone. An error means that it is not known now.
func (g Guard) Keep(ctx context.Context, as cluster.Identity, k cluster.Key, mine map[string]bool, live func() (*unstructured.Unstructured, error)) (string, error) {
	kind := k.GroupKind()
	var others []cluster.Key
	var err error
	switch {
	case plan.IsNamespace(kind) && (k.Name == g.Home || strings.HasPrefix(k.Name, "kube-") || k.Name == "default"):
		return "the cluster or the agent itself needs it", nil
	case plan.IsNamespace(kind):
		others, err = g.Contents.Strangers(ctx, as, k.Name, mine, Shown+1)
	case plan.IsDefinition(kind):
		others, err = g.instances(ctx, as, mine, live)
	}
	if fault.Is(err, fault.Forbidden) {
		return "it cannot be seen whether other things depend on it: " + err.Error(), nil
	}
	if err != nil {
		return "", fmt.Errorf("look for what depends on %s: %w", k, err)
	}
	if len(others) == 0 {
		return "", nil
	}
	names := make([]string, len(others))
	for i, o := range others {
		names[i] = o.String()
	}
	return "other things depend on it: " + First(names, ", "), nil
}

// instances returns objects of a definition's kind that are not ours: of any version, for all versions show all objects.
func (g Guard) instances(ctx context.Context, as cluster.Identity, mine map[string]bool, live func() (*unstructured.Unstructured, error)) ([]cluster.Key, error) {
	u, err := live()
	if err != nil || u == nil {
		return nil, err
	}
	kinds := plan.Definitions(u)
	if len(kinds) == 0 {
		return nil, fault.New(fault.Forbidden, "no_version_served", "it has no version that is served")
	}
	others, err := g.Contents.Instances(ctx, as, kinds[0], mine, Shown+1)
	if fault.CodeOf(err) == cluster.CodeKindNotServed && !established(u) {
		return nil, nil // it never came into use: there are no objects of it
	}
	return others, err
}

// established reports whether the cluster has taken a definition into use.
func established(definition *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Established" && m["status"] == "True"
	})
}

// First names the first of many.
func First(items []string, separator string) string {
	if len(items) <= Shown {
		return strings.Join(items, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:Shown], separator), len(items)-Shown)
}
