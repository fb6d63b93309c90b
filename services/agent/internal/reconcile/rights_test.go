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
// look at, so that it stays.
func TestAStackThatMadeItsNamespaceGoesWithTheRightsOfTheChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.accounts = account.Rules{Allowed: []account.Allowed{{Namespace: w.namespace, Name: "agent"}}}
	})
	name := "rights-" + uuid.NewString()
	w.create("v1/serviceaccounts/./agent", map[string]any{"apiVersion": "v1", "kind": "ServiceAccount"})
	w.create("rbac.authorization.k8s.io/v1/clusterroles//"+name, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": chartRules(t)})
	t.Cleanup(func() { w.drop("rbac.authorization.k8s.io/v1/clusterroles//" + name) })
	w.create("rbac.authorization.k8s.io/v1/clusterrolebindings//"+name, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "agent", "namespace": w.namespace}}})
	t.Cleanup(func() { w.drop("rbac.authorization.k8s.io/v1/clusterrolebindings//" + name) })
	t.Cleanup(func() { w.drop("v1/namespaces//" + name) })

	id := uuid.NewString()
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n"
	inside := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, namespace: " + name + "}\n"
	as := wire.Policy{ServiceAccount: w.namespace + "/agent"}
	w.apply(w.stack(id, namespace+inside, as))
	w.apply(w.stack(id, inside, as)) // it leaves the bundle
	stays := func(when string) {
		t.Helper()
		u := w.get("v1/namespaces//" + name)
		if u == nil || u.GetDeletionTimestamp() != nil || u.GetLabels()["brokkr.io/stack"] != "" {
			t.Errorf("%s the namespace is %v, want it there without stamps", when, u)
		}
	}
	stays("after it left the bundle")
	w.apply(w.stack(id, namespace+inside, as))
	w.remove(id)
	stays("after the removal of the stack")
	if w.get("v1/configmaps/"+name+"/it") != nil {
		t.Error("the config map is still there after the removal")
	}
}
