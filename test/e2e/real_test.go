package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// published are manifests of other projects, as they publish them in their Go modules.
var published = []struct {
	name, module, version, files string
	definitions                  int // how many CRDs it has
	group                        string
}{
	{"gateway-api", "sigs.k8s.io/gateway-api", "v1.5.1", "config/crd/standard/*.yaml", 8, "gateway.networking.k8s.io"},
	{"prometheus-operator", "github.com/prometheus-operator/prometheus-operator", "v0.85.0", "bundle.yaml", 10, "monitoring.coreos.com"},
}

// The CRDs of other projects, large ones among them, are established in both clusters. When the stack is deleted
// everything goes but the CRDs: with them would go all objects of their kinds.
func TestRealBundles(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	for _, c := range w.Clusters { // afterwards, as the cluster's owner
		t.Cleanup(func() { removeDefinitions(t, c) })
		removeDefinitions(t, c)
	}
	for _, p := range published {
		bundle := testenv.ModuleFiles(t, p.module, p.version, p.files)
		s := g.NewStack(t, p.name, world.All)
		o := g.Publish(t, s.ID, bundle)
		t.Logf("%s %s, %d bytes: healthy after %s", p.module, p.version, len(bundle), g.WaitHealthy(t, o, w.Agents...))
		for i, c := range w.Clusters {
			names := definitions(t, c, p.group)
			if len(names) != p.definitions {
				t.Errorf("%s in %s: got CRDs %q, want %d", p.name, c.Name, names, p.definitions)
			}
			for _, n := range names {
				if err := established(c, n); err != nil {
					t.Error(err)
				}
			}
			before := c.Versions(s.ID, world.Definitions)
			w.Agents[i].Kill()
			w.Agents[i].Gate.Forget()
			w.Agents[i].Start()
			g.WaitHealthy(t, o, w.Agents[i])
			world.Throughout(t, 2*time.Second, "the restarted agent leaves "+p.name+" alone", func() error {
				if now := c.Versions(s.ID, world.Definitions); fmt.Sprint(now) != fmt.Sprint(before) {
					return fmt.Errorf("versions %v, before %v", now, before)
				}
				return nil
			})
			if writes := w.Agents[i].Gate.Writes(); len(writes) > 0 {
				t.Errorf("%s: the restarted agent of %s wrote %v", p.name, c.Name, writes)
			}
		}
		g.DeleteStack(t, s.ID)
		for i, c := range w.Clusters {
			g.WaitUnassigned(t, s.ID, w.Agents[i])
			if names := definitions(t, c, p.group); len(names) != p.definitions {
				t.Errorf("%s in %s after the stack's deletion: got CRDs %q, want all %d", p.name, c.Name, names, p.definitions)
			}
		}
	}
	for _, c := range w.Clusters {
		c.WaitGone(world.ClusterRoles, "prometheus-operator")
		c.WaitGone(world.Policies, "safe-upgrades.gateway.networking.k8s.io")
	}
}

func definitions(t *testing.T, c *world.Cluster, group string) []string {
	t.Helper()
	list, err := c.Dynamic.Resource(world.Definitions).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		if n := list.Items[i].GetName(); strings.HasSuffix(n, "."+group) && list.Items[i].GetDeletionTimestamp() == nil {
			names = append(names, n)
		}
	}
	return names
}

func established(c *world.Cluster, name string) error {
	o, err := c.Get(world.Definitions, name)
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, item := range conditions {
		if m, ok := item.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return nil
		}
	}
	return fmt.Errorf("CRD %s in %s is not established: %v", name, c.Name, conditions)
}

// removeDefinitions deletes the CRDs of the published bundles and waits until they are gone.
func removeDefinitions(t *testing.T, c *world.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
	defer cancel()
	crds := c.Dynamic.Resource(world.Definitions)
	for {
		list, err := crds.List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Errorf("list CRDs of %s: %v", c.Name, err)
			return
		}
		left := 0
		for i := range list.Items {
			for _, p := range published {
				if strings.HasSuffix(list.Items[i].GetName(), "."+p.group) {
					left++
					err = errors.Join(err, crds.Delete(ctx, list.Items[i].GetName(), metav1.DeleteOptions{}))
				}
			}
		}
		if left == 0 {
			return
		}
		if err != nil && !apierrors.IsNotFound(err) {
			t.Logf("delete CRDs of %s: %v", c.Name, err)
		}
		select {
		case <-ctx.Done():
			t.Errorf("%d CRDs are left in %s", left, c.Name)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
