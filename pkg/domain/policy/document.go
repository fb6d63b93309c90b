// Package policy holds placement policies: what a generator asks of the clusters that run its stacks, and of the way that
// a new revision takes across them. A document is data; placement decides with it and rollout follows it.
package policy

import (
	"encoding/json"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// Document is a policy as a user writes it. The zero value of each part asks for nothing.
type Document struct {
	Name        string        `json:"name"`
	Clusters    *Selector     `json:"clusters,omitempty"`
	Requires    *Requirements `json:"requires,omitempty"`
	Tolerations []Toleration  `json:"tolerations,omitempty"`
	Strategy    Strategy      `json:"strategy"`
	Spread      []Spread      `json:"spread,omitempty"`
	Affinity    *Affinity     `json:"affinity,omitempty"`
	Groups      []Group       `json:"groups,omitempty"` // in order; the next only when the former is full
	Prefer      []Preference  `json:"prefer,omitempty"`
	Stickiness  *Stickiness   `json:"stickiness,omitempty"`
	Failover    *Failover     `json:"failover,omitempty"`
	Overrides   []Override    `json:"overrides,omitempty"`
	DependsOn   []Dependency  `json:"depends_on,omitempty"`
	Rollout     *Rollout      `json:"rollout,omitempty"`
}

// Selector says which clusters fit: every part must hold; of Any at least one. A selector without parts fits all.
type Selector struct {
	Labels      []string          `json:"labels,omitempty"` // all of them
	Annotations map[string]string `json:"annotations,omitempty"`
	Expressions []Expression      `json:"expressions,omitempty"`
	CEL         string            `json:"cel,omitempty"`
	Any         []Selector        `json:"any,omitempty"`
}

// Requirements are what the stack will use of a cluster. A cluster is taken only if so much is available there, less what
// was promised to other stacks since it last told; where the stack is already, it is not asked again.
type Requirements struct {
	CPU    string `json:"cpu,omitempty"`    // 500m, 2
	Memory string `json:"memory,omitempty"` // 512Mi, 4Gi
	Pods   int64  `json:"pods,omitempty"`
	GPU    int64  `json:"gpus,omitempty"`
}

// Operator of an expression.
type Operator string

// The operators.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
	Greater      Operator = ">"
	AtLeast      Operator = ">="
	Less         Operator = "<"
	AtMost       Operator = "<="
	Equal        Operator = "="
)

