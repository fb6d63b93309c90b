package placement

import (
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Concerns reports whether a change of a cluster from old to now can change a decision for the stack; nil is a cluster
// that was not, or is no longer, there.
func (c *Compiled) Concerns(s Subject, old, now *Cluster, at time.Time) bool {
	if (old == nil) != (now == nil) {
		one := old
		if one == nil {
			one = now
		}
		return one.Generators[s.Generator]
	}
	if old == nil || (!old.Generators[s.Generator] && !now.Generators[s.Generator]) {
		return false
	}
	return always(s, old) != always(s, now) || !slices.Equal(old.Taints, now.Taints) || c.Sees(old, now, at)
}

// Sees reports whether what decisions with this policy read differs between old and now, whatever the stack.
func (c *Compiled) Sees(old, now *Cluster, at time.Time) bool {
	for _, key := range c.reads {
		if key == ReadsAll {
			return differs(old, now, at)
		}
		if keyDiffers(old, now, key, at) {
			return true
		}
	}
	return false
}

type constant struct {
	consent, target, cordoned, drained, evicted, unreachable bool
	status                                                   string
}

func always(s Subject, c *Cluster) constant {
	return constant{c.Generators[s.Generator], c.Targets[s.Stack], c.Cordon != nil, c.Drain != nil, c.Drain.Evicts(s.Stack), c.UnreachableSince != nil, string(c.Status)}
}

func keyDiffers(old, now *Cluster, key string, at time.Time) bool {
	a, b := observe(old, key, at), observe(now, key, at)
	return a.known != b.known || a.exists != b.exists || a.text() != b.text() || !a.until.Equal(b.until)
}

// Difference is in what a cluster is no longer what it was, found once for all stacks and policies: asking it of each comes to the
// same as Compiled.Concerns.
type Difference struct {
	// Generators are those all of whose stacks it concerns: the cluster came or went, consent did, or something differs on which
	// every decision rests.
	Generators map[tenancy.GeneratorID]bool
	// Stacks are those that it concerns beside: by targets and drains.
	Stacks map[stack.ID]bool
	// Keys are those that differ, which concern the policies that read them, in any order. AnyFact stands for every fact that
	// neither cluster has; ReadsAll is among them if anything differs that an expression in CEL can read.
	Keys []string
	// Each says that every stack is to be asked by itself: a drain has everything leave that had some leave, or the other way round.
	Each bool
	// Either says whose stacks Stacks and Keys concern: the generators with consent before or now.
	Either map[tenancy.GeneratorID]bool
}

// AnyFact is the key of all facts that neither of two clusters has: whether that is known may differ.
const AnyFact = policy.KeyFact

// Compare returns in what a cluster differs; nil is one that was not, or is no longer, there.
func Compare(old, now *Cluster, at time.Time) Difference {
	d := Difference{Generators: map[tenancy.GeneratorID]bool{}, Stacks: map[stack.ID]bool{}, Either: map[tenancy.GeneratorID]bool{}}
	for _, c := range []*Cluster{old, now} {
		if c == nil {
			continue
		}
		for g, has := range c.Generators {
			if has {
				d.Either[g] = true
			}
		}
	}
	if old == nil || now == nil {
		if old != now {
			d.Generators = d.Either
		}
		return d
	}
	if (old.Cordon != nil) != (now.Cordon != nil) || (old.Drain != nil) != (now.Drain != nil) || (old.UnreachableSince != nil) != (now.UnreachableSince != nil) ||
		old.Status != now.Status || !slices.Equal(old.Taints, now.Taints) {
		d.Generators = d.Either
	}
	d.Each = everybody(old.Drain) != everybody(now.Drain)
	for g := range d.Either {
		if old.Generators[g] != now.Generators[g] {
			d.Generators[g] = true
		}
	}
	for _, c := range []*Cluster{old, now} {
		for s := range c.Targets {
			if old.Targets[s] != now.Targets[s] {
				d.Stacks[s] = true
			}
		}
		if c.Drain == nil {
			continue
		}
		for s := range c.Drain.Released {
			if old.Drain.Evicts(s) != now.Drain.Evicts(s) {
				d.Stacks[s] = true
			}
		}
	}
	d.Keys = differing(old, now, at)
	return d
}

// everybody reports whether a drain has every stack leave.
func everybody(d *cluster.Drain) bool { return d != nil && d.Budget == 0 }

// differing returns the keys that differ.
func differing(old, now *Cluster, at time.Time) []string {
	var out []string
	if differs(old, now, at) {
		out = append(out, ReadsAll)
	}
	look := func(key string) {
		if keyDiffers(old, now, key, at) {
			out = append(out, key)
		}
	}
	for _, key := range fixedKeys() {
		look(key)
	}
	seen := map[string]bool{}
	once := func(key string) {
		if !seen[key] {
			seen[key] = true
			look(key)
		}
	}
	for _, c := range []*Cluster{old, now} {
		for l := range c.Labels {
			once(policy.KeyLabel + l)
		}
		for k := range c.Annotations {
			once(policy.KeyAnnotation + k)
		}
		for f := range c.Reported.Facts {
			once(policy.KeyFact + f)
		}
	}
	if knowsFacts(old) != knowsFacts(now) {
		out = append(out, AnyFact)
	}
	return out
}

func knowsFacts(c *Cluster) bool { return c.ReportedAt != nil && c.Reported.Knows(cluster.PartFacts) }

// fixedKeys are those that every cluster has.
func fixedKeys() []string {
	return []string{
		policy.KeyName, policy.KeyAgent, policy.KeyLoad, policy.KeyVersion, policy.KeyNodes, policy.KeyReadyNodes, policy.KeyArch, policy.KeyAPI,
		policy.KeyAllocatable + policy.CPU, policy.KeyAllocatable + policy.Memory, policy.KeyAllocatable + policy.Pods, policy.KeyAllocatable + policy.GPU,
		policy.KeyRequested + policy.CPU, policy.KeyRequested + policy.Memory, policy.KeyRequested + policy.Pods, policy.KeyRequested + policy.GPU,
		policy.KeyAvailable + policy.CPU, policy.KeyAvailable + policy.Memory, policy.KeyAvailable + policy.Pods, policy.KeyAvailable + policy.GPU,
	}
}
