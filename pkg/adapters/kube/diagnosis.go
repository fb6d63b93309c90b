package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// maxEvents is how many events of a namespace are looked through.
const maxEvents = 5000

var _ cluster.Diagnosis = (*Cluster)(nil)

// makers are the kinds that stand between an object and its pods, those that make others first.
func makers() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "batch", Version: "v1", Kind: "CronJob"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
		{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, {Group: "batch", Version: "v1", Kind: "Job"},
	}
}

// Running implements cluster.Diagnosis.
func (c *Cluster) Running(ctx context.Context, namespace string, mine map[string]bool, limit int) (cluster.Running, error) {
	if err := c.confine("the pods", namespace); err != nil {
		return cluster.Running{}, err
	}
	out := cluster.Running{Family: map[string]bool{}}
	for uid := range mine {
		out.Family[uid] = true
	}
	for _, kind := range makers() {
		err := c.adopt(ctx, kind, namespace, out.Family)
		switch {
		case fault.Is(err, fault.Forbidden):
			out.Refused = append(out.Refused, kind.Kind)
		case fault.CodeOf(err) == cluster.CodeKindNotServed:
		case err != nil:
			return out, err
		}
	}
	err := c.eachPage(ctx, "pods", namespace, 0, func(page []byte) (string, bool, error) {
		var list corev1.PodList
		if err := json.Unmarshal(page, &list); err != nil {
			return "", false, fmt.Errorf("read the pods of namespace %s: %w", namespace, err)
		}
		for _, p := range list.Items {
			if !out.Family[string(p.UID)] && !owned(p.OwnerReferences, out.Family) {
				continue
			}
			if len(out.Pods) == limit {
				out.More = true
				return "", false, nil
			}
			out.Family[string(p.UID)] = true
			out.Pods = append(out.Pods, p)
		}
		return list.Continue, true, nil
	})
	return out, err
}

// adopt adds the objects of a kind that the family has made.
func (c *Cluster) adopt(ctx context.Context, kind schema.GroupVersionKind, namespace string, family map[string]bool) error {
	m, err := c.Mapping(ctx, kind)
	if err != nil {
		return err
	}
	return c.eachMetadata(ctx, c.metadata, m, namespace, func(o *metav1.PartialObjectMetadata) bool {
		if owned(o.OwnerReferences, family) {
			family[string(o.UID)] = true
		}
		return true
	})
}

func owned(by []metav1.OwnerReference, family map[string]bool) bool {
	return slices.ContainsFunc(by, func(r metav1.OwnerReference) bool { return family[string(r.UID)] })
}

// eachPage lists a core resource of a namespace page by page, at most so many objects if most is not 0. read returns where to go on.
func (c *Cluster) eachPage(ctx context.Context, resource, namespace string, most int, read func(page []byte) (next string, more bool, err error)) error {
	from := ""
	for n := 0; most == 0 || n < most; n += listPage {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		answer, err := body(c.plain.Get().AbsPath("/api/v1/namespaces", namespace, resource).
			Param("limit", strconv.Itoa(listPage)).Param("continue", from).Do(call))
		cancel()
		if err != nil {
			return err
		}
		next, more, err := read(answer)
		if err != nil || !more || next == "" {
			return err
		}
		from = next
	}
	return nil
}

// Happened implements cluster.Diagnosis. Of a namespace with very many events it looks through 5000.
func (c *Cluster) Happened(ctx context.Context, namespace string, about map[string]bool, limit int) ([]corev1.Event, error) {
	if err := c.confine("the events", namespace); err != nil {
		return nil, err
	}
	var out []corev1.Event
	err := c.eachPage(ctx, "events", namespace, maxEvents, func(page []byte) (string, bool, error) {
		var list corev1.EventList
		if err := json.Unmarshal(page, &list); err != nil {
			return "", false, fmt.Errorf("read the events of namespace %s: %w", namespace, err)
		}
		for _, e := range list.Items {
			if about[string(e.InvolvedObject.UID)] {
				out = append(out, e)
			}
		}
		return list.Continue, true, nil
	})
	slices.SortStableFunc(out, func(x, y corev1.Event) int {
		return cmp.Or(eventTime(y).Compare(eventTime(x)), strings.Compare(x.Name, y.Name))
	})
	return out[:min(limit, len(out))], err
}

// eventTime is when an event last happened, whichever of its fields says so.
func eventTime(e corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.LastTimestamp.Time} {
		if t.After(at) {
			at = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}

// LogTail implements cluster.Diagnosis.
func (c *Cluster) LogTail(ctx context.Context, t cluster.Tail) (string, error) {
	if err := c.confine("the logs", t.Namespace); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := c.plain.Get().AbsPath("/api/v1/namespaces", t.Namespace, "pods", t.Pod, "log").
		Param("container", t.Container).Param("previous", strconv.FormatBool(t.Previous)).
		Param("tailLines", strconv.FormatInt(t.Lines, 10)).Stream(ctx)
	if err != nil {
		return "", translate(err, false)
	}
	defer stream.Close() //nolint:errcheck // nothing was written
	return tailOf(stream, t.Bytes)
}

// tailOf returns the last bytes of a text, from the beginning of a line on if something is left out.
func tailOf(r io.Reader, limit int64) (string, error) {
	var kept []byte
	buf := make([]byte, 32<<10)
	cut := false
	for {
		n, err := r.Read(buf)
		kept = append(kept, buf[:n]...)
		if over := int64(len(kept)) - limit; over > 0 {
			kept, cut = append(kept[:0], kept[over:]...), true
		}
		if err == io.EOF { //nolint:errorlint // readers return it as it is
			break
		}
		if err != nil {
			return "", translate(err, false)
		}
	}
	text := strings.ToValidUTF8(string(kept), "\uFFFD")
	if _, rest, found := strings.Cut(text, "\n"); cut && found {
		text = rest
	}
	return text, nil
}
