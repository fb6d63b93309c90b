// Package diagnostic holds the question "what is wrong there?": an admin asks it about one deployment object in one cluster, the
// agent of that cluster claims it, looks, and answers. Questions and answers are short-lived.
package diagnostic

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// ID identifies a request.
type ID string

// ResultID identifies an answer.
type ResultID string

// Status says how far a request is.
type Status string

// The statuses, spelled as in the v1 contract. Expired is never stored: it is what an unanswered request is once its time is over.
const (
	Pending   Status = "pending"
	Claimed   Status = "claimed"
	Completed Status = "completed"
	Expired   Status = "expired"
)

// Statuses returns every status.
func Statuses() []Status { return []Status{Pending, Claimed, Completed, Expired} }

// How long things last.
const (
	DefaultRetention = time.Hour
	MaxRetention     = 7 * 24 * time.Hour
	// ClaimFor is how long an agent has to answer. A claim that is older may be made anew: the process that made it is gone.
	ClaimFor = 2 * time.Minute
	// Remembered is how long an unanswered request is shown as expired.
	Remembered = time.Hour
)

// Longest texts, in bytes.
const (
	MaxRequestedBy = 256
	MaxPart        = 2 << 20 // of each part of an answer
)

// Request is one question. The agent need not have the object: its answer then is empty.
type Request struct {
	ID          ID
	Agent       agent.ID
	Object      stack.ObjectID
	Stack       stack.ID // of Object
	Status      Status
	RequestedBy *string // as the asker says; for people
	CreatedAt   time.Time
	ClaimedAt   *time.Time
	CompletedAt *time.Time
	ExpiresAt   time.Time
}

// Result is the answer: JSON texts as in the v1 contract, without values of Secrets.
type Result struct {
	ID          ResultID
	Request     ID
	PodStatuses string
	Events      string
	LogTails    *string
	CollectedAt time.Time // the agent's clock
	CreatedAt   time.Time
}

// CheckRetention returns how long a request and its answer are kept, for so many minutes as somebody says (nil: nothing was said), or
// Invalid.
func CheckRetention(minutes *int64) (time.Duration, error) {
	if minutes == nil {
		return DefaultRetention, nil
	}
	if most := int64(MaxRetention / time.Minute); *minutes < 1 || *minutes > most {
		return 0, fault.Newf(fault.Invalid, "invalid_diagnostic_request", "retention_minutes is %d, not between 1 and %d", *minutes, most)
	}
	return time.Duration(*minutes) * time.Minute, nil
}

// At returns the request as it is at now: an unanswered one whose time is over has expired.
func (r Request) At(now time.Time) Request {
	if r.Status != Completed && !now.Before(r.ExpiresAt) {
		r.Status = Expired
	}
	return r
}

// Forgotten reports whether the request is to be treated as deleted, whether or not it is deleted yet: an answered one when its
// time is over, an unanswered one an hour later.
func (r Request) Forgotten(now time.Time) bool {
	end := r.ExpiresAt
	if r.Status != Completed {
		end = end.Add(Remembered)
	}
	return !now.Before(end)
}

// Open reports whether the request may be claimed.
func (r Request) Open(now time.Time) bool {
	switch r.At(now).Status {
	case Pending:
		return true
	case Claimed:
		return r.ClaimedAt != nil && !now.Before(r.ClaimedAt.Add(ClaimFor))
	case Completed, Expired:
	}
	return false
}

// Claim returns the request as its agent's, or Conflict.
func (r Request) Claim(now time.Time) (Request, error) {
	if !r.Open(now) {
		return r, fault.Newf(fault.Conflict, "diagnostic_already_claimed", "diagnostic request %s is %s, it cannot be claimed", r.ID, r.At(now).Status)
	}
	r.Status, r.ClaimedAt = Claimed, &now
	return r, nil
}

// Complete returns the request as answered, or Conflict if it is not claimed. A late answer to a claim that nobody has made anew
// still counts.
func (r Request) Complete(now time.Time) (Request, error) {
	if s := r.At(now).Status; s != Claimed {
		return r, fault.Newf(fault.Conflict, "diagnostic_not_claimed", "diagnostic request %s is %s, not claimed", r.ID, s)
	}
	r.Status, r.CompletedAt = Completed, &now
	return r, nil
}
