package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Policies of a stack; the first of each is the default.
const (
	DriftCorrect  = "correct"
	DriftReport   = "report"
	DriftIgnore   = "ignore"
	AdoptAlways   = "always"
	AdoptIfNoDiff = "if_no_diff"
	AdoptNever    = "never"
	PruneDelete   = "delete"
	PruneOrphan   = "orphan"
)

// Observation is what was found for one desired object.
type Observation struct {
	Live    *unstructured.Unstructured // nil: it is not there
	Payload *unstructured.Unstructured // what to apply, see Payload
	Would   *unstructured.Unstructured // what a dry run of Payload says; nil: not asked yet
}

// Observed is what is in the cluster, as far as the stack is concerned.
type Observed struct {
	Inventory cluster.Inventory
	Objects   map[cluster.Key]Observation
	Stale     map[cluster.Key]*unstructured.Unstructured // live objects of the inventory that are not desired
	Partial   bool                                       // only some objects were looked at: nothing is pruned
}

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Adopt  Action = "adopt"
)

// Change is one object that differs from what is wanted.
type Change struct {
	Object  Object
	Payload *unstructured.Unstructured
	Action  Action
	Drift   bool                       // the cluster was as wanted before
	Paths   []string                   // JSON pointers of what differs; empty for a new object
	By      []string                   // field managers, other than the agent, that own what differs
	Before  string                     // resource version of the object as it was seen; empty for a new one
	Live    *unstructured.Unstructured // the object as it was seen; nil for a new one
}

// Without returns the change without these paths of it, which stay as they are, beside those of ignore; false if nothing is left of it, or if
// they cannot be left alone by themselves: in a list whose elements have other places in the cluster than in the manifest.
func (c Change) Without(paths, ignore []string) (Change, bool) {
	rest := slices.DeleteFunc(slices.Clone(c.Paths), func(p string) bool { return slices.Contains(paths, p) })
	if c.Live == nil || len(rest) == 0 {
		return c, false
	}
	for _, p := range paths {
		if !placed(c.Object.Manifest.Object, root(c.Live), segments(p)) {
			return c, false
		}
	}
	c.Paths, c.Payload = rest, Payload(c.Object, c.Live, slices.Concat(ignore, paths), isAdopted(c.Payload))
	c.By = managers(c.Live, rest)
	return c, true
}

// Conflict is an object that the stack may not touch.
type Conflict struct {
	Object Object
	Reason string // for people; begins with owned_by or not_adopted
}

// ChangeSet is what has to be done.
type ChangeSet struct {
	Changes     []Change // in order of rank
	Drift       []Change // left as it is, because the policy says to report it only
	Conflicts   []Conflict
	Terminating []Object // being deleted: to be created when gone
	Deferred    []Object // not looked at yet: their kinds or namespaces come first
	Expired     []Object // jobs that Kubernetes took away after their end, as they say: not made again
	Unchanged   int
	Prune       []Removal // in reverse order of rank
	// Inventory is what has to be stored before the first write: everything that is or is going to be there. It says that
	// nothing is applied as a whole, unless what is wanted is.
	Inventory cluster.Inventory
}

