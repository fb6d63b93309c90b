// Package problem writes errors as HTTP answers. It holds the only switch from a fault.Kind to a status.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Body is the error body of the v1 contract.
type Body struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

// StatusClientClosed is logged (never seen by anybody) when the client went away first.
const StatusClientClosed = 499

const defaultRetryAfter = time.Second

// Status returns the HTTP status of err.
func Status(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		switch fault.CodeOf(err) {
		case "unsupported_media_type":
			return http.StatusUnsupportedMediaType
		case "body_too_slow":
			return http.StatusRequestTimeout
		}
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		if fault.CodeOf(err) == "precondition_failed" {
			return http.StatusPreconditionFailed
		}
		return http.StatusConflict
	case fault.Refused:
		return http.StatusUnprocessableEntity
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// Writer answers with errors and logs those that are ours, once.
type Writer struct{ Log *slog.Logger }

// Write answers r with err. A 401 has an empty body, as the contract says. What is Internal is logged with
// its cause and shown without.
func (p Writer) Write(ctx context.Context, w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		w.WriteHeader(StatusClientClosed)
		return
	}
	if errors.Is(err, context.DeadlineExceeded) && fault.KindOf(err) == fault.Internal {
		err = fault.New(fault.Unavailable, "timeout", "the request took too long; try again").Because(err)
	}
	status := Status(err)
	body := Body{Code: fault.CodeOf(err), Message: "internal error; the log has the cause under this request id"}
	if f, ok := fault.As(err); ok {
		if f.Kind != fault.Internal {
			body.Message, body.Details = f.Message, f.Details
		}
		after := f.RetryAfter
		if after > 0 || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			if after <= 0 {
				after = defaultRetryAfter
			}
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
		}
	}
	if status == http.StatusRequestEntityTooLarge {
		body.Code, body.Message = "body_too_large", "the request body is larger than this server accepts"
	}
	if status >= http.StatusInternalServerError {
		p.Log.ErrorContext(ctx, "request failed", "status", status, "code", body.Code, "error", err.Error())
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="brokkr"`)
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if encErr := json.NewEncoder(w).Encode(body); encErr != nil {
		p.Log.DebugContext(ctx, "write error answer", "error", encErr.Error())
	}
}
