package placement

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

const (
	// Settling is how long it takes, with a margin, until what was decided for a cluster is in what its agent counts there: the agent
	// hears of it, applies it, and controllers make the pods; and the clocks of servers differ. A status that was told sooner after
	// the decision may not have the pods yet.
	Settling = 2 * time.Minute

	// Lapse is how long a promise is kept at most when the cluster has told a status within Settling and none since. An agent tells only
	// what differs: had that status not had the pods yet, another one would have followed, as pods are counted at every fifth look, about
	// every five minutes. None has, so that they were in it, or ask for nothing.
	Lapse = 10 * time.Minute
)

// Promise is what was decided for a cluster and is perhaps not in its status yet.
type Promise struct {
	Stack stack.ID
	Needs cluster.Resources
	At    time.Time
}

// stands reports whether what was decided at this time for a cluster must be taken to be missing in its status.
func stands(at time.Time, c Cluster, now time.Time) bool {
	if c.ReportedAt == nil || at.After(*c.ReportedAt) {
		return true
	}
	return c.ReportedAt.Before(at.Add(Settling)) && now.Before(at.Add(Lapse))
}

// Promises are those that are perhaps not in what the clusters have told. They follow from where stacks are: whoever makes them of
// the same assignments and the same clusters at the same time has the same ones.
type Promises map[agent.ID][]Promise

// Clone returns promises that may be changed without changing p.
func (p Promises) Clone() Promises {
	out := make(Promises, len(p))
	for a, list := range p {
		out[a] = slices.Clone(list)
	}
	return out
}

// Make adds what was promised to a stack where it is, if that is perhaps not in what the cluster has told. What the clusters come to
// so says Sum.
func (p Promises) Make(s Subject, needs cluster.Resources, prior Prior, clusters map[agent.ID]Cluster, now time.Time) {
	if needs == (cluster.Resources{}) || s.Over() {
		return
	}
	for a, x := range prior {
		c, there := clusters[a]
		if !there || x.State != delivery.Assigned || !stands(x.Placed, c, now) {
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

// Assumed is the sum of what was promised of a cluster and is perhaps not in its status; other promises are forgotten.
func (p Promises) Assumed(c Cluster, now time.Time) cluster.Resources {
	var sum cluster.Resources
	keep := p[c.Agent][:0]
	for _, x := range p[c.Agent] {
		if stands(x.At, c, now) {
			keep = append(keep, x)
			sum = plus(sum, x.Needs)
		}
	}
	if p[c.Agent] = keep; len(keep) == 0 {
		delete(p, c.Agent)
	}
	return sum
}

func plus(a, b cluster.Resources) cluster.Resources {
	return cluster.Resources{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory, Pods: a.Pods + b.Pods, GPU: a.GPU + b.GPU}
}

// Sum brings Assumed of the clusters to what is promised of them, and returns those that it changes as they were.
func (p Promises) Sum(clusters map[agent.ID]Cluster, now time.Time) map[agent.ID]Cluster {
	was := map[agent.ID]Cluster{}
	for _, a := range slices.Collect(maps.Keys(p)) {
		c, there := clusters[a]
		if !there {
			delete(p, a)
			continue
		}
		if sum := p.Assumed(c, now); sum != c.Assumed {
			was[a] = c
			c.Assumed = sum
			clusters[a] = c
		}
	}
	return was
}

// Settle brings load and promises of the clusters to where a decision leaves them that is about a stack with these needs and
// this prior. It returns the clusters that it changes as they were. What was promised of them before is in Assumed; Sum forgets what ends by
// time.
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
			if needs != (cluster.Resources{}) && stands(now, c, now) {
				p[ch.Agent] = append(p[ch.Agent], Promise{Stack: d.Stack, Needs: needs, At: now})
				c.Assumed = plus(c.Assumed, needs) // the others were summed up before: a cluster may have hundreds
			}
		case ch.State == delivery.Removing && here:
			c.Load = max(c.Load-1, 0)
			p[ch.Agent] = slices.DeleteFunc(p[ch.Agent], func(x Promise) bool { return x.Stack == d.Stack })
			c.Assumed = p.Assumed(c, now)
		default:
			continue
		}
		was[ch.Agent] = old
		clusters[ch.Agent] = c
	}
	return was
}

// Spare is how many more stacks have room in c, each of which needs as much as most, beside one with these needs that comes there.
func Spare(c Cluster, needs, most cluster.Resources) int {
	there, n := available(&c), int64(math.MaxInt32)
	for _, x := range [...]struct{ needs, most, there int64 }{
		{needs.CPU, most.CPU, there.CPU}, {needs.Memory, most.Memory, there.Memory}, {needs.Pods, most.Pods, there.Pods}, {needs.GPU, most.GPU, there.GPU},
	} {
		if x.needs > 0 {
			n = min(n, max(x.there-x.needs, 0)/max(x.needs, x.most))
		}
	}
	return int(n)
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
