package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Client makes requests to one address with one key.
type Client struct {
	Base string // URL without /api/v1
	PAK  string
	HTTP *http.Client
}

// NewClient returns a client whose connections are its own.
func NewClient(base, pak string) *Client {
	return &Client{Base: base, PAK: pak, HTTP: &http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
}

// As returns the same client with another key.
func (c *Client) As(pak string) *Client { return &Client{Base: c.Base, PAK: pak, HTTP: c.HTTP} }

// At returns the same client for another address.
func (c *Client) At(base string) *Client { return &Client{Base: base, PAK: c.PAK, HTTP: c.HTTP} }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Problem is the contract's error body.
type Problem struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details"`
}

// Problem reads the error body; what is none is an empty one.
func (a Answer) Problem() Problem {
	var p Problem
	_ = json.Unmarshal(a.Body, &p) // an empty problem says that it was none
	return p
}

// YAML is a request body that is sent as it is.
type YAML string

// Do makes a request; body is sent as JSON unless it is YAML, nil sends none. Paths are below /api/v1 unless they begin
// with "//".
func (c *Client) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	var reader io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case YAML:
		reader, contentType = strings.NewReader(string(b)), "application/yaml"
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return Answer{}, fmt.Errorf("encode body: %w", err)
		}
		reader = bytes.NewReader(encoded)
	}
	url := c.Base + "/api/v1" + path
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		url = c.Base + "/" + rest
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.PAK != "" {
		req.Header.Set("Authorization", "Bearer "+c.PAK)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: text}, nil
}

// Try makes a request, expects the status and decodes the answer into out, unless that is nil.
func (c *Client) Try(ctx context.Context, method, path string, body any, status int, out any) (Answer, error) {
	a, err := c.Do(ctx, method, path, body)
	if err != nil {
		return a, err
	}
	if a.Status != status {
		return a, fmt.Errorf("%s %s: got status %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	if out == nil {
		return a, nil
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return a, fmt.Errorf("%s %s: decode answer: %w: %s", method, path, err, a.Body)
	}
	return a, nil
}

// Must is Try, and fails the test.
func (c *Client) Must(t testing.TB, method, path string, body any, status int, out any) Answer {
	t.Helper()
	a, err := c.Try(t.Context(), method, path, body, status, out)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
