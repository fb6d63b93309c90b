package health

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// condition is one of status.conditions.
type condition struct {
	kind, status, reason, message string
	observed                      int64 // generation; 0: it does not say
}

// text is what a condition says to people.
func (c condition) text() string {
	switch {
	case c.message == "":
		return c.reason
	case c.reason == "":
		return c.message
	default:
		return c.reason + ": " + c.message
	}
}

func conditions(u *unstructured.Unstructured) []condition {
	raw, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "conditions")
	list, _ := raw.([]any)
	var out []condition
	for _, v := range list {
		m, _ := v.(map[string]any)
		var c condition
		c.kind, _ = m["type"].(string)
		c.status, _ = m["status"].(string)
		c.reason, _ = m["reason"].(string)
		c.message, _ = m["message"].(string)
		c.observed, _ = m["observedGeneration"].(int64)
		out = append(out, c)
	}
	return out
}

// conditionOf returns a condition; an empty one if there is none.
func conditionOf(u *unstructured.Unstructured, kind string) condition {
	for _, c := range conditions(u) {
		if c.kind == kind {
			return c
		}
	}
	return condition{}
}

func number(u *unstructured.Unstructured, path string, absent int) int {
	return status.GetIntField(u.Object, path, absent)
}

func word(u *unstructured.Unstructured, path string) string {
	return status.GetStringField(u.Object, path, "")
}

// byKind refines what kstatus says of an object whose controller has seen it.
func byKind(o Object, u *unstructured.Unstructured) Object {
	switch o.Key.GroupKind().String() {
	case "Deployment.apps", "ReplicaSet.apps":
		return ofDeployment(o, u)
	case "StatefulSet.apps":
		if word(u, ".spec.updateStrategy.type") == "OnDelete" { // kstatus looks no further
			return o.unlessReady(number(u, ".status.readyReplicas", 0), number(u, ".spec.replicas", 1))
		}
	case "ReplicationController":
		return o.unlessReady(number(u, ".status.readyReplicas", 0), number(u, ".spec.replicas", 1))
	case "DaemonSet.apps":
		if word(u, ".spec.updateStrategy.type") == "OnDelete" && o.Health == delivery.HealthProgressing {
			return ofManualDaemonSet(o, u)
		}
	case "Job.batch":
		return ofJob(o, u)
	case "PersistentVolumeClaim":
		return ofClaim(o, u)
	case "Service":
		if word(u, ".spec.type") == "LoadBalancer" && o.Health == delivery.HealthHealthy && !hasAddress(u) {
			return o.as(delivery.HealthProgressing, "no load balancer has given it an address yet")
		}
	case "HorizontalPodAutoscaler.autoscaling":
		return ofAutoscaler(o, u)
	case "APIService.apiregistration.k8s.io":
		if c := conditionOf(u, "Available"); c.status != "True" {
			return o.as(delivery.HealthProgressing, c.text())
		}
	default:
		if c := conditionOf(u, "Ready"); o.Health == delivery.HealthHealthy && c.observed != 0 && c.observed < u.GetGeneration() {
			return o.as(delivery.HealthProgressing, "its controller has not looked at the latest change yet")
		}
	}
	return o
}

func (o Object) as(h delivery.Health, message string) Object {
	o.Health, o.Message = h, message
	return o
}

func (o Object) unlessReady(ready, want int) Object {
	if ready >= want {
		return o
	}
	return o.as(delivery.HealthProgressing, fmt.Sprintf("Ready: %d/%d", ready, want))
}

// ofDeployment knows two more things: pods that may not be made (a quota, an admission rule), and a rollout that is
// paused, which goes on when somebody says so and not before.
func ofDeployment(o Object, u *unstructured.Unstructured) Object {
	if o.Health == delivery.HealthHealthy {
		return o
	}
	if c := conditionOf(u, "ReplicaFailure"); c.status == "True" {
		return o.as(Worse(o.Health, delivery.HealthDegraded), c.text())
	}
	if paused, _, _ := unstructured.NestedBool(u.Object, "spec", "paused"); !paused || o.Health != delivery.HealthProgressing {
		return o
	}
	want := number(u, ".spec.replicas", 1)
	if want == number(u, ".status.replicas", 0) && want == number(u, ".status.updatedReplicas", 0) && want == number(u, ".status.availableReplicas", 0) {
		return o.as(delivery.HealthHealthy, "")
	}
	return o.as(o.Health, "its rollout is paused (spec.paused): "+o.Message)
}

// ofManualDaemonSet does not wait for pods of the latest revision: those come when somebody deletes the former ones.
func ofManualDaemonSet(o Object, u *unstructured.Unstructured) Object {
	want := number(u, ".status.desiredNumberScheduled", -1)
	if want < 0 || number(u, ".status.currentNumberScheduled", 0) < want || number(u, ".status.numberAvailable", 0) < want {
		return o
	}
	return o.as(delivery.HealthHealthy, "").unlessReady(number(u, ".status.numberReady", 0), want)
}

// ofJob: a job that runs is on its way, one that is suspended is as it is meant to be.
func ofJob(o Object, u *unstructured.Unstructured) Object {
	if c := conditionOf(u, "Failed"); c.status == "True" {
		return o.as(delivery.HealthFailing, c.text())
	}
	if conditionOf(u, "Complete").status == "True" {
		return o
	}
	if suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspended {
		return o.as(delivery.HealthHealthy, "")
	}
	return o.as(delivery.HealthProgressing, o.Message)
}

func ofClaim(o Object, u *unstructured.Unstructured) Object {
	switch word(u, ".status.phase") {
	case "Lost":
		return o.as(delivery.HealthFailing, "its volume "+word(u, ".spec.volumeName")+" is lost")
	case "Pending":
		return o.as(o.Health, "it has no volume yet; if its storage class binds late, it waits for a pod that uses it")
	default:
		return o
	}
}

func hasAddress(u *unstructured.Unstructured) bool {
	addresses, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "loadBalancer", "ingress")
	list, _ := addresses.([]any)
	return len(list) > 0
}

// ofAutoscaler: one that cannot scale leaves its workload as it is, whatever the load. One whose workload was scaled to
// nothing by hand is off, as it should be. It finds nothing wrong with one that has no metrics: it keeps the number of pods as it is, new pods have none
// for a minute after each update, and many a cluster has no metrics at all.
func ofAutoscaler(o Object, u *unstructured.Unstructured) Object {
	if c := conditionOf(u, "AbleToScale"); c.status == "False" {
		return o.as(delivery.HealthDegraded, c.text())
	}
	c := conditionOf(u, "ScalingActive")
	noMetrics := strings.HasPrefix(c.reason, "FailedGet") || strings.HasPrefix(c.reason, "FailedCompute")
	if c.status == "False" && !noMetrics && c.reason != "ScalingDisabled" {
		return o.as(delivery.HealthDegraded, c.text())
	}
	return o
}
