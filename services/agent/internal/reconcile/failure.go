package reconcile

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

// step is the part of a pass in which something failed.
type step string

const (
	stepAccount   step = "account"
	stepFetch     step = "fetch"
	stepParse     step = "parse"
	stepInventory step = "inventory"
	stepValidate  step = "validate"
	stepOwnership step = "ownership"
	stepApply     step = "apply"
	stepWait      step = "wait"
	stepPrune     step = "prune"
	stepHealth    step = "health"
	stepRemove    step = "remove"
)

// failure says where in a pass, and at which object, something failed.
type failure struct {
	step step
	key  cluster.Key // zero: no single object
	err  error
}

// Error implements error.
func (f failure) Error() string {
	text := f.err.Error()
	if fe, ok := fault.As(f.err); ok {
		text = fe.Message // the cause says the same again
	}
	if f.key != (cluster.Key{}) {
		return fmt.Sprintf("%s: %s: %s", f.step, f.key, text)
	}
	return fmt.Sprintf("%s: %s", f.step, text)
}

// Unwrap returns the cause.
func (f failure) Unwrap() error { return f.err }

// protect makes an error of a panic: one stack, with objects that nobody thought of, must not end the work on all others.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Newf(fault.Internal, codePanic, "the agent failed at this stack, which is a fault of its own: %v", p).Because(errors.New(string(debug.Stack())))
		}
	}()
	return f()
}

const codePanic = "agent_panic"

const shownFailures = 3

// join makes one error of several objects' failures, which it sorts: the first few are told, the others counted. Its
// kind is Unavailable if any is, for then another try may do.
func join(s step, failed map[cluster.Key]error) error {
	if len(failed) == 0 {
		return nil
	}
	keys := make([]cluster.Key, 0, len(failed))
	for k := range failed {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b cluster.Key) int { return strings.Compare(a.String(), b.String()) })
	if len(keys) == 1 {
		return failure{step: s, key: keys[0], err: failed[keys[0]]}
	}
	var parts []string
	kind := fault.KindOf(failed[keys[0]])
	var retryAfter time.Duration
	for i, k := range keys {
		f, ok := fault.As(failed[k])
		if ok && f.Kind == fault.Unavailable {
			kind = f.Kind
		}
		if ok {
			retryAfter = max(retryAfter, f.RetryAfter)
		}
		if i < shownFailures {
			parts = append(parts, strings.TrimPrefix(failure{key: k, err: failed[k]}.Error(), ": "))
		}
	}
	text := health.Shorten(strings.Join(parts, "; "), maxText)
	if n := len(keys) - shownFailures; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	e := fault.New(kind, "several_objects", text).Because(failed[keys[0]])
	e.RetryAfter = retryAfter
	return failure{step: s, err: e}
}

// waiting says that a pass cannot go on before something in the cluster has happened: no failure.
type waiting struct {
	what  string
	retry time.Duration
}

// Error implements error.
func (w *waiting) Error() string { return "waiting: " + w.what }
