// Package broker speaks to the gateway: identity, sync, and manifests by checksum.
package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	dialTimeout    = 10 * time.Second
	answerTimeout  = 30 * time.Second // beyond the time that a sync may park
	maxSyncBytes   = 64 << 20
	maxManifest    = 32 << 20
	maxErrorBytes  = 64 << 10
	idleConnection = 90 * time.Second
)

// Client is safe for concurrent use. Its errors are faults: Unauthenticated for a key that is not accepted, Unavailable
// when the broker cannot be reached (the message says where and why).
type Client struct {
	base *url.URL
	pak  string
	http *http.Client
}

// New returns a client of the broker at baseURL (http or https, no path needed).
func New(baseURL, pak, version string) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(baseURL, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("broker URL %q is not an http:// or https:// URL", baseURL)
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: idleConnection, ForceAttemptHTTP2: true,
	}
	return &Client{base: u, pak: pak, http: &http.Client{Transport: userAgent{otelhttp.NewTransport(t), "brokkr-agent/" + version}}}, nil
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

// URL is where the broker is expected, without credentials.
func (c *Client) URL() string { return c.base.Redacted() }

// WhoAmI returns the agent that the key belongs to. A key of something else is Forbidden.
func (c *Client) WhoAmI(ctx context.Context) (agent.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out struct {
		Agent *string `json:"agent"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/v1/auth/pak", nil, &out, maxErrorBytes); err != nil {
		return "", err
	}
	if out.Agent == nil || *out.Agent == "" {
		return "", fault.New(fault.Forbidden, "agent_pak_required", "the PAK belongs to no agent; make one by `brokkr agent create`")
	}
	return agent.ID(*out.Agent), nil
}

// Sync makes one cycle. It takes as long as req.WaitSeconds if nothing changes.
func (c *Client) Sync(ctx context.Context, id agent.ID, req wire.SyncRequest) (wire.SyncResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.WaitSeconds)*time.Second+answerTimeout)
	defer cancel()
	var out wire.SyncResponse
	err := c.call(ctx, http.MethodPost, "/api/v1/agents/"+url.PathEscape(string(id))+"/sync", req, &out, maxSyncBytes)
	return out, err
}

// Manifest fetches the content with this checksum and proves that it is.
func (c *Client) Manifest(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodGet, "/api/v1/manifests/"+url.PathEscape(string(sum)), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(res.Body, maxManifest+1))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if len(content) > maxManifest {
		return nil, fault.Newf(fault.Invalid, "manifest_too_large", "manifest %s is larger than %d bytes", sum, maxManifest)
	}
	if h := sha256.Sum256(content); hex.EncodeToString(h[:]) != string(sum) {
		return nil, fault.Newf(fault.Unavailable, "manifest_damaged", "what came for manifest %s has another checksum; it is fetched again", sum)
	}
	return content, nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any, limit int64) error {
	res, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	if err := json.NewDecoder(io.LimitReader(res.Body, limit)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Newf(fault.Unavailable, "bad_answer", "the answer of %s%s is not what a Brokkr gateway says; is something else listening there?", c.URL(), path).Because(err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+c.pak)
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, c.unreachable(err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	return nil, c.refused(res)
}

func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fault.Newf(fault.Unavailable, "broker_unreachable", "the broker at %s does not answer (%v)", c.URL(), err)
}

func (c *Client) refused(res *http.Response) error {
	var body struct{ Code, Message string }
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes)) //nolint:errcheck // what came says enough
	_ = json.Unmarshal(raw, &body)                                // a foreign body has no code, which is handled
	kind := fault.Internal
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return fault.Newf(fault.Unauthenticated, "unauthorized", "the broker at %s does not accept the PAK: it is wrong, expired or revoked; rotate it by `brokkr agent rotate` and start the agent with the new one", c.URL())
	case http.StatusForbidden:
		kind = fault.Forbidden
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusTooManyRequests:
		kind = fault.Limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kind = fault.Unavailable
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		kind = fault.Invalid
	}
	if body.Message == "" {
		body.Message = fmt.Sprintf("the broker at %s answered %s", c.URL(), res.Status)
	}
	f := fault.New(kind, body.Code, body.Message)
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		f.RetryAfter = time.Duration(s) * time.Second
	}
	return f
}
