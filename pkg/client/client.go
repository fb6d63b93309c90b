// Package client speaks Brokkr's v1 HTTP API. It exists so that programs that publish (generators: a CI job, a controller)
// and the command line deal with names and outcomes, while retries, timeouts and the shape of errors are decided in one place.
//
// A generator reads or makes a Bundle and calls Apply, as often as it likes: what is there already is found unchanged and
// published no second time.
//
// Errors say where a request stood: UnreachableError (no answer), APIError (the broker refused; IsStatus and IsCode look
// inside), BadAnswerError (something else than a broker answered). IsTemporary tells which may pass by themselves. What may
// be repeated safely has been repeated a few times already, with backoff, before an error comes back.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	attempts       = 4 // of one idempotent request, the first included
	firstBackoff   = 200 * time.Millisecond
	maxRetryAfter  = 30 * time.Second // a server that asks for more is not waited for
	connectTimeout = 10 * time.Second
	maxErrorBody   = 1 << 20
)

// Options configure a Client.
type Options struct {
	URL            string        // of the broker, without /api/v1
	PAK            string        // empty: requests carry no credential
	RequestTimeout time.Duration // of one attempt; zero means none
	UserAgent      string        // empty: "brokkr-go"
	TLS            *tls.Config   // whom to trust; nil: the system's authorities
	// Sleep waits between attempts; nil means a timer. It returns early with the context's error.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client calls one broker with one credential. It is safe for concurrent use.
type Client struct {
	base *url.URL
	o    Options
	http *http.Client
	plan string // under which clusters are changed
}

// Under returns a client whose changes of clusters (labels and annotations of agents, taints, cordons, drains) are made only as
// long as a plan of that change is still true; else 409, code plan_outdated. Other requests are as they are.
func (c *Client) Under(plan string) *Client {
	u := *c
	u.plan = plan
	return &u
}

// under returns a change of a cluster under the client's plan, if it has one. It is sent once then: what a lost answer to the first try
// has changed would make the plan of the second one untrue.
func (c *Client) under(x call) call {
	if c.plan == "" {
		return x
	}
	if x.query == nil {
		x.query = url.Values{}
	}
	x.query.Set("plan", c.plan)
	x.once, x.repeatable = true, false
	return x
}

// New returns a client for o.URL, which must be an http or https URL.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.UserAgent == "" {
		o.UserAgent = "brokkr-go"
	}
	transport := &http.Transport{
		TLSClientConfig:       o.TLS,
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}
	return &Client{base: base, o: o, http: &http.Client{
		Transport: transport,
		// A redirected POST would become a GET, so a redirect is an error that names the right URL.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ParseURL reads a broker's URL. A path is kept (a broker behind a prefix), a trailing /api/v1 is not.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("the broker's URL cannot be read: %w", errors.Unwrap(err))
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("the broker's URL %q must look like http://host:port or https://host", u.Redacted())
	}
	if u.User != nil {
		return nil, fmt.Errorf("the broker's URL %q must not carry a user or password; Brokkr uses PAKs", u.Redacted())
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v1")
	return u, nil
}

// URL returns the broker's URL without a trailing slash.
func (c *Client) URL() string { return c.base.String() }

// call is one request of the API.
type call struct {
	method string
	path   string // under /api/v1, with escaped segments
	query  url.Values
	body   any // sent as JSON; nil sends none
	// repeatable marks a POST that changes nothing more when it is sent twice.
	repeatable bool
	once       bool   // a PUT that makes something new each time it is sent
	match      string // ETag of the state that is to be changed; empty: whatever it is
	key        string // idempotency key, by which a broker knows a POST again; empty sends none
}

func (c call) idempotent() bool {
	return !c.once && (c.repeatable || c.method == http.MethodGet || c.method == http.MethodPut || c.method == http.MethodDelete)
}

// do sends r, again if that is safe and may help, and decodes the answer into out (nil: it is read and dropped).
func (c *Client) do(ctx context.Context, r call, out any) (http.Header, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("encode the body of %s %s: %w", r.method, r.path, err)
		}
	}
	for attempt := 1; ; attempt++ {
		header, err := c.once(ctx, r, body, out)
		if err == nil {
			return header, nil
		}
		if attempt > 1 && r.method == http.MethodDelete && IsStatus(err, http.StatusNotFound) {
			return header, nil // the attempt whose answer was lost has deleted it
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		wait, again := retryAfter(err, attempt)
		if !again || attempt >= attempts || !r.idempotent() {
			return nil, err
		}
		if err := c.o.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (c *Client) once(ctx context.Context, r call, body []byte, out any) (http.Header, error) {
	if c.o.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.RequestTimeout)
		defer cancel()
	}
	target := c.base.String() + "/api/v1" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request %s %s: %w", r.method, target, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.o.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.match != "" {
		req.Header.Set("If-Match", r.match)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if c.o.PAK != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.PAK)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(r, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(r.method, target, resp)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		_, err = io.Copy(io.Discard, resp.Body)
	} else {
		err = json.NewDecoder(resp.Body).Decode(out)
	}
	if err == nil {
		return resp.Header, nil
	}
	if isJSONError(err) {
		return nil, &BadAnswerError{Method: r.method, URL: target, ContentType: resp.Header.Get("Content-Type"), Cause: err}
	}
	return nil, c.unreachable(r, fmt.Errorf("read the answer: %w", err))
}

