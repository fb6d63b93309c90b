package problem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
)

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.Internal: 500, fault.Invalid: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404,
		fault.Conflict: 409, fault.Refused: 422, fault.Limited: 429, fault.Unavailable: 503,
	}
	for _, k := range fault.Kinds() {
		if got := problem.Status(fmt.Errorf("do a thing: %w", fault.New(k, "c", "m"))); got != want[k] {
			t.Errorf("%s is %d, want %d", k, got, want[k])
		}
	}
	if got := problem.Status(errors.New("nobody classified this")); got != 500 {
		t.Errorf("an unclassified error is %d, want 500", got)
	}
	if got := problem.Status(fault.New(fault.Invalid, "unsupported_media_type", "")); got != 415 {
		t.Errorf("a wrong media type is %d, want 415", got)
	}
	if got := problem.Status(&http.MaxBytesError{Limit: 1}); got != 413 {
		t.Errorf("a body that is too large is %d, want 413", got)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	limited := fault.New(fault.Limited, "slow_down", "slow down")
	limited.RetryAfter = 1500 * time.Millisecond
	cases := map[string]struct {
		err    error
		status int
		body   string // exact
		retry  string
		logged string // part of the log; empty: nothing is logged
	}{
		"shown with details": {err: fmt.Errorf("insert: %w", fault.New(fault.Conflict, "unique_violation", "exists").With("constraint", "x")),
			status: 409, body: `{"code":"unique_violation","message":"exists","details":{"constraint":"x"}}`},
		"401 has no body":          {err: fault.New(fault.Unauthenticated, "unauthorized", "no"), status: 401},
		"internal hides its words": {err: fault.New(fault.Internal, "internal_error", "table x").Because(errors.New("secret dsn")), status: 500, body: `{"code":"internal_error","message":"internal error; the log has the cause under this request id"}`, logged: "secret dsn"},
		"a cause is not shown":     {err: fault.New(fault.NotFound, "gone", "not there").Because(errors.New("row 7")), status: 404, body: `{"code":"gone","message":"not there"}`},
		"retry after rounds up":    {err: limited, status: 429, body: `{"code":"slow_down","message":"slow down"}`, retry: "2"},
		"unavailable says when":    {err: fault.New(fault.Unavailable, "unavailable", "away"), status: 503, body: `{"code":"unavailable","message":"away"}`, retry: "1", logged: "away"},
		"a deadline is ours":       {err: fmt.Errorf("query: %w", context.DeadlineExceeded), status: 503, body: `{"code":"timeout","message":"the request took too long; try again"}`, retry: "1", logged: "deadline"},
		"too large":                {err: fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 1}), status: 413, body: `{"code":"body_too_large","message":"the request body is larger than this server accepts"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			rec := httptest.NewRecorder()
			problem.Writer{Log: slog.New(slog.NewTextHandler(&log, nil))}.Write(t.Context(), rec, tc.err)
			if rec.Code != tc.status || strings.TrimSpace(rec.Body.String()) != tc.body {
				t.Errorf("got %d %s\nwant %d %s", rec.Code, rec.Body, tc.status, tc.body)
			}
			if got := rec.Header().Get("Retry-After"); got != tc.retry {
				t.Errorf("Retry-After %q, want %q", got, tc.retry)
			}
			if (tc.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), tc.logged) {
				t.Errorf("log %q, want it to say %q", log.String(), tc.logged)
			}
		})
	}
}

func TestClientThatWentAwayIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log bytes.Buffer
	rec := httptest.NewRecorder()
	problem.Writer{Log: slog.New(slog.NewTextHandler(&log, nil))}.Write(ctx, rec, fmt.Errorf("query: %w", context.Canceled))
	if rec.Code != problem.StatusClientClosed || log.Len() != 0 {
		t.Errorf("status %d, log %q; want %d and nothing logged", rec.Code, log.String(), problem.StatusClientClosed)
	}
}
