package workorder

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// The types of work that Brokkr's own agent knows.
const (
	TypeCustom = "custom" // apply the manifests and wait until they have done their work
	TypeBuild  = "build"  // run a Shipwright build
)

// What holds where an order says nothing, and what it may say. Seconds are those of the v1 contract.
const (
	DefaultMaxRetries   = 3
	DefaultBackoff      = time.Minute
	DefaultClaimTimeout = time.Hour

	MaxRetriesLimit   = 100
	BackoffLimit      = 24 * time.Hour
	ClaimTimeoutLimit = 7 * 24 * time.Hour

	// LongestWait bounds the growing wait before a retry.
	LongestWait = 24 * time.Hour

	// DefaultLease is how long a renewed claim holds without another renewal, MinLease and MaxLease what may be asked for.
	DefaultLease = time.Minute
	MinLease     = 10 * time.Second
	MaxLease     = 10 * time.Minute

	maxType    = 64
	maxTargets = 1000 // of each kind
	maxText    = 256  // bytes of a label, key or value
	// MaxMessage bounds what is kept of a result or an error, in bytes.
	MaxMessage = 64 << 10
)

// Spec is what somebody who orders work says. What is nil is as by default.
type Spec struct {
	Type         string
	MaxRetries   *int32
	Backoff      *int32 // seconds
	ClaimTimeout *int32 // seconds
	Targeting    Targeting
}

// New returns the order that spec asks for; Invalid if a value is out of its range, with the code no_targeting_specified if it
// is for nobody.
func New(id ID, s Spec, sum stack.Checksum, size int64, now time.Time) (Order, error) {
	if err := checkText("work_type", s.Type, maxType); err != nil {
		return Order{}, err
	}
	retries, err := within("max_retries", s.MaxRetries, DefaultMaxRetries, 0, MaxRetriesLimit)
	if err != nil {
		return Order{}, err
	}
	backoff, err := within("backoff_seconds", s.Backoff, int32(DefaultBackoff/time.Second), 1, int32(BackoffLimit/time.Second))
	if err != nil {
		return Order{}, err
	}
	timeout, err := within("claim_timeout_seconds", s.ClaimTimeout, int32(DefaultClaimTimeout/time.Second), 1, int32(ClaimTimeoutLimit/time.Second))
	if err != nil {
		return Order{}, err
	}
	if err := s.Targeting.check(); err != nil {
		return Order{}, err
	}
	return Order{
		ID: id, Type: s.Type, Checksum: sum, Size: size, Status: Pending, ClaimTimeout: time.Duration(timeout) * time.Second,
		MaxRetries: int(retries), Backoff: time.Duration(backoff) * time.Second, Targeting: s.Targeting,
		AvailableAt: now, Version: 1, CreatedAt: now, UpdatedAt: now,
	}, nil
}

func within(name string, v *int32, otherwise, least, most int32) (int32, error) {
	if v == nil {
		return otherwise, nil
	}
	if *v < least || *v > most {
		return 0, invalid("%s is %d, not between %d and %d", name, *v, least, most)
	}
	return *v, nil
}

func (t Targeting) check() error {
	if t.Empty() {
		return fault.New(fault.Invalid, "no_targeting_specified",
			"the work order is for nobody: name agents, labels or annotations in targeting (or agents in target_agent_ids)")
	}
	if len(t.Agents) > maxTargets || len(t.Labels) > maxTargets || len(t.Annotations) > maxTargets {
		return invalid("targeting names more than %d agents, labels or annotations", maxTargets)
	}
	for _, l := range t.Labels {
		if err := checkText("a label of targeting", l, maxText); err != nil {
			return err
		}
	}
	for k, v := range t.Annotations {
		if err := checkText("an annotation's key in targeting", k, maxText); err != nil {
			return err
		}
		if len(v) > maxText || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return invalid("the value of annotation %s in targeting is longer than %d bytes, or no text", k, maxText)
		}
	}
	return nil
}

func checkText(what, s string, most int) error {
	if s == "" || len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return invalid("%s must have 1 to %d bytes of printable text", what, most)
	}
	return nil
}

// NotClaimable is what everybody is told who cannot claim an order, whether it is taken, not for them or not there.
func NotClaimable(id ID) error {
	return fault.Newf(fault.NotFound, "work_order_not_claimable", "work order %s cannot be claimed: it is taken, waits for a retry, is for other agents, or is not there", id)
}

func notYours(id ID) error {
	return fault.Newf(fault.Forbidden, "work_order_not_claimed_by_agent", "work order %s is not claimed by this agent", id)
}

// ClaimFor returns o as claimed by a. It must be Pending, and whether a is targeted has been checked. The timeout runs from now.
func (o Order) ClaimFor(a agent.ID, now time.Time) (Order, error) {
	if o.Status != Pending {
		return o, NotClaimable(o.ID)
	}
	o.Status, o.Claim, o.UpdatedAt = Claimed, &Claim{Agent: a, At: now, EndsAt: now.Add(o.ClaimTimeout)}, now
	return o, nil
}

