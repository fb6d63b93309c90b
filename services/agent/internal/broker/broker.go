// Package broker speaks to the gateway: identity, sync, and manifests by checksum.
package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	dialTimeout    = 10 * time.Second
	answerTimeout  = 30 * time.Second // beyond the time that a sync may park
	fetchTimeout   = 2 * time.Minute  // of a manifest
	deadPeer       = 15 * time.Second // without a sign of life of an HTTP/2 connection
	idleConnection = 90 * time.Second
	maxSyncBytes   = 32 << 20
	maxErrorBytes  = 64 << 10
)

// Client is safe for concurrent use. Its errors are faults: Unauthenticated for a key that is not accepted, Unavailable
// when the broker cannot be reached or something else answers in its place (the message says where and why).
type Client struct {
	base *url.URL
	pak  string
	http *http.Client
}

// ParseURL reads the address of a broker: http or https, with a path if it is published under one.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("not an http:// or https:// URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("a URL with more than host, port and path")
	}
	return u, nil
}

// New returns a client of the broker at base that authenticates with the PAK; without one it can only join. Trust may be nil: the
// system's authorities.
func New(base *url.URL, pak, version string, trust *tls.Config) *Client {
	t := &http.Transport{
		TLSClientConfig: trust,
		Proxy:           http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: idleConnection, ForceAttemptHTTP2: true,
		HTTP2: &http.HTTP2Config{SendPingTimeout: deadPeer, PingTimeout: deadPeer},
	}
	// A fetch belongs to the trace of its change; a sync to none, and would be one of its own every minute.
	traced := otelhttp.NewTransport(t, otelhttp.WithFilter(func(r *http.Request) bool { return trace.SpanContextFromContext(r.Context()).IsValid() }))
	return &Client{base: base, pak: pak, http: &http.Client{
		Transport: userAgent{traced, "brokkr-agent/" + version},
		// A broker does not redirect; following would carry the key elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type userAgent struct {
	next http.RoundTripper
	name string
}

func (u userAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", u.name)
	return u.next.RoundTrip(r)
}

// URL is where the broker is expected.
func (c *Client) URL() string { return c.base.String() }

// WhoAmI returns the agent that the key belongs to. A key of something else is Forbidden.
func (c *Client) WhoAmI(ctx context.Context) (agent.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out struct {
		Admin *bool   `json:"admin"`
		Agent *string `json:"agent"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/v1/auth/pak", nil, &out, maxErrorBytes); err != nil {
		return "", err
	}
	switch {
	case out.Admin == nil || (out.Agent != nil && !id.Valid(*out.Agent)):
		return "", c.foreign("what came")
	case out.Agent == nil:
		return "", fault.New(fault.Forbidden, "agent_pak_required", "the PAK belongs to no agent; make one by `brokkr agent create` and start the agent with its PAK")
	default:
		return agent.ID(*out.Agent), nil
	}
}

// Sync makes one cycle. It takes as long as req.WaitSeconds if nothing changes.
func (c *Client) Sync(ctx context.Context, id agent.ID, req wire.SyncRequest) (wire.SyncResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.WaitSeconds)*time.Second+answerTimeout)
	defer cancel()
	// Every answer of a gateway has these, whatever they say. One without is no answer of it, and acknowledges nothing.
	var out struct {
		wire.SyncResponse
		Revision *int64     `json:"revision"`
		Next     *wire.Next `json:"next"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/v1/agents/"+url.PathEscape(string(id))+"/sync", req, &out, maxSyncBytes); err != nil {
		return wire.SyncResponse{}, err
	}
	if out.Revision == nil || out.Next == nil {
		return wire.SyncResponse{}, c.foreign("what came")
	}
	out.SyncResponse.Revision, out.SyncResponse.Next = *out.Revision, *out.Next
	return out.SyncResponse, nil
}

// Telemetry sends what was seen; it is durable when it returns without an error.
func (c *Client) Telemetry(ctx context.Context, id agent.ID, req wire.TelemetryRequest) (wire.TelemetryResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out struct {
		Accepted *int  `json:"accepted"`
		Dropped  *int  `json:"dropped"`
		Repeated *bool `json:"repeated"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/v1/agents/"+url.PathEscape(string(id))+"/telemetry", req, &out, maxErrorBytes); err != nil {
		return wire.TelemetryResponse{}, err
	}
	if out.Accepted == nil || out.Dropped == nil || out.Repeated == nil {
		return wire.TelemetryResponse{}, c.foreign("what came")
	}
	return wire.TelemetryResponse{Accepted: *out.Accepted, Dropped: *out.Dropped, Repeated: *out.Repeated}, nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any, limit int64) error {
	res, err := c.do(ctx, method, path, in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	body := &io.LimitedReader{R: res.Body, N: limit}
	err = json.NewDecoder(body).Decode(out)
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case body.N <= 0:
		return fault.Newf(fault.Unavailable, "bad_answer", "the answer of the broker at %s is larger than %d bytes", c.URL(), limit)
	case errors.As(err, &syntax), errors.As(err, &shape):
		return c.foreign(fmt.Sprintf("what came (%v)", err))
	default:
		return c.unreachable(ctx, err)
	}
}

func (c *Client) do(ctx context.Context, method, path string, in any, header http.Header) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	path, query, _ := strings.Cut(path, "?")
	to := c.base.JoinPath(path)
	to.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.pak != "" {
		req.Header.Set("Authorization", "Bearer "+c.pak)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	return nil, c.refused(res)
}
