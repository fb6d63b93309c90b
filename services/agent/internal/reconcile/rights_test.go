package reconcile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
)

// chartRules are what the agent's chart gives it by default over the cluster.
func chartRules(t *testing.T) []any {
	t.Helper()
	text, err := os.ReadFile("../../../../charts/testdata/agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var x map[string]any
		switch err := d.Decode(&x); {
		case errors.Is(err, io.EOF):
			t.Fatal("the chart renders no ClusterRole")
		case err != nil:
			t.Fatal(err)
		case x["kind"] == "ClusterRole":
			rules, ok := x["rules"].([]any)
			if !ok || len(rules) == 0 {
				t.Fatalf("rules of the chart: %v", x["rules"])
			}
			return rules
		}
	}
}

// A stack can be removed with the rights that the chart gives, also one that made its Namespace: what else is in there nobody may
// look at, so that it stays. With the rule that docs/install.md names for that, it goes.
func TestAStackThatMadeItsNamespaceGoesWithTheRightsOfTheChart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more  []any
		stays bool
	}{
		"by default":         {stays: true},
		"with rules to look": {more: []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"list"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.accounts = account.Rules{Allowed: []account.Allowed{{Namespace: w.namespace, Name: "agent"}}}
			})
			made := w.entitled(append(chartRules(t), c.more...))
			namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + made + "}\n"
			inside := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, namespace: " + made + "}\n"
			id, as := uuid.NewString(), wire.Policy{ServiceAccount: w.namespace + "/agent"}
			w.apply(w.stack(id, namespace+inside, as))
			w.seq++
			w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq, Policy: &as}})
			w.reports.awaitRemoved(t, id)
			u := w.get("v1/namespaces//" + made)
			if c.stays != (u != nil) || (u != nil && (u.GetDeletionTimestamp() != nil || u.GetLabels()["brokkr.io/stack"] != "")) {
				t.Errorf("the namespace is %v, want it there without stamps: %v", u, c.stays)
			}
			if w.get("v1/configmaps/"+made+"/it") != nil {
				t.Error("the config map is still there after the removal")
			}
		})
	}
}

// entitled makes the service account "agent" with these rights over the cluster, and returns a name for what it makes.
func (w *world) entitled(rules []any) string {
	w.t.Helper()
	name := "rights-" + uuid.NewString()
	w.create("v1/serviceaccounts/./agent", map[string]any{"apiVersion": "v1", "kind": "ServiceAccount"})
	w.create("rbac.authorization.k8s.io/v1/clusterroles//"+name, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules})
	w.create("rbac.authorization.k8s.io/v1/clusterrolebindings//"+name, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "agent", "namespace": w.namespace}}})
	for _, kind := range []string{"rbac.authorization.k8s.io/v1/clusterroles", "rbac.authorization.k8s.io/v1/clusterrolebindings", "v1/namespaces"} {
		w.t.Cleanup(func() { w.drop(kind + "//" + name) })
	}
	return name
}
