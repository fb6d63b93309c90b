package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	ordersName = "work order" // of inventories, for people
	isDone     = "succeeded"  // what an inventory says when only the tidying up is left
	lookEvery  = 2 * time.Second
	cleanup    = 45 * time.Second // for writing a success down, and for taking away what an order made
)

// Cluster does orders in a Kubernetes cluster. All fields but Rules are required.
type Cluster struct {
	Agent       string
	Home        string // the namespace of the agent itself
	Kinds       cluster.Kinds
	Objects     cluster.Objects
	Makers      cluster.Makers
	Contents    cluster.Contents
	Inventories cluster.Inventories
	Owned       cluster.Owned
	Limits      bundle.Limits
	Scope       plan.Scope
	Rules       health.Rules // how custom resources are, by the cluster's owner; nil: as they say by themselves
	Log         *slog.Logger
}

// Do applies the order's manifests, waits until they have done their work, and writes down in the cluster that they have, so that
// it is neither done again nor undone when the agent ends before the broker has heard of it: done anew, an order that has succeeded
// says so again. After a failure all that the order made is taken away, but for what others depend on. What was there before is not
// touched: an order that would change it fails.
func (c Cluster) Do(ctx context.Context, o wire.WorkOrder) Result {
	message, err := c.outcome(ctx, o)
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return Result{Message: "it was interrupted", Retryable: true} // nobody is told: the claim is over, or the agent ends
	}
	if err == nil {
		return Result{Success: true, Message: message}
	}
	again := retryable(err)
	l := c.settle(context.WithoutCancel(ctx), o.ID, again)
	if l.succeeded { // the answer was lost when it was written down
		return Result{Success: true, Message: l.message}
	}
	return Result{Message: health.Shorten(err.Error()+l.stays(), 2000), Retryable: again}
}

// outcome of the order: of an earlier attempt, if that has succeeded.
func (c Cluster) outcome(ctx context.Context, o wire.WorkOrder) (string, error) {
	inv, err := c.inventory(ctx, o.ID)
	if err != nil {
		return "", err
	}
	if inv.Applied == isDone {
		return inv.Message, nil
	}
	message, err := c.do(ctx, o)
	if err != nil {
		return "", err
	}
	return message, c.note(context.WithoutCancel(ctx), o.ID, message)
}

// hopeless is a failure that trying again does not mend.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

func retryable(err error) bool {
	var h hopeless
	if errors.As(err, &h) {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Forbidden, fault.Refused:
		_, classified := fault.As(err)
		return !classified
	case fault.NotFound:
		return fault.CodeOf(err) != cluster.CodeKindNotServed
	case fault.Internal, fault.Unauthenticated, fault.Conflict, fault.Limited, fault.Unavailable:
		return true
	default:
		return true
	}
}

func (c Cluster) do(ctx context.Context, o wire.WorkOrder) (string, error) {
	objects, err := bundle.Parse([]byte(o.YAMLContent), c.Limits)
	if err != nil {
		return "", hopeless{err}
	}
	if o.WorkType == workorder.TypeBuild {
		if objects, err = withBuildRun(objects, o.ID); err != nil {
			return "", hopeless{err}
		}
	}
	desired, err := c.prepare(ctx, o, objects)
	if err != nil {
		return "", err
	}
	if err := c.apply(ctx, o.ID, desired); err != nil {
		return "", err
	}
	return c.await(ctx, desired)
}

// prepare maps the kinds. While the API server does not answer it waits, as everything here does.
func (c Cluster) prepare(ctx context.Context, o wire.WorkOrder, objects []bundle.Object) (plan.Desired, error) {
	mappings := map[schema.GroupVersionKind]cluster.Mapping{}
	for _, b := range objects {
		kind := b.GroupVersionKind()
		if _, ok := mappings[kind]; ok {
			continue
		}
		err := persist(ctx, func() error {
			m, err := c.Kinds.Mapping(ctx, kind)
			mappings[kind] = m
			return err
		})
		switch {
		case fault.CodeOf(err) == cluster.CodeKindNotServed && kind.Group == shipwright:
			return plan.Desired{}, hopeless{fmt.Errorf("this cluster cannot build: it serves no %s in %s; install Shipwright (https://shipwright.io) first", kind.Kind, kind.GroupVersion())}
		case err != nil:
			return plan.Desired{}, fmt.Errorf("document %d, line %d: %w", b.Document, b.Line, err)
		}
	}
	return plan.Prepare(c.Agent, wire.Stack{StackID: o.ID, DeploymentObjectID: o.ID}, objects, mappings, c.Scope)
}

// persist tries again while the API server is not to be reached or has too much to do.
func persist(ctx context.Context, try func() error) error {
	for {
		err := try()
		if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Limited) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lookEvery):
		}
	}
}

