package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// APIError is a refusal that the broker answered with.
type APIError struct {
	Method     string
	URL        string
	Status     int
	Code       string // stable, snake_case; empty when the answer had none (a 401, or something between us and the broker)
	Message    string
	Details    map[string]any
	RequestID  string
	Location   string        // of a redirect
	RetryAfter time.Duration // zero: the broker named none
}

// Error says what the broker said, then status, code and request id, and no secret.
func (e *APIError) Error() string {
	what := e.Message
	switch {
	case what != "":
	case e.Status == http.StatusUnauthorized:
		what = "the broker does not accept the key"
	default:
		what = "the broker answered " + http.StatusText(e.Status)
	}
	parts := strconv.Itoa(e.Status)
	if e.Code != "" {
		parts += " " + e.Code
	}
	if e.RequestID != "" {
		parts += ", request id " + e.RequestID
	}
	return what + " (" + parts + ")"
}

// Where returns the request that was refused.
func (e *APIError) Where() string { return e.Method + " " + e.URL }

// UnreachableError means that no answer came: nobody listens, a name does not resolve, a connection broke, or the
// request took longer than its timeout.
type UnreachableError struct {
	Method  string
	Base    string // the broker's URL
	Timeout time.Duration
	Cause   error
}

// Error names the broker's URL and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach the broker at %s: %v", e.Base, e.Cause)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Cause }

// BadAnswerError means that a success carried something else than the API promises.
type BadAnswerError struct {
	Method, URL, ContentType string
	Cause                    error
}

// Error says what was expected of whom.
func (e *BadAnswerError) Error() string {
	return fmt.Sprintf("%s %s: the answer (%s) is not what a Brokkr broker sends: %v", e.Method, e.URL, e.ContentType, e.Cause)
}

// Unwrap returns the cause.
func (e *BadAnswerError) Unwrap() error { return e.Cause }

// IsStatus reports whether err is a refusal with this HTTP status.
func IsStatus(err error, status int) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == status
}

// IsCode reports whether err is a refusal with this code.
func IsCode(err error, code string) bool {
	var e *APIError
	return errors.As(err, &e) && e.Code == code
}

// IsTemporary reports whether the same request may succeed later without anyone changing anything.
func IsTemporary(err error) bool {
	_, again := retryAfter(err, 1)
	return again
}
