package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// answers are the API server's ways to say no; what may come from the object is the word canary.
func answers() map[string]error {
	secrets, kind := schema.GroupResource{Resource: "secrets"}, schema.GroupKind{Kind: "Secret"}
	canary := errors.New("canary")
	terminating := apierrors.NewForbidden(secrets, "a", canary)
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Message: "canary"}}
	return map[string]error{
		"not found":   apierrors.NewNotFound(secrets, "a"),
		"gone":        &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonGone, Message: "canary"}},
		"expired":     apierrors.NewResourceExpired("canary"),
		"conflict":    apierrors.NewConflict(secrets, "a", canary),
		"exists":      apierrors.NewAlreadyExists(secrets, "a"),
		"invalid":     apierrors.NewInvalid(kind, "a", field.ErrorList{field.Invalid(field.NewPath("data").Key("k"), "canary", "no good")}),
		"bad request": apierrors.NewBadRequest("canary"),
		"no such way": apierrors.NewMethodNotSupported(secrets, "canary"),
		"too large":   apierrors.NewRequestEntityTooLargeError("canary"),
		"media type":  apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "PATCH", secrets, "a", "canary", 0, true),
		"who":         apierrors.NewUnauthorized("canary"),
		"forbidden":   apierrors.NewForbidden(secrets, "a", canary),
		"terminating": terminating,
		"too many":    apierrors.NewTooManyRequests("canary", 7),
		"timeout":     apierrors.NewTimeoutError("canary", 3),
		"slow":        apierrors.NewServerTimeout(secrets, "update", 2),
		"unavailable": apierrors.NewServiceUnavailable("canary"),
		"internal":    apierrors.NewInternalError(canary),
		"no reason":   &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 500, Message: "canary"}},
		"foreign":     apierrors.NewGenericServerResponse(404, "GET", schema.GroupResource{Resource: "secrets"}, "a", "canary", 0, true),
		"wrapped":     fmt.Errorf("canary: %w", apierrors.NewConflict(secrets, "a", canary)),
	}
}

func TestTranslateAnswers(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		kind  fault.Kind
		code  string
		after time.Duration
	}{
		"not found":   {fault.NotFound, "cluster_not_found", 0},
		"gone":        {fault.NotFound, "cluster_gone", 0},
		"expired":     {fault.Conflict, "cluster_expired", 0},
		"conflict":    {fault.Conflict, "cluster_conflict", 0},
		"exists":      {fault.Conflict, "cluster_already_exists", 0},
		"invalid":     {fault.Invalid, "cluster_invalid", 0},
		"bad request": {fault.Invalid, "cluster_bad_request", 0},
		"no such way": {fault.Invalid, "cluster_method_not_allowed", 0},
		"too large":   {fault.Invalid, "cluster_request_entity_too_large", 0},
		"media type":  {fault.Invalid, "cluster_unsupported_media_type", 0},
		"who":         {fault.Unauthenticated, "cluster_unauthorized", 0},
		"forbidden":   {fault.Forbidden, "cluster_forbidden", 0},
		"terminating": {fault.Unavailable, cluster.CodeTerminating, 0},
		"too many":    {fault.Limited, "cluster_too_many_requests", 7 * time.Second},
		"timeout":     {fault.Unavailable, "cluster_timeout", 3 * time.Second},
		"slow":        {fault.Unavailable, "cluster_server_timeout", 2 * time.Second},
		"unavailable": {fault.Unavailable, "cluster_service_unavailable", 0},
		"internal":    {fault.Unavailable, "cluster_internal_error", 0},
		"no reason":   {fault.Unavailable, "cluster_error", 0},
		"foreign":     {fault.Unavailable, "cluster_not_found", 0},
		"wrapped":     {fault.Conflict, "cluster_conflict", 0},
	}
	for name, err := range answers() {
		for _, secret := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, secret %v", name, secret), func(t *testing.T) {
				t.Parallel()
				got, ok := fault.As(translate(err, secret))
				if !ok {
					t.Fatalf("translate: got no fault for %v", err)
				}
				if w := want[name]; got.Kind != w.kind || got.Code != w.code || got.RetryAfter != w.after {
					t.Errorf("translate: got %v %s after %v, want %v %s after %v", got.Kind, got.Code, got.RetryAfter, w.kind, w.code, w.after)
				}
				if told := fmt.Sprintf("%v %+v %#v", got, got, got.Cause); secret && strings.Contains(told, "canary") {
					t.Errorf("translate: it tells %q", told)
				}
				if answer := err.Error(); !secret && !strings.HasSuffix(answer, got.Message) || got.Message == "" {
					t.Errorf("translate: got message %q, want the API server's %q", got.Message, answer)
				}
				if !secret && !errors.Is(got, err) {
					t.Error("translate: the cause is lost")
				}
			})
		}
	}
}

func TestTranslateAlwaysSaysSomething(t *testing.T) {
	t.Parallel()
	silent := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 502}}
	if err := translate(silent, false); !strings.Contains(err.Error(), "502") {
		t.Errorf("message: got %q, want that it says 502", err)
	}
}

func TestTranslateSecretNamesFields(t *testing.T) {
	t.Parallel()
	err := translate(answers()["invalid"], true)
	for _, part := range []string{"Secret a", "Invalid", "data[k]"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("message: got %q, want that it says %q", err, part)
		}
	}
}

func TestTranslateSilence(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
		says string
	}{
		"refused":         {&url.Error{Op: "Get", URL: "https://secret.example/api", Err: refused}, fault.Unavailable, "connection refused"},
		"deadline":        {context.DeadlineExceeded, fault.Unavailable, "no answer in time"},
		"client deadline": {&url.Error{Op: "Get", URL: "https://secret.example/api", Err: context.DeadlineExceeded}, fault.Unavailable, "no answer in time"},
		"net":             {refused, fault.Unavailable, "connection refused"},
		"cut short":       {fmt.Errorf("read the answer: %w", io.ErrUnexpectedEOF), fault.Unavailable, "unexpected EOF"},
		"unreadable":      {errors.New("json: canary"), fault.Internal, "json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := fault.As(translate(c.err, false))
			if got == nil || got.Kind != c.want || !strings.Contains(got.Message, c.says) || strings.Contains(got.Message, "secret.example") {
				t.Fatalf("translate: got %+v, want %v that says %q and no address", got, c.want, c.says)
			}
			if got, _ := fault.As(translate(c.err, true)); got == nil || got.Kind != c.want || strings.Contains(got.Error(), "canary") {
				t.Fatalf("translate for a secret: got %+v, want %v without what was read", got, c.want)
			}
		})
	}
	cancelled := &url.Error{Op: "Get", URL: "https://example", Err: context.Canceled}
	if err := translate(cancelled, false); !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Internal {
		t.Errorf("translate a cancelled call: got %v, want context.Canceled", err)
	}
	if err := translate(nil, true); err != nil {
		t.Errorf("translate nil: got %v", err)
	}
}
