package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

const maxText = 2000 // bytes of a report's message

// notes is what people should know about a stack beside its health: what was taken over, what stays, what differs.
type notes struct {
	adopted   map[cluster.Key]bool
	kept      map[cluster.Key]string // not deleted, and why
	differs   map[cluster.Key]string // differs from what is wanted and is left so, and why
	contested map[cluster.Key]string // another manager keeps changing it
	leaving   map[cluster.Key]string // being deleted, and what it waits for
	instead   string                 // as whom the stack goes, where it may not go as whom it names
}

func newNotes() notes {
	return notes{
		adopted: map[cluster.Key]bool{}, kept: map[cluster.Key]string{}, differs: map[cluster.Key]string{},
		contested: map[cluster.Key]string{}, leaving: map[cluster.Key]string{},
	}
}

// String is empty if there is nothing to know.
func (n notes) String() string {
	var parts []string
	if len(n.contested) > 0 {
		parts = append(parts, "contested: "+reasons(n.contested))
	}
	if len(n.differs) > 0 {
		parts = append(parts, reasons(n.differs))
	}
	if len(n.leaving) > 0 {
		parts = append(parts, "being deleted: "+reasons(n.leaving))
	}
	if len(n.kept) > 0 {
		parts = append(parts, "kept: "+reasons(n.kept))
	}
	if len(n.adopted) > 0 {
		names := make([]string, 0, len(n.adopted))
		for k := range n.adopted {
			names = append(names, k.String())
		}
		slices.Sort(names)
		parts = append(parts, "adopted: "+dependents.First(names, ", "))
	}
	if n.instead != "" {
		parts = append(parts, n.instead)
	}
	return health.Shorten(strings.Join(parts, "; "), maxText)
}

// over returns n with what newer says about the given objects in place of what n says.
func (n notes) over(newer notes, keys []cluster.Key) notes {
	out := notes{
		adopted: n.adopted, kept: n.kept, differs: maps.Clone(n.differs), contested: maps.Clone(n.contested), leaving: maps.Clone(n.leaving),
		instead: n.instead,
	}
	for _, k := range keys {
		delete(out.differs, k)
		delete(out.contested, k)
		delete(out.leaving, k)
	}
	maps.Copy(out.differs, newer.differs)
	maps.Copy(out.contested, newer.contested)
	maps.Copy(out.leaving, newer.leaving)
	return out
}

func reasons(of map[cluster.Key]string) string {
	lines := make([]string, 0, len(of))
	for _, k := range keysOf(of) {
		lines = append(lines, strings.TrimSuffix(k.String()+" ("+of[k]+")", " ()"))
	}
	return dependents.First(lines, ", ")
}

func byName(a, b cluster.Key) int { return strings.Compare(a.String(), b.String()) }

// keysOf returns the keys of a set, in order.
func keysOf[V any](m map[cluster.Key]V) []cluster.Key { return slices.SortedFunc(maps.Keys(m), byName) }
