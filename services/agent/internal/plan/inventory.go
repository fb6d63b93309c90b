package plan

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func entries(inv cluster.Inventory) map[cluster.Key]cluster.Entry {
	m := make(map[cluster.Key]cluster.Entry, len(inv.Entries))
	for _, e := range inv.Entries {
		m[e.Key] = e
	}
	return m
}

// EntryOf returns what an inventory has of an object; an empty entry if nothing.
func EntryOf(inv cluster.Inventory, k cluster.Key) cluster.Entry {
	if i, ok := slices.BinarySearchFunc(inv.Entries, k, func(e cluster.Entry, k cluster.Key) int { return byKey(e.Key, k) }); ok {
		return inv.Entries[i]
	}
	return cluster.Entry{}
}

func byKey(a, b cluster.Key) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// IsApplied reports whether what is wanted was applied as a whole, and nothing else has been begun since.
func IsApplied(inv cluster.Inventory, s wire.Stack) bool {
	return inv.Applied != "" && inv.Applied == s.Checksum && inv.Object == s.DeploymentObjectID
}

// begun returns the inventory with which work on s begins or goes on.
func begun(inv cluster.Inventory, s wire.Stack, all map[cluster.Key]cluster.Entry) cluster.Inventory {
	if !IsApplied(inv, s) {
		inv.Applied = "" // so that going back to what was applied before is not taken for drift
	}
	inv.Stack, inv.Name, inv.Generator, inv.Policy = s.StackID, s.StackName, s.GeneratorID, s.Policy
	inv.Policy.HealthRules = nil // what objects are is said by who wants them; here they would only take room
	inv.Object, inv.Sequence = s.DeploymentObjectID, s.SequenceID
	inv.Entries = sorted(all)
	return inv
}

// found returns the entry of an object that is there. The uid of one that is going to be taken over is left open: until
// its stamps are on, it belongs to nobody.
func found(e cluster.Entry, live *unstructured.Unstructured, takeOver bool) cluster.Entry {
	switch {
	case takeOver:
		e.UID = ""
	case e.UID == "":
		e.UID = string(live.GetUID())
	}
	e.Adopted = e.Adopted || takeOver || isAdopted(live)
	return e
}

// isAdopted reports whether an object says of itself that it was there before the stack.
func isAdopted(live *unstructured.Unstructured) bool {
	return live.GetAnnotations()[cluster.AnnotationAdopted] == "true"
}

// Adopts reports whether an object that is there was there before the stack, as its inventory knows or as it says of itself,
// or is to be taken over now. entry is the inventory's; empty: it has none. One that was deleted and made again by somebody
// else with all its stamps, as of a backup, stays what it was.
func (d Desired) Adopts(entry cluster.Entry, live *unstructured.Unstructured) bool {
	return live != nil && (entry.Adopted || isAdopted(live) || d.isNobodys(entry, live))
}

// isNobodys reports whether an object belongs to nobody: it has no stamps, and is not the one that the inventory means.
func (d Desired) isNobodys(entry cluster.Entry, live *unstructured.Unstructured) bool {
	stack, agent := Owner(live)
	return stack == "" && (agent == "" || agent == d.Agent) && (entry.UID == "" || entry.UID != string(live.GetUID()))
}

// Settled returns the inventory after everything wanted was applied: with the uids of what is there and is the stack's
// (of an object in conflict there is none), without what was pruned. did is what was done last to objects that were written:
// one that was adopted is the stack's only if the agent itself has made it anew. left are entries that are still to go.
func Settled(inv cluster.Inventory, d Desired, uids map[cluster.Key]string, did map[cluster.Key]Action, left []cluster.Entry) cluster.Inventory {
	known, all := entries(inv), map[cluster.Key]cluster.Entry{}
	for _, e := range left {
		all[e.Key] = e
	}
	for _, obj := range d.Objects {
		e := known[obj.Key]
		e.Key, e.Version = obj.Key, obj.Mapping.Kind.Version
		if uid := uids[obj.Key]; uid != "" {
			if e.UID = uid; Expires(obj) {
				e.Object = d.Stack.DeploymentObjectID
			}
		}
		switch did[obj.Key] {
		case Create:
			e.Adopted = false
		case Adopt:
			e.Adopted = true
		case Update:
		}
		all[obj.Key] = e
	}
	inv.Entries, inv.Applied = sorted(all), d.Stack.Checksum
	return inv
}

// Ran returns the inventory after objects were written that Kubernetes takes away by itself, by key with the uids that they have:
// whatever becomes of the rest of the bundle, this deployment object has run them.
func Ran(inv cluster.Inventory, s wire.Stack, uids map[cluster.Key]string) cluster.Inventory {
	inv.Entries = slices.Clone(inv.Entries)
	for i, e := range inv.Entries {
		if uid := uids[e.Key]; uid != "" {
			inv.Entries[i].UID, inv.Entries[i].Object = uid, s.DeploymentObjectID
		}
	}
	return inv
}

// Same reports whether two inventories say the same, whatever their version.
func Same(a, b cluster.Inventory) bool {
	return a.Stack == b.Stack && a.Name == b.Name && a.Generator == b.Generator && a.Order == b.Order && a.Applied == b.Applied && a.Message == b.Message && a.Object == b.Object && a.Sequence == b.Sequence && slices.Equal(a.Entries, b.Entries) &&
		a.Policy.Equal(b.Policy)
}

func sorted(m map[cluster.Key]cluster.Entry) []cluster.Entry {
	out := make([]cluster.Entry, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b cluster.Entry) int { return byKey(a.Key, b.Key) })
	return out
}
