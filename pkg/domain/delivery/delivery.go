// Package delivery holds what lies between a decision and a cluster: assignments, tombstones, agent
// revisions, and the reports by which an agent says what it did.
package delivery

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Revision of an agent's target state. It grows in the transaction that changes one of its assignments; zero means none yet.
type Revision int64

// State of an assignment.
type State string

// The states. A removing assignment is the tombstone: it lives until the agent has acknowledged the removal.
const (
	Assigned State = "assigned"
	Removing State = "removing"
)

// Assignment is the one fact that an agent acts on. Only the scheduler writes it.
type Assignment struct {
	Agent       agent.ID
	Stack       stack.ID
	Object      stack.ObjectID  // while Removing: the object that was last assigned
	Variant     stack.Checksum  // of the content that this cluster has in place of the object's own; empty: the object's own
	Treatment   stack.Treatment // of what the stack has there; while Removing: with which it is taken away
	State       State
	Revision    Revision // the agent's revision in which this assignment last changed
	Reason      string   // why it is assigned or removed, as placement recorded it
	Traceparent string
	Since       time.Time // of this object or state
	Placed      time.Time // since when the stack is in the cluster, whatever its object
}

// Wanted is an assignment with what an agent needs to act on it.
type Wanted struct {
	Assignment
	StackName string
	Generator tenancy.GeneratorID
	Sequence  stack.Sequence
	Checksum  stack.Checksum // of the content for this cluster
	Size      int64
	Marker    bool
	Status    *Status // what the agent last reported; nil if nothing
	Watched   bool    // an open rollout waits for its reports
}

// Phase is how far an agent is with an assignment.
type Phase string

// The phases. PhasePending is the zero meaning: nothing has been reported.
const (
	PhasePending  Phase = "pending"
	PhaseFetching Phase = "fetching"
	PhaseApplying Phase = "applying"
	PhaseApplied  Phase = "applied"
	PhaseFailed   Phase = "failed"
	PhaseRemoving Phase = "removing"
	PhaseRemoved  Phase = "removed"
)

// Phases returns every phase in order.
func Phases() []Phase {
	return []Phase{PhasePending, PhaseFetching, PhaseApplying, PhaseApplied, PhaseFailed, PhaseRemoving, PhaseRemoved}
}

// ParsePhase returns the phase named s, or Invalid.
func ParsePhase(s string) (Phase, error) {
	for _, p := range Phases() {
		if string(p) == s {
			return p, nil
		}
	}
	return "", fault.Newf(fault.Invalid, "invalid_report", "phase %q is not known", s)
}

// Health of what was applied.
type Health string

// The healths, best first after unknown.
const (
	HealthUnknown     Health = "unknown"
	HealthHealthy     Health = "healthy"
	HealthProgressing Health = "progressing"
	HealthDegraded    Health = "degraded"
	HealthFailing     Health = "failing"
)

// Healths returns every health.
func Healths() []Health {
	return []Health{HealthUnknown, HealthHealthy, HealthProgressing, HealthDegraded, HealthFailing}
}

// ParseHealth returns the health named s, or Invalid with the contract's code.
func ParseHealth(s string) (Health, error) {
	for _, h := range Healths() {
		if string(h) == s {
			return h, nil
		}
	}
	return "", fault.Newf(fault.Refused, "invalid_health_record", "health status %q is not known", s)
}

// Status is what an agent last reported for one assignment.
type Status struct {
	Agent      agent.ID
	Stack      stack.ID
	Object     stack.ObjectID
	Sequence   stack.Sequence
	Phase      Phase
	Health     Health
	Message    string
	ObservedAt time.Time // the agent's clock
	ReportedAt time.Time // the broker's clock
	Since      time.Time // broker's clock: since when phase and health are what they are
}

// MaxMessage is how long the message of a report may be, in bytes. It is in events, which are read by the hundred.
const MaxMessage = 4 << 10

// Report is one line of an agent's report.
type Report struct {
	Stack      stack.ID
	Object     stack.ObjectID
	Sequence   stack.Sequence
	Phase      Phase
	Health     Health
	Message    string
	Summary    string // JSON of a published agent's health summary; empty keeps what is stored while object and health stay the same
	ObservedAt time.Time
}

// Removal acknowledges a tombstone: the agent has removed Stack as told in Revision. Message says why something may be left of it.
type Removal struct {
	Stack    stack.ID
	Revision Revision
	Message  string
}

// YieldsTo reports whether r replaces s as the status of an assignment whose object is assigned. A report about the assigned object
// always does, also when a rollback has made an older one the assigned one; any other only while the agent has not yet
// spoken of the assigned one, and if it is not older than what was said last.
func (s Status) YieldsTo(r Report, assigned stack.ObjectID) bool {
	return r.Object == assigned || (s.Object != assigned && r.Sequence >= s.Sequence)
}
