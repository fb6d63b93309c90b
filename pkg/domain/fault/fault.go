// Package fault is the one error vocabulary of Brokkr. An adapter translates what a driver says into a
// Kind once, the transport translates a Kind into a status once, and everything between only wraps.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Kind says what a caller can do about an error. The zero value is Internal, so that what nobody
// classified is never shown.
type Kind uint8

// The kinds, from the caller's point of view.
const (
	Internal        Kind = iota // ours to mend; nothing about it is shown
	Invalid                     // the request is wrong and stays wrong
	Unauthenticated             // no valid credential
	Forbidden                   // a valid credential without the right
	NotFound                    // not there, or not yours
	Conflict                    // stale version or duplicate: read again, then retry
	Refused                     // the state machine says no: wait for an event
	Limited                     // too many: retry after RetryAfter
	Unavailable                 // a dependency is away: retry with backoff
)

var names = [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "refused", "limited", "unavailable"} //nolint:gochecknoglobals // constant table

// String returns the kind's stable lower-case name.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Internal]
}

// Kinds returns every kind, for tests and tables.
func Kinds() []Kind {
	return []Kind{Internal, Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Refused, Limited, Unavailable}
}

// Error is a classified failure. Code is part of the public API (stable, snake_case); Message is safe to
// show; Cause never leaves the process. An Error is immutable once it has been returned.
type Error struct {
	Kind       Kind
	Code       string
	Message    string
	Details    map[string]any
	RetryAfter time.Duration // for Limited, Unavailable, and a Conflict with what is soon over; zero means unknown
	Cause      error
}

// New returns an error of kind k with a stable code and a message that may be shown.
func New(k Kind, code, message string) *Error { return &Error{Kind: k, Code: code, Message: message} }

// Newf is New with a formatted message.
func Newf(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error; it includes the cause, unless the message has told it already, so it is for logs, never for answers.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	if cause := e.Cause.Error(); !strings.Contains(e.Message, cause) {
		return e.Message + ": " + cause
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Because returns a copy of e that wraps cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// With returns a copy of e with one more detail.
func (e *Error) With(key string, value any) *Error {
	c := *e
	c.Details = maps.Clone(e.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// As returns the outermost Error in err's chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// KindOf returns the kind of err; Internal for what is not classified.
func KindOf(err error) Kind {
	if e, ok := As(err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of kind k. A nil error is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// CodeOf returns the stable code of err, "internal_error" for what is not classified.
func CodeOf(err error) string {
	if e, ok := As(err); ok && e.Code != "" {
		return e.Code
	}
	return "internal_error"
}
