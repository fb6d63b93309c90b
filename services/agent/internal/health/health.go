// Package health says how the objects of a stack are, in words that a person can act on. It is pure.
package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Object is the health of one object. Message is empty if it is healthy.
type Object struct {
	Key     cluster.Key
	Health  delivery.Health
	Message string
}

// Of returns the health of a live object by the rules of kstatus. A nil object is missing.
func Of(k cluster.Key, u *unstructured.Unstructured) Object {
	if u == nil {
		return Object{Key: k, Health: delivery.HealthDegraded, Message: "it is missing"}
	}
	r, err := status.Compute(u)
	if err != nil {
		return Object{Key: k, Health: delivery.HealthUnknown, Message: "its status cannot be read: " + err.Error()}
	}
	switch r.Status {
	case status.CurrentStatus:
		return Object{Key: k, Health: delivery.HealthHealthy}
	case status.FailedStatus:
		return Object{Key: k, Health: delivery.HealthFailing, Message: r.Message}
	case status.TerminatingStatus:
		return Object{Key: k, Health: delivery.HealthProgressing, Message: "it is being deleted"}
	case status.NotFoundStatus:
		return Object{Key: k, Health: delivery.HealthDegraded, Message: "it is missing"}
	case status.UnknownStatus:
		return Object{Key: k, Health: delivery.HealthUnknown, Message: r.Message}
	case status.InProgressStatus:
	}
	return Object{Key: k, Health: delivery.HealthProgressing, Message: r.Message}
}

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

// WithPods refines the health of a workload that is not healthy by what its pods say.
func WithPods(o Object, pods []corev1.Pod) Object {
	if o.Health == delivery.HealthHealthy {
		return o
	}
	var ready int
	reasons := map[string]int{}
	var order []string
	worst := delivery.HealthProgressing
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		if isReady(p) {
			ready++
			continue
		}
		reason, h := podReason(p)
		if reason == "" {
			continue
		}
		if reasons[reason] == 0 {
			order = append(order, reason)
		}
		reasons[reason]++
		worst = Worse(worst, h)
	}
	if len(order) == 0 {
		return o
	}
	slices.SortStableFunc(order, func(a, b string) int { return reasons[b] - reasons[a] })
	o.Message = order[0]
	if n := reasons[order[0]]; n > 1 {
		o.Message += fmt.Sprintf(" (%d pods)", n)
	}
	if ready > 0 && worst == delivery.HealthFailing {
		worst = delivery.HealthDegraded // some still serve
	}
	o.Health = Worse(o.Health, worst)
	return o
}

func isReady(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podReason says why a pod is not ready, if it says so itself.
func podReason(p *corev1.Pod) (string, delivery.Health) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return "unschedulable: " + c.Message, delivery.HealthDegraded
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			if reason, h := containerReason(c); reason != "" {
				return reason, h
			}
		}
	}
	if p.Status.Phase == corev1.PodFailed {
		return strings.TrimSuffix("pod failed: "+p.Status.Reason+" "+p.Status.Message, " "), delivery.HealthFailing
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil && !c.Ready && c.Started != nil && !*c.Started {
			return fmt.Sprintf("container %s is running and its startup probe has not succeeded yet", c.Name), delivery.HealthProgressing
		}
		if c.State.Running != nil && !c.Ready {
			return fmt.Sprintf("container %s is running and its readiness probe fails", c.Name), delivery.HealthProgressing
		}
	}
	return "", delivery.HealthProgressing
}

func containerReason(c corev1.ContainerStatus) (string, delivery.Health) {
	say := func(reason, message string) string {
		text := fmt.Sprintf("container %s: %s", c.Name, reason)
		if message != "" {
			text += ": " + message
		}
		return text
	}
	last := ""
	if t := c.LastTerminationState.Terminated; t != nil {
		last = fmt.Sprintf("last exit: %s, code %d", t.Reason, t.ExitCode)
		if t.Message != "" {
			last += ", " + t.Message
		}
	}
	if w := c.State.Waiting; w != nil {
		switch w.Reason {
		case "CrashLoopBackOff":
			if last == "" {
				last = w.Message
			}
			return say(w.Reason, last), delivery.HealthFailing
		case "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
			"CreateContainerError", "RunContainerError", "ConfigError":
			text := w.Message
			if text == "" {
				text = "image " + c.Image
			}
			return say(w.Reason, text), delivery.HealthFailing
		}
		return "", delivery.HealthProgressing
	}
	if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
		return say(t.Reason, fmt.Sprintf("exit code %d", t.ExitCode)), delivery.HealthFailing
	}
	if t := c.LastTerminationState.Terminated; t != nil && t.Reason == "OOMKilled" && !c.Ready {
		return say("OOMKilled", "raise its memory limit"), delivery.HealthFailing
	}
	return "", delivery.HealthProgressing
}

// Worse returns the worse of two healths. Not knowing is worse than healthy and better than progressing.
func Worse(a, b delivery.Health) delivery.Health {
	if badness(b) > badness(a) {
		return b
	}
	return a
}

func badness(h delivery.Health) int {
	return slices.Index([]delivery.Health{delivery.HealthHealthy, delivery.HealthUnknown, delivery.HealthProgressing,
		delivery.HealthDegraded, delivery.HealthFailing}, h)
}

const (
	shownObjects = 3
	maxMessage   = 400 // bytes of one object's message
)

// Summary is the health of a whole: that of the worst of its objects, and what the worst say.
func Summary(objects []Object) (delivery.Health, string) {
	worst := delivery.HealthHealthy
	var bad []Object
	for _, o := range objects {
		worst = Worse(worst, o.Health)
		if o.Health != delivery.HealthHealthy {
			bad = append(bad, o)
		}
	}
	slices.SortFunc(bad, func(a, b Object) int {
		if d := badness(b.Health) - badness(a.Health); d != 0 {
			return d
		}
		return strings.Compare(a.Key.String(), b.Key.String())
	})
	var parts []string
	for i, o := range bad {
		if i == shownObjects {
			parts = append(parts, fmt.Sprintf("and %d more", len(bad)-i))
			break
		}
		parts = append(parts, o.Key.String()+": "+Shorten(o.Message, maxMessage))
	}
	return worst, strings.Join(parts, "; ")
}

// Shorten cuts s to at most n bytes, at a rune's end.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
