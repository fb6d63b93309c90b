// Package observation holds what agents see of the life of a stack in their clusters: Kubernetes events of its objects, and
// lines of its pods' logs. It is kept for hours, for people who look; nothing is ever decided by it.
package observation

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Ceiling is the longest that observations are kept, by the public contract.
const Ceiling = 6 * time.Hour

// Longest texts, in bytes; what is longer is cut.
const (
	MaxLine    = 16 << 10
	MaxMessage = 4 << 10
	MaxName    = 512
)

// MaxItems is the largest number of events, lines and gaps in one parcel.
const MaxItems = 5000

// ID identifies a stored event or line.
type ID string

// Object is what a Kubernetes event is about.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // empty for what is in none
	Name       string
	UID        string
}

// Event is a Kubernetes event of an object of a stack.
type Event struct {
	ID         ID
	Agent      agent.ID
	Stack      stack.ID
	ObservedAt time.Time // in the cluster
	Reason     string
	Message    string
	Type       string // Normal or Warning
	Source     string // the component that reported it; may be empty
	Object     Object
	CreatedAt  time.Time // when the control plane took it
}

// Line is a line of a container's log.
type Line struct {
	ID        ID
	Agent     agent.ID
	Stack     stack.ID
	Namespace string
	Pod       string
	Container string
	At        time.Time // as the container runtime noted it
	Text      string
	CreatedAt time.Time
}

// GapReason says why lines are missing.
type GapReason string

// The reasons.
const (
	GapRateLimit    GapReason = "rate_limit"   // the container wrote more than is sent
	GapBufferFull   GapReason = "buffer_full"  // somebody on the way did not keep up
	GapDisconnected GapReason = "disconnected" // the way was interrupted
)

// GapReasons returns every reason.
func GapReasons() []GapReason { return []GapReason{GapRateLimit, GapBufferFull, GapDisconnected} }

// Valid reports whether r is one of the reasons.
func (r GapReason) Valid() bool {
	return r == GapRateLimit || r == GapBufferFull || r == GapDisconnected
}

// Gap says that lines or events are missing from a moment on.
type Gap struct {
	Agent     agent.ID
	Stack     stack.ID
	Since     time.Time
	Dropped   int64 // how many at least; 0 if nobody knows
	Reason    GapReason
	CreatedAt time.Time
}

// Parcel is what an agent sends at a time. Its process (Boot) numbers its parcels from 1 on, so that one that is sent
// again is known; a parcel without a Boot has no number and is never known again.
type Parcel struct {
	Agent  agent.ID
	Boot   string
	Seq    int64
	Events []Event
	Lines  []Line
	Gaps   []Gap
}

// Receipt says what became of a parcel.
type Receipt struct {
	Repeated bool // it was here before: nothing was stored
	// Admitted are the stacks of the parcel that are assigned to its agent; everything of others was dropped.
	Admitted map[stack.ID]bool
}

// Len is the number of things in the parcel.
func (p Parcel) Len() int { return len(p.Events) + len(p.Lines) + len(p.Gaps) }

// Check refuses a parcel that cannot be an agent's (Invalid), makes everything in it its agent's own, and cuts what is too
// long. Times that are later than now, or missing, become now.
func (p *Parcel) Check(now time.Time) error {
	bad := func(format string, args ...any) error {
		return fault.Newf(fault.Invalid, "invalid_telemetry", format, args...)
	}
	switch {
	case p.Boot == "" && p.Seq != 0:
		return bad("seq without boot_id")
	case p.Boot != "" && !id.Valid(p.Boot):
		return bad("boot_id %q is not a UUID", p.Boot)
	case p.Boot != "" && p.Seq < 1:
		return bad("seq must be 1 or more, not %d", p.Seq)
	case p.Len() > MaxItems:
		return bad("%d events, lines and gaps are more than %d in one request", p.Len(), MaxItems)
	}
	for i := range p.Events {
		e := &p.Events[i]
		if !id.Valid(string(e.Stack)) {
			return bad("stack_id %q of an event is not a UUID", e.Stack)
		}
		e.Agent, e.ObservedAt, e.Message = p.Agent, past(e.ObservedAt, now), Cut(e.Message, MaxMessage)
		for _, s := range []*string{&e.Reason, &e.Type, &e.Source, &e.Object.APIVersion, &e.Object.Kind, &e.Object.Namespace, &e.Object.Name, &e.Object.UID} {
			*s = Cut(*s, MaxName)
		}
	}
	for i := range p.Lines {
		l := &p.Lines[i]
		if !id.Valid(string(l.Stack)) {
			return bad("stack_id %q of a log line is not a UUID", l.Stack)
		}
		l.Agent, l.At, l.Text = p.Agent, past(l.At, now), Cut(l.Text, MaxLine)
		for _, s := range []*string{&l.Namespace, &l.Pod, &l.Container} {
			*s = Cut(*s, MaxName)
		}
	}
	for i := range p.Gaps {
		g := &p.Gaps[i]
		switch {
		case !id.Valid(string(g.Stack)):
			return bad("stack_id %q of a gap is not a UUID", g.Stack)
		case !g.Reason.Valid():
			return bad("%q is no reason of a gap: rate_limit, buffer_full or disconnected", g.Reason)
		case g.Dropped < 0:
			return bad("a gap of %d lines", g.Dropped)
		}
		g.Agent, g.Since = p.Agent, past(g.Since, now)
	}
	return nil
}

func past(t, now time.Time) time.Time {
	if t.After(now) || t.Before(time.Unix(0, 0)) {
		return now
	}
	return t
}

// Cut shortens s to at most n bytes, not within a character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// Window bounds what is read of a stack's observations.
type Window struct {
	Kept  time.Time // nothing that was taken before is shown: it is about to go
	Since time.Time // nothing that was taken before is wanted
	Limit int       // the newest of them, at most so many
}

// Events is what is kept of a stack's events.
type Events struct {
	Oldest *time.Time // when the oldest that is kept was taken; nil if none is
	List   []Event    // in order of time
}

// Logs is what is kept of the logs of a stack's pods.
type Logs struct {
	Oldest *time.Time
	Lines  []Line // in order of time
	Gaps   []Gap  // in order of time
}