// HeldBy reports whether a is the agent that has claimed o. Nobody is not an agent: an unclaimed order is held by none.
func (o Order) HeldBy(a agent.ID) bool {
	return a != "" && o.Status == Claimed && o.Claim != nil && o.Claim.Agent == a
}

// Renew returns o with a claim that ends after lease unless it is renewed again, and never later than the timeout from
// the claim. Forbidden if a does not hold it (any more).
func (o Order) Renew(a agent.ID, lease time.Duration, now time.Time) (Order, error) {
	if lease < MinLease || lease > MaxLease {
		return o, invalid("lease_seconds is %d, not between %d and %d", int(lease/time.Second), int(MinLease/time.Second), int(MaxLease/time.Second))
	}
	deadline := now
	if o.Claim != nil {
		deadline = o.Claim.At.Add(o.ClaimTimeout)
	}
	if !o.HeldBy(a) || !now.Before(deadline) {
		return o, notYours(o.ID)
	}
	c := *o.Claim
	c.EndsAt = now.Add(lease)
	if c.EndsAt.After(deadline) {
		c.EndsAt = deadline
	}
	o.Claim, o.UpdatedAt = &c, now
	return o, nil
}

// Completer says who completes an order: the agent, or (Anybody) somebody who may do so for every order.
type Completer struct {
	Agent   agent.ID
	Anybody bool
}

// Result of an attempt.
type Result struct {
	Success   bool
	Message   *string
	Retryable bool
}

// Complete returns what becomes of o: an entry of the log, which replaces it, or o as it waits for its retry. Forbidden if
// an agent completes what it has not claimed; an unclaimed order is completed by no agent.
func (o Order) Complete(by Completer, r Result, now time.Time) (Order, *Entry, error) {
	if !by.Anybody && !o.HeldBy(by.Agent) {
		return o, nil, notYours(o.ID)
	}
	if r.Message != nil {
		m := shorten(*r.Message)
		r.Message = &m
	}
	if r.Success {
		return o, o.entry(true, r.Message, now), nil
	}
	next, entry := o.failed(r, now)
	return next, entry, nil
}

func (o Order) failed(r Result, now time.Time) (Order, *Entry) {
	if !r.Retryable || o.Retries >= o.MaxRetries {
		return o, o.entry(false, r.Message, now)
	}
	at := now.Add(o.wait())
	o.Retries++
	o.Status, o.Claim, o.NextRetryAfter, o.LastError, o.LastErrorAt, o.UpdatedAt = RetryPending, nil, &at, r.Message, &now, now
	return o, nil
}

// wait before the next retry: the backoff, doubled for each retry that there was.
func (o Order) wait() time.Duration {
	w := o.Backoff
	for range o.Retries {
		if w *= 2; w >= LongestWait {
			return LongestWait
		}
	}
	return w
}

func (o Order) entry(success bool, message *string, now time.Time) *Entry {
	e := &Entry{
		ID: o.ID, Type: o.Type, Checksum: o.Checksum, Size: o.Size, Success: success, Message: message, Retries: o.Retries,
		CreatedAt: o.CreatedAt, CompletedAt: now,
	}
	if o.Claim != nil {
		at := o.Claim.At
		e.ClaimedBy, e.ClaimedAt = o.Claim.Agent, &at
	}
	return e
}

// Advance returns what becomes of o by the mere passing of time: a claim that is over fails like any attempt, a retry that
// is due becomes Pending, and what no agent has claimed within unclaimed ends in the log. False if nothing is due.
func (o Order) Advance(now time.Time, unclaimed time.Duration) (Order, *Entry, bool) {
	switch {
	case o.Status == Claimed && o.Claim != nil && !now.Before(o.Claim.EndsAt):
		why := "its agent stopped renewing the claim"
		if !now.Before(o.Claim.At.Add(o.ClaimTimeout)) {
			why = "it was not completed within " + o.ClaimTimeout.String() + " of the claim"
		}
		m := "the claim of agent " + string(o.Claim.Agent) + " is over: " + why
		next, entry := o.failed(Result{Message: &m, Retryable: true}, now)
		return next, entry, true
	case o.Status == RetryPending && o.NextRetryAfter != nil && !now.Before(*o.NextRetryAfter):
		o.Status, o.NextRetryAfter, o.AvailableAt, o.UpdatedAt = Pending, nil, now, now
		return o, nil, true
	case o.Status == Pending && !now.Before(o.AvailableAt.Add(unclaimed)):
		m := "no agent claimed it within " + unclaimed.String() + ": are the targeted agents there, active and of a kind that takes work of type " + o.Type + "?"
		return o, o.entry(false, &m, now), true
	default:
		return o, nil, false
	}
}

func shorten(s string) string {
	if len(s) > MaxMessage {
		s = s[:MaxMessage] + " (shortened)"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
