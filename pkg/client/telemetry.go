package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Retention says how long telemetry is kept.
type Retention struct {
	CeilingSeconds   int64      `json:"retention_ceiling_seconds"`
	EffectiveSeconds int64      `json:"effective_retention_seconds"`
	Oldest           *time.Time `json:"oldest_available_ts"`
	Hint             string     `json:"long_term_sink_hint"`
}

// Involved is what a Kubernetes event is about.
type Involved struct {
	APIVersion string `json:"api_version"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

// KubeEvent is a Kubernetes event of a stack. CreatedAt is zero in what is seen live.
type KubeEvent struct {
	AgentID    string    `json:"agent_id"`
	StackID    string    `json:"stack_id"`
	ObservedAt time.Time `json:"observed_at"`
	Reason     string    `json:"reason"`
	Message    string    `json:"message"`
	EventType  string    `json:"event_type"`
	Source     string    `json:"source"`
	Involved   Involved  `json:"involved_object"`
	CreatedAt  time.Time `json:"created_at,omitzero"`
}

// LogLine is a line of a container's log.
type LogLine struct {
	AgentID   string    `json:"agent_id"`
	StackID   string    `json:"stack_id"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	TS        time.Time `json:"ts"`
	Line      string    `json:"line"`
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// LogGap says that lines or events are missing.
type LogGap struct {
	AgentID      string    `json:"agent_id"`
	StackID      string    `json:"stack_id"`
	Since        time.Time `json:"since_ts"`
	DroppedCount int64     `json:"dropped_count"` // 0: nobody knows
	Reason       string    `json:"reason"`
}

// EventHistory is what is kept of a stack's events, in order of time.
type EventHistory struct {
	Retention Retention   `json:"retention"`
	Events    []KubeEvent `json:"events"`
}

// LogHistory is what is kept of a stack's logs, in order of time.
type LogHistory struct {
	Retention Retention `json:"retention"`
	Lines     []LogLine `json:"lines"`
	Gaps      []LogGap  `json:"gaps"`
}

func window(since time.Time, limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// StackEvents returns the newest Kubernetes events of a stack that were taken since a moment (zero: all that is kept).
func (c *Client) StackEvents(ctx context.Context, id string, since time.Time, limit int) (EventHistory, error) {
	var out EventHistory
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(id) + "/events", query: window(since, limit)}, &out)
	return out, err
}

// StackLogs is StackEvents for lines of logs.
func (c *Client) StackLogs(ctx context.Context, id string, since time.Time, limit int) (LogHistory, error) {
	var out LogHistory
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(id) + "/logs", query: window(since, limit)}, &out)
	return out, err
}

// Seen is something that was seen of a stack just now; one of its parts is set.
type Seen struct {
	Event *KubeEvent
	Line  *LogLine
	Gap   *LogGap
}

// Watch is a connection that shows what is seen of a stack. Close it.
type Watch struct{ conn *websocket.Conn }

// maxFrame is far above what a broker sends, in bytes.
const maxFrame = 1 << 20

// WatchStack connects; what is seen from then on comes by Next. Nothing is replayed.
func (c *Client) WatchStack(ctx context.Context, id string) (*Watch, error) {
	r := call{method: http.MethodGet, path: "/stacks/" + seg(id) + "/live"}
	target := c.base.String() + "/api/v1" + r.path
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if c.o.RequestTimeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, c.o.RequestTimeout)
	}
	defer cancel()
	header := http.Header{"User-Agent": {c.o.UserAgent}}
	if c.o.PAK != "" {
		header.Set("Authorization", "Bearer "+c.o.PAK)
	}
	conn, res, err := websocket.Dial(bounded, "ws"+strings.TrimPrefix(target, "http"), &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: header}) //nolint:bodyclose // the library closes it
	switch {
	case err == nil:
		conn.SetReadLimit(maxFrame)
		return &Watch{conn: conn}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case res != nil && res.StatusCode >= http.StatusBadRequest:
		return nil, refusal(r.method, target, res)
	default:
		return nil, c.unreachable(r, err)
	}
}

// Next waits for what is seen next. After an error the Watch is of no more use; a broker that goes down, or a network that
// breaks, is one that another WatchStack may mend (IsLost).
func (w *Watch) Next(ctx context.Context) (Seen, error) {
	for {
		_, data, err := w.conn.Read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return Seen{}, context.Cause(ctx)
			}
			return Seen{}, &LostError{Denied: websocket.CloseStatus(err) == websocket.StatusPolicyViolation, Cause: err}
		}
		var f struct {
			Type string          `json:"type"`
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(data, &f); err != nil {
			continue // a newer broker may say what is not known here
		}
		var out Seen
		switch f.Type {
		case "k8s_event":
			err = json.Unmarshal(f.Body, &out.Event)
		case "pod_log_line":
			err = json.Unmarshal(f.Body, &out.Line)
		case "log_gap":
			err = json.Unmarshal(f.Body, &out.Gap)
		default:
			continue
		}
		if err == nil && out != (Seen{}) {
			return out, nil
		}
	}
}

// Close ends the connection.
func (w *Watch) Close() { _ = w.conn.Close(websocket.StatusNormalClosure, "") } // it may be broken already

// LostError is a live connection that has ended.
type LostError struct {
	Denied bool // the broker does not let the caller watch any more
	Cause  error
}

// Error says what happened.
func (e *LostError) Error() string {
	if e.Denied {
		return "the broker has ended the live connection: the key does not hold any more, or the stack is gone"
	}
	return fmt.Sprintf("the live connection is lost: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// IsLost reports whether err is a live connection that was lost and may be made anew.
func IsLost(err error) bool {
	var e *LostError
	return errors.As(err, &e) && !e.Denied
}
