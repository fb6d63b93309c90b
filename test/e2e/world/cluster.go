package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The kinds that journeys look at.
var (
	ConfigMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}                                                         //nolint:gochecknoglobals // constants
	Services     = schema.GroupVersionResource{Version: "v1", Resource: "services"}                                                           //nolint:gochecknoglobals // constants
	Deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}                                         //nolint:gochecknoglobals // constants
	Autoscalers  = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}                     //nolint:gochecknoglobals // constants
	Budgets      = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}                              //nolint:gochecknoglobals // constants
	Definitions  = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}           //nolint:gochecknoglobals // constants
	ClusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}                   //nolint:gochecknoglobals // constants
	Policies     = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"} //nolint:gochecknoglobals // constants
)

// StackLabel is on every object that an agent has applied.
const StackLabel = "brokkr.io/stack"

// Cluster is one of the shared clusters as an administrator sees it. Namespace is this world's own.
type Cluster struct {
	Name      string
	Namespace string
	Config    *rest.Config
	Kube      kubernetes.Interface
	Dynamic   dynamic.Interface

	t          testing.TB
	canary     *corev1.ConfigMap
	kubeconfig string
}

func openCluster(t testing.TB, name, kubeconfig, namespace string) *Cluster {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatalf("cluster %s: %v", name, err)
	}
	cfg.QPS, cfg.UserAgent = -1, "e2e"
	c := &Cluster{Name: name, Namespace: namespace, Config: cfg, t: t, kubeconfig: kubeconfig}
	if c.Kube, err = kubernetes.NewForConfig(cfg); err != nil {
		t.Fatalf("cluster %s: %v", name, err)
	}
	if c.Dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		t.Fatalf("cluster %s: %v", name, err)
	}
	c.addNamespace(namespace)
	c.plantCanary()
	return c
}

// KillControlPlane is kill -9 of the process that is its API server, controller manager and scheduler, and of the etcd that
// the test clusters share, too if etcd says so. They are started again by their supervisor. A cluster that is not one of
// test/kubecluster skips the test.
func (c *Cluster) KillControlPlane(etcd bool) {
	c.t.Helper()
	own := filepath.Dir(c.kubeconfig)
	files := []string{filepath.Join(own, "pid")}
	if etcd {
		files = append(files, filepath.Join(filepath.Dir(own), "etcd", "pid"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			c.t.Skipf("%s: not a cluster whose processes can be killed: %v", c.Name, err)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			c.t.Fatalf("%s: %v", file, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.t.Fatalf("kill process %d of %s: %v", pid, file, err)
		}
	}
}

// Answers returns nil if the API server says that it is ready.
func (c *Cluster) Answers() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	return c.Kube.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// addNamespace makes a namespace that goes with the test.
func (c *Cluster) addNamespace(name string) {
	c.t.Helper()
	_, err := c.Kube.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatalf("create namespace %s: %v", name, err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.Kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			c.t.Errorf("delete namespace %s: %v", name, err)
		}
	})
}

// plantCanary makes a ConfigMap that belongs to somebody else, in the midst of what the stacks bring. Whatever happens
// to them, it stays as it is; the end of the test looks.
func (c *Cluster) plantCanary() {
	c.t.Helper()
	var err error
	c.canary, err = c.Kube.CoreV1().ConfigMaps(c.Namespace).Create(c.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "canary", Labels: map[string]string{"app": "somebody-elses"}},
		Data:       map[string]string{"mine": "yes"},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatalf("plant canary: %v", err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		now, err := c.Kube.CoreV1().ConfigMaps(c.Namespace).Get(ctx, "canary", metav1.GetOptions{})
		if err != nil {
			c.t.Errorf("the canary of %s: %v", c.Name, err)
			return
		}
		if now.UID != c.canary.UID || now.ResourceVersion != c.canary.ResourceVersion {
			c.t.Errorf("the canary of %s was touched: got uid %s version %s, want %s %s; managed by %v", c.Name,
				now.UID, now.ResourceVersion, c.canary.UID, c.canary.ResourceVersion, now.ManagedFields)
		}
	})
}

// Get returns an object of the world's namespace, or of the cluster if the kind has none.
func (c *Cluster) Get(kind schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
	return c.resource(kind).Get(c.t.Context(), name, metav1.GetOptions{})
}

func (c *Cluster) resource(kind schema.GroupVersionResource) dynamic.ResourceInterface {
	switch kind {
	case Definitions, ClusterRoles, Policies:
		return c.Dynamic.Resource(kind)
	default:
		return c.Dynamic.Resource(kind).Namespace(c.Namespace)
	}
}

// Delete deletes an object by hand.
func (c *Cluster) Delete(kind schema.GroupVersionResource, name string) {
	c.t.Helper()
	policy := metav1.DeletePropagationBackground
	if err := c.resource(kind).Delete(c.t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		c.t.Fatalf("delete %s %s in %s by hand: %v", kind.Resource, name, c.Name, err)
	}
}

