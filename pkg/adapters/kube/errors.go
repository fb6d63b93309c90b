package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
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
		return unanswered(err, secret)
	}
	s := status.Status()
	f := fault.New(kindOf(err), "cluster_"+snake(string(s.Reason)), message(s, secret))
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		f = fault.New(fault.Unavailable, cluster.CodeTerminating, f.Message)
		if secret {
			f.Message = "the namespace of this Secret is being deleted"
		}
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
	case isForeign(err):
		return fault.Unavailable
	case apierrors.IsNotFound(err), apierrors.IsGone(err):
		return fault.NotFound
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsResourceExpired(err):
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
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsInternalError(err): // the store, a webhook or another server behind it is away
		return fault.Unavailable
	default:
		return fault.Internal
	}
}

// isForeign reports whether an answer says, not in Kubernetes' words, that nothing is there: a path that is not served, or
// something else that answers in the API server's place, as a proxy does that does not know where that is.
func isForeign(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isAbsent reports whether the API server says that an object is not there.
func isAbsent(err error) bool { return apierrors.IsNotFound(err) && !isForeign(err) }

func message(s metav1.Status, secret bool) string {
	if !secret {
		return cmp.Or(s.Message, fmt.Sprintf("the API server answers %d without saying why", s.Code))
	}
	var name string
	var fields []string
	if d := s.Details; d != nil {
		if d.Name != "" {
			name = " " + d.Name
		}
		for _, c := range d.Causes {
			if c.Field != "" {
				fields = append(fields, c.Field)
			}
		}
	}
	text := fmt.Sprintf("the API server refuses the Secret%s (%s)", name, cmp.Or(string(s.Reason), strconv.Itoa(int(s.Code))))
	switch s.Reason {
	case metav1.StatusReasonNotFound:
		return fmt.Sprintf("the Secret%s or its namespace is not there", name)
	case metav1.StatusReasonForbidden:
		text += ": it needs the right to do so, room in the quota, and the consent of admission policies"
	default:
	}
	if len(fields) > 0 {
		text += ": see " + strings.Join(fields, ", ")
	}
	return text
}

// snake writes a reason of Kubernetes as the rest of a code: AlreadyExists is already_exists.
func snake(reason string) string {
	if reason == "" {
		return "error"
	}
	var b strings.Builder
	for i, r := range reason {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// unanswered is an error without an answer of the API server, or with one that cannot be read.
func unanswered(err error, secret bool) error {
	var u *url.Error
	var n net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return unreachable("no answer in time", err)
	case errors.As(err, &u):
		return unreachable(u.Err.Error(), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), n != nil:
		return unreachable(err.Error(), err)
	case secret:
		return fault.New(fault.Internal, "cluster_error", "the answer about the Secret cannot be read")
	default:
		return fault.New(fault.Internal, "cluster_error", err.Error()).Because(err)
	}
}

func unreachable(why string, err error) error {
	return fault.Newf(fault.Unavailable, cluster.CodeUnreachable, "the Kubernetes API server cannot be reached: %s", why).Because(err)
}
