package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// maxRetryAfter bounds how long a broker can send the agent away.
const maxRetryAfter = 5 * time.Minute

// unreachable is a request without an answer. One that its caller has given up is the context's error.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time"
	} else if why := untrusted(err); why != "" {
		text = why
	} else if why := hungUp(err, c.URL()); why != "" {
		text = why
	}
	return fault.Newf(fault.Unavailable, "broker_unreachable", "the broker at %s cannot be reached: %s", c.URL(), text)
}

// foreign is an answer that no gateway gives.
func (c *Client) foreign(what string) error {
	return fault.Newf(fault.Unavailable, "not_a_broker", "%s is not what a Brokkr gateway says: is something else listening at %s (BROKKR__AGENT__BROKER_URL)?", what, c.URL())
}

// said is err, or foreign if what came without an error is not the answer of a gateway: each names what it is about, and a list is one
// also if it is empty.
func (c *Client) said(err error, is bool) error {
	if err == nil && !is {
		return c.foreign("what came")
	}
	return err
}

// refused turns an answer without success into a fault.
func (c *Client) refused(res *http.Response) error {
	var body struct{ Code, Message string }
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes)) //nolint:errcheck // what came says enough
	_ = json.Unmarshal(raw, &body)                                // a foreign body has no code, which is handled
	if plainToTLS(res.StatusCode, raw) {
		return fault.Newf(fault.Unavailable, "not_a_broker", "the broker at %s expects TLS: begin agent.broker_url (BROKKR__AGENT__BROKER_URL) with https://", c.URL())
	}
	var f *fault.Error
	switch kind := kindOf(res.StatusCode); {
	case kind == fault.Unauthenticated:
		f = fault.Newf(kind, "unauthorized", "the broker at %s does not accept the PAK: it is wrong, expired or revoked; make a new one by `brokkr agent rotate` and start the agent with it", c.URL())
	case body.Code != "":
		f = fault.Newf(kind, body.Code, "the broker at %s answers: %s", c.URL(), body.Message)
	case kind == fault.Unavailable, kind == fault.Limited, kind == fault.Internal && res.StatusCode >= http.StatusInternalServerError:
		f = fault.Newf(kind, "broker_unavailable", "the broker at %s answers %s", c.URL(), res.Status)
	default:
		what := "the answer " + res.Status
		if to := res.Header.Get("Location"); to != "" {
			what += fmt.Sprintf(", a redirect to %q,", to)
		}
		return c.foreign(what)
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		f.RetryAfter = min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	return f
}

func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusUnprocessableEntity:
		return fault.Refused
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return fault.Invalid
	case http.StatusTooManyRequests:
		return fault.Limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fault.Unavailable
	default:
		return fault.Internal
	}
}
