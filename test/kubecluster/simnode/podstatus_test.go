package simnode

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDesiredStatus(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	cases := map[string]struct {
		annotation string
		restart    corev1.RestartPolicy
		phases     []corev1.PodPhase // one after the other
		ready      bool              // at the end
		waiting    string            // reason at the end
	}{
		"a service runs":              {restart: corev1.RestartPolicyAlways, phases: []corev1.PodPhase{corev1.PodRunning}, ready: true},
		"a job's pod runs, then ends": {restart: corev1.RestartPolicyNever, phases: []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded}},
		"a failing job":               {annotation: PhaseFail, restart: corev1.RestartPolicyNever, phases: []corev1.PodPhase{corev1.PodRunning, corev1.PodFailed}},
		"a job that does not end":     {annotation: PhaseRun, restart: corev1.RestartPolicyNever, phases: []corev1.PodPhase{corev1.PodRunning}, ready: true},
		"crash loop":                  {annotation: PhaseCrash, restart: corev1.RestartPolicyAlways, phases: []corev1.PodPhase{corev1.PodRunning}, waiting: "CrashLoopBackOff"},
		"no image":                    {annotation: PhaseImagePull, restart: corev1.RestartPolicyAlways, phases: []corev1.PodPhase{corev1.PodPending}, waiting: "ImagePullBackOff"},
		"slow start":                  {annotation: PhasePending, restart: corev1.RestartPolicyAlways, phases: []corev1.PodPhase{corev1.PodPending}, waiting: "ContainerCreating"},
		"never ready":                 {annotation: PhaseUnready, restart: corev1.RestartPolicyAlways, phases: []corev1.PodPhase{corev1.PodRunning}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{
				RestartPolicy:  c.restart,
				InitContainers: []corev1.Container{{Name: "init", Image: "i"}},
				Containers:     []corev1.Container{{Name: "a", Image: "i"}},
			}}
			pod.Status.Phase = corev1.PodPending
			if c.annotation != "" {
				pod.Annotations = map[string]string{PhaseAnnotation: c.annotation}
			}
			for i, want := range c.phases {
				got, again := desiredStatus(pod, "10.244.0.1", now)
				if got == nil {
					t.Fatalf("step %d: no change, want phase %s", i, want)
				}
				if got.Phase != want {
					t.Fatalf("step %d: got phase %s, want %s", i, got.Phase, want)
				}
				if wantAgain := i < len(c.phases)-1; (again > 0) != wantAgain {
					t.Fatalf("step %d: got another look after %s, want one: %v", i, again, wantAgain)
				}
				pod.Status = *got
				now = metav1.NewTime(now.Add(time.Second))
			}
			if got, _ := desiredStatus(pod, "10.244.0.1", now); got != nil {
				t.Fatalf("the status does not settle: got %+v", got)
			}
			if got := pod.Status.ContainerStatuses[0].Ready; got != c.ready {
				t.Errorf("got ready %v, want %v", got, c.ready)
			}
			reason := ""
			if w := pod.Status.ContainerStatuses[0].State.Waiting; w != nil {
				reason = w.Reason
			}
			if reason != c.waiting {
				t.Errorf("got waiting reason %q, want %q", reason, c.waiting)
			}
		})
	}
}

func TestDesiredStatusFollowsTheAnnotation(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a"}}}}
	for _, phase := range []string{PhaseRun, PhaseCrash, PhaseRun} {
		pod.Annotations = map[string]string{PhaseAnnotation: phase}
		got, _ := desiredStatus(pod, "10.244.0.1", now)
		if got == nil {
			t.Fatalf("%s: no change", phase)
		}
		if ready := got.ContainerStatuses[0].Ready; ready != (phase == PhaseRun) {
			t.Errorf("%s: got ready %v", phase, ready)
		}
		pod.Status = *got
	}
}
