// Package webhook holds the rules of telling others what happens: subscriptions, which events they match, the
// states of a delivery, when it is tried again, and how it is signed.
package webhook

import (
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Ids are UUID texts.
type (
	ID         string // of a subscription
	DeliveryID string
)

// Test is the type of the event that tries out a subscription. It cannot be subscribed to.
const Test event.Type = "webhook.test"

// EventTypes returns what may be subscribed to, in the order in which it is shown. Everything else that happens
// inside of the control plane stays there, whatever a subscription says.
func EventTypes() []event.Type {
	return []event.Type{
		"agent.registered", "agent.deregistered",
		"stack.created", "stack.deleted", "stack.restored",
		"deployment.created", "deployment.applied", "deployment.failed", "deployment.deleted",
		"workorder.created", "workorder.claimed", "workorder.completed", "workorder.failed",
	}
}

// Bounds of a subscription, and what is used where it says nothing.
const (
	MaxRetries     = 100
	DefaultRetries = 5
	MaxTimeout     = 300 * time.Second
	DefaultTimeout = 30 * time.Second
	maxPatterns    = 64
	maxLabels      = 64
	maxURL         = 4096 // bytes
	maxAuth        = 8192 // bytes
	minSecret      = 16   // bytes
	maxSecret      = 256  // bytes
)

// Subscription says which events are told, and how. Where to is its Target, which is a secret and apart.
type Subscription struct {
	ID            ID
	Name          string
	HasAuthHeader bool
	EventTypes    []string // exact types, "deployment.*", or "*"
	Filters       *Filters // nil: none
	TargetLabels  []string // nil: the control plane delivers; else an agent that has all of these labels
	Enabled       bool
	MaxRetries    int // after the first attempt
	Timeout       time.Duration
	CreatedAt     time.Time
	UpdatedAt     time.Time
	CreatedBy     *string
}

// Filters narrow what a subscription matches: every field that is set must be what the event says. An event that does
// not say does not match.
type Filters struct {
	Agent agent.ID
	Stack stack.ID
}

// Target is where deliveries go and what proves who sends them. All of it is secret: a URL may hold a token.
type Target struct {
	URL        string
	AuthHeader string // value of the header Authorization; empty: none is sent
	Secret     string // key of the signature
}

// String keeps secrets out of logs.
func (Target) String() string { return "***" }

// GoString keeps secrets out of logs.
func (Target) GoString() string { return "***" }

func invalid(format string, args ...any) error {
	return fault.Newf(fault.Invalid, "invalid_webhook", format, args...)
}

func outOfRange(field string, format string, args ...any) error {
	return fault.Newf(fault.Refused, "invalid_webhook", format, args...).With("field", field)
}

// Check refuses a subscription that cannot work: Invalid, or Refused for numbers out of their range.
func (s Subscription) Check() error {
	if err := tenancy.CheckName("invalid_webhook", "the webhook's name", s.Name); err != nil {
		return err
	}
	if len(s.EventTypes) == 0 {
		return invalid("event_types is empty; see GET /webhooks/event-types, or use \"*\"")
	}
	if len(s.EventTypes) > maxPatterns {
		return invalid("event_types has more than %d entries", maxPatterns)
	}
	for _, p := range s.EventTypes {
		if !slices.ContainsFunc(EventTypes(), func(t event.Type) bool { return matches(p, t) }) {
			return invalid("event type %q is not known; see GET /webhooks/event-types", p)
		}
	}
	if len(s.TargetLabels) > maxLabels {
		return invalid("target_labels has more than %d entries", maxLabels)
	}
	for _, l := range s.TargetLabels {
		if err := agent.CheckLabel(l); err != nil {
			return invalid("target_labels has %q, which no agent can have as a label", l)
		}
	}
	if s.MaxRetries < 0 || s.MaxRetries > MaxRetries {
		return outOfRange("max_retries", "max_retries is %d, not between 0 and %d", s.MaxRetries, MaxRetries)
	}
	if s.Timeout < time.Second || s.Timeout > MaxTimeout {
		return outOfRange("timeout_seconds", "timeout_seconds is %d, not between 1 and %d", int64(s.Timeout/time.Second), int64(MaxTimeout/time.Second))
	}
	return nil
}

// Check refuses a target that cannot be reached or proves nothing (Invalid). That its URL can be parsed is for whoever
// has a parser.
func (t Target) Check() error {
	switch {
	case strings.TrimSpace(t.URL) == "":
		return fault.New(fault.Invalid, "url_required", "url is empty")
	case len(t.URL) > maxURL:
		return invalid("url is longer than %d bytes", maxURL)
	case !hasScheme(t.URL):
		return fault.New(fault.Invalid, "invalid_url_scheme", "url must begin with http:// or https://")
	case len(t.AuthHeader) > maxAuth:
		return invalid("auth_header is longer than %d bytes", maxAuth)
	case strings.ContainsFunc(t.AuthHeader, isControl):
		return invalid("auth_header contains control characters")
	case len(t.Secret) < minSecret || len(t.Secret) > maxSecret || strings.ContainsFunc(t.Secret, isControl):
		return invalid("signing_secret must have %d to %d printable bytes; leave it out to have one made", minSecret, maxSecret)
	}
	return nil
}

func hasScheme(url string) bool {
	scheme, _, ok := strings.Cut(url, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// matches reports whether a pattern names the type: itself, a family ("deployment.*"), or all ("*").
func matches(pattern string, t event.Type) bool {
	if family, ok := strings.CutSuffix(pattern, "*"); ok {
		return family == "" || (strings.HasSuffix(family, ".") && strings.HasPrefix(string(t), family))
	}
	return pattern == string(t)
}

// Matches reports whether s is to be told of e: it is enabled, was there when e happened, and type and filters fit.
func (s Subscription) Matches(e event.Event) bool {
	if !s.Enabled || e.At.Before(s.CreatedAt) || !slices.Contains(EventTypes(), e.Type) {
		return false
	}
	if !slices.ContainsFunc(s.EventTypes, func(p string) bool { return matches(p, e.Type) }) {
		return false
	}
	if s.Filters == nil {
		return true
	}
	return (s.Filters.Agent == "" || says(e, "agent_id", string(s.Filters.Agent))) &&
		(s.Filters.Stack == "" || says(e, "stack_id", string(s.Filters.Stack)))
}

// says reports whether the data of e, which is what the receiver sees, have this value.
func says(e event.Event, key, want string) bool {
	got, ok := e.Data[key].(string)
	return ok && got == want
}
