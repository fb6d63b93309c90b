package charts_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// A real API server takes everything, to the last field, in a namespace where pods have to be restricted.
func TestAnAPIServerTakesIt(t *testing.T) {
	t.Parallel()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	config, err := clientcmd.BuildConfigFromFlags("", testenv.Kubeconfigs(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	ns := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"generateName": "charts-", "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}}}}
	if ns, err = namespaces.Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), ns.GetName(), metav1.DeleteOptions{}) })

	defineOthers(t, client)
	create := func(u *unstructured.Unstructured) error {
		mapping, err := mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		if err != nil {
			return err
		}
		var r dynamic.ResourceInterface = client.Resource(mapping.Resource)
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			u.SetNamespace(ns.GetName())
			r = client.Resource(mapping.Resource).Namespace(ns.GetName())
		}
		_, err = r.Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		return err
	}
	pods, kinds := 0, map[string]int{}
	for name, i := range matrix() {
		for _, u := range i.objects(t) {
			kinds[u.GetKind()]++
			if u.GetKind() == "Pod" { // one of `helm test`
				unstructured.RemoveNestedField(u.Object, "spec", "serviceAccountName") // it is not there in a dry run
			}
			if err := create(u); err != nil {
				t.Errorf("%s: %s %s: %v", name, u.GetKind(), u.GetName(), err)
			}
			// A workload is taken whatever its pods are; so its pod is tried too.
			template, found, _ := unstructured.NestedMap(u.Object, "spec", "template")
			if !found {
				continue
			}
			pods++
			pod := &unstructured.Unstructured{Object: template}
			pod.SetAPIVersion("v1")
			pod.SetKind("Pod")
			pod.SetName("try")
			spec, _, _ := unstructured.NestedMap(pod.Object, "spec")
			delete(spec, "serviceAccountName") // it is not there in a dry run
			volumes, _, _ := unstructured.NestedSlice(spec, "volumes")
			claims, _, _ := unstructured.NestedSlice(u.Object, "spec", "volumeClaimTemplates")
			for _, c := range claims {
				claim, _, _ := unstructured.NestedString(c.(map[string]any), "metadata", "name") //nolint:forcetypeassert // a claim is a map
				volumes = append(volumes, map[string]any{"name": claim, "emptyDir": map[string]any{}})
			}
			_ = unstructured.SetNestedSlice(spec, volumes, "volumes")
			_ = unstructured.SetNestedMap(pod.Object, spec, "spec")
			if err := create(pod); err != nil {
				t.Errorf("%s: pod of %s %s: %v", name, u.GetKind(), u.GetName(), err)
			}
		}
	}
	if pods < 15 {
		t.Errorf("only %d pods were tried", pods)
	}
	for _, d := range others() {
		if kinds[d.kind] == 0 {
			t.Errorf("no %s was tried", d.kind)
		}
	}
	loose := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "loose"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "x", "image": "x"}}}}}
	if err := create(loose); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("got %v, want PodSecurity to refuse a pod that is not restricted: the tries above would prove nothing", err)
	}
	misspelt := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": map[string]any{"name": "misspelt"},
		"spec": map[string]any{"selector": map[string]any{}, "podMetricEndpoints": []any{}}}}
	if err := create(misspelt); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "podMetricEndpoints") {
		t.Errorf("got %v, want a field that a monitor has not to be refused", err)
	}
}

// other is a kind that charts render and others define, with the Go module that holds the definition.
type other struct{ kind, name, module, version, files string }

func others() []other {
	const operator, monitors = "github.com/prometheus-operator/prometheus-operator", "bundle.yaml"
	return []other{
		{"HTTPRoute", "httproutes.gateway.networking.k8s.io", "sigs.k8s.io/gateway-api", "v1.5.1", "config/crd/standard/*_httproutes.yaml"},
		{"PodMonitor", "podmonitors.monitoring.coreos.com", operator, "v0.85.0", monitors},
		{"ServiceMonitor", "servicemonitors.monitoring.coreos.com", operator, "v0.85.0", monitors},
		{"Certificate", "certificates.cert-manager.io", "github.com/cert-manager/cert-manager", "v1.19.1", "deploy/crds/cert-manager.io_certificates.yaml"},
	}
}

// defineOthers makes the API server know the kinds of others. Those that it did not know before are gone after the test.
func defineOthers(t *testing.T, client dynamic.Interface) {
	t.Helper()
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, d := range others() {
		var found *unstructured.Unstructured
		for _, u := range parse(t, testenv.ModuleFiles(t, d.module, d.version, d.files)) {
			if u.GetName() == d.name {
				found = u
			}
		}
		if found == nil {
			t.Fatalf("%s %s does not define %s", d.module, d.version, d.name)
		}
		_, err := definitions.Create(t.Context(), found, metav1.CreateOptions{})
		if err == nil {
			t.Cleanup(func() { _ = definitions.Delete(context.Background(), d.name, metav1.DeleteOptions{}) })
		} else if !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		await(t, d.name+" is established", func() error {
			u, err := definitions.Get(t.Context(), d.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
			for _, c := range conditions {
				if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
					return nil
				}
			}
			return fmt.Errorf("its conditions are %v", conditions)
		})
	}
}

// await asks until there is no error any more, for two minutes at most.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("waited for: %s: %v", what, err)
}