func (c *Client) unreachable(r call, err error) error {
	var uerr *url.Error
	if errors.As(err, &uerr) {
		err = uerr.Err // the URL is already named
	}
	return &UnreachableError{Method: r.method, Base: c.base.String(), Timeout: c.o.RequestTimeout, Cause: err}
}

func isJSONError(err error) bool {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &typ) || errors.Is(err, io.EOF) || isTimeParse(err)
}

func isTimeParse(err error) bool {
	var perr *time.ParseError
	return errors.As(err, &perr)
}

// refusal reads an answer that is not a success.
func refusal(method, target string, resp *http.Response) error {
	e := &APIError{Method: method, URL: target, Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"),
		Location: resp.Header.Get("Location"), RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e // the status says enough
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var body struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"details"`
	}
	if json.Unmarshal(text, &body) == nil {
		e.Code, e.Message, e.Details = body.Code, body.Message, body.Details
	} else if media == "text/plain" || media == "" { // what speaks TLS says nothing of its complaint's type
		e.Message = strings.TrimSpace(string(text))
	}
	return e
}

// retryAfter says whether another attempt may succeed, and after which wait.
func retryAfter(err error, attempt int) (time.Duration, bool) {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return backoff(attempt), true
	}
	var refused *APIError
	if !errors.As(err, &refused) {
		return 0, false
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if refused.RetryAfter > maxRetryAfter {
			return 0, false
		}
		return max(backoff(attempt), refused.RetryAfter), true
	default:
		return 0, false
	}
}

func backoff(attempt int) time.Duration {
	d := firstBackoff << (attempt - 1)
	return d/2 + rand.N(d) //nolint:gosec // jitter
}

func parseRetryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// get decodes the resource at path into a T.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	_, err := c.do(ctx, call{method: http.MethodGet, path: path}, &v)
	return v, err
}

// list reads a whole list, page by page if the server pages it.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	p, err := choose[T](ctx, c, path, Choice{Filters: query})
	return p.Items, err
}

// nextPage returns the query of the Link header's next page. Only the query is taken, so that a broker behind a
// proxy may name itself as it likes.
func nextPage(links []string) url.Values {
	for _, header := range links {
		for link := range strings.SplitSeq(header, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if !ok || !strings.Contains(params, `rel="next"`) {
				continue
			}
			if u, err := url.Parse(strings.TrimPrefix(target, "<")); err == nil && u.RawQuery != "" {
				return u.Query()
			}
		}
	}
	return nil
}

func seg(s string) string { return url.PathEscape(s) }