// apply writes down what the order is about to make, and makes it, in order.
func (c Cluster) apply(ctx context.Context, order string, d plan.Desired) error {
	inv, err := c.inventory(ctx, order)
	if err != nil {
		return err
	}
	known := map[cluster.Key]bool{}
	for _, e := range inv.Entries {
		known[e.Key] = true
	}
	for _, o := range d.Objects {
		if err := persist(ctx, func() error { return c.free(ctx, order, o) }); err != nil {
			return err
		}
		if !known[o.Key] {
			inv.Entries = append(inv.Entries, cluster.Entry{Key: o.Key, Version: o.Mapping.Kind.Version})
		}
	}
	inv.Name, inv.Order, inv.Applied = ordersName, true, ""
	slices.SortFunc(inv.Entries, func(a, b cluster.Entry) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	if err := persist(ctx, func() (err error) { inv.Version, err = c.Inventories.Save(ctx, inv); return err }); err != nil {
		return fmt.Errorf("write down what the order makes: %w", err)
	}
	for _, o := range d.Objects {
		if err := persist(ctx, func() error { return c.make(ctx, order, o) }); err != nil {
			return err
		}
	}
	return nil
}

// free refuses what is there already and was not made for the order.
func (c Cluster) free(ctx context.Context, order string, o plan.Object) error {
	_, err := c.own(ctx, order, o)
	return err
}

// own returns what the order has made of o before, nil if nothing is there, and fails if something of somebody else's is.
func (c Cluster) own(ctx context.Context, order string, o plan.Object) (*unstructured.Unstructured, error) {
	live, err := c.Objects.Get(ctx, "", o.Target())
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil //nolint:nilnil // nothing is there
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", o.Key, err)
	case c.isOf(live, order) && live.GetDeletionTimestamp() != nil:
		return nil, fault.Newf(fault.Unavailable, "terminating", "%s of an earlier attempt is still being deleted", o.Key)
	case !c.isOf(live, order):
		return nil, hopeless{fmt.Errorf("%s is there already%s; a work order only makes what is not there: give it another name, or publish it as a stack", o.Key, ownerOf(live))}
	}
	return live, nil
}

// make makes one object, or applies it to what an earlier attempt has made. Whatever is there by now that the order has not made
// stays as it is: an object is created, which fails if there is one, and applied only to the very object that was looked at.
func (c Cluster) make(ctx context.Context, order string, o plan.Object) error {
	live, err := c.own(ctx, order, o)
	if err != nil {
		return err
	}
	if live == nil {
		_, err = c.Makers.Make(ctx, "", o.Mapping, o.Manifest)
		if !fault.Is(err, fault.Conflict) {
			return c.madeOr(o, err)
		}
		// Somebody was faster, or the answer to an earlier attempt was lost.
		if live, err = c.own(ctx, order, o); err != nil {
			return err
		}
		if live == nil {
			return fmt.Errorf("make %s: it comes and goes", o.Key)
		}
	}
	manifest := o.Manifest.DeepCopy()
	manifest.SetUID(live.GetUID())
	_, err = c.Objects.Apply(ctx, "", o.Mapping, manifest, false)
	return c.madeOr(o, err)
}

func (c Cluster) madeOr(o plan.Object, err error) error {
	if err != nil {
		return fmt.Errorf("apply %s (document %d, line %d): %w", o.Key, o.Document, o.Line, err)
	}
	return nil
}

// isOf reports whether this agent has made live for the order. Another agent of the cluster may have the same order after
// this one has lost it: what that one made is not ours.
func (c Cluster) isOf(live *unstructured.Unstructured, order string) bool {
	return live != nil && live.GetAnnotations()[cluster.AnnotationStack] == order && live.GetAnnotations()[cluster.AnnotationOwner] == c.Agent
}

func ownerOf(live *unstructured.Unstructured) string {
	if s := live.GetAnnotations()[cluster.AnnotationStack]; s != "" {
		return ", made by stack or work order " + s
	}
	return ""
}

// await looks until everything has done its work, and returns what came of it.
func (c Cluster) await(ctx context.Context, d plan.Desired) (string, error) {
	waits := "the API server"
	for {
		done, results := true, []string(nil)
		for _, o := range d.Objects {
			live, err := c.Objects.Get(ctx, "", o.Target())
			switch {
			case fault.Is(err, fault.NotFound):
				return "", fmt.Errorf("%s was deleted by somebody else", o.Key)
			case err != nil:
				done, waits = false, o.Key.String()+": "+err.Error()
				continue
			}
			h := stateOf(c.Rules, o.Key, live)
			switch h.Health {
			case delivery.HealthHealthy:
				if r := resultOf(o.Key, live); r != "" {
					results = append(results, r)
				}
			case delivery.HealthFailing:
				return "", errors.New(c.explain(ctx, o.Key, h.Message))
			case delivery.HealthUnknown, delivery.HealthProgressing, delivery.HealthDegraded:
				done, waits = false, c.explain(ctx, o.Key, h.Message)
			}
		}
		if done {
			if len(results) == 0 {
				results = append(results, fmt.Sprintf("%d objects applied and ready", len(d.Objects)))
			}
			return strings.Join(results, "; "), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("it did not end in time; it waited for %s", waits)
		case <-time.After(lookEvery):
		}
	}
}

// explain adds to the message about a Job what its pods say.
func (c Cluster) explain(ctx context.Context, k cluster.Key, message string) string {
	text := k.String() + ": " + message
	if k.Group != "batch" || k.Kind != "Job" {
		return text
	}
	pods, err := c.Contents.Pods(context.WithoutCancel(ctx), k.Namespace, "job-name="+k.Name)
	if err != nil {
		return text
	}
	for _, p := range pods {
		for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			switch {
			case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
				t := s.State.Terminated
				text += strings.TrimRight(fmt.Sprintf("; pod %s, container %s ended with exit code %d (%s) %s", p.Name, s.Name, t.ExitCode, t.Reason, t.Message), " ")
			case s.State.Waiting != nil && s.State.Waiting.Reason != "ContainerCreating" && s.State.Waiting.Reason != "PodInitializing":
				text += strings.TrimRight(fmt.Sprintf("; pod %s, container %s: %s %s", p.Name, s.Name, s.State.Waiting.Reason, s.State.Waiting.Message), " ")
			}
		}
	}
	return health.Shorten(text, 2000)
}
