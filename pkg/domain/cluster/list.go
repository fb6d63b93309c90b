package cluster

import (
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// Reachability says whether a cluster's agent is heard.
type Reachability string

// The reachabilities.
const (
	Reachable      Reachability = "reachable"
	Unreachable    Reachability = "unreachable"
	NeverConnected Reachability = "never_connected"
)

// Reachabilities returns every reachability.
func Reachabilities() []Reachability {
	return []Reachability{Reachable, Unreachable, NeverConnected}
}

// Freshness says whether what is known of a cluster's status still holds.
type Freshness string

// The freshnesses.
const (
	Current Freshness = "current" // however long ago it was told: a change would have been told too
	Stale   Freshness = "stale"   // its agent is silent
	Untold  Freshness = "none"    // no status was ever told
)

// Freshnesses returns every freshness.
func Freshnesses() []Freshness { return []Freshness{Current, Stale, Untold} }

// Reachability says whether the agent is heard; heard says whether it ever was.
func (k Known) Reachability(heard bool) Reachability {
	switch {
	case k.UnreachableSince != nil:
		return Unreachable
	case !heard:
		return NeverConnected
	default:
		return Reachable
	}
}

// Freshness says whether the status still holds.
func (k Known) Freshness() Freshness {
	switch {
	case k.ReportedAt == nil:
		return Untold
	case k.UnreachableSince != nil:
		return Stale
	default:
		return Current
	}
}

// The filters of lists of clusters.
const (
	FilterCordoned     = "cordoned"
	FilterDraining     = "draining"
	FilterReachability = "reachability"
	FilterFreshness    = "freshness"
	FilterTaint        = "taint" // the key of one
)

// List says how clusters are listed: as their agents are, and by what is known of them, which only the store can tell.
func List() page.List[agent.Agent] {
	yes, no := strconv.FormatBool(true), strconv.FormatBool(false)
	l := agent.List()
	l.Filters = append(l.Filters, []page.Filter[agent.Agent]{
		{Name: FilterCordoned, Parse: page.OneOf(FilterCordoned, yes, no)},
		{Name: FilterDraining, Parse: page.OneOf(FilterDraining, yes, no)},
		{Name: FilterReachability, Parse: page.OneOf(FilterReachability, Reachabilities()...)},
		{Name: FilterFreshness, Parse: page.OneOf(FilterFreshness, Freshnesses()...)},
		{Name: FilterTaint},
	}...)
	return l
}

// Passes reports whether a cluster has what the filters of List ask for; heard says whether its agent ever was.
func (k Known) Passes(is map[string]string, heard bool) bool {
	for name, of := range map[string]func() string{
		FilterCordoned:     func() string { return strconv.FormatBool(k.Cordon != nil) },
		FilterDraining:     func() string { return strconv.FormatBool(k.Drain != nil) },
		FilterReachability: func() string { return string(k.Reachability(heard)) },
		FilterFreshness:    func() string { return string(k.Freshness()) },
	} {
		if want, asked := is[name]; asked && of() != want {
			return false
		}
	}
	key, asked := is[FilterTaint]
	if !asked {
		return true
	}
	for _, t := range k.Taints {
		if t.Key == key {
			return true
		}
	}
	return false
}
