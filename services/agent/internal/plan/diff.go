package plan

import (
	"fmt"
	"slices"
	"strings"

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
	Drift   bool     // the cluster was as wanted before
	Paths   []string // JSON pointers of what differs; empty for a new object
	By      []string // field managers, other than the agent, that own what differs
	Before  string   // resource version of the object as it was seen; empty for a new one
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
	Unchanged   int
	Prune       []Removal // in reverse order of rank
	// Inventory is what has to be stored before the first write: everything that is or is going to be there.
	Inventory cluster.Inventory
}

// Diff compares what is wanted with what is there.
func Diff(d Desired, o Observed) ChangeSet {
	c := ChangeSet{}
	known := entries(o.Inventory)
	settled := o.Inventory.Applied != "" && o.Inventory.Applied == d.Stack.Checksum
	adopted := map[cluster.Key]bool{}
	for _, obj := range d.Objects {
		seen, looked := o.Objects[obj.Key]
		if !looked || (seen.Would == nil && (seen.Live == nil || seen.Live.GetDeletionTimestamp() == nil)) {
			c.Deferred = append(c.Deferred, obj)
			continue
		}
		entry, mine := known[obj.Key]
		change := Change{Object: obj, Payload: seen.Payload, Action: Create, Drift: settled && mine}
		if seen.Live != nil {
			if seen.Live.GetDeletionTimestamp() != nil {
				c.Terminating = append(c.Terminating, obj)
				continue
			}
			takeOver, reason := claim(d, entry, seen)
			if reason != "" {
				c.Conflicts = append(c.Conflicts, Conflict{Object: obj, Reason: reason})
				continue
			}
			change.Action, change.Paths = Update, Differences(seen.Live, seen.Would)
			if takeOver {
				change.Action, change.Drift = Adopt, false
				adopted[obj.Key] = true
			}
			if len(change.Paths) == 0 {
				c.Unchanged++
				continue
			}
			change.By, change.Before = managers(seen.Live, change.Paths), seen.Live.GetResourceVersion()
		}
		if change.Drift && d.Stack.Policy.Drift != "" && d.Stack.Policy.Drift != DriftCorrect {
			if d.Stack.Policy.Drift == DriftReport {
				c.Drift = append(c.Drift, change)
			}
			continue
		}
		c.Changes = append(c.Changes, change)
	}
	if !o.Partial {
		c.Prune = prune(d, o)
	}
	c.Inventory = merge(d, o, adopted)
	return c
}

// claim says whether a live object may be applied over: takeOver if it belonged to nobody, a reason if it may not.
func claim(d Desired, entry cluster.Entry, seen Observation) (takeOver bool, reason string) {
	stack, agent := Owner(seen.Live)
	switch {
	case stack == "" && agent == "":
		if entry.UID != "" && entry.UID == string(seen.Live.GetUID()) {
			return false, "" // ours: somebody took the stamps off
		}
	case stack == d.Stack.StackID && (agent == "" || agent == d.Agent):
		return false, ""
	case stack == d.Stack.StackID:
		return false, fmt.Sprintf("owned_by agent %s (same stack): take its annotation %s off to let this agent have it", agent, cluster.AnnotationOwner)
	default:
		return false, fmt.Sprintf("owned_by stack %s%s: take the object out of one of the two stacks", stack, of(agent))
	}
	switch d.Stack.Policy.Adopt {
	case AdoptNever:
		return false, "not_adopted: it was there before, and the stack's policy is adopt: never"
	case AdoptIfNoDiff:
		if paths := Differences(seen.Live, unstamped(seen.Would)); len(paths) > 0 {
			return false, "not_adopted: it was there before and differs in " + list(paths, 5) + ", and the stack's policy is adopt: if_no_diff"
		}
	}
	return true, ""
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

// unstamped returns a copy without the agent's stamps.
func unstamped(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	for _, k := range []string{cluster.AnnotationStack, cluster.AnnotationChecksum, cluster.AnnotationObject, cluster.AnnotationOwner} {
		unstructured.RemoveNestedField(out.Object, "metadata", "annotations", k)
	}
	unstructured.RemoveNestedField(out.Object, "metadata", "labels", cluster.LabelStack)
	return out
}

func entries(inv cluster.Inventory) map[cluster.Key]cluster.Entry {
	m := make(map[cluster.Key]cluster.Entry, len(inv.Entries))
	for _, e := range inv.Entries {
		m[e.Key] = e
	}
	return m
}

// merge returns the inventory of everything that is there or is going to be.
func merge(d Desired, o Observed, adopted map[cluster.Key]bool) cluster.Inventory {
	all := entries(o.Inventory)
	for _, obj := range d.Objects {
		e := all[obj.Key]
		e.Key, e.Version = obj.Key, obj.Mapping.Kind.Version
		if live := o.Objects[obj.Key].Live; live != nil && (e.UID == "" || e.UID == string(live.GetUID())) && adopted[obj.Key] {
			e.Adopted = true
		}
		all[obj.Key] = e
	}
	inv := o.Inventory
	inv.Stack, inv.Name, inv.Policy = d.Stack.StackID, d.Stack.StackName, d.Stack.Policy
	inv.Object, inv.Sequence = d.Stack.DeploymentObjectID, d.Stack.SequenceID
	inv.Entries = sorted(all)
	return inv
}

// Settled returns the inventory after everything wanted was applied: with the uids of what is there, without what was
// pruned. left are entries that are still to go.
func Settled(inv cluster.Inventory, d Desired, uids map[cluster.Key]string, left []cluster.Entry) cluster.Inventory {
	known, all := entries(inv), map[cluster.Key]cluster.Entry{}
	for _, e := range left {
		all[e.Key] = e
	}
	for _, obj := range d.Objects {
		e := known[obj.Key]
		e.Key, e.Version = obj.Key, obj.Mapping.Kind.Version
		if uid := uids[obj.Key]; uid != "" {
			if e.UID != "" && e.UID != uid {
				e.Adopted = false // the adopted one is gone; this one is the stack's
			}
			e.UID = uid
		}
		all[obj.Key] = e
	}
	inv.Entries, inv.Applied = sorted(all), d.Stack.Checksum
	return inv
}

// Same reports whether two inventories say the same, whatever their version.
func Same(a, b cluster.Inventory) bool {
	return a.Stack == b.Stack && a.Name == b.Name && a.Applied == b.Applied && a.Object == b.Object && a.Sequence == b.Sequence && slices.Equal(a.Entries, b.Entries) &&
		a.Policy.Prune == b.Policy.Prune && a.Policy.PruneAdopted == b.Policy.PruneAdopted && a.Policy.PruneProtected == b.Policy.PruneProtected &&
		a.Policy.Adopt == b.Policy.Adopt && a.Policy.Drift == b.Policy.Drift && a.Policy.ServiceAccount == b.Policy.ServiceAccount &&
		slices.Equal(a.Policy.IgnorePaths, b.Policy.IgnorePaths)
}

func sorted(m map[cluster.Key]cluster.Entry) []cluster.Entry {
	out := make([]cluster.Entry, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b cluster.Entry) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}
