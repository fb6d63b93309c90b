// Package cluster holds what an agent reports of its cluster as a whole, and what operators say of it: the facts on which
// placement rests beyond names, labels and annotations.
package cluster

import "time"

// Resources are amounts of what workloads use.
type Resources struct {
	CPU    int64 `json:"cpu_millicores"`
	Memory int64 `json:"memory_bytes"`
	Pods   int64 `json:"pods"`
	GPU    int64 `json:"gpus"`
}

// Minus returns r less o, never below zero.
func (r Resources) Minus(o Resources) Resources {
	return Resources{CPU: max(r.CPU-o.CPU, 0), Memory: max(r.Memory-o.Memory, 0), Pods: max(r.Pods-o.Pods, 0), GPU: max(r.GPU-o.GPU, 0)}
}

// Status is what an agent reports of its cluster, sent only when it changes. The zero Status is that of an agent that
// reports none.
type Status struct {
	KubernetesVersion string          `json:"kubernetes_version,omitempty"` // as the API server says it: v1.36.3
	Nodes             int32           `json:"nodes"`
	ReadyNodes        int32           `json:"ready_nodes"`
	Allocatable       Resources       `json:"allocatable"`             // of ready, schedulable nodes
	Requested         Resources       `json:"requested"`               // by pods that are bound to them
	Architectures     []string        `json:"architectures,omitempty"` // sorted
	APIs              []string        `json:"apis,omitempty"`          // group/version, or v1; sorted
	Facts             map[string]Fact `json:"facts,omitempty"`
	// Unknown are the parts that the agent could not read, with the reason: their fields mean nothing, and are not zero.
	Unknown map[Part]string `json:"unknown,omitempty"`
}

// Part of a Status that an agent may be unable to read.
type Part string

// The parts.
const (
	PartVersion   Part = "version"   // KubernetesVersion
	PartNodes     Part = "nodes"     // Nodes, ReadyNodes, Allocatable, Architectures
	PartRequested Part = "requested" // Requested, and with it what is available
	PartAPIs      Part = "apis"      // APIs
	PartFacts     Part = "facts"     // those of the ConfigMaps; those of the configuration are always known
)

// Parts returns every part.
func Parts() []Part { return []Part{PartVersion, PartNodes, PartRequested, PartAPIs, PartFacts} }

// Knows reports whether a part could be read. Of an agent that has reported no status nothing is known at all.
func (s Status) Knows(p Part) bool {
	_, unknown := s.Unknown[p]
	return !unknown
}

// Available is what is allocatable and not requested.
func (s Status) Available() Resources { return s.Allocatable.Minus(s.Requested) }

// Fact is a number or a text that the cluster's owners state: a price, a zone, a capability.
type Fact struct {
	Number *float64   `json:"number,omitempty"` // nil: it is a text
	Text   string     `json:"text,omitempty"`
	Until  *time.Time `json:"until,omitempty"` // it counts no longer after this moment; nil: it stays
}

// Effect is what a taint does to stacks that do not tolerate it.
type Effect string

// The effects.
const (
	PreferNoPlace Effect = "PreferNoPlace" // other clusters are taken first
	NoPlace       Effect = "NoPlace"       // nothing new comes; what is there stays
	Evict         Effect = "Evict"         // nothing new comes, and what is there goes
)

// Effects returns every effect, the weakest first.
func Effects() []Effect { return []Effect{PreferNoPlace, NoPlace, Evict} }

// Taint keeps stacks away that do not tolerate it. Key and effect name it within its cluster.
type Taint struct {
	Key    string    `json:"key"`
	Value  string    `json:"value,omitempty"`
	Effect Effect    `json:"effect"`
	Since  time.Time `json:"since"`
}
