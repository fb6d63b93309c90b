package placement

import (
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Promise is what was decided for a cluster and is perhaps not in its status yet.
type Promise struct {
	Stack stack.ID
	Needs cluster.Resources
	At    time.Time
}

// Promises are those that clusters were given since they last told their status. They follow from where stacks are: whoever
// makes them of the same assignments and the same clusters has the same ones.
type Promises map[agent.ID][]Promise

// Clone returns promises that may be changed without changing p.
func (p Promises) Clone() Promises {
	out := make(Promises, len(p))
	for a, list := range p {
		out[a] = slices.Clone(list)
	}
	return out
}

// Make adds what was promised to a stack where it is, if it came there after the cluster told. What the clusters come to so says
// Sum.
func (p Promises) Make(s Subject, needs cluster.Resources, prior Prior, clusters map[agent.ID]Cluster) {
	if needs == (cluster.Resources{}) || s.Over() {
		return
	}
	for a, x := range prior {
		c, there := clusters[a]
		if !there || x.State != delivery.Assigned || (c.ReportedAt != nil && !x.Placed.After(*c.ReportedAt)) {
			continue
		}
		p[a] = append(p[a], Promise{Stack: s.Stack, Needs: needs, At: x.Placed})
	}
}

// Release forgets all promises to these stacks. What the clusters come to so says Sum.
func (p Promises) Release(ids ...stack.ID) {
	of := make(map[stack.ID]bool, len(ids))
	for _, id := range ids {
		of[id] = true
	}
	for a, list := range p {
		p[a] = slices.DeleteFunc(list, func(x Promise) bool { return of[x.Stack] })
	}
}

// Assumed is the sum of what was promised of a cluster after it last told its status; older promises are forgotten.
func (p Promises) Assumed(c Cluster) cluster.Resources {
	var sum cluster.Resources
	keep := p[c.Agent][:0]
	for _, x := range p[c.Agent] {
		if c.ReportedAt == nil || x.At.After(*c.ReportedAt) {
			keep = append(keep, x)
			sum.CPU, sum.Memory, sum.Pods, sum.GPU = sum.CPU+x.Needs.CPU, sum.Memory+x.Needs.Memory, sum.Pods+x.Needs.Pods, sum.GPU+x.Needs.GPU
		}
	}
	if p[c.Agent] = keep; len(keep) == 0 {
		delete(p, c.Agent)
	}
	return sum
}

// Sum brings Assumed of the clusters to what is promised of them, and returns those that it changes as they were.
func (p Promises) Sum(clusters map[agent.ID]Cluster) map[agent.ID]Cluster {
	was := map[agent.ID]Cluster{}
	for _, a := range slices.Collect(maps.Keys(p)) {
		c, there := clusters[a]
		if !there {
			delete(p, a)
			continue
		}
		if sum := p.Assumed(c); sum != c.Assumed {
			was[a] = c
			c.Assumed = sum
			clusters[a] = c
		}
	}
	return was
}

// Settle brings load and promises of the clusters to where a decision leaves them that is about a stack with these needs and
// this prior. It returns the clusters that it changes as they were.
func (p Promises) Settle(d Decision, needs cluster.Resources, prior Prior, clusters map[agent.ID]Cluster, now time.Time) map[agent.ID]Cluster {
	was := map[agent.ID]Cluster{}
	for _, ch := range d.Changes {
		c, there := clusters[ch.Agent]
		if !there {
			continue
		}
		old, here := c, prior[ch.Agent].State == delivery.Assigned
		switch {
		case ch.State == delivery.Assigned && !here:
			c.Load++
			if needs != (cluster.Resources{}) {
				p[ch.Agent] = append(p[ch.Agent], Promise{Stack: d.Stack, Needs: needs, At: now})
			}
		case ch.State == delivery.Removing && here:
			c.Load = max(c.Load-1, 0)
			p[ch.Agent] = slices.DeleteFunc(p[ch.Agent], func(x Promise) bool { return x.Stack == d.Stack })
		default:
			continue
		}
		was[ch.Agent] = old
		c.Assumed = p.Assumed(c)
		clusters[ch.Agent] = c
	}
	return was
}

// Freed returns of clusters as they were those of which less is promised now: others may have waited for the room.
func Freed(was, is map[agent.ID]Cluster) map[agent.ID]Cluster {
	out := map[agent.ID]Cluster{}
	for a, old := range was {
		x, y := old.Assumed, is[a].Assumed
		if y.CPU < x.CPU || y.Memory < x.Memory || y.Pods < x.Pods || y.GPU < x.GPU {
			out[a] = old
		}
	}
	return out
}

// Loads are how many stacks are assigned to each cluster.
func Loads(priors map[stack.ID]Prior) map[agent.ID]int {
	out := map[agent.ID]int{}
	for _, p := range priors {
		for a, x := range p {
			if x.State == delivery.Assigned {
				out[a]++
			}
		}
	}
	return out
}
