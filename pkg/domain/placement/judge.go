package placement

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// stand is what may become of a stack in one cluster.
type stand uint8

const (
	leave stand = iota // it must not be there
	last               // it stays only where nothing else is to be had: failover
	keep               // it may stay, not come
	place              // it may come and stay
)

// judge says what may become of the stack in a slot. Reasons are added to why, if it is not nil: one for each rule that
// does not admit it without conditions.
func (r *run) judge(i int, why *[]Reason) (s stand, group int, shy bool) {
	c := r.f.at(i)
	s = place
	say := func(limit stand, rule Rule, wanted, observed, message string) {
		s = min(s, limit)
		if why != nil {
			*why = append(*why, Reason{Rule: rule, Wanted: wanted, Observed: observed, Message: message})
		}
	}
	if !r.consent.has(i) {
		say(leave, RuleConsent, "an approved registration with the stack's generator", "none", "the agent has no approved registration with the stack's generator")
	}
	pinned := r.pins.has(i)
	if !pinned {
		group = r.wanted(i, why, say)
	}
	if r.f.marked.has(i) {
		shy = r.marks(c, pinned, i, say)
	}
	if pinned {
		return s, 0, shy
	}
	if n := r.c.needs; n != (cluster.Resources{}) && !r.prior.has(i) && (s == place || why != nil) {
		r.capacity(c, n, say)
	}
	if a := r.c.document.Affinity; a != nil {
		r.affinity(a, i, say)
	}
	return s, group, shy
}

type sayer func(limit stand, rule Rule, wanted, observed, message string)

// wanted asks the selector, the groups and the fixed agents.
func (r *run) wanted(i int, why *[]Reason, say sayer) int {
	c := r.f.at(i)
	group, a := r.fits(i)
	limit := place
	switch a {
	case no:
		limit = leave
	case unknown:
		limit = keep
	case yes:
	}
	if a != yes {
		if why == nil {
			say(limit, RuleNoMatch, "", "", "")
		} else {
			reasons := r.m.refusal(&r.c.clusters, r.f, i, r.now)
			if len(reasons) == 0 { // it is the groups
				for g := range r.c.groups {
					reasons = append(reasons, r.m.refusal(&r.c.groups[g], r.f, i, r.now)...)
				}
				say(limit, RuleGroup, "one of the policy's groups", "none", "the cluster is in none of the policy's groups")
			}
			for _, x := range reasons {
				say(limit, x.Rule, x.Wanted, x.Observed, x.Message)
			}
		}
	}
	if st := r.c.document.Strategy; st.Type == policy.Fixed && !r.fixed.has(i) {
		say(leave, RuleFixed, "one of the policy's fixed agents", string(c.Agent), "the agent is none of the policy's fixed ones")
	}
	return group
}

// marks asks what the cluster's owners say and whether it is there. It reports whether others are taken first.
func (r *run) marks(c *Cluster, pinned bool, i int, say sayer) (shy bool) {
	if c.Status == agent.Inactive {
		say(keep, RuleInactive, "an active agent", "inactive", "the agent is not active")
	}
	shy, until := owners(r.in.Subject, c, r.c.document.Tolerations, r.now, say)
	r.wakeAt(until)
	if c.UnreachableSince == nil || pinned || !r.count() {
		return shy
	}
	since := c.UnreachableSince.UTC().Format(time.RFC3339)
	say(keep, RuleUnreachable, "a cluster that is heard of", "unreachable since "+since, "the cluster is unreachable")
	if !r.failover() || !r.prior.has(i) {
		return shy
	}
	after := time.Duration(r.c.document.Failover.UnreachableAfter)
	if after == 0 {
		after = defaultUnreachable
	}
	due := c.UnreachableSince.Add(after)
	switch {
	case due.After(r.now):
		r.wakeAt(due)
	case r.outage(i):
		say(keep, RuleOutage, "fewer than half of the clusters unreachable at once", "an outage", "so many clusters are unreachable at once that the stack stays")
	default:
		say(last, RuleUnreachable, "a cluster that is heard of within "+after.String(), "unreachable since "+since, "the stack leaves for another cluster, if there is one")
	}
	return shy
}

