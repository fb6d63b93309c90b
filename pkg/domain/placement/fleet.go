package placement

import (
	"hash/fnv"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// set is a set of slots.
type set []uint64

func (s set) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }
func (s set) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s set) remove(i int)   { s[i>>6] &^= 1 << (i & 63) }
func (s set) word(i int) uint64 { // of a set that may be shorter
	if i < len(s) {
		return s[i]
	}
	return 0
}

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// each calls f with every member.
func (s set) each(f func(i int)) {
	for w, word := range s {
		for word != 0 {
			f(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
}

// Fleet is an immutable snapshot of all clusters, indexed, shared by all decisions. It is safe for concurrent use.
type Fleet struct {
	slots       []*Cluster // nil: free
	changed     []uint64   // by slot: the version in which it last changed
	hashes      []uint64   // by slot, of the agent's id
	byAgent     map[agent.ID]int
	live        set
	marked      set // tainted, cordoned, drained, inactive or unreachable
	unreachable set
	labels      map[string]set
	annotations map[[2]string]set
	generators  map[tenancy.GeneratorID]set
	version     uint64
	line        *lineage

	mu      sync.Mutex
	columns map[columnKey]*column
	scratch sync.Pool
}

// lineage is shared by the snapshots that came from one another without forks: of two of them the version says which slots
// differ.
type lineage struct {
	mu     sync.Mutex
	latest uint64
}

type columnKey struct {
	key     string
	numbers bool
}

// column is one property of every cluster: its numbers, or the domains that its values make. It never changes.
type column struct {
	numbers []float64 // NaN: none
	domains []int32
	names   []string // of the domains
	nowhere int32    // the domain of clusters whose own is not known; -1: none
	until   time.Time
}

// NewFleet returns a snapshot of these clusters, in any order.
func NewFleet(clusters []Cluster) *Fleet {
	f := &Fleet{byAgent: map[agent.ID]int{}, labels: map[string]set{}, annotations: map[[2]string]set{}, generators: map[tenancy.GeneratorID]set{}, line: &lineage{}}
	return f.With(clusters, nil)
}

// Len returns how many clusters there are.
func (f *Fleet) Len() int { return len(f.byAgent) }

// Cluster returns what is known of an agent's cluster; it must not be changed.
func (f *Fleet) Cluster(a agent.ID) (*Cluster, bool) {
	i, ok := f.byAgent[a]
	if !ok {
		return nil, false
	}
	return f.slots[i], true
}

// With returns a snapshot in which these clusters are as given and those agents are gone; f stays as it is. The work grows
// with the changes (and one copy of the slots), not with what is indexed.
func (f *Fleet) With(changed []Cluster, gone []agent.ID) *Fleet {
	n := &Fleet{slots: slices.Clone(f.slots), changed: slices.Clone(f.changed), hashes: slices.Clone(f.hashes), byAgent: maps.Clone(f.byAgent),
		live: slices.Clone(f.live), marked: slices.Clone(f.marked), unreachable: slices.Clone(f.unreachable),
		labels: maps.Clone(f.labels), annotations: maps.Clone(f.annotations), generators: maps.Clone(f.generators), version: f.version + 1}
	f.line.mu.Lock()
	if n.line = f.line; f.line.latest != f.version {
		n.line = &lineage{}
	}
	n.line.latest = n.version
	f.line.mu.Unlock()
	var free []int
	for i, c := range n.slots {
		if c == nil {
			free = append(free, i)
		}
	}
	fresh := fresh{}
	for _, a := range gone {
		if i, ok := n.byAgent[a]; ok {
			n.unindex(i, fresh)
			n.slots[i], n.changed[i] = nil, n.version
			delete(n.byAgent, a)
			free = append(free, i)
		}
	}
	for _, c := range changed {
		i, ok := n.byAgent[c.Agent]
		switch {
		case ok:
			n.unindex(i, fresh)
		case len(free) > 0:
			i, free = free[len(free)-1], free[:len(free)-1]
		default:
			i = len(n.slots)
			n.slots, n.changed, n.hashes = append(n.slots, nil), append(n.changed, 0), append(n.hashes, 0)
			for _, s := range []*set{&n.live, &n.marked, &n.unreachable} {
				if len(*s)*64 <= i {
					*s = append(*s, 0)
				}
			}
		}
		n.byAgent[c.Agent], n.slots[i], n.changed[i], n.hashes[i] = i, &c, n.version, digest(string(c.Agent))
		n.index(i, fresh)
	}
	return n
}

// fresh are the sets that a new snapshot has made for itself already.
type fresh map[any]bool

func own[K comparable](m map[K]set, k K, i int, f fresh) set {
	s := m[k]
	type key struct{ k any }
	if !f[key{k}] {
		f[key{k}] = true
		s = slices.Clone(s)
	}
	for len(s)*64 <= i {
		s = append(s, 0)
	}
	m[k] = s
	return s
}

func (f *Fleet) index(i int, fr fresh) {
	c := f.slots[i]
	f.live.add(i)
	if len(c.Taints) > 0 || c.Cordon != nil || c.Drain != nil || c.Status == agent.Inactive || c.UnreachableSince != nil {
		f.marked.add(i)
	}
	if c.UnreachableSince != nil {
		f.unreachable.add(i)
	}
	for l, has := range c.Labels {
		if has {
			own(f.labels, l, i, fr).add(i)
		}
	}
	for k, v := range c.Annotations {
		own(f.annotations, [2]string{k, v}, i, fr).add(i)
	}
	for g, ok := range c.Generators {
		if ok {
			own(f.generators, g, i, fr).add(i)
		}
	}
}

func (f *Fleet) unindex(i int, fr fresh) {
	c := f.slots[i]
	f.live.remove(i)
	f.marked.remove(i)
	f.unreachable.remove(i)
	for l, has := range c.Labels {
		if has {
			own(f.labels, l, i, fr).remove(i)
		}
	}
	for k, v := range c.Annotations {
		own(f.annotations, [2]string{k, v}, i, fr).remove(i)
	}
	for g, ok := range c.Generators {
		if ok {
			own(f.generators, g, i, fr).remove(i)
		}
	}
}

// column returns the property of every cluster at now, made once for this snapshot.
func (f *Fleet) column(key string, now time.Time, numbers bool) *column {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := columnKey{key, numbers}
	if c := f.columns[at]; c != nil && (c.until.IsZero() || now.Before(c.until)) {
		return c
	}
	c := &column{nowhere: -1}
	if numbers {
		c.numbers = make([]float64, len(f.slots))
	} else {
		c.domains = make([]int32, len(f.slots))
	}
	ids := map[string]int32{}
	for i, x := range f.slots {
		if numbers {
			c.numbers[i] = math.NaN()
		}
		if x == nil {
			continue
		}
		v := observe(x, key, now)
		c.until = sooner(c.until, v.until)
		if numbers {
			if v.isNumber {
				c.numbers[i] = v.number
			}
			continue
		}
		name := v.text()
		id, ok := ids[name]
		if !ok {
			id = int32(len(ids))
			ids[name] = id
			c.names = append(c.names, name)
			if !v.known {
				c.nowhere = id
			}
		}
		c.domains[i] = id
	}
	if f.columns == nil {
		f.columns = map[columnKey]*column{}
	}
	f.columns[at] = c
	return c
}

// sooner returns the earlier of two moments of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func digest(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // a hash does not fail
	return h.Sum64()
}

// mix turns two digests into one that says nothing of either order (splitmix64).
func mix(a, b uint64) uint64 {
	z := a ^ bits.RotateLeft64(b, 29)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
