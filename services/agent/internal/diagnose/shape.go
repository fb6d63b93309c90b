package diagnose

import (
	"encoding/base64"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// sorted yields the keys of m in order, with their places.
func sorted[V any](m map[string]V) iter.Seq2[int, string] {
	return slices.All(slices.Sorted(maps.Keys(m)))
}

// short cuts a text to what an answer carries.
func short(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + " (shortened)"
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	s = short(s)
	return &s
}

func podOf(p corev1.Pod) wire.DiagnosticPod {
	out := wire.DiagnosticPod{
		Name: p.Name, Namespace: p.Namespace, Phase: string(p.Status.Phase),
		Conditions: []wire.DiagnosticCondition{}, Containers: []wire.DiagnosticContainer{},
	}
	for _, c := range p.Status.Conditions {
		out.Conditions = append(out.Conditions, wire.DiagnosticCondition{
			Type: string(c.Type), Status: string(c.Status), Reason: optional(c.Reason), Message: optional(c.Message),
		})
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		out.Containers = append(out.Containers, containerOf(s))
	}
	return out
}

func containerOf(s corev1.ContainerStatus) wire.DiagnosticContainer {
	out := wire.DiagnosticContainer{Name: s.Name, Ready: s.Ready, RestartCount: s.RestartCount, State: "unknown"}
	switch {
	case s.State.Waiting != nil:
		out.State, out.StateReason, out.StateMessage = "waiting", optional(s.State.Waiting.Reason), optional(s.State.Waiting.Message)
	case s.State.Running != nil:
		out.State = "running"
	case s.State.Terminated != nil:
		out.State, out.StateReason, out.StateMessage = "terminated", optional(s.State.Terminated.Reason), optional(s.State.Terminated.Message)
	}
	return out
}

func eventOf(e corev1.Event) wire.DiagnosticEvent {
	out := wire.DiagnosticEvent{
		Type: e.Type, Reason: e.Reason, Message: short(e.Message), InvolvedObject: e.InvolvedObject.Name, InvolvedKind: e.InvolvedObject.Kind,
		FirstTimestamp: moment(e.FirstTimestamp, e.EventTime), LastTimestamp: moment(e.LastTimestamp, e.EventTime), Count: max(e.Count, 1),
	}
	if e.Series != nil {
		last := e.Series.LastObservedTime.UTC()
		out.LastTimestamp, out.Count = &last, max(e.Series.Count, 1)
	}
	return out
}

func moment(t metav1.Time, or metav1.MicroTime) *time.Time {
	at := t.Time
	if at.IsZero() {
		at = or.Time
	}
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// worstFirst orders pods so that the logs of those that are not well are read before the bound is reached.
func worstFirst(pods []corev1.Pod) []corev1.Pod {
	out := slices.Clone(pods)
	slices.SortStableFunc(out, func(x, y corev1.Pod) int {
		switch a, b := ready(x), ready(y); {
		case a == b:
			return 0
		case a:
			return 1
		default:
			return -1
		}
	})
	return out
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// decoded returns the values of a Secret's data, as they are and as they are written.
func decoded(data map[string]any) []string {
	var out []string
	for _, v := range data {
		text, ok := v.(string)
		if !ok {
			continue
		}
		out = append(out, text)
		if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
			out = append(out, string(plain))
		}
	}
	return out
}

var secretName = regexp.MustCompile(`(?i)pass|secret|token|credential|private|api_?key|auth`) //nolint:gochecknoglobals // constant pattern

// envSecrets returns the values of environment variables that are written in a pod's specification and sound secret.
func envSecrets(p corev1.Pod) []string {
	var out []string
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, e := range c.Env {
			if e.Value != "" && secretName.MatchString(e.Name) {
				out = append(out, e.Value)
			}
		}
	}
	return out
}
