package fleet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const dialTimeout = 10 * time.Second

// errCut says that a request was given up because its time was over; its connection is closed, as an agent closes it.
var errCut = errors.New("given up")

// line is one agent's connection. One goroutine uses it, which is all that an agent costs beside the socket: net/http's
// client would take three. Only close may be called from elsewhere.
type line struct {
	base   *url.URL
	pak    string
	dialer *net.Dialer
	counts *Counts

	conn   atomic.Pointer[counted]
	reader *bufio.Reader
}

// counted counts what goes over the wire, headers included.
type counted struct {
	net.Conn
	counts *Counts
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.counts.BytesIn.Add(int64(n))
	return n, err //nolint:wrapcheck // it is the connection itself
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.counts.BytesOut.Add(int64(n))
	return n, err //nolint:wrapcheck // it is the connection itself
}

// answer of the gateway, whole.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte
}

// do makes one request. At the deadline it is errCut; zero is none. Any other error, too, leaves the line closed.
func (l *line) do(ctx context.Context, method, path string, body []byte, deadline time.Time) (answer, error) {
	a, err := l.exchange(ctx, method, path, body, deadline)
	if err != nil {
		l.close()
		var timeout net.Error
		switch {
		case ctx.Err() != nil:
			return a, ctx.Err()
		case errors.As(err, &timeout) && timeout.Timeout() && !deadline.IsZero() && !time.Now().Before(deadline):
			return a, errCut
		}
	}
	return a, err
}

func (l *line) exchange(ctx context.Context, method, path string, body []byte, deadline time.Time) (answer, error) {
	conn := l.conn.Load()
	if conn == nil {
		var err error
		if conn, err = l.open(ctx); err != nil {
			return answer{}, err
		}
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return answer{}, fmt.Errorf("set deadline: %w", err)
	}
	if _, err := conn.Write(l.request(method, path, body)); err != nil {
		return answer{}, fmt.Errorf("send: %w", err)
	}
	res, err := http.ReadResponse(l.reader, &http.Request{Method: method})
	if err != nil {
		return answer{}, fmt.Errorf("receive: %w", err)
	}
	defer res.Body.Close()
	from := io.Reader(res.Body)
	if res.Header.Get("Content-Encoding") == "gzip" {
		if from, err = gzip.NewReader(res.Body); err != nil {
			return answer{}, fmt.Errorf("receive: %w", err)
		}
	}
	out := answer{status: res.StatusCode}
	if out.body, err = io.ReadAll(from); err != nil {
		return answer{}, fmt.Errorf("receive: %w", err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return answer{}, fmt.Errorf("receive: %w", err)
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		out.retryAfter = time.Duration(n) * time.Second
	}
	if res.Close {
		l.close()
	}
	return out, nil
}

func (l *line) request(method, path string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: brokkr-fleetsim\r\nAuthorization: Bearer %s\r\nAccept-Encoding: gzip\r\n",
		method, l.base.EscapedPath(), path, l.base.Host, l.pak)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

func (l *line) open(ctx context.Context) (*counted, error) {
	address := l.base.Host
	if l.base.Port() == "" {
		address = net.JoinHostPort(l.base.Hostname(), map[string]string{"http": "80", "https": "443"}[l.base.Scheme])
	}
	ctx, end := context.WithTimeout(ctx, dialTimeout)
	defer end()
	conn, err := l.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &counted{conn, l.counts}
	if l.base.Scheme == "https" { // what TLS adds is counted too
		secure := tls.Client(c, &tls.Config{ServerName: l.base.Hostname(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect: %w", err)
		}
		c = &counted{secure, &Counts{}}
	}
	l.counts.Connects.Add(1)
	l.conn.Store(c)
	if l.reader == nil {
		l.reader = bufio.NewReaderSize(c, 2<<10)
	} else {
		l.reader.Reset(c)
	}
	return c, nil
}

// close ends the connection, also from elsewhere: a request that is under way fails, the next one opens another.
func (l *line) close() {
	if c := l.conn.Swap(nil); c != nil {
		_ = c.Close()
	}
}
