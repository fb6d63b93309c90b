package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// translate turns an error of the client into a fault, once. For secrets the API server's message, which may repeat a
// value, is replaced by the fields that it names.
func translate(err error, secret bool) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return unreachable(err)
	}
	s := status.Status()
	f := fault.New(kindOf(err), "cluster_"+strings.ToLower(string(s.Reason)), message(s, secret))
	if s.Reason == "" {
		f.Code = "cluster_error"
	}
	if apierrors.HasStatusCause(err, "NamespaceTerminating") {
		f = fault.New(fault.Unavailable, cluster.CodeTerminating, f.Message)
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		f.RetryAfter = time.Duration(seconds) * time.Second
	}
	if secret {
		return f // the cause would be logged, with its message
	}
	return f.Because(err)
}

func kindOf(err error) fault.Kind {
	switch {
	case apierrors.IsNotFound(err), apierrors.IsGone(err):
		return fault.NotFound
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fault.Conflict
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err),
		apierrors.IsRequestEntityTooLargeError(err), apierrors.IsUnsupportedMediaType(err), apierrors.IsNotAcceptable(err):
		return fault.Invalid
	case apierrors.IsUnauthorized(err):
		return fault.Unauthenticated
	case apierrors.IsForbidden(err):
		return fault.Forbidden
	case apierrors.IsTooManyRequests(err):
		return fault.Limited
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err):
		return fault.Unavailable
	default:
		return fault.Internal
	}
}

func message(s metav1.Status, secret bool) string {
	if !secret {
		return s.Message
	}
	var fields []string
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			if c.Field != "" {
				fields = append(fields, c.Field)
			}
		}
	}
	text := fmt.Sprintf("the API server refuses this Secret (%s)", s.Reason)
	if len(fields) > 0 {
		text += ": see " + strings.Join(fields, ", ")
	}
	return text
}

// unreachable is an error without an answer of the API server.
func unreachable(err error) error {
	text := err.Error()
	var u *url.Error
	if errors.As(err, &u) {
		text = u.Err.Error()
	}
	var n net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &n) && n.Timeout()) {
		text = "no answer in time"
	}
	return fault.Newf(fault.Unavailable, "cluster_unreachable", "the Kubernetes API server cannot be reached: %s", text).Because(err)
}
