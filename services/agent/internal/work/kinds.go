package work

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

const (
	shipwright        = "shipwright.io"
	shipwrightVersion = "shipwright.io/v1beta1"
)

// runsToItsEnd reports whether objects of the kind are done with once they have succeeded.
func runsToItsEnd(k cluster.Key) bool {
	switch k.Group + "/" + k.Kind {
	case "batch/Job", "/Pod", shipwright + "/Build", shipwright + "/BuildRun":
		return true
	default:
		return false
	}
}

// stateOf says how far an object is with its work. Objects that have none are done when they are healthy.
func stateOf(rules health.Rules, k cluster.Key, live *unstructured.Unstructured) health.Object {
	o := health.Object{Key: k, Health: delivery.HealthProgressing, Message: "it has not said anything yet"}
	switch {
	case k.Group == shipwright && k.Kind == "BuildRun":
		status, reason, message := condition(live, "Succeeded")
		switch status {
		case "True":
			o.Health, o.Message = delivery.HealthHealthy, ""
		case "False":
			o.Health, o.Message = delivery.HealthFailing, said(reason, message)
		default:
			if reason+message != "" {
				o.Message = said(reason, message)
			}
		}
		return o
	case k.Group == shipwright && k.Kind == "Build":
		registered, _, _ := unstructured.NestedString(live.Object, "status", "registered") // of any other type: as if it said nothing
		reason, _, _ := unstructured.NestedString(live.Object, "status", "reason")
		message, _, _ := unstructured.NestedString(live.Object, "status", "message")
		o.Health, o.Message = delivery.HealthHealthy, ""
		if registered == "False" {
			o.Health, o.Message = delivery.HealthFailing, said(reason, message)
		}
		return o
	case k.Group == "" && k.Kind == "Pod" && restarts(live) != "Always":
		phase, _, _ := unstructured.NestedString(live.Object, "status", "phase")
		switch phase {
		case "Succeeded":
			o.Health, o.Message = delivery.HealthHealthy, ""
			return o
		case "Failed":
			reason, _, _ := unstructured.NestedString(live.Object, "status", "reason")
			message, _, _ := unstructured.NestedString(live.Object, "status", "message")
			o.Health, o.Message = delivery.HealthFailing, said(reason, "the pod failed "+message)
			return o
		}
		if h := rules.Of(k, live); h.Health != delivery.HealthHealthy {
			return h
		}
		o.Message = "it runs"
		return o
	case k.Group == "batch" && k.Kind == "Job":
		h := rules.Of(k, live)
		if done, _, _ := condition(live, "Complete"); h.Health == delivery.HealthHealthy && done != "True" {
			h.Health, h.Message = delivery.HealthProgressing, "it is suspended"
		}
		return h
	default:
		return rules.Of(k, live)
	}
}

func restarts(pod *unstructured.Unstructured) string {
	p, _, _ := unstructured.NestedString(pod.Object, "spec", "restartPolicy")
	return p
}

// resultOf is what a person wants to know of something that has succeeded.
func resultOf(k cluster.Key, live *unstructured.Unstructured) string {
	switch {
	case k.Group == shipwright && k.Kind == "BuildRun":
		digest, _, _ := unstructured.NestedString(live.Object, "status", "output", "digest")
		if digest == "" {
			return k.String() + " succeeded, and names no image digest"
		}
		return digest
	case k.Group == "batch" && k.Kind == "Job", k.Group == "" && k.Kind == "Pod" && restarts(live) != "Always":
		return k.String() + " completed"
	default:
		return ""
	}
}

func said(reason, message string) string {
	switch {
	case reason == "":
		return message
	case message == "":
		return reason
	default:
		return reason + ": " + message
	}
}

func condition(live *unstructured.Unstructured, kind string) (status, reason, message string) {
	list, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions") // of any other type: as if there were none
	for _, v := range list {
		c, _ := v.(map[string]any)
		if c["type"] != kind {
			continue
		}
		text := func(name string) string { s, _ := c[name].(string); return s }
		return text("status"), text("reason"), text("message")
	}
	return "", "", ""
}

// withBuildRun returns the objects of a build with a run of it: the one that is there, or a new one for the only Build.
func withBuildRun(objects []bundle.Object, order string) ([]bundle.Object, error) {
	var builds []bundle.Object
	for _, o := range objects {
		switch gvk := o.GroupVersionKind(); {
		case gvk.Group == shipwright && gvk.Version != "v1beta1":
			return nil, fmt.Errorf("document %d, line %d: %s is of %s; a build is of %s", o.Document, o.Line, o.Key(), gvk.GroupVersion(), shipwrightVersion)
		case gvk.Group == shipwright && gvk.Kind == "BuildRun":
			return objects, nil
		case gvk.Group == shipwright && gvk.Kind == "Build":
			builds = append(builds, o)
		}
	}
	if len(builds) != 1 {
		return nil, fmt.Errorf("a work order of type build needs one Build of %s, or a BuildRun; this one has %d", shipwrightVersion, len(builds))
	}
	b := builds[0]
	name := b.GetName()
	if len(name) > 50 {
		name = strings.TrimRight(name[:50], "-.")
	}
	meta := map[string]any{"name": name + "-" + order[:8]}
	if ns := b.GetNamespace(); ns != "" {
		meta["namespace"] = ns
	}
	run := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": shipwrightVersion, "kind": "BuildRun", "metadata": meta,
		"spec": map[string]any{"build": map[string]any{"name": b.GetName()}},
	}}
	return append(objects, bundle.Object{Document: b.Document, Line: b.Line, Unstructured: run}), nil
}
