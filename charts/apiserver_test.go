package charts_test

import (
	"context"
	"os"
	"strings"
	"testing"

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

	absent := map[string]bool{"PodMonitor": true, "ServiceMonitor": true, "HTTPRoute": true, "Certificate": true} // kinds of others, whose definitions are not there
	create := func(u *unstructured.Unstructured) error {
		mapping, err := mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		if meta.IsNoMatchError(err) && absent[u.GetKind()] {
			return nil
		}
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
	pods := 0
	for name, i := range matrix() {
		for _, u := range i.objects(t) {
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
	loose := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "loose"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "x", "image": "x"}}}}}
	if err := create(loose); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("got %v, want PodSecurity to refuse a pod that is not restricted: the tries above would prove nothing", err)
	}
}