// owners asks cordon, drain and taints. It reports whether others are taken first, and when this may change by itself.
func owners(s Subject, c *Cluster, tolerations []policy.Toleration, now time.Time, say sayer) (shy bool, until time.Time) {
	switch {
	case c.Drain.Evicts(s.Stack):
		say(leave, RuleDrain, "", c.Drain.Reason, "the cluster is drained")
	case c.Drain != nil:
		say(keep, RuleDrain, "", c.Drain.Reason, "the cluster is being drained; nothing new comes")
	case c.Cordon != nil:
		say(keep, RuleCordon, "", c.Cordon.Reason, "the cluster is cordoned; nothing new comes")
	}
	for _, t := range c.Taints {
		end, tolerated := tolerates(tolerations, t, now)
		if tolerated {
			if end.After(now) {
				until = sooner(until, end)
			}
			continue
		}
		what := t.Key
		if t.Value != "" {
			what += "=" + t.Value
		}
		switch t.Effect {
		case cluster.PreferNoPlace:
			shy = true
		case cluster.NoPlace:
			say(keep, RuleTaint, "a toleration", what+":"+string(t.Effect), fmt.Sprintf("the cluster has the taint %s, which keeps new stacks away", what))
		case cluster.Evict:
			say(leave, RuleTaint, "a toleration", what+":"+string(t.Effect), fmt.Sprintf("the cluster has the taint %s, which lets no stack stay", what))
		}
	}
	return shy, until
}

// tolerates reports whether a taint is tolerated now, and until when if not for ever.
func tolerates(ts []policy.Toleration, t cluster.Taint, now time.Time) (until time.Time, ok bool) {
	for _, x := range ts {
		if (x.Key != "" && x.Key != t.Key) || (x.Value != "" && x.Value != t.Value) || (x.Effect != "" && x.Effect != t.Effect) {
			continue
		}
		if x.Seconds == nil {
			return time.Time{}, true
		}
		if end := t.Since.Add(time.Duration(*x.Seconds) * time.Second); end.After(now) {
			ok = true
			if end.After(until) {
				until = end
			}
		}
	}
	return until, ok
}

func (r *run) capacity(c *Cluster, n cluster.Resources, say sayer) {
	if !told(c) {
		say(keep, RuleCapacity, "known resources", "none", "what is available in the cluster is not known")
		return
	}
	a := available(c)
	for _, x := range [...]struct {
		name         string
		needs, there int64
	}{{"cpu (millicores)", n.CPU, a.CPU}, {"memory (bytes)", n.Memory, a.Memory}, {"pods", n.Pods, a.Pods}, {"gpus", n.GPU, a.GPU}} {
		if x.needs > x.there {
			say(keep, RuleCapacity, fmt.Sprintf("%d %s", x.needs, x.name), fmt.Sprint(x.there), "not enough "+x.name+" is available")
		}
	}
}

func (r *run) affinity(a *policy.Affinity, i int, say sayer) {
	own := r.in.Subject.Name // stacks that share a policy may be named in it, to be with one of them or apart from each other
	for j, name := range a.WithStacks {
		if name == own {
			continue
		}
		if _, known := r.in.Peers[name]; !known {
			say(keep, RuleAffinity, "with "+name, "unknown", fmt.Sprintf("where the stack %q is is not known", name))
		} else if !r.peers[j].has(i) {
			say(leave, RuleAffinity, "with "+name, "not there", fmt.Sprintf("the stack %q is not in this cluster", name))
		}
	}
	for j, name := range a.ApartFromStacks {
		if name == own {
			continue
		}
		if _, known := r.in.Peers[name]; known && r.peers[len(a.WithStacks)+j].has(i) {
			say(leave, RuleAffinity, "apart from "+name, "there", fmt.Sprintf("the stack %q is in this cluster", name))
		}
	}
}

// roomTerm asks whether n is available. That is not asked where the stack is already.
func roomTerm(n cluster.Resources) *term {
	return &term{rule: RuleCapacity, key: key("room", fmt.Sprint(n)), ask: func(c *Cluster, _ time.Time) answer {
		if !told(c) {
			return no
		}
		a := available(c)
		return truth(n.CPU <= a.CPU && n.Memory <= a.Memory && n.Pods <= a.Pods && n.GPU <= a.GPU)
	}}
}

// told reports whether what is available in a cluster is known.
func told(c *Cluster) bool {
	return c.ReportedAt != nil && c.Reported.Knows(cluster.PartNodes) && c.Reported.Knows(cluster.PartRequested)
}
