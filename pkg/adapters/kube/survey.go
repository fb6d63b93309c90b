package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Annotations of a ConfigMap in the agent's namespace that states facts of its cluster.
const (
	untilAnnotation = "brokkr.io/facts-until" // RFC 3339: they count no longer after it
)

// surveyPage is how many nodes or pods are read at a time: what is read of them is small, but what the server tells is not.
const surveyPage = "100"

var _ cluster.Surveyor = (*Cluster)(nil)

// KubernetesVersion implements cluster.Surveyor.
func (c *Cluster) KubernetesVersion(ctx context.Context) (string, error) {
	answer, err := c.fetch(ctx, "/version", nil)
	if err != nil {
		return "", err
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return "", fmt.Errorf("read the version: %w", err)
	}
	return v.GitVersion, nil
}

func (c *Cluster) fetch(ctx context.Context, path string, params map[string]string) ([]byte, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r := c.plain.Get().AbsPath(path).SetHeader("Accept", "application/json")
	for _, k := range slices.Sorted(maps.Keys(params)) {
		r = r.Param(k, params[k])
	}
	return body(r.Do(call))
}

// eachOf reads a list page by page, and of its objects only what T has.
func eachOf[T any](ctx context.Context, c *Cluster, path, labels, fields string, do func(T)) error {
	params := map[string]string{"limit": surveyPage}
	if labels != "" {
		params["labelSelector"] = labels
	}
	if fields != "" {
		params["fieldSelector"] = fields
	}
	for {
		answer, err := c.fetch(ctx, path, params)
		if err != nil {
			return err
		}
		var list struct {
			Metadata metav1.ListMeta `json:"metadata"`
			Items    []T             `json:"items"`
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			return fmt.Errorf("read the answer at %s: %w", path, err)
		}
		for _, v := range list.Items {
			do(v)
		}
		if list.Metadata.Continue == "" {
			return nil
		}
		params["continue"] = list.Metadata.Continue
	}
}

type quantities map[string]resource.Quantity

