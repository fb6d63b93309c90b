// Package workorder holds work that an admin orders and one of the targeted agents does: who may claim it, for how long a
// claim holds, when a failed one is tried again, and what is kept of it in the end.
package workorder

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// ID identifies a work order, and what the log keeps of it.
type ID string

// Status of an order that is not finished. What is finished is in the log.
type Status string

// The statuses, spelled as in the v1 contract.
const (
	Pending      Status = "PENDING"       // any targeted agent may claim it
	Claimed      Status = "CLAIMED"       // one agent is at it
	RetryPending Status = "RETRY_PENDING" // an attempt failed; it waits for the next one
)

// Statuses returns all of them.
func Statuses() []Status { return []Status{Pending, Claimed, RetryPending} }

// ParseStatus accepts exactly the contract's spelling; anything else is Invalid.
func ParseStatus(s string) (Status, error) {
	switch st := Status(s); st {
	case Pending, Claimed, RetryPending:
		return st, nil
	default:
		return "", invalid("status %q is not PENDING, CLAIMED or RETRY_PENDING", s)
	}
}

// Order is a work order that is not finished.
type Order struct {
	ID           ID
	Type         string // what the agent does with it: custom, build, or what another agent knows
	Checksum     stack.Checksum
	Size         int64 // of the manifests, in bytes
	Status       Status
	ClaimTimeout time.Duration // whole seconds from the claim, however often it is renewed
	MaxRetries   int
	Backoff      time.Duration // whole seconds before the first retry; each further wait is twice the one before
	Retries      int           // that were scheduled so far
	Targeting    Targeting

	Claim          *Claim     // exactly while Claimed
	NextRetryAfter *time.Time // exactly while RetryPending
	LastError      *string
	LastErrorAt    *time.Time

	AvailableAt time.Time // when it last became Pending
	Traceparent string
	Version     int64 // grows with each change; used for compare-and-set
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Claim is one agent's right to do the work, until EndsAt.
type Claim struct {
	Agent  agent.ID
	At     time.Time
	EndsAt time.Time // from then on it is stale
}

// Targeting says whom an order is for: every agent that is named, or carries one of the labels or annotations.
type Targeting struct {
	Agents      []agent.ID
	Labels      []string
	Annotations map[string]string
}

// Empty reports whether it is for nobody.
func (t Targeting) Empty() bool { return len(t.Agents)+len(t.Labels)+len(t.Annotations) == 0 }

// Matches reports whether the agent with these labels and annotations is among those it is for.
func (t Targeting) Matches(a agent.ID, labels map[string]bool, annotations map[string]string) bool {
	for _, id := range t.Agents {
		if id == a {
			return true
		}
	}
	for _, l := range t.Labels {
		if labels[l] {
			return true
		}
	}
	for k, v := range t.Annotations {
		if got, ok := annotations[k]; ok && got == v {
			return true
		}
	}
	return false
}

// Entry is what the log keeps of a finished order.
type Entry struct {
	ID          ID
	Type        string
	Checksum    stack.Checksum
	Size        int64
	Success     bool
	Message     *string // the result, or why it failed
	Retries     int
	ClaimedBy   agent.ID // empty if nobody had it
	ClaimedAt   *time.Time
	CreatedAt   time.Time
	CompletedAt time.Time
}

func invalid(format string, args ...any) error {
	return fault.Newf(fault.Invalid, "invalid_work_order", format, args...)
}
