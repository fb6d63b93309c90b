package placement

import (
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// answer of a question about a cluster. Unknown is no: nothing new comes; but it is no reason to leave either.
type answer uint8

const (
	no answer = iota
	unknown
	yes
)

// observed is what is known of a cluster under one key.
type observed struct {
	known    bool // false: not told, or expired
	exists   bool
	isNumber bool
	number   float64
	string   string
	list     []string // of keys with several values
	version  bool
	until    time.Time // it counts until then; zero: as long as the cluster is as it is
}

func (o observed) text() string {
	switch {
	case !o.known:
		return "unknown"
	case !o.exists:
		return ""
	case o.list != nil:
		return strings.Join(o.list, ", ")
	case o.isNumber:
		return policy.FormatNumber(o.number)
	default:
		return o.string
	}
}

func text(s string) observed { return observed{known: true, exists: true, string: s} }
func number(n float64) observed {
	return observed{known: true, exists: true, isNumber: true, number: n}
}

// observe returns what is known of c under a key of policy's vocabulary at now.
func observe(c *Cluster, key string, now time.Time) observed {
	if l, ok := strings.CutPrefix(key, policy.KeyLabel); ok {
		return observed{known: true, exists: c.Labels[l], string: "true"}
	}
	if a, ok := strings.CutPrefix(key, policy.KeyAnnotation); ok {
		v, has := c.Annotations[a]
		return observed{known: true, exists: has, string: v}
	}
	switch key {
	case policy.KeyName:
		return text(c.Name)
	case policy.KeyAgent:
		return text(string(c.Agent))
	case policy.KeyLoad:
		return number(float64(c.Load))
	}
	if c.ReportedAt == nil {
		return observed{}
	}
	s := &c.Reported
	if fact, ok := strings.CutPrefix(key, policy.KeyFact); ok {
		return observeFact(s, fact, now)
	}
	part := cluster.PartNodes
	var o observed
	switch key {
	case policy.KeyVersion:
		part, o = cluster.PartVersion, text(s.KubernetesVersion)
		o.version = true
	case policy.KeyNodes:
		o = number(float64(s.Nodes))
	case policy.KeyReadyNodes:
		o = number(float64(s.ReadyNodes))
	case policy.KeyArch:
		o = observed{known: true, exists: len(s.Architectures) > 0, list: s.Architectures}
	case policy.KeyAPI:
		part, o = cluster.PartAPIs, observed{known: true, exists: len(s.APIs) > 0, list: s.APIs}
	default:
		of, resource, _ := policy.IsAmount(key)
		var r cluster.Resources
		switch of {
		case policy.KeyRequested:
			part, r = cluster.PartRequested, s.Requested
		case policy.KeyAvailable:
			part, r = cluster.PartRequested, available(c)
			if !s.Knows(cluster.PartNodes) {
				return observed{}
			}
		default:
			r = s.Allocatable
		}
		switch resource {
		case policy.CPU:
			o = number(float64(r.CPU) / 1000)
		case policy.Memory:
			o = number(float64(r.Memory))
		case policy.Pods:
			o = number(float64(r.Pods))
		default:
			o = number(float64(r.GPU))
		}
	}
	if !s.Knows(part) {
		return observed{}
	}
	return o
}

// available is what is free, less what was promised since the cluster last told.
func available(c *Cluster) cluster.Resources { return c.Reported.Available().Minus(c.Assumed) }

func observeFact(s *cluster.Status, name string, now time.Time) observed {
	f, has := s.Facts[name]
	if !has {
		return observed{known: s.Knows(cluster.PartFacts)}
	}
	var o observed
	if f.Number != nil {
		o = number(*f.Number)
	} else {
		o = text(f.Text)
	}
	if f.Until != nil {
		if !f.Until.After(now) {
			return observed{} // what it was is not known to be so any longer
		}
		o.until = *f.Until
	}
	return o
}

// factOf returns which fact a key names; "" if it names none.
func factOf(key string) string {
	if fact, ok := strings.CutPrefix(key, policy.KeyFact); ok {
		return fact
	}
	return ""
}

// current returns c without facts that have expired.
func current(c *Cluster, now time.Time) *Cluster {
	for _, f := range c.Reported.Facts {
		if f.Until != nil && !f.Until.After(now) {
			x := *c
			x.Reported.Facts = map[string]cluster.Fact{}
			for k, v := range c.Reported.Facts {
				if v.Until == nil || v.Until.After(now) {
					x.Reported.Facts[k] = v
				}
			}
			return &x
		}
	}
	return c
}
