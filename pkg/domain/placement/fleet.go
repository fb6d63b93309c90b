package placement

import (
	"hash/fnv"
	"maps"
	"math/bits"
	"slices"
	"sync"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Fleet is an immutable snapshot of all clusters, shared by all decisions. What decisions find out about its clusters is
// remembered for later ones, also on the snapshots that are made of it. It is safe for concurrent use; decisions on
// snapshots that came from one another wait for each other.
type Fleet struct {
	chunks      []*chunk
	byAgent     map[agent.ID]int
	live        set
	marked      set // tainted, cordoned, drained, inactive or unreachable
	unreachable set
	targeted    set // with explicit targets
	version     uint64
	members     uint64 // the version in which a cluster last came or went
	line        *lineage
}

// chunk is 64 slots; snapshots share it until one of the slots changes.
type chunk struct {
	slots   [64]slot
	changed uint64 // the newest of its slots
}

type slot struct {
	cluster *Cluster // nil: free
	changed uint64   // the version in which it last changed
	hash    uint64   // of the agent's id
}

// lineage is shared by the snapshots that came from one another without forks: of two of them the version says which slots
// differ.
type lineage struct {
	mu     sync.Mutex
	latest uint64
	memory *memory
}

// NewFleet returns a snapshot of these clusters, in any order.
func NewFleet(clusters []Cluster) *Fleet {
	f := &Fleet{byAgent: make(map[agent.ID]int, len(clusters)), line: &lineage{}}
	return f.with(clusters, nil, f.byAgent)
}

// Len returns how many clusters there are.
func (f *Fleet) Len() int { return len(f.byAgent) }

// Cluster returns what is known of an agent's cluster; it must not be changed.
func (f *Fleet) Cluster(a agent.ID) (*Cluster, bool) {
	i, ok := f.byAgent[a]
	if !ok {
		return nil, false
	}
	return f.at(i), true
}

func (f *Fleet) at(i int) *Cluster    { return f.chunks[i>>6].slots[i&63].cluster }
func (f *Fleet) hash(i int) uint64    { return f.chunks[i>>6].slots[i&63].hash }
func (f *Fleet) words() int           { return len(f.chunks) }
func (f *Fleet) slots() int           { return 64 * len(f.chunks) }
func (f *Fleet) since(v uint64) since { return since{f, v} }

// With returns a snapshot in which these clusters are as given and those agents are gone; f stays as it is. The work grows
// with the changes and hardly with the fleet, but for clusters that are new or gone.
func (f *Fleet) With(changed []Cluster, gone []agent.ID) *Fleet { return f.with(changed, gone, nil) }

// with is With; own is the new snapshot's index of agents, nil if there is none yet.
func (f *Fleet) with(changed []Cluster, gone []agent.ID, own map[agent.ID]int) *Fleet {
	n := &Fleet{chunks: slices.Clone(f.chunks), byAgent: f.byAgent, live: slices.Clone(f.live), marked: slices.Clone(f.marked),
		unreachable: slices.Clone(f.unreachable), targeted: slices.Clone(f.targeted), version: f.version + 1, members: f.members}
	f.line.mu.Lock()
	if n.line = f.line; f.line.latest != f.version {
		n.line = &lineage{}
	}
	n.line.latest = n.version
	f.line.mu.Unlock()
	index := func() map[agent.ID]int {
		n.members = n.version
		if own == nil {
			own = maps.Clone(f.byAgent)
			n.byAgent = own
		}
		return own
	}
	for _, a := range gone {
		if i, ok := n.byAgent[a]; ok {
			n.put(i, nil)
			delete(index(), a)
		}
	}
	for _, c := range changed {
		i, ok := n.byAgent[c.Agent]
		if !ok {
			i = n.room()
			index()[c.Agent] = i
		}
		n.put(i, &c)
	}
	return n
}

// room returns a free slot.
func (f *Fleet) room() int {
	for w, word := range f.live {
		if word != ^uint64(0) {
			return w<<6 + bits.TrailingZeros64(^word)
		}
	}
	f.chunks = append(f.chunks, &chunk{})
	for _, s := range []*set{&f.live, &f.marked, &f.unreachable, &f.targeted} {
		*s = append(*s, 0)
	}
	return 64 * (len(f.chunks) - 1)
}

// put makes c, or nil for nothing, what is in the slot. Only a snapshot that nobody else has yet may be changed.
func (f *Fleet) put(i int, c *Cluster) {
	in := f.chunks[i>>6]
	if in.changed != f.version {
		own := *in
		own.changed = f.version
		in = &own
		f.chunks[i>>6] = in
	}
	s := slot{cluster: c, changed: f.version}
	if c != nil {
		s.hash = digest(string(c.Agent))
	}
	in.slots[i&63] = s
	for _, x := range [...]struct {
		of set
		is bool
	}{
		{f.live, c != nil},
		{f.marked, c != nil && (len(c.Taints) > 0 || c.Cordon != nil || c.Drain != nil || c.Status == agent.Inactive || c.UnreachableSince != nil)},
		{f.unreachable, c != nil && c.UnreachableSince != nil},
		{f.targeted, c != nil && len(c.Targets) > 0},
	} {
		if x.is {
			x.of.add(i)
		} else {
			x.of.remove(i)
		}
	}
}

// since are the slots that have changed after a version.
type since struct {
	f       *Fleet
	version uint64
}

func (s since) each(f func(i int)) {
	for w, c := range s.f.chunks {
		if c.changed <= s.version {
			continue
		}
		for j := range c.slots {
			if c.slots[j].changed > s.version {
				f(w<<6 + j)
			}
		}
	}
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