// Diff compares what is wanted with what is there. Words of a policy that this agent does not know are taken for the
// one that changes least.
func Diff(d Desired, o Observed) ChangeSet {
	c := ChangeSet{}
	known := entries(o.Inventory)
	settled := IsApplied(o.Inventory, d.Stack)
	after := entries(o.Inventory)
	for _, obj := range d.Objects {
		seen, looked := o.Objects[obj.Key]
		if !looked || (seen.Would == nil && (seen.Live == nil || seen.Live.GetDeletionTimestamp() == nil)) {
			c.Deferred = append(c.Deferred, obj)
			continue
		}
		entry, mine := known[obj.Key]
		entry.Key, entry.Version = obj.Key, obj.Mapping.Kind.Version
		change := Change{Object: obj, Payload: seen.Payload, Action: Create, Drift: settled && mine}
		if seen.Live != nil {
			if seen.Live.GetDeletionTimestamp() != nil {
				c.Terminating = append(c.Terminating, obj)
				after[obj.Key] = entry
				continue
			}
			takeOver, reason := claim(d, entry, seen)
			if reason != "" {
				c.Conflicts = append(c.Conflicts, Conflict{Object: obj, Reason: reason})
				continue
			}
			change.Action, change.Paths = Update, Differences(seen.Live, seen.Would, d.Stack.Policy.IgnorePaths...)
			if takeOver {
				change.Action, change.Drift = Adopt, false
			}
			if change.Drift && d.Stack.Policy.Drift != "" && d.Stack.Policy.Drift != DriftCorrect && isAdoption(change.Paths) {
				change.Paths = nil // an agent that did not stamp it yet has adopted it: the next revision does
			}
			entry = found(entry, seen.Live, takeOver)
			if len(change.Paths) == 0 && Expires(obj) {
				entry.Object = d.Stack.DeploymentObjectID
			}
			if after[obj.Key] = entry; len(change.Paths) == 0 {
				c.Unchanged++
				continue
			}
			change.By, change.Before, change.Live = managers(seen.Live, change.Paths), seen.Live.GetResourceVersion(), seen.Live
		} else if entry.UID != "" && Expires(obj) && (change.Drift || entry.Object == d.Stack.DeploymentObjectID) {
			c.Expired = append(c.Expired, obj)
			continue
		}
		switch drift := d.Stack.Policy.Drift; {
		case !change.Drift || drift == "" || drift == DriftCorrect:
			if change.Action == Create {
				entry.UID, entry.Adopted, entry.Object = "", false, "" // whatever was there is gone; this one is the stack's
			}
			after[obj.Key] = entry
			c.Changes = append(c.Changes, change)
		case drift != DriftIgnore:
			c.Drift = append(c.Drift, change)
		}
	}
	if !o.Partial {
		c.Prune = prune(d, o)
	}
	c.Inventory = begun(o.Inventory, d.Stack, after)
	return c
}

// isAdoption reports whether nothing differs but that an object does not say of itself that it was adopted.
func isAdoption(paths []string) bool {
	return len(paths) == 1 && paths[0] == "/metadata/annotations/"+escape(cluster.AnnotationAdopted)
}

// Expires reports whether Kubernetes takes an object away by itself: that it is missing says only that it has run.
func Expires(o Object) bool {
	_, limited, _ := unstructured.NestedFieldNoCopy(o.Manifest.Object, "spec", "ttlSecondsAfterFinished")
	return limited && o.Key.Group == "batch" && o.Key.Kind == "Job"
}

// claim says whether a live object may be applied over: takeOver if it belonged to nobody, a reason if it may not.
func claim(d Desired, entry cluster.Entry, seen Observation) (takeOver bool, reason string) {
	switch stack, agent := Owner(seen.Live); {
	case stack == d.Stack.StackID && (agent == "" || agent == d.Agent):
		return false, ""
	case stack == d.Stack.StackID:
		return false, fmt.Sprintf("owned_by agent %s (same stack): take its annotation %s off to let this agent have it", agent, cluster.AnnotationOwner)
	case stack != "":
		return false, fmt.Sprintf("owned_by stack %s%s: take the object out of one of the two stacks", stack, of(agent))
	case agent != "" && agent != d.Agent:
		return false, fmt.Sprintf("owned_by agent %s: take its annotation %s off to let this agent have it", agent, cluster.AnnotationOwner)
	case !d.isNobodys(entry, seen.Live):
		return false, "" // ours: somebody took the stamps off
	}
	switch d.Stack.Policy.Adopt {
	case "", AdoptAlways:
		return true, ""
	case AdoptIfNoDiff:
		if paths := Differences(seen.Live, unstamped(seen.Would), d.Stack.Policy.IgnorePaths...); len(paths) > 0 {
			return false, "not_adopted: it was there before and differs in " + list(paths, 5) + ", and the stack's treatment is adopt: if_no_diff"
		}
		return true, ""
	default:
		return false, "not_adopted: it was there before, and the stack's treatment is adopt: " + d.Stack.Policy.Adopt
	}
}

func of(agent string) string {
	if agent == "" {
		return ""
	}
	return " of agent " + agent
}

// Owner returns the stack and agent that an object's stamps name; empty if none.
func Owner(u *unstructured.Unstructured) (stack, agent string) {
	a := u.GetAnnotations()
	if stack = a[cluster.AnnotationStack]; stack == "" {
		stack = u.GetLabels()[cluster.LabelStack]
	}
	return stack, a[cluster.AnnotationOwner]
}
