package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

const (
	podsPage   = 500
	podsAnew   = 10 * 60  // seconds until all pods are looked at anew, for what was set on their owners
	maxLogLine = 16 << 10 // bytes; what is longer is cut
	stampLen   = 64       // more than a timestamp has
)

// PodLogs implements cluster.PodLogs: one watch of the metadata of pods, one look at each that opted in when it changes,
// and one request for each log that is followed.
type PodLogs struct {
	c     *Cluster
	known map[string]cluster.LoggedPod // by uid; those that fn was told of; Watch alone uses it
	stack func(id string) bool         // whether those of a stack are wanted where no annotation is found; of Watch
}

var _ cluster.PodLogs = (*PodLogs)(nil)

// PodLogs returns the logs of the pods that belong to the agent's stacks. Watch may run once at a time.
func (c *Cluster) PodLogs() *PodLogs {
	return &PodLogs{c: c, known: map[string]cluster.LoggedPod{}}
}

// Watch implements cluster.PodLogs.
func (p *PodLogs) Watch(ctx context.Context, stack func(id string) bool, fn func(cluster.LoggedPod), told func(error)) {
	p.stack = stack
	persist(ctx, func(began func()) error { return p.once(ctx, fn, began) }, told)
}

// once looks at all pods, and then at those that change until the watch ends.
func (p *PodLogs) once(ctx context.Context, fn func(cluster.LoggedPod), began func()) error {
	namespace := ""
	if p.c.options.Only {
		namespace = p.c.options.Namespace
	}
	pods := p.c.metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(namespace)
	there := map[string]bool{}
	o := metav1.ListOptions{Limit: podsPage}
	for {
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		page, err := pods.List(bounded, o)
		cancel()
		if err != nil {
			return translate(err, false)
		}
		for i := range page.Items {
			there[string(page.Items[i].UID)] = true
			if err := p.look(ctx, &page.Items[i], fn); err != nil {
				return err
			}
		}
		o.ResourceVersion, o.Continue = page.ResourceVersion, page.Continue
		if o.Continue == "" {
			break
		}
		o.ResourceVersion = ""
	}
	for uid := range p.known {
		if !there[uid] {
			p.gone(uid, fn)
		}
	}
	seconds := int64(podsAnew + rand.N(podsAnew/10)) //nolint:gosec // jitter
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: o.ResourceVersion, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return translate(err, false)
	}
	defer w.Stop()
	began()
	for e := range w.ResultChan() {
		m, isPod := e.Object.(*metav1.PartialObjectMetadata)
		switch e.Type {
		case watch.Error:
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return translate(err, false)
			}
			return nil // too far behind: all pods are looked at anew
		case watch.Added, watch.Modified:
			if isPod {
				if err := p.look(ctx, m, fn); err != nil {
					return err
				}
			}
		case watch.Deleted:
			if isPod {
				p.gone(string(m.UID), fn)
			}
		case watch.Bookmark:
		}
	}
	return nil
}

func (p *PodLogs) gone(uid string, fn func(cluster.LoggedPod)) {
	if was, ok := p.known[uid]; ok {
		delete(p.known, uid)
		was.Containers = nil
		fn(was)
	}
}

// look tells of a pod if its logs are wanted and something of it has changed, or if they are not wanted any more.
func (p *PodLogs) look(ctx context.Context, m *metav1.PartialObjectMetadata, fn func(cluster.LoggedPod)) error {
	uid := string(m.UID)
	b, sure := p.c.owners.judge(ctx, p.c, m, ownersDeep)
	if !sure {
		return nil // as it was
	}
	if b.stack == "" || (b.logs != "true" && (b.logs != "" || !p.stack(b.stack))) {
		p.gone(uid, fn)
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := body(p.c.plain.Get().AbsPath("/api/v1/namespaces", m.Namespace, "pods", m.Name).Do(bounded))
	if fault.Is(err, fault.NotFound) {
		p.gone(uid, fn)
		return nil
	}
	if err != nil {
		return err
	}
	var pod corev1.Pod
	if err := json.Unmarshal(answer, &pod); err != nil {
		return fmt.Errorf("read the pod %s/%s: %w", m.Namespace, m.Name, err)
	}
	if string(pod.UID) != uid { // another of the same name, which the watch will tell of
		p.gone(uid, fn)
		return nil
	}
	is := cluster.LoggedPod{Stack: b.stack, Namespace: m.Namespace, Name: m.Name, UID: uid, Created: m.CreationTimestamp.Time, Containers: containersOf(&pod)}
	if was, ok := p.known[uid]; ok && reflect.DeepEqual(was, is) {
		return nil
	}
	p.known[uid] = is
	fn(is)
	return nil
}

func containersOf(pod *corev1.Pod) []cluster.LoggedContainer {
	status := map[string]corev1.ContainerStatus{}
	for _, of := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range of {
			status[s.Name] = s
		}
	}
	var out []cluster.LoggedContainer
	for _, of := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range of {
			s := status[of[i].Name]
			out = append(out, cluster.LoggedContainer{Name: of[i].Name, Run: s.ContainerID, Running: s.State.Running != nil})
		}
	}
	return out
}

// Follow implements cluster.PodLogs.
func (p *PodLogs) Follow(ctx context.Context, namespace, pod, container string, since time.Time, fn func(at time.Time, line string)) error {
	if err := p.c.confine("the pods", namespace); err != nil {
		return err
	}
	stream, err := p.c.plain.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").Param("container", container).
		Param("follow", "true").Param("timestamps", "true").Param("sinceTime", since.UTC().Format(time.RFC3339)).Stream(ctx)
	if err != nil {
		return translate(err, false)
	}
	defer stream.Close() //nolint:errcheck // nothing was written
	in := bufio.NewReaderSize(stream, stampLen+maxLogLine)
	for {
		line, err := in.ReadSlice('\n')
		rest := err
		for errors.Is(rest, bufio.ErrBufferFull) { // what is read is kept aside first, for it is in the reader's buffer
			line = append([]byte(nil), line...)
			for errors.Is(rest, bufio.ErrBufferFull) {
				_, rest = in.ReadSlice('\n')
			}
		}
		if len(line) > 0 && (rest == nil || errors.Is(err, bufio.ErrBufferFull) || errors.Is(rest, io.EOF)) {
			if err := logLine(line, fn); err != nil {
				return err
			}
		}
		switch {
		case rest == nil:
		case errors.Is(rest, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			return translate(rest, false)
		}
	}
}

// logLine takes a line apart: a timestamp, a blank, text. One without a timestamp is what the node says of a log that it
// cannot read.
func logLine(line []byte, fn func(at time.Time, line string)) error {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	stamp, text := line, []byte(nil)
	for i, b := range line {
		if b == ' ' {
			stamp, text = line[:i], line[i+1:]
			break
		}
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return fault.Newf(fault.Unavailable, "pod_log_unreadable", "the node says of the log: %.200s", line)
	}
	fn(at, string(text[:min(len(text), maxLogLine)]))
	return nil
}
