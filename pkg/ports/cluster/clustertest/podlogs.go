package clustertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func podLogCases() map[string]func(*world) {
	return map[string]func(*world){
		"pods that opted in, there before and new": podLogsWanted,
		"an owner opts in for its pods":            podLogsOwner,
		"a stack opts in for its pods, and out":    podLogsStack,
		"a pod that opts out, or goes":             podLogsEnd,
		"a log of a pod that is not there":         podLogsAbsent,
	}
}

// podsSeen collects what a watch tells of, by name of pod.
type podsSeen struct {
	mu   sync.Mutex
	last map[string]cluster.LoggedPod
}

func (s *podsSeen) of(name string) cluster.LoggedPod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name]
}

// watchPods watches the test's namespace until the test ends.
func (w *world) watchPods() *podsSeen {
	w.Helper()
	s, _ := w.watchPodsOf()
	return s
}

// watchPodsOf is watchPods for pods of these stacks too that have no annotation, until stop is called or the test ends.
func (w *world) watchPodsOf(stacks ...string) (seen *podsSeen, end func()) {
	w.Helper()
	s := &podsSeen{last: map[string]cluster.LoggedPod{}}
	return s, w.watchPodsInto(s, stacks...)
}

// watchPodsInto goes on with what is seen already.
func (w *world) watchPodsInto(s *podsSeen, stacks ...string) (end func()) {
	w.Helper()
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.PodLogs.Watch(ctx, func(id string) bool { return slices.Contains(stacks, id) }, func(p cluster.LoggedPod) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if p.Namespace == w.Namespace {
				s.last[p.Name] = p
			}
		}, func(err error) {
			if err != nil {
				w.Errorf("trouble: %v", err)
			}
		})
	}()
	end = func() {
		stop()
		<-ended
	}
	w.Cleanup(end)
	return end
}

// logged makes a pod of two containers; logs is its annotation, if any.
func (w *world) logged(name, logs string) *unstructured.Unstructured {
	u := w.object(pod, name, map[string]any{"spec": map[string]any{
		"initContainers": []any{map[string]any{"name": "first", "image": "absent.invalid/first"}},
		"containers":     []any{map[string]any{"name": "main", "image": "absent.invalid/main"}},
	}})
	if logs != "" {
		u.SetAnnotations(map[string]string{cluster.AnnotationStreamLogs: logs})
	}
	return u
}

// stamped marks an object as one of a stack of the agent.
func stamped(u *unstructured.Unstructured, stack, agent string) *unstructured.Unstructured {
	a := u.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	a[cluster.AnnotationOwner] = agent
	u.SetAnnotations(a)
	return of(u, stack)
}

// controlled makes an object a dependent of the one that controls it.
func controlled(u, owner *unstructured.Unstructured) *unstructured.Unstructured {
	owned(u, owner)
	u.Object["metadata"].(map[string]any)["ownerReferences"].([]any)[0].(map[string]any)["controller"] = true
	return u
}

func podLogsWanted(w *world) {
	stack := uuid.NewString()
	made := w.apply(stamped(w.logged("before", "true"), stack, w.Agent))
	w.apply(stamped(w.logged("silent", ""), stack, w.Agent))
	w.apply(stamped(w.logged("others", "true"), stack, uuid.NewString()))
	w.apply(w.logged("nobodys", "true"))
	s := w.watchPods()
	await(w.T, "the pod that was there before", func() bool { return s.of("before").UID != "" })
	p := s.of("before")
	if p.Stack != stack || p.UID != string(made.GetUID()) || !p.Created.Equal(made.GetCreationTimestamp().Time) || len(p.Containers) != 2 ||
		p.Containers[0].Name != "first" || p.Containers[1].Name != "main" {
		w.Errorf("got %+v, want the pod with both of its containers", p)
	}
	w.apply(stamped(w.logged("new", "true"), stack, w.Agent))
	await(w.T, "the new pod", func() bool { return s.of("new").UID != "" })
	for _, name := range []string{"silent", "others", "nobodys"} {
		if p := s.of(name); p.UID != "" {
			w.Errorf("got %+v, whose logs are not wanted", p)
		}
	}
}

func podLogsOwner(w *world) {
	stack := uuid.NewString()
	owner := w.text("owner", "a")
	owner.SetAnnotations(map[string]string{cluster.AnnotationStreamLogs: "true"})
	owner = w.apply(stamped(owner, stack, w.Agent))
	between := w.apply(controlled(w.text("between", "a"), owner))
	w.apply(controlled(w.logged("not", "false"), between))
	w.apply(controlled(w.logged("child", ""), between))
	s := w.watchPods()
	await(w.T, "the pod of the owner", func() bool { return s.of("child").Stack == stack })
	w.apply(controlled(w.logged("later", ""), between))
	await(w.T, "the later pod of the owner", func() bool { return s.of("later").Stack == stack })
	if p := s.of("not"); p.UID != "" {
		w.Errorf("got %+v, which opted out by itself", p)
	}
}

func podLogsStack(w *world) {
	chatty, other := uuid.NewString(), uuid.NewString()
	w.apply(stamped(w.logged("plain", ""), chatty, w.Agent))
	w.apply(stamped(w.logged("out", "false"), chatty, w.Agent))
	w.apply(stamped(w.logged("of-another", ""), other, w.Agent))
	s, end := w.watchPodsOf(chatty)
	await(w.T, "the pod of the stack", func() bool { return s.of("plain").Stack == chatty })
	w.apply(stamped(w.logged("later", ""), chatty, w.Agent))
	await(w.T, "the later pod of the stack", func() bool { return s.of("later").Stack == chatty })
	for _, name := range []string{"out", "of-another"} {
		if p := s.of(name); p.UID != "" {
			w.Errorf("got %+v, whose logs are not wanted", p)
		}
	}
	end()
	w.watchPodsInto(s, other)
	await(w.T, "the pod of the other stack", func() bool { return s.of("of-another").Stack == other })
	await(w.T, "the pods of the stack that opted out", func() bool { return len(s.of("plain").Containers)+len(s.of("later").Containers) == 0 })
}

func podLogsEnd(w *world) {
	stack := uuid.NewString()
	for _, name := range []string{"out", "gone"} {
		w.apply(stamped(w.logged(name, "true"), stack, w.Agent))
	}
	s := w.watchPods()
	await(w.T, "both pods", func() bool { return len(s.of("out").Containers) == 2 && len(s.of("gone").Containers) == 2 })
	out := w.see(w.logged("out", ""))
	a := out.GetAnnotations()
	a[cluster.AnnotationStreamLogs] = "false"
	out.SetAnnotations(a)
	out.SetManagedFields(nil)
	w.apply(out)
	await(w.T, "the pod that opted out", func() bool { return s.of("out").UID != "" && len(s.of("out").Containers) == 0 })
	w.remove(w.logged("gone", ""))
	await(w.T, "the pod that is gone", func() bool { return len(s.of("gone").Containers) == 0 })
}

func podLogsAbsent(w *world) {
	err := w.PodLogs.Follow(w.ctx, w.Namespace, "absent", "main", time.Now(), func(time.Time, string) {})
	wantKind(w.T, "follow", err, fault.NotFound)
}
