package simnode

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PhaseAnnotation on a pod chooses what its containers pretend to do; it may change while the pod lives.
const PhaseAnnotation = "kubecluster/phase"

// Values of PhaseAnnotation.
const (
	PhaseRun       = "run"       // run until deleted; the default where restartPolicy is Always
	PhaseSucceed   = "succeed"   // run for a moment, then end with exit code 0; the default for other restart policies
	PhaseFail      = "fail"      // run for a moment, then end with exit code 1
	PhaseCrash     = "crash"     // CrashLoopBackOff
	PhaseImagePull = "imagepull" // ImagePullBackOff
	PhasePending   = "pending"   // ContainerCreating for ever
	PhaseUnready   = "unready"   // run, but never pass the readiness probe
)

// runTime is how long a pod runs that is to end by itself.
const runTime = 500 * time.Millisecond

// desiredStatus returns the status that the pod should have now, or nil if it has it, and how long until that may change
// without another event (0: never).
func desiredStatus(pod *corev1.Pod, ip string, now metav1.Time) (status *corev1.PodStatus, again time.Duration) {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil, 0
	}
	phase := pod.Annotations[PhaseAnnotation]
	if phase == "" {
		phase = PhaseRun
		if pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			phase = PhaseSucceed
		}
	}
	if phase == PhaseSucceed || phase == PhaseFail {
		if pod.Status.Phase != corev1.PodRunning { // a step of its own, so that watchers see the pod running
			phase, again = PhaseRun, runTime
		}
	}
	want := pod.Status.DeepCopy()
	want.HostIP, want.HostIPs = nodeIP(0), []corev1.HostIP{{IP: nodeIP(0)}}
	want.PodIP, want.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	if want.StartTime == nil {
		want.StartTime = &now
	}
	look := lookOf(phase, now)
	want.Phase = look.phase
	want.InitContainerStatuses = nil
	for _, c := range pod.Spec.InitContainers {
		want.InitContainerStatuses = append(want.InitContainerStatuses, initStatus(c, now))
	}
	want.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		want.ContainerStatuses = append(want.ContainerStatuses, look.container(c))
	}
	keepTimes(want.InitContainerStatuses, pod.Status.InitContainerStatuses)
	keepTimes(want.ContainerStatuses, pod.Status.ContainerStatuses)
	setCondition(want, "PodReadyToStartContainers", true, "", now)
	setCondition(want, corev1.PodInitialized, true, "", now)
	setCondition(want, corev1.ContainersReady, look.ready, look.reason, now)
	setCondition(want, corev1.PodReady, look.ready, look.reason, now)
	if apiequality.Semantic.DeepEqual(*want, pod.Status) {
		return nil, again
	}
	return want, again
}

// look is how a pod in one of the phases appears.
type look struct {
	phase    corev1.PodPhase
	ready    bool
	reason   string // of the Ready condition being false
	state    corev1.ContainerState
	last     corev1.ContainerState
	restarts int32
}

func lookOf(phase string, now metav1.Time) look {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, StartedAt: now, FinishedAt: now}}
	}
	switch phase {
	case PhaseSucceed:
		return look{phase: corev1.PodSucceeded, reason: "PodCompleted", state: ended(0, "Completed")}
	case PhaseFail:
		return look{phase: corev1.PodFailed, reason: "PodFailed", state: ended(1, "Error")}
	case PhaseCrash:
		return look{phase: corev1.PodRunning, reason: "ContainersNotReady", restarts: 5, last: ended(1, "Error"),
			state: waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container")}
	case PhaseImagePull:
		return look{phase: corev1.PodPending, reason: "ContainersNotReady",
			state: waiting("ImagePullBackOff", "Back-off pulling image")}
	case PhasePending:
		return look{phase: corev1.PodPending, reason: "ContainersNotReady", state: waiting("ContainerCreating", "")}
	case PhaseUnready:
		return look{phase: corev1.PodRunning, reason: "ContainersNotReady", state: running}
	default:
		return look{phase: corev1.PodRunning, ready: true, state: running}
	}
}

func (l look) container(c corev1.Container) corev1.ContainerStatus {
	started := l.state.Running != nil
	s := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, Ready: l.ready, Started: &started, RestartCount: l.restarts,
		State: *l.state.DeepCopy(), LastTerminationState: *l.last.DeepCopy(),
	}
	if l.phase != corev1.PodPending {
		s.ImageID, s.ContainerID = "simulated://"+c.Image, "simulated://"+c.Name
	}
	return s
}

func initStatus(c corev1.Container, now metav1.Time) corev1.ContainerStatus {
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways { // a sidecar
		return lookOf(PhaseRun, now).container(c)
	}
	s := lookOf(PhaseSucceed, now).container(c)
	s.Ready = true
	return s
}

// keepTimes copies a container's state from before where only its times would differ.
func keepTimes(now, before []corev1.ContainerStatus) {
	for i := range now {
		for _, b := range before {
			if b.Name != now[i].Name {
				continue
			}
			if sameState(now[i].State, b.State) {
				now[i].State = b.State
			}
			if sameState(now[i].LastTerminationState, b.LastTerminationState) {
				now[i].LastTerminationState = b.LastTerminationState
			}
			if t := now[i].State.Terminated; t != nil && b.State.Running != nil {
				t.StartedAt = b.State.Running.StartedAt
			}
		}
	}
}

func sameState(a, b corev1.ContainerState) bool {
	switch {
	case a.Running != nil:
		return b.Running != nil
	case a.Terminated != nil:
		return b.Terminated != nil && a.Terminated.ExitCode == b.Terminated.ExitCode
	default:
		return apiequality.Semantic.DeepEqual(a, b)
	}
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, yes bool, reason string, now metav1.Time) {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: now}
	if yes {
		c.Status = corev1.ConditionTrue
	}
	for i, old := range status.Conditions {
		if old.Type != kind {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
			c.ObservedGeneration = old.ObservedGeneration
		}
		status.Conditions[i] = c
		return
	}
	status.Conditions = append(status.Conditions, c)
}