// Expression compares what is known of a cluster under Key (label.X, annotation.X, facts.X, kubernetes.version, nodes.ready,
// allocatable.cpu, available.memory, architecture, api, ...) with Values.
type Expression struct {
	Key      string   `json:"key"`
	Operator Operator `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// Toleration lets a stack be where a taint is. An empty Key tolerates all, an empty Value any, an empty Effect each. With
// Seconds it tolerates for so long after the taint came.
type Toleration struct {
	Key     string         `json:"key,omitempty"`
	Value   string         `json:"value,omitempty"`
	Effect  cluster.Effect `json:"effect,omitempty"`
	Seconds *int64         `json:"seconds,omitempty"`
}

// StrategyType says how many of the clusters that fit are picked.
type StrategyType string

// The strategies. The zero value is All.
const (
	All   StrategyType = "all"
	Fixed StrategyType = "fixed"
	Count StrategyType = "count"
)

// Strategy is all clusters that fit, those that Fixed names, or a count of them.
type Strategy struct {
	Type  StrategyType `json:"type,omitempty"`
	Fixed []agent.ID   `json:"fixed,omitempty"`
	Count *Range       `json:"count,omitempty"`
}

// Range of a count: no more than Max are picked; below Min the demand is unmet.
type Range struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// WhenUnsatisfiable says what a spread that cannot be kept does.
type WhenUnsatisfiable string

// The two ways.
const (
	Refuse WhenUnsatisfiable = "refuse" // rather pick fewer
	Prefer WhenUnsatisfiable = "prefer" // rather break the spread
)

// Spread keeps the picks even over the values of a key (the domains).
type Spread struct {
	By                string            `json:"by"` // annotation.X or another key of Expression
	MaxSkew           int               `json:"max_skew"`
	MinDomains        int               `json:"min_domains,omitempty"`
	WhenUnsatisfiable WhenUnsatisfiable `json:"when_unsatisfiable,omitempty"`
}

// Affinity names stacks of the same generator that must, or must not, be where this one is.
type Affinity struct {
	WithStacks      []string `json:"with_stacks,omitempty"`
	ApartFromStacks []string `json:"apart_from_stacks,omitempty"`
}

// Group is a set of clusters that is filled before the next.
type Group struct {
	Name     string   `json:"name"`
	Clusters Selector `json:"clusters"`
}

// Preference scores clusters: a number that is known of the cluster, mapped from Range to [0, 100], times Weight; or, with
// Balance, fewer stacks score more.
type Preference struct {
	Property string      `json:"property,omitempty"`
	Range    *[2]float64 `json:"range,omitempty"`
	Order    string      `json:"order,omitempty"` // high (default) or low
	Balance  bool        `json:"balance,omitempty"`
	Weight   int         `json:"weight,omitempty"` // 1 if zero
}

// Stickiness keeps a stack where it is.
type Stickiness struct {
	Points          int      `json:"points,omitempty"`
	MinDwell        Duration `json:"min_dwell,omitempty"`
	MaxMovesPerHour int      `json:"max_moves_per_hour,omitempty"`
}

// Failover moves a stack away from clusters that are unreachable.
type Failover struct {
	Enabled          bool     `json:"enabled"`
	UnreachableAfter Duration `json:"unreachable_after,omitempty"` // 5 min if zero
}

// Override changes manifests for the clusters that fit.
type Override struct {
	Clusters Selector `json:"clusters"`
	Patches  []Patch  `json:"patches"`
}

// Patch of the objects that Target names: JSON 6902 operations, or a strategic merge patch. One of the two is given.
type Patch struct {
	Target   PatchTarget     `json:"target"`
	JSON6902 json.RawMessage `json:"patch,omitempty"`
	Merge    json.RawMessage `json:"merge,omitempty"`
}

// PatchTarget selects objects of a bundle; empty parts fit all.
type PatchTarget struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Dependency holds a stack's objects back until another stack of the generator is there: in the same cluster, or in all of
// its clusters.
type Dependency struct {
	Stack  string `json:"stack"`
	Health string `json:"health,omitempty"` // healthy (default) or applied
	Scope  string `json:"scope,omitempty"`  // cluster (default) or everywhere
}

// Rollout is the way of a new revision across the clusters.
type Rollout struct {
	Waves         []Wave         `json:"waves,omitempty"`          // none: all at once
	MaxConcurrent string         `json:"max_concurrent,omitempty"` // a number or a percentage of the wave; empty: no bound
	FailureBudget *FailureBudget `json:"failure_budget,omitempty"`
	OnFailure     string         `json:"on_failure,omitempty"` // pause (default) or rollback
	Offline       string         `json:"offline,omitempty"`    // skip (default) or wait
	Joiners       string         `json:"joiners,omitempty"`    // append (default) or ignore
	Windows       []Window       `json:"windows,omitempty"`
	Deadline      Duration       `json:"deadline,omitempty"` // a cluster that is not healthy after it has failed; 10 min if zero
}

// Wave is a part of the clusters that gets the revision before the next. Clusters or Percent (of what earlier waves left)
// or neither: all that is left.
type Wave struct {
	Name     string    `json:"name"`
	Clusters *Selector `json:"clusters,omitempty"`
	Percent  int       `json:"percent,omitempty"`
	Soak     Duration  `json:"soak,omitempty"`
	Approval bool      `json:"approval,omitempty"` // somebody must approve before the next wave
}

// FailureBudget is how many clusters may fail: no more than MaxFailed, nor more than OrPercent of the rollout's clusters,
// whichever is greater.
type FailureBudget struct {
	MaxFailed int `json:"max_failed,omitempty"`
	OrPercent int `json:"or_percent,omitempty"`
}

// Window is a time in which waves may begin: from each moment of Cron (minute hour day month weekday) for Duration.
type Window struct {
	Cron     string   `json:"cron"`
	Duration Duration `json:"duration"`
	Timezone string   `json:"timezone,omitempty"` // IANA; UTC if empty
}

// Duration is written as Go writes it: 10m, 1h30m.
type Duration time.Duration

// MarshalText writes it as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration of Go.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}
