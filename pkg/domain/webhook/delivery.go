package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Status is where a delivery stands.
type Status string

// The states. Pending and Failed wait until they are due, Acquired is being tried (until its time is over, then it is
// due again), Success and Dead are final unless somebody asks for a redelivery.
const (
	Pending  Status = "pending"
	Acquired Status = "acquired"
	Success  Status = "success"
	Failed   Status = "failed"
	Dead     Status = "dead"
)

// Statuses returns every status.
func Statuses() []Status { return []Status{Pending, Acquired, Success, Failed, Dead} }

// ParseStatus returns the status with this name (Invalid if there is none).
func ParseStatus(s string) (Status, error) {
	if !slices.Contains(Statuses(), Status(s)) {
		return "", fault.Newf(fault.Invalid, "invalid_query", "status %q is not one of pending, acquired, success, failed, dead", s)
	}
	return Status(s), nil
}

// Final reports whether nothing more happens by itself.
func (s Status) Final() bool { return s == Success || s == Dead }

// Delivery is one event for one subscription. There is one for each pair, however often it is tried.
type Delivery struct {
	ID            DeliveryID
	Subscription  ID
	EventType     event.Type
	EventID       string
	Payload       string // JSON, the body of the request
	TargetLabels  []string
	Status        Status
	AcquiredBy    *agent.ID // nil: the control plane
	AcquiredUntil *time.Time
	Attempts      int // that were begun
	LastAttemptAt *time.Time
	NextRetryAt   *time.Time
	LastError     *string
	CreatedAt     time.Time
	CompletedAt   *time.Time
	Ordinal       int64 // given by the store: order of insertion
}

// Call is a delivery that was claimed, with everything that it takes to make it.
type Call struct {
	Delivery
	Target     Target
	Timeout    time.Duration
	MaxRetries int
}

// payload is what receivers read.
type payload struct {
	ID        string         `json:"id"`
	Type      event.Type     `json:"event_type"`
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// Request is one attempt as it goes over the network.
type Request struct {
	URL        string
	AuthHeader string // empty: none
	EventType  event.Type
	DeliveryID DeliveryID
	Signature  string // empty: none
	Body       string
	Timeout    time.Duration
}

// Request returns the request of the attempt that begins at.
func (c Call) Request(at time.Time) Request {
	return Request{
		URL: c.Target.URL, AuthHeader: c.Target.AuthHeader, EventType: c.EventType, DeliveryID: c.ID,
		Signature: Sign(c.Target.Secret, at, c.Payload), Body: c.Payload, Timeout: c.Timeout,
	}
}

// Body returns the request body that tells of e. It is the same for every subscription and attempt.
func Body(e event.Event) (string, error) {
	data := e.Data
	if data == nil {
		data = map[string]any{}
	}
	b, err := json.Marshal(payload{ID: e.ID, Type: e.Type, Timestamp: e.At.UTC(), Data: data})
	if err != nil {
		return "", fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return string(b), nil
}

// Headers of a delivery besides Content-Type and Authorization.
const (
	HeaderEventType  = "X-Brokkr-Event-Type"
	HeaderDeliveryID = "X-Brokkr-Delivery-Id"
	HeaderSignature  = "X-Brokkr-Signature"
)

// Sign returns the value of HeaderSignature: the time of the attempt (Unix seconds) and the HMAC-SHA256, with the secret's
// text as the key, of that time, a dot and the body. The time lets a receiver refuse what was recorded long ago.
func Sign(secret string, at time.Time, body string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "." + body))
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Class says in one word how an attempt ended, for metrics.
type Class string

// The classes.
const (
	Delivered   Class = "delivered"
	WrongAnswer Class = "answer"      // any status but 2xx; redirects are not followed
	Forbidden   Class = "forbidden"   // the address is one that must not be called
	Unreachable Class = "unreachable" // no name, no connection, no TLS, or broken off
	TimedOut    Class = "timeout"
	Unsendable  Class = "unsendable" // there is no such request
)

// Classes returns every class.
func Classes() []Class {
	return []Class{Delivered, WrongAnswer, Forbidden, Unreachable, TimedOut, Unsendable}
}

// Outcome is how an attempt ended.
type Outcome struct {
	Class      Class
	Success    bool
	StatusCode int    // of the answer; 0 without one
	Error      string // in words without address or secret; empty on success
	Took       time.Duration
}

// Settlement is what becomes of a claimed delivery. It holds only for the attempt for which it was made.
type Settlement struct {
	ID      DeliveryID
	Attempt int
	Status  Status // Success, Failed or Dead
	At      time.Time
	RetryAt *time.Time // set with Failed
	Error   *string
}

const maxError = 1024 // bytes

// Settle returns what becomes of a delivery after its attempts-th attempt ended: it succeeded, is tried again after
// Backoff, or is dead when all retries are used up. Jitter is at least 0 and less than 1.
func Settle(id DeliveryID, attempts, maxRetries int, o Outcome, at time.Time, jitter float64) Settlement {
	s := Settlement{ID: id, Attempt: attempts, Status: Success, At: at}
	if o.Success {
		return s
	}
	text := o.Error
	if text == "" {
		text = "the attempt failed"
		if o.StatusCode != 0 {
			text = fmt.Sprintf("the receiver answered %d", o.StatusCode)
		}
	}
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "")
	}
	s.Error = &text
	if attempts > maxRetries {
		s.Status = Dead
		return s
	}
	retry := at.Add(Backoff(attempts, jitter))
	s.Status, s.RetryAt = Failed, &retry
	return s
}

const (
	firstBackoff = 2 * time.Second
	maxBackoff   = time.Hour
)

// Backoff returns how long to wait after the attempts-th attempt failed: 2 s, 8 s, 32 s, about 2 and 9 and 34 minutes, then an
// hour each, spread by a quarter to both sides so that a receiver that comes back does not meet everything at once.
func Backoff(attempts int, jitter float64) time.Duration {
	d := firstBackoff
	for range attempts - 1 {
		if d *= 4; d >= maxBackoff {
			d = maxBackoff
			break
		}
	}
	return time.Duration(float64(d) * (0.75 + jitter/2))
}
