package reconcile

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// kinds are kinds that the bundle's own definitions bring.
type kinds map[schema.GroupVersionKind]bool

// establish waits until the bundle's definitions are served and its namespaces can take objects.
func (f *full) establish(ctx context.Context, coming kinds, tries int) error {
	if tries > 1 { // everything was ready the last time: give caches a moment
		if err := f.w.pause(ctx, settlePause<<tries); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(establishLimit)
	for wait := settlePause / 4; ; wait = min(2*wait, time.Second) {
		missing, err := f.missing(ctx, coming)
		if err != nil {
			return err
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return &waiting{what: missing, retry: awayRetry}
		}
		if err := f.w.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// missing says what is not ready yet.
func (f *full) missing(ctx context.Context, coming kinds) (string, error) {
	for _, o := range f.desired.Objects {
		if o.Rank > plan.RankNamespace {
			break // objects are ordered by rank
		}
		live, err := f.w.e.c.Cluster.Objects.Get(ctx, identity(f.want.Policy), o.Target())
		if fault.Is(err, fault.NotFound) {
			return o.Key.String() + " to exist", nil
		}
		if err != nil {
			return "", failure{step: stepWait, key: o.Key, err: err}
		}
		if reason := notReady(o, live); reason != "" {
			return o.Key.String() + " " + reason, nil
		}
	}
	for kind := range coming {
		f.w.e.c.Cluster.Kinds.Forget()
		_, err := f.w.e.c.Cluster.Kinds.Mapping(ctx, kind)
		if fault.CodeOf(err) == cluster.CodeKindNotServed {
			return "the kind " + kind.String() + " to be served", nil
		}
		if err != nil {
			return "", failure{step: stepWait, err: err}
		}
	}
	return "", nil
}

func notReady(o plan.Object, live *unstructured.Unstructured) string {
	if plan.IsNamespace(o.Key.GroupKind()) {
		if phase, _, _ := unstructured.NestedString(live.Object, "status", "phase"); phase == "Terminating" {
			return "to be gone, for it is being deleted"
		}
		return ""
	}
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	reason := "to be established"
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		switch {
		case m["type"] == "Established" && m["status"] == "True":
			return ""
		case m["type"] == "NamesAccepted" && m["status"] == "False":
			text, _ := m["message"].(string)
			reason = "to have its names accepted: " + text
		}
	}
	return reason
}