// Patch changes an object by hand, by a JSON merge patch in another field manager's name.
func (c *Cluster) Patch(kind schema.GroupVersionResource, name, patch string) {
	c.t.Helper()
	_, err := c.resource(kind).Patch(c.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "by-hand"})
	if err != nil {
		c.t.Fatalf("patch %s %s in %s by hand: %v", kind.Resource, name, c.Name, err)
	}
}

// Gone returns nil if the object is not there, or is on its way out.
func (c *Cluster) Gone(kind schema.GroupVersionResource, name string) error {
	o, err := c.Get(kind, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case o.GetDeletionTimestamp() != nil:
		return fmt.Errorf("%s %s in %s is terminating, finalizers %v", kind.Resource, name, c.Name, o.GetFinalizers())
	default:
		return fmt.Errorf("%s %s in %s is still there", kind.Resource, name, c.Name)
	}
}

// WaitGone waits until all these objects of a kind are gone.
func (c *Cluster) WaitGone(kind schema.GroupVersionResource, names ...string) {
	c.t.Helper()
	Eventually(c.t, Patience, fmt.Sprintf("%s %s gone from %s", kind.Resource, strings.Join(names, ", "), c.Name), func() error {
		var errs []error
		for _, n := range names {
			errs = append(errs, c.Gone(kind, n))
		}
		return errors.Join(errs...)
	})
}

// Data returns one value of a ConfigMap.
func (c *Cluster) Data(name, key string) (string, error) {
	o, err := c.Get(ConfigMaps, name)
	if err != nil {
		return "", err
	}
	v, _, err := unstructured.NestedString(o.Object, "data", key)
	return v, err
}

// WaitData waits until a ConfigMap's value is the wanted one.
func (c *Cluster) WaitData(name, key, wanted string) {
	c.t.Helper()
	Eventually(c.t, Patience, fmt.Sprintf("ConfigMap %s in %s has %s=%s", name, c.Name, key, wanted), func() error {
		got, err := c.Data(name, key)
		if err != nil {
			return err
		}
		return want(key, got, wanted)
	})
}

// State makes an annotated ConfigMap with facts of the cluster in the agent's namespace, as the cluster's owner would.
func (c *Cluster) State(name string, facts map[string]string) {
	c.t.Helper()
	maps := c.Kube.CoreV1().ConfigMaps(c.Namespace + "-agent")
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"brokkr.io/facts": "true"}}, Data: facts}
	_, err := maps.Update(c.t.Context(), m, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(c.t.Context(), m, metav1.CreateOptions{})
	}
	if err != nil {
		c.t.Fatalf("state facts of %s: %v", c.Name, err)
	}
}

// LetRun makes the pods of an application run that were made to do something else (App.Phase): from then on it is healthy.
func (c *Cluster) LetRun(a App) {
	c.t.Helper()
	pods := c.Kube.CoreV1().Pods(c.Namespace)
	Eventually(c.t, Patience, "pods of "+a.Name+" to let run in "+c.Name, func() error {
		list, err := pods.List(c.t.Context(), metav1.ListOptions{LabelSelector: "app=" + a.Name})
		if err != nil {
			return err
		}
		let := 0
		for _, p := range list.Items {
			if p.Annotations["text"] != a.Text {
				continue
			}
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"run"}}}`, phaseAnnotation)
			if _, err := pods.Patch(c.t.Context(), p.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "by-hand"}); err != nil {
				return err
			}
			let++
		}
		return want("pods", let, a.Replicas)
	})
}

// Versions returns the resource versions of all objects of these kinds that carry the stack's label, by kind and name.
func (c *Cluster) Versions(stack string, kinds ...schema.GroupVersionResource) map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for _, k := range kinds {
		list, err := c.resource(k).List(c.t.Context(), metav1.ListOptions{LabelSelector: StackLabel + "=" + stack})
		if err != nil {
			c.t.Fatalf("list %s in %s: %v", k.Resource, c.Name, err)
		}
		for i := range list.Items {
			out[k.Resource+"/"+list.Items[i].GetName()] = list.Items[i].GetResourceVersion()
		}
	}
	return out
}

// ServerWrites is the API server's own count of writes to these kinds, without dry runs and subresources.
func (c *Cluster) ServerWrites(kinds ...schema.GroupVersionResource) float64 {
	c.t.Helper()
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		c.t.Fatalf("client for %s: %v", c.Name, err)
	}
	total := 0.0
	for _, k := range kinds {
		for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"} {
			n, err := scrape(client, c.Config.Host+"/metrics", "apiserver_request_total",
				map[string]string{"verb": verb, "group": k.Group, "resource": k.Resource, "dry_run": "", "subresource": ""})
			if err != nil {
				c.t.Fatalf("metrics of %s: %v", c.Name, err)
			}
			total += n
		}
	}
	return total
}
