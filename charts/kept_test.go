package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Who changes over to a database of theirs has the bundled one's data and password still, and may come back to them.
func TestABundledDatabaseThatIsTakenOutKeepsItsData(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	claims := func() []unstructured.Unstructured {
		return p.list(t, schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"})
	}
	sets := func() int {
		return len(p.list(t, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}))
	}
	p.helm(t, append([]string{"install", broker, broker}, set("postgresql.enabled=true")...)...)
	await(t, "the claim is there", func() error {
		if n := len(claims()); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	before := p.secrets(t)
	p.helm(t, append([]string{"upgrade", broker, broker}, set("global.database.url=postgres://u:p@db.example.com/brokkr")...)...)
	await(t, "the server is gone", func() error {
		if n := sets(); n != 0 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	now := claims()
	if len(now) != 1 || now[0].GetDeletionTimestamp() != nil || len(now[0].GetOwnerReferences()) != 0 {
		t.Errorf("got the claims %v; want the one from before, which nobody takes away", now)
	}
	if held(t, before, "brokkr-broker-keys") != held(t, p.secrets(t), "brokkr-broker-keys") {
		t.Error("the key is another one")
	}
	p.helm(t, append([]string{"upgrade", broker, broker}, set("postgresql.enabled=true")...)...)
	if was, is := held(t, before, "brokkr-broker-database"), held(t, p.secrets(t), "brokkr-broker-database"); was != is {
		t.Errorf("back at the bundled database, its Secret is %s, before %s", is, was)
	}
	p.helm(t, "uninstall", broker)
}

// Who renders without a cluster makes other keys each time, and applies them. The API server takes none of them, so that what is stored
// stays readable; Helm, which finds the first ones, goes on.
func TestKeysAreNotOverwritten(t *testing.T) {
	t.Parallel()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	p := newPlace(t)
	values := set("global.database.url=postgres://u:p@db.example.com/brokkr")
	p.helm(t, append([]string{"install", broker, broker}, values...)...)
	before := p.secrets(t)
	tried := 0
	for _, u := range (install{broker, broker, values}).objects(t) {
		if u.GetKind() != "Secret" || u.GetName() != "brokkr-broker-keys" && u.GetName() != "brokkr-broker-admin" {
			continue
		}
		tried++
		u.SetNamespace(p.namespace)
		text, err := json.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		force := true
		secrets := p.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(p.namespace)
		if _, err := secrets.Patch(t.Context(), u.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "argocd", Force: &force}); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v, want it to be refused", u.GetName(), err)
		}
	}
	if tried != 2 {
		t.Errorf("%d Secrets were tried, want those of keys and admin", tried)
	}
	p.helm(t, append([]string{"upgrade", broker, broker}, append(values, set("global.config.log.level=debug")...)...)...)
	p.helm(t, "rollback", broker, "1")
	if now := p.secrets(t); now != before {
		t.Errorf("the Secrets are %s, before %s", now, before)
	}
	p.helm(t, "uninstall", broker)
}
