package placement

import (
	"cmp"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// RuleOverride is of picked clusters: an override for them cannot be applied, so they keep what they have.
const RuleOverride Rule = "override"

// Blocked are picked clusters that keep what they have, because what an override makes of the object for them cannot be made.
type Blocked struct {
	Override string         `json:"override"` // its place in the policy's document, such as overrides[0].patches[1]
	Reason   string         `json:"reason"`
	Object   stack.ObjectID `json:"deployment_object_id"`
	Since    time.Time      `json:"since"`
	Agents   []agent.ID     `json:"agent_ids"` // by id
}

// Block says which picked clusters keep what they have. Each cause keeps since when it was there before; a new one has the
// time that is given.
func (d *Decision) Block(clusters map[agent.ID]Blocked, before []Blocked) {
	type cause struct {
		override, reason string
		object           stack.ObjectID
	}
	causes := map[cause]*Blocked{}
	for a, b := range clusters {
		c := cause{b.Override, b.Reason, b.Object}
		if causes[c] == nil {
			b.Agents = nil
			causes[c] = &b
		}
		causes[c].Agents = append(causes[c].Agents, a)
	}
	for _, old := range before {
		if b := causes[cause{old.Override, old.Reason, old.Object}]; b != nil {
			b.Since = old.Since
		}
	}
	d.Blocked = nil
	for _, b := range causes {
		slices.Sort(b.Agents)
		d.Blocked = append(d.Blocked, *b)
	}
	slices.SortFunc(d.Blocked, func(x, y Blocked) int {
		return cmp.Or(cmp.Compare(x.Override, y.Override), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Object, y.Object))
	})
}

// ExplainBlocked says in the verdicts about the clusters that keep what they have why they do.
func (d *Decision) ExplainBlocked() {
	why := map[agent.ID]Reason{}
	for _, b := range d.Blocked {
		for _, a := range b.Agents {
			why[a] = Reason{Rule: RuleOverride, Message: b.Override + ": " + b.Reason + "; the cluster keeps what it has"}
		}
	}
	for i, v := range d.Verdicts {
		if r, ok := why[v.Agent]; ok {
			d.Verdicts[i].Reasons = append(slices.Clone(v.Reasons), r)
		}
	}
}

// SameBlocked reports whether the same clusters keep what they have for the same causes, since whenever.
func SameBlocked(a, b []Blocked) bool {
	return slices.EqualFunc(a, b, func(x, y Blocked) bool {
		return x.Override == y.Override && x.Reason == y.Reason && x.Object == y.Object && slices.Equal(x.Agents, y.Agents)
	})
}

// CopyBlocked returns a copy that shares nothing.
func CopyBlocked(list []Blocked) []Blocked {
	list = slices.Clone(list)
	for i := range list {
		list[i].Agents = slices.Clone(list[i].Agents)
	}
	return list
}
