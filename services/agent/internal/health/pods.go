package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// PodSelector returns the selector, in label selector syntax, of the pods that an object makes; ok is false for kinds
// that make none by a selector of their own.
func PodSelector(u *unstructured.Unstructured) (selector string, ok bool) {
	switch u.GroupVersionKind().GroupKind().String() {
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch":
	default:
		return "", false
	}
	raw, found, _ := unstructured.NestedMap(u.Object, "spec", "selector")
	if !found {
		return "", false
	}
	var ls metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &ls) != nil {
		return "", false
	}
	s, err := metav1.LabelSelectorAsSelector(&ls)
	if err != nil || s.Empty() {
		return "", false
	}
	return s.String(), true
}

// ofPod is the health of a pod that is an object of its own.
func ofPod(k cluster.Key, u *unstructured.Unstructured) Object {
	var p corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
		return unreadable(k, err)
	}
	if isReady(&p) {
		return Object{Key: k, Health: delivery.HealthHealthy}
	}
	o := Object{Key: k}
	o.Message, o.Health = podReason(&p)
	if p.Status.Phase == corev1.PodFailed {
		o.Health = delivery.HealthFailing
	}
	o.Message = cmp.Or(o.Message, "it is not ready yet")
	return o
}

// WithPods refines the health of a workload that is not healthy by what its pods say: the worst reason first, then the
// most frequent.
func WithPods(o Object, pods []corev1.Pod) Object {
	if o.Health == delivery.HealthHealthy {
		return o
	}
	var ready int
	var all []reason
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		if isReady(p) {
			ready++
			continue
		}
		text, h := podReason(p)
		if text == "" {
			continue
		}
		if n := slices.IndexFunc(all, func(r reason) bool { return r.text == text }); n >= 0 {
			all[n].pods, all[n].health = all[n].pods+1, Worse(all[n].health, h)
		} else {
			all = append(all, reason{text, h, 1})
		}
	}
	if len(all) == 0 {
		return o
	}
	slices.SortStableFunc(all, func(a, b reason) int {
		return cmp.Or(badness(b.health)-badness(a.health), b.pods-a.pods)
	})
	worst := all[0]
	o.Message = worst.text
	if worst.pods > 1 {
		o.Message += fmt.Sprintf(" (%d pods)", worst.pods)
	}
	if ready > 0 && worst.health == delivery.HealthFailing {
		worst.health = delivery.HealthDegraded // some still serve
	}
	o.Health = Worse(o.Health, worst.health)
	return o
}

// reason is why pods are not ready.
type reason struct {
	text   string
	health delivery.Health
	pods   int
}

func isReady(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || podCondition(p, corev1.PodReady).Status == corev1.ConditionTrue
}

// podCondition returns a condition; an empty one if there is none.
func podCondition(p *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

// podReason says why a pod is not ready, if it says so itself.
func podReason(p *corev1.Pod) (string, delivery.Health) {
	if c := podCondition(p, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		switch c.Reason {
		case corev1.PodReasonUnschedulable:
			return "unschedulable: " + c.Message, delivery.HealthDegraded
		case corev1.PodReasonSchedulingGated:
			return "not scheduled before its scheduling gates are taken off", delivery.HealthProgressing
		}
	}
	text, worst := "", delivery.HealthHealthy
	consider := func(s string, h delivery.Health) {
		if s != "" && badness(h) > badness(worst) {
			text, worst = s, h
		}
	}
	for _, c := range p.Status.InitContainerStatuses {
		consider(containerReason(c))
		if c.State.Running != nil && (c.Started == nil || !*c.Started) {
			consider(fmt.Sprintf("init container %s is still running", c.Name), delivery.HealthProgressing)
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		consider(containerReason(c))
		consider(probeReason(c))
	}
	if p.Status.Phase == corev1.PodFailed {
		if text == "" {
			text = strings.TrimSpace("pod failed: " + p.Status.Reason + " " + p.Status.Message)
		}
		return text, failed(p)
	}
	if text != "" {
		return text, worst
	}
	if c := podCondition(p, corev1.PodReady); c.Status == corev1.ConditionFalse && c.Reason != "ContainersNotReady" {
		text = condition{reason: c.Reason, message: c.Message}.text() // readiness gates, or the node
	}
	return text, delivery.HealthProgressing
}

// failed is what a pod that has failed means to its workload: one attempt less to a job; to others nothing but a memory,
// for another pod takes its place.
func failed(p *corev1.Pod) delivery.Health {
	if slices.ContainsFunc(p.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == "Job" }) {
		return delivery.HealthDegraded
	}
	return delivery.HealthProgressing
}

func probeReason(c corev1.ContainerStatus) (string, delivery.Health) {
	switch {
	case c.State.Running == nil || c.Ready:
		return "", delivery.HealthProgressing
	case c.Started != nil && !*c.Started:
		return fmt.Sprintf("container %s is running and its startup probe has not succeeded yet", c.Name), delivery.HealthProgressing
	default:
		return fmt.Sprintf("container %s is running and its readiness probe fails", c.Name), delivery.HealthProgressing
	}
}

func containerReason(c corev1.ContainerStatus) (string, delivery.Health) {
	say := func(reason, message string) string {
		return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, reason, message), ": ")
	}
	last := c.LastTerminationState.Terminated
	if w := c.State.Waiting; w != nil {
		switch w.Reason {
		case "CrashLoopBackOff":
			if last == nil {
				return say(w.Reason, w.Message), delivery.HealthFailing
			}
			return say(w.Reason, "last exit: "+exit(last)), delivery.HealthFailing
		case "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
			"CreateContainerError", "RunContainerError", "ConfigError":
			return say(w.Reason, cmp.Or(w.Message, "image "+c.Image)), delivery.HealthFailing
		case "PodInitializing", "":
			return "", delivery.HealthProgressing
		default:
			return say(w.Reason, w.Message), delivery.HealthProgressing
		}
	}
	if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
		h := delivery.HealthDegraded // it may do better the next time
		if c.RestartCount > 0 {
			h = delivery.HealthFailing
		}
		return say("ended", exit(t)), h
	}
	if last != nil && last.Reason == "OOMKilled" && !c.Ready {
		return say("OOMKilled", "raise its memory limit"), delivery.HealthFailing
	}
	return "", delivery.HealthProgressing
}

// exit says how a container ended.
func exit(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("%s, code %d", cmp.Or(t.Reason, "Error"), t.ExitCode)
	if t.Message != "" {
		text += ", " + strings.TrimSpace(t.Message)
	}
	return text
}
