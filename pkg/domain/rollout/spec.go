package rollout

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// DefaultDeadline is how long a cluster may take to be healthy where a policy says nothing.
const DefaultDeadline = 10 * time.Minute

// Bound is a number, or a percentage of something. The zero Bound is none.
type Bound struct {
	Number  int `json:"number,omitempty"`
	Percent int `json:"percent,omitempty"`
}

// ParseBound reads "5" or "20%"; empty is no bound.
func ParseBound(s string) (Bound, error) {
	if s == "" {
		return Bound{}, nil
	}
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || (percent && n > 100) {
		return Bound{}, fault.Newf(fault.Invalid, "invalid_rollout", "%q is neither a number of 1 or more nor a percentage of 1%% to 100%%", s)
	}
	if percent {
		return Bound{Percent: n}, nil
	}
	return Bound{Number: n}, nil
}

// Of returns the bound for a whole of n; a percentage is rounded up, so that it is never none of some.
func (b Bound) Of(n int) int {
	switch {
	case b.Number > 0:
		return b.Number
	case b.Percent > 0:
		return max(1, (n*b.Percent+99)/100)
	default:
		return n
	}
}

// String writes the bound as ParseBound reads it.
func (b Bound) String() string {
	switch {
	case b.Number > 0:
		return strconv.Itoa(b.Number)
	case b.Percent > 0:
		return strconv.Itoa(b.Percent) + "%"
	default:
		return ""
	}
}

// Wave is a part of the clusters.
type Wave struct {
	Name      string          `json:"name"`
	Selective bool            `json:"selective,omitempty"` // only clusters that fit its selector
	Percent   int             `json:"percent,omitempty"`   // of what earlier waves left (and fits); 0: all of it
	Soak      policy.Duration `json:"soak,omitempty"`
	Approval  bool            `json:"approval,omitempty"`
}

// Spec is what a rollout follows. It is pinned when the rollout starts: a policy that changes meanwhile counts for the next.
type Spec struct {
	Waves         []Wave          `json:"waves"`
	MaxConcurrent Bound           `json:"max_concurrent,omitzero"` // of the wave
	MaxFailed     int             `json:"max_failed,omitempty"`
	FailedPercent int             `json:"failed_percent,omitempty"`
	Rollback      bool            `json:"rollback,omitempty"`       // on failure; else pause
	WaitOffline   bool            `json:"wait_offline,omitempty"`   // else skip
	IgnoreJoiners bool            `json:"ignore_joiners,omitempty"` // else append
	Windows       []policy.Window `json:"windows,omitempty"`
	Deadline      policy.Duration `json:"deadline"`
}

func (s Spec) clone() Spec {
	s.Waves, s.Windows = slices.Clone(s.Waves), slices.Clone(s.Windows)
	return s
}

// restWave is the name of the wave that takes the clusters which no wave of the policy takes.
const restWave = "rest"

// SpecOf returns what a policy asks of rollouts; nil: nothing, so that every cluster has the newest object at once. A policy
// with dependencies alone has a spec too, of one wave without bounds. Invalid names the part that cannot be read.
func SpecOf(d policy.Document) (*Spec, error) {
	r := d.Rollout
	if r == nil {
		if len(d.DependsOn) == 0 {
			return nil, nil
		}
		r = &policy.Rollout{}
	}
	bound, err := ParseBound(r.MaxConcurrent)
	if err != nil {
		return nil, err
	}
	s := Spec{
		MaxConcurrent: bound, Rollback: r.OnFailure == "rollback", WaitOffline: r.Offline == "wait", IgnoreJoiners: r.Joiners == "ignore",
		Windows: slices.Clone(r.Windows), Deadline: r.Deadline,
	}
	if s.Deadline <= 0 {
		s.Deadline = policy.Duration(DefaultDeadline)
	}
	if b := r.FailureBudget; b != nil {
		s.MaxFailed, s.FailedPercent = b.MaxFailed, b.OrPercent
	}
	for i, w := range r.Waves {
		name := w.Name
		if name == "" {
			name = "wave " + strconv.Itoa(i+1)
		}
		s.Waves = append(s.Waves, Wave{Name: name, Selective: w.Clusters != nil, Percent: w.Percent, Soak: w.Soak, Approval: w.Approval})
	}
	if n := len(s.Waves); n == 0 || s.Waves[n-1].Selective || (s.Waves[n-1].Percent > 0 && s.Waves[n-1].Percent < 100) {
		s.Waves = append(s.Waves, Wave{Name: restWave})
	}
	return &s, nil
}

// budget is how many of n clusters may have failed.
func (s Spec) budget(n int) int { return max(s.MaxFailed, n*s.FailedPercent/100) }
