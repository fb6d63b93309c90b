// Package health says how the objects of a stack are, in words that a person can act on. It is pure.
package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Object is the health of one object. Message is empty if it is healthy.
type Object struct {
	Key     cluster.Key
	Health  delivery.Health
	Message string
}

// Of returns the health of a live object by the rules of kstatus, and by our own where those take too much for granted
// or give no reason. A nil object is missing.
func Of(k cluster.Key, u *unstructured.Unstructured) Object {
	if u == nil {
		return Object{Key: k, Health: delivery.HealthDegraded, Message: "it is missing"}
	}
	if u.GetDeletionTimestamp() != nil {
		return Object{Key: k, Health: delivery.HealthProgressing, Message: terminating(u)}
	}
	if k.Group == "" && k.Kind == "Pod" {
		return ofPod(k, u)
	}
	r, err := status.Compute(u)
	if err != nil {
		return unreadable(k, err)
	}
	o := Object{Key: k, Message: r.Message}
	switch r.Status {
	case status.CurrentStatus:
		o.Health = delivery.HealthHealthy
	case status.FailedStatus:
		o.Health = delivery.HealthFailing
	case status.InProgressStatus, status.TerminatingStatus:
		o.Health = delivery.HealthProgressing
	case status.NotFoundStatus, status.UnknownStatus:
		o.Health = delivery.HealthUnknown
	}
	if o.Message == "" && len(r.Conditions) > 0 {
		o.Message = r.Conditions[0].Reason
	}
	if !isObserved(u) {
		return o // what else its status says is about an older revision
	}
	if o = byKind(o, u); o.Health == delivery.HealthHealthy {
		o.Message = ""
	} else {
		o.Message = cmp.Or(o.Message, "it is not ready, and does not say why")
	}
	return o
}

func unreadable(k cluster.Key, err error) Object {
	return Object{Key: k, Health: delivery.HealthUnknown, Message: "its status cannot be read: " + err.Error()}
}

// isObserved is false if a controller has not seen the latest revision of an object yet, as far as it says so.
func isObserved(u *unstructured.Unstructured) bool {
	seen, says, err := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	return err != nil || !says || u.GetGeneration() == 0 || seen == u.GetGeneration()
}

// terminating says what an object waits for that is being deleted.
func terminating(u *unstructured.Unstructured) string {
	text := "it is being deleted"
	var waits []string
	for _, f := range u.GetFinalizers() {
		if f == "foregroundDeletion" {
			f = "the deletion of what it owns"
		}
		waits = append(waits, f)
	}
	if len(waits) > 0 {
		text += ", and waits for " + strings.Join(waits, ", ")
	}
	for _, c := range conditions(u) {
		if strings.HasPrefix(c.kind, "Namespace") && c.status == "True" && c.message != "" {
			text += "; " + c.message
		}
	}
	return text
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

// Shorten cuts s to at most n bytes, at a rune's end, and says by dots that it did.
func Shorten(s string, n int) string {
	const dots = "..."
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:max(n-len(dots), 0)], "") + dots[:min(n, len(dots))]
}
