package plan

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Fate is what becomes of an object that is in the inventory and no longer wanted.
type Fate string

// The fates.
const (
	Gone    Fate = "gone"    // it is not there any more, or is wanted under another name of its API
	Foreign Fate = "foreign" // it belongs to somebody else by now: left alone
	Release Fate = "release" // it stays, and belongs to nobody
	Delete  Fate = "delete"
	Await   Fate = "await" // it is being deleted already
)

// Removal is an object that is no longer wanted.
type Removal struct {
	Entry cluster.Entry
	UID   string // of the live object
	Rank  Rank
	Fate  Fate
	Why   string // for Release: why it stays
}

// Removals says what becomes of the entries of an inventory, all of which are to go, in reverse order of rank. live has
// the objects that are there.
func Removals(agent, stack string, p wire.Policy, gone []cluster.Entry, live map[cluster.Key]*unstructured.Unstructured) []Removal {
	out := make([]Removal, 0, len(gone))
	for _, e := range gone {
		r := Removal{Entry: e, Rank: RankOf(e.Key.GroupKind())}
		r.Fate, r.Why = fate(agent, stack, p, e, live[e.Key])
		if u := live[e.Key]; u != nil {
			r.UID = string(u.GetUID())
		}
		out = append(out, r)
	}
	for i, r := range out {
		if r.Fate != Delete || !isContainer(r.Entry.Key) {
			continue
		}
		stays := slices.IndexFunc(out, func(in Removal) bool {
			return (in.Fate == Release || in.Fate == Foreign) && goesWith(in.Entry.Key, r.Entry.Key, live[r.Entry.Key])
		})
		if stays >= 0 {
			out[i].Fate, out[i].Why = Release, out[stays].Entry.Key.String()+" stays, which would go with it"
		}
	}
	slices.SortStableFunc(out, func(a, b Removal) int {
		if a.Rank != b.Rank {
			return int(b.Rank - a.Rank)
		}
		return strings.Compare(a.Entry.Key.String(), b.Entry.Key.String())
	})
	return out
}

func fate(agent, stack string, p wire.Policy, e cluster.Entry, live *unstructured.Unstructured) (Fate, string) {
	if live == nil {
		return Gone, ""
	}
	if s, a := Owner(live); s != stack || (a != "" && a != agent) {
		return Foreign, ""
	}
	switch {
	case p.Prune != "" && p.Prune != PruneDelete:
		return Release, "the stack's treatment is prune: " + p.Prune
	case live.GetAnnotations()[cluster.AnnotationPrune] == cluster.PruneNever:
		return Release, "its annotation " + cluster.AnnotationPrune + " is never"
	case (e.Adopted || isAdopted(live)) && !p.PruneAdopted:
		return Release, "it was there before the stack"
	case isProtected(e.Key.GroupKind()) && !p.PruneProtected:
		return Release, "objects of this kind are kept unless the stack's treatment says prune_protected"
	case live.GetDeletionTimestamp() != nil:
		return Await, ""
	default:
		return Delete, ""
	}
}

func prune(d Desired, o Observed) []Removal {
	want := make(map[cluster.Key]bool, len(d.Objects))
	for _, obj := range d.Objects {
		want[obj.Key] = true
	}
	var gone []cluster.Entry
	wanted := map[string]bool{} // uids
	for _, e := range o.Inventory.Entries {
		if !want[e.Key] {
			gone = append(gone, e)
		} else if e.UID != "" {
			wanted[e.UID] = true
		}
	}
	for k, seen := range o.Objects {
		if want[k] && seen.Live != nil {
			wanted[string(seen.Live.GetUID())] = true
		}
	}
	out := Removals(d.Agent, d.Stack.StackID, d.Stack.Policy, gone, o.Stale)
	for i, r := range out {
		if wanted[r.UID] && r.UID != "" {
			out[i].Fate, out[i].Why = Gone, ""
			continue
		}
		if r.Fate != Delete || !isContainer(r.Entry.Key) {
			continue
		}
		needed := slices.ContainsFunc(d.Objects, func(obj Object) bool { return goesWith(obj.Key, r.Entry.Key, o.Stale[r.Entry.Key]) })
		if needed {
			out[i].Fate, out[i].Why = Release, "objects of the stack depend on it"
		}
	}
	return out
}

func isContainer(k cluster.Key) bool {
	return IsNamespace(k.GroupKind()) || IsDefinition(k.GroupKind())
}

// goesWith reports whether Kubernetes deletes k together with container, a namespace or a definition.
func goesWith(k, container cluster.Key, live *unstructured.Unstructured) bool {
	if IsNamespace(container.GroupKind()) {
		return k.Namespace == container.Name
	}
	group, kind := names(live)
	return k.Group == group && k.Kind == kind
}