type node struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Allocatable quantities `json:"allocatable"`
		NodeInfo    struct {
			Architecture string `json:"architecture"`
		} `json:"nodeInfo"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

func (n node) ready() bool {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// Nodes implements cluster.Surveyor.
func (c *Cluster) Nodes(ctx context.Context) (cluster.Nodes, error) {
	if err := c.confine("the nodes", ""); err != nil {
		return cluster.Nodes{}, err
	}
	out := cluster.Nodes{Taking: map[string]bool{}}
	architectures := map[string]bool{}
	err := eachOf(ctx, c, "/api/v1/nodes", "", "", func(n node) {
		out.Total++
		if a := n.Status.NodeInfo.Architecture; a != "" {
			architectures[a] = true
		}
		if !n.ready() {
			return
		}
		out.Ready++
		if !n.Spec.Unschedulable {
			out.Taking[n.Metadata.Name] = true
			out.Allocatable = plus(out.Allocatable, amounts(n.Status.Allocatable))
		}
	})
	out.Architectures = slices.Sorted(maps.Keys(architectures))
	return out, err
}

// amounts reads what is counted of resources. Every vendor names its GPUs; those that end in /gpu or lie under gpu. are counted.
func amounts(q quantities) status.Resources {
	var out status.Resources
	for name, v := range q {
		switch {
		case name == "cpu":
			out.CPU = v.MilliValue()
		case name == "memory":
			out.Memory = v.Value()
		case name == "pods":
			out.Pods = v.Value()
		case strings.HasSuffix(name, "/gpu"), strings.HasPrefix(name, "gpu.") && strings.Contains(name, "/"):
			out.GPU += v.Value()
		}
	}
	return out
}

func plus(a, b status.Resources) status.Resources {
	return status.Resources{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory, Pods: a.Pods + b.Pods, GPU: a.GPU + b.GPU}
}

func most(a, b status.Resources) status.Resources {
	return status.Resources{CPU: max(a.CPU, b.CPU), Memory: max(a.Memory, b.Memory), Pods: max(a.Pods, b.Pods), GPU: max(a.GPU, b.GPU)}
}

type container struct {
	RestartPolicy string `json:"restartPolicy"`
	Resources     struct {
		Requests quantities `json:"requests"`
	} `json:"resources"`
}

type pod struct {
	Spec struct {
		NodeName       string      `json:"nodeName"`
		Containers     []container `json:"containers"`
		InitContainers []container `json:"initContainers"`
		Overhead       quantities  `json:"overhead"`
	} `json:"spec"`
}

// requests is what the scheduler of Kubernetes keeps for a pod: what its containers request together, and those beside them that
// begin before, or what the greediest of those that run before them needs, if that is more.
func (p pod) requests() status.Resources {
	var beside, before, all status.Resources
	for _, c := range p.Spec.InitContainers {
		r := amounts(c.Resources.Requests)
		if c.RestartPolicy == "Always" {
			beside = plus(beside, r)
			before = most(before, beside)
			continue
		}
		before = most(before, plus(beside, r))
	}
	for _, c := range p.Spec.Containers {
		all = plus(all, amounts(c.Resources.Requests))
	}
	out := plus(most(plus(all, beside), before), amounts(p.Spec.Overhead))
	out.Pods = 1
	return out
}

// Requested implements cluster.Surveyor.
func (c *Cluster) Requested(ctx context.Context, on map[string]bool) (status.Resources, error) {
	if err := c.confine("the pods", ""); err != nil {
		return status.Resources{}, err
	}
	var out status.Resources
	err := eachOf(ctx, c, "/api/v1/pods", "", "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed", func(p pod) {
		if on[p.Spec.NodeName] {
			out = plus(out, p.requests())
		}
	})
	return out, err
}

// GroupVersions implements cluster.Surveyor.
func (c *Cluster) GroupVersions(ctx context.Context) ([]string, error) {
	out := []string{}
	for _, root := range []string{"/api", "/apis"} {
		answer, err := c.fetch(ctx, root, nil)
		if err != nil {
			return nil, err
		}
		var list groupList
		if err := json.Unmarshal(answer, &list); err != nil {
			return nil, fmt.Errorf("read the answer at %s: %w", root, err)
		}
		out = append(out, list.Versions...)
		for _, g := range list.Groups {
			for _, v := range g.Versions {
				out = append(out, v.GroupVersion)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

type statedFacts struct {
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
}

// Facts implements cluster.Surveyor. Of a fact that two ConfigMaps state, that of the later name counts.
func (c *Cluster) Facts(ctx context.Context) (map[string]status.Fact, []string, error) {
	out, refused := map[string]status.Fact{}, []string{}
	err := eachOf(ctx, c, "/api/v1/namespaces/"+c.options.Namespace+"/configmaps", "!"+cluster.LabelInventory, "", func(m statedFacts) {
		if m.Metadata.Annotations[cluster.AnnotationFacts] != "true" {
			return
		}
		var until *time.Time
		if text, ok := m.Metadata.Annotations[untilAnnotation]; ok {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				refused = append(refused, fmt.Sprintf("ConfigMap %s: annotation %s is %q, not a time such as 2026-08-02T12:00:00Z", m.Metadata.Name, untilAnnotation, text))
				return
			}
			at = at.UTC()
			until = &at
		}
		for _, name := range slices.Sorted(maps.Keys(m.Data)) {
			f := status.ParseFact(m.Data[name])
			f.Until = until
			if err := status.CheckFact(name, f); err != nil {
				refused = append(refused, fmt.Sprintf("ConfigMap %s: %v", m.Metadata.Name, err))
				continue
			}
			if len(out) >= status.MaxFacts {
				refused = append(refused, "ConfigMap "+m.Metadata.Name+": more than "+strconv.Itoa(status.MaxFacts)+" facts")
				return
			}
			out[name] = f
		}
	})
	return out, refused, err
}
