// Package outbound posts webhooks to addresses that somebody else chose: it refuses those that it must not reach, looks
// neither at redirects nor at proxies, and bounds time and size of every answer.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	maxAnswer     = 64 << 10 // bytes that are read of an answer, so that its connection can be used again
	maxHeader     = 32 << 10 // bytes
	connectWithin = 10 * time.Second
	idleFor       = 90 * time.Second
	idlePerHost   = 16
	idleAll       = 512
)

// Sender implements ports.WebhookSender. Use ToTheWorld or InsideACluster. It may be used concurrently.
type Sender struct{ client *http.Client }

var _ ports.WebhookSender = (*Sender)(nil)

// ToTheWorld returns the sender of the control plane: it calls public addresses, and those in allow.
func ToTheWorld(allow []netip.Prefix) *Sender {
	return newSender(policy{refused: append(local(), private()...), allowed: allow})
}

// InsideACluster returns the sender of an agent: it calls private addresses too, for that is what it is there for, but
// neither its own machine nor a cloud's metadata service, unless they are in allow.
func InsideACluster(allow []netip.Prefix) *Sender {
	return newSender(policy{refused: local(), allowed: allow})
}

func newSender(p policy) *Sender {
	// The check is made on the address that is dialled, not on the name: a name may mean another address a moment later.
	dialer := &net.Dialer{Timeout: connectWithin, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return refusal{"not an IP address"}
		}
		return p.check(to.Addr())
	}}
	return &Sender{client: &http.Client{
		Transport: &http.Transport{
			Proxy:       nil, // whatever the environment says: behind a proxy, the address that is checked would be the proxy's
			DialContext: dialer.DialContext, TLSHandshakeTimeout: connectWithin, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
			MaxIdleConns: idleAll, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleFor,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send implements ports.WebhookSender.
func (s *Sender) Send(ctx context.Context, r webhook.Request) webhook.Outcome {
	began := time.Now()
	o := s.send(ctx, r)
	o.Took = time.Since(began)
	return o
}

func (s *Sender) send(ctx context.Context, r webhook.Request) webhook.Outcome {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return webhook.Outcome{Class: webhook.Unsendable, Error: "the URL cannot be read"} // the cause would show it
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "brokkr-webhook")
	req.Header.Set(webhook.HeaderEventType, string(r.EventType))
	req.Header.Set(webhook.HeaderDeliveryID, string(r.DeliveryID))
	if r.Signature != "" {
		req.Header.Set(webhook.HeaderSignature, r.Signature)
	}
	if r.AuthHeader != "" {
		req.Header.Set("Authorization", r.AuthHeader)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return failed(err, r.Timeout)
	}
	defer res.Body.Close()
	// What is in the answer is nobody's business; a receiver that does not end it has answered all the same.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	o := webhook.Outcome{Class: webhook.Delivered, Success: true, StatusCode: res.StatusCode}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		o.Class, o.Success, o.Error = webhook.WrongAnswer, false, fmt.Sprintf("the receiver answered %d; redirects are not followed", res.StatusCode)
	case res.StatusCode < 200 || res.StatusCode > 299:
		o.Class, o.Success, o.Error = webhook.WrongAnswer, false, fmt.Sprintf("the receiver answered %d", res.StatusCode)
	}
	return o
}

// failed says why there is no answer, without address, name or secret: those are in the error that the client gives.
func failed(err error, timeout time.Duration) webhook.Outcome {
	var (
		no      refusal
		dns     *net.DNSError
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		record  tls.RecordHeaderError
		network net.Error
	)
	switch {
	case errors.As(err, &no):
		return webhook.Outcome{Class: webhook.Forbidden, Error: no.Error()}
	case errors.Is(err, context.Canceled):
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the attempt was given up because the sender stops"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return webhook.Outcome{Class: webhook.TimedOut, Error: fmt.Sprintf("no answer within %s", timeout)}
	case errors.As(err, &dns):
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the receiver's name cannot be resolved"}
	case errors.As(err, &verify), errors.As(err, &host):
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the receiver's certificate is not valid"}
	case errors.As(err, &record):
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the receiver does not speak TLS; is the URL meant to be http://?"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the receiver refuses the connection"}
	default:
		return webhook.Outcome{Class: webhook.Unreachable, Error: "the receiver cannot be reached, or broke off"}
	}
}
