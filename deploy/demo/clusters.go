package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is one of the demo's, reached as its administrator: what a person with kubectl would be.
type cluster struct {
	name       string
	kubeconfig string
	client     dynamic.Interface
	made       []claim        // namespaces
	alive      sync.WaitGroup // what marks them
}

// bootClusters starts the test control planes and waits until all answer.
func (d *demo) bootClusters(ctx context.Context) ([]string, error) {
	dir := filepath.Join(d.dir, "clusters")
	if _, err := d.procs.start("clusters", d.kubecluster, nil, "up", "--dir", dir, "--count", strconv.Itoa(clusterCount)); err != nil {
		return nil, err
	}
	var paths []string
	err := d.procs.until(ctx, 3*time.Minute, "boot the Kubernetes control planes", func(context.Context) (bool, error) {
		b, err := os.ReadFile(filepath.Join(dir, "ready"))
		if err != nil {
			return false, err
		}
		paths = strings.Split(strings.TrimSpace(string(b)), ",")
		return len(paths) == clusterCount, nil
	})
	return paths, err
}

func newCluster(name, kubeconfig string) (*cluster, error) {
	path, err := filepath.Abs(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", kubeconfig, err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	cfg.QPS, cfg.Burst = 100, 200
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster of %s: %w", path, err)
	}
	return &cluster{name: name, kubeconfig: path, client: client}, nil
}

// identity tells clusters apart, whatever way leads to them.
func (c *cluster) identity(ctx context.Context) (types.UID, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	o, err := c.client.Resource(namespaces()).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("the cluster %s, which kubeconfig %s leads to, does not answer: %w", c.name, c.kubeconfig, err)
	}
	return o.GetUID(), nil
}

// state says something of the cluster as its owner, with an annotated ConfigMap.
func (c *cluster) state(ctx context.Context, name string, facts map[string]any) error {
	m := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": facts,
		"metadata": map[string]any{"name": name, "annotations": map[string]any{"brokkr.io/facts": "true"}}}}
	_, err := c.client.Resource(configMaps()).Namespace(agentNamespace).Apply(ctx, name, m, metav1.ApplyOptions{FieldManager: "owner", Force: true})
	if err != nil {
		return fmt.Errorf("state facts of %s: %w", c.name, err)
	}
	return nil
}

func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

const pageKey = "index.html"

// page returns what the sample's ConfigMap says.
func (c *cluster) page(ctx context.Context) (string, error) {
	o, err := c.client.Resource(configMaps()).Namespace(namespace).Get(ctx, demoStack, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the page in %s: %w", c.name, err)
	}
	page, _, err := unstructured.NestedString(o.Object, "data", pageKey)
	return page, err
}

// deface does what `kubectl edit` by somebody else would do.
func (c *cluster) deface(ctx context.Context) error {
	patch := fmt.Appendf(nil, `{"data":{%q:%q}}`, pageKey, "<h1>"+wrongPage+"</h1>\n")
	_, err := c.client.Resource(configMaps()).Namespace(namespace).Patch(ctx, demoStack, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody-at-night"})
	if err != nil {
		return fmt.Errorf("change the page by hand in %s: %w", c.name, err)
	}
	return nil
}

// written returns what changes with every write to the page, whoever writes.
func (c *cluster) written(ctx context.Context) (string, error) {
	o, err := c.client.Resource(configMaps()).Namespace(namespace).Get(ctx, demoStack, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the page in %s: %w", c.name, err)
	}
	return o.GetResourceVersion(), nil
}

// deploymentUID returns which Deployment there is; empty if there is none.
func (c *cluster) deploymentUID(ctx context.Context) (types.UID, error) {
	o, err := c.client.Resource(deployments()).Namespace(namespace).Get(ctx, demoStack, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the Deployment in %s: %w", c.name, err)
	}
	return o.GetUID(), nil
}

// deleteDeployment deletes it by hand and returns which one it was.
func (c *cluster) deleteDeployment(ctx context.Context) (types.UID, error) {
	uid, err := c.deploymentUID(ctx)
	if err != nil {
		return "", err
	}
	if err := c.client.Resource(deployments()).Namespace(namespace).Delete(ctx, demoStack, metav1.DeleteOptions{}); err != nil {
		return "", fmt.Errorf("delete the Deployment by hand in %s: %w", c.name, err)
	}
	return uid, nil
}

// appears reports on the channel each time that the ConfigMap is seen with a new value of the key.
func (c *cluster) appears(ctx context.Context, name, key string) (<-chan string, error) {
	w, err := c.client.Resource(configMaps()).Namespace(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, fmt.Errorf("watch ConfigMap %s in %s: %w", name, c.name, err)
	}
	seen := make(chan string, 64)
	go func() {
		defer close(seen)
		for e := range w.ResultChan() {
			o, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			if v, found, err := unstructured.NestedString(o.Object, "data", key); err == nil && found {
				seen <- v
			}
		}
	}()
	return seen, nil
}
