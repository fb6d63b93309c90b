package plan

import (
	"cmp"
	"slices"
	"strings"

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
	inv.Object, inv.Sequence = s.DeploymentObjectID, s.SequenceID
	inv.Entries = sorted(all)
	return inv
}

// found returns the entry of an object that is there. The uid of one that is going to be taken over is left open: until
// its stamps are on, it belongs to nobody.
func found(e cluster.Entry, uid string, takeOver bool) cluster.Entry {
	switch {
	case takeOver:
		e.UID, e.Adopted = "", true
	case e.UID == "":
		e.UID = uid
	}
	return e
}

// Settled returns the inventory after everything wanted was applied: with the uids of what is there and is the stack's
// (of an object in conflict there is none), without what was pruned. left are entries that are still to go.
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
	return a.Stack == b.Stack && a.Name == b.Name && a.Generator == b.Generator && a.Order == b.Order && a.Applied == b.Applied && a.Object == b.Object && a.Sequence == b.Sequence && slices.Equal(a.Entries, b.Entries) &&
		a.Policy.Equal(b.Policy)
}

func sorted(m map[cluster.Key]cluster.Entry) []cluster.Entry {
	out := make([]cluster.Entry, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b cluster.Entry) int {
		return cmp.Or(strings.Compare(a.Key.Group, b.Key.Group), strings.Compare(a.Key.Kind, b.Key.Kind),
			strings.Compare(a.Key.Namespace, b.Key.Namespace), strings.Compare(a.Key.Name, b.Key.Name))
	})
	return out
}
