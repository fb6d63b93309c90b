package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditLog is one entry of the audit log.
type AuditLog struct {
	ID           string            `json:"id"`
	Timestamp    time.Time         `json:"timestamp"`
	ActorType    string            `json:"actor_type"`
	ActorID      *string           `json:"actor_id"`
	ActorName    *string           `json:"actor_name"` // what the actor is called now
	CredentialID *string           `json:"credential_id"`
	Action       string            `json:"action"`
	ResourceType string            `json:"resource_type"`
	ResourceID   *string           `json:"resource_id"`
	Details      map[string]string `json:"details"`
	IPAddress    string            `json:"ip_address,omitempty"`
	UserAgent    string            `json:"user_agent,omitempty"`
	RequestID    string            `json:"request_id,omitempty"`
	Traceparent  string            `json:"traceparent,omitempty"`
	BeforeDigest *string           `json:"before_digest"`
	AfterDigest  *string           `json:"after_digest"`
	Hash         string            `json:"hash"`
	Chain        *string           `json:"chain"` // nil until the entry is sealed, like Sequence and Link
	Sequence     *int64            `json:"sequence"`
	Link         *string           `json:"link"`
}

// AuditQuery chooses entries; what is empty chooses all.
type AuditQuery struct {
	ActorType, ActorID, Action, ResourceType, ResourceID string
	From, To                                             time.Time
	Limit                                                int    // of one page; 0 is the server's own
	Cursor                                               string // NextCursor of the page before
}

// AuditPage is a part of the audit log, newest first.
type AuditPage struct {
	Logs       []AuditLog `json:"logs"`
	Total      int64      `json:"total"`
	NextCursor *string    `json:"next_cursor"` // nil for the last page
}

// AuditPoint is a place in a chain.
type AuditPoint struct {
	Chain    string `json:"chain"`
	Sequence int64  `json:"sequence"`
	Link     string `json:"link"`
}

// AuditChain is what is known of the entries of a month beside them.
type AuditChain struct {
	Chain     string      `json:"chain"`
	Number    int         `json:"number"`
	After     *AuditPoint `json:"after"`
	Entries   int64       `json:"entries"`
	Head      string      `json:"head"`
	DroppedAt *time.Time  `json:"dropped_at"`
}

// AuditBreak is the first wrong place of a log.
type AuditBreak struct {
	Chain    string  `json:"chain"`
	Sequence int64   `json:"sequence"` // 0 if it is the chain itself
	ID       *string `json:"id"`
	Reason   string  `json:"reason"`
}

// AuditReport is what a verification found.
type AuditReport struct {
	OK       bool         `json:"ok"`
	Entries  int64        `json:"entries"`
	Unsealed int          `json:"unsealed"`
	Chains   []AuditChain `json:"chains"`
	Broken   *AuditBreak  `json:"broken"`
}

func (q AuditQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"actor_type": q.ActorType, "actor_id": q.ActorID, "action": q.Action, "resource_type": q.ResourceType, "resource_id": q.ResourceID, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, t := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// AuditLogs returns one page of the audit log.
func (c *Client) AuditLogs(ctx context.Context, q AuditQuery) (AuditPage, error) {
	var p AuditPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/admin/audit-logs", query: q.values()}, &p)
	return p, err
}

// AuditLog returns one entry.
func (c *Client) AuditLog(ctx context.Context, id string) (AuditLog, error) {
	return get[AuditLog](ctx, c, "/admin/audit-logs/"+seg(id))
}

// VerifyAudit lets the broker walk along its chains.
func (c *Client) VerifyAudit(ctx context.Context) (AuditReport, error) {
	return get[AuditReport](ctx, c, "/admin/audit-logs/verify")
}

// AuditChains returns the chains in the order in which they began.
func (c *Client) AuditChains(ctx context.Context) ([]AuditChain, error) {
	return list[AuditChain](ctx, c, "/admin/audit-chains", nil)
}

// AuditChain returns the next entries of a chain behind a sequence, in the chain's order; none at its end.
func (c *Client) AuditChain(ctx context.Context, chain string, after int64) ([]AuditLog, error) {
	var out []AuditLog
	query := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(pageLimit)}}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/admin/audit-chains/" + seg(chain) + "/entries", query: query}, &out)
	return out, err
}
