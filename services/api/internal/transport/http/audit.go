package http

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	auditJSON struct {
		ID           audit.ID          `json:"id"`
		Timestamp    time.Time         `json:"timestamp"`
		ActorType    string            `json:"actor_type"`
		ActorID      *string           `json:"actor_id"`
		ActorName    *string           `json:"actor_name"`
		CredentialID *string           `json:"credential_id"`
		Action       audit.Action      `json:"action"`
		ResourceType string            `json:"resource_type"`
		ResourceID   *string           `json:"resource_id"`
		Details      map[string]string `json:"details"`
		IPAddress    string            `json:"ip_address,omitempty"`
		UserAgent    string            `json:"user_agent,omitempty"`
		CreatedAt    time.Time         `json:"created_at"`
		RequestID    string            `json:"request_id,omitempty"`
		Traceparent  string            `json:"traceparent,omitempty"`
		Before       *string           `json:"before_digest"`
		After        *string           `json:"after_digest"`
		Hash         string            `json:"hash"`
		Chain        *audit.Period     `json:"chain"`
		Sequence     *int64            `json:"sequence"`
		Link         *string           `json:"link"`
	}
	auditListJSON struct {
		Logs       []auditJSON `json:"logs"`
		Total      int         `json:"total"`
		Count      int         `json:"count"`
		Limit      int         `json:"limit"`
		Offset     int         `json:"offset"`
		NextCursor *string     `json:"next_cursor"`
	}
	auditPointJSON struct {
		Chain    audit.Period `json:"chain"`
		Sequence int64        `json:"sequence"`
		Link     string       `json:"link"`
	}
	auditChainJSON struct {
		Chain     audit.Period    `json:"chain"`
		Number    int             `json:"number"`
		After     *auditPointJSON `json:"after"`
		Entries   int64           `json:"entries"`
		Head      string          `json:"head"`
		DroppedAt *time.Time      `json:"dropped_at"`
	}
	auditBreakJSON struct {
		Chain    audit.Period `json:"chain"`
		Sequence int64        `json:"sequence"`
		ID       *string      `json:"id"`
		Reason   string       `json:"reason"`
	}
	auditReportJSON struct {
		OK       bool             `json:"ok"`
		Entries  int64            `json:"entries"`
		Unsealed int              `json:"unsealed"`
		Chains   []auditChainJSON `json:"chains"`
		Broken   *auditBreakJSON  `json:"broken"`
	}
)

// unlessEmpty is a nullable text.
func unlessEmpty[T ~string](v T) *string {
	if v == "" {
		return nil
	}
	s := string(v)
	return &s
}

func auditOf(e audit.Entry) auditJSON {
	out := auditJSON{
		ID: e.ID, Timestamp: e.At, ActorType: e.Actor.Type, ActorID: unlessEmpty(e.Actor.ID), ActorName: unlessEmpty(e.ActorName),
		CredentialID: unlessEmpty(e.Actor.Credential), Action: e.Action, ResourceType: e.ResourceType, ResourceID: unlessEmpty(e.ResourceID),
		Details: e.Details, IPAddress: e.Source.IP, UserAgent: e.Source.UserAgent, CreatedAt: e.At, RequestID: e.Source.RequestID,
		Traceparent: e.Source.Traceparent, Before: unlessEmpty(e.Before), After: unlessEmpty(e.After), Hash: e.Hash.String(),
	}
	if e.Seq > 0 {
		chain, link := audit.PeriodOf(e.At), e.Link.String()
		out.Chain, out.Sequence, out.Link = &chain, &e.Seq, &link
	}
	return out
}

func auditChainOf(c audit.Chain) auditChainJSON {
	out := auditChainJSON{Chain: c.Period, Number: c.Number, Entries: c.Entries, Head: c.Head.String(), DroppedAt: c.DroppedAt}
	if c.After != nil {
		out.After = &auditPointJSON{Chain: c.After.Period, Sequence: c.After.Seq, Link: c.After.Link.String()}
	}
	return out
}

func auditReportOf(r app.AuditReport) auditReportJSON {
	out := auditReportJSON{OK: r.Broken == nil, Entries: r.Entries, Unsealed: r.Waiting, Chains: each(r.Chains, auditChainOf)}
	if r.Broken != nil {
		out.Broken = &auditBreakJSON{Chain: r.Broken.Period, Sequence: r.Broken.Seq, ID: unlessEmpty(r.Broken.ID), Reason: r.Broken.Reason}
	}
	return out
}

// How many entries one answer has.
const (
	auditLimit    = 100
	auditMaxLimit = 1000
)

type auditQuery struct {
	filter audit.Filter
	page   audit.Page
	url    *url.URL
}

// auditAnswer is the published answer, which tells the next page and the total in its body, with the headers that tell them for
// every list.
type auditAnswer struct {
	auditListJSON
	url *url.URL
}

// Respond implements rpc.Responder.
func (l auditAnswer) Respond(ctx context.Context, w http.ResponseWriter, status int) error {
	w.Header().Set(rpc.TotalCount, strconv.Itoa(l.Total))
	if l.NextCursor != nil {
		q := l.url.Query()
		q.Del("offset")
		q.Set("cursor", *l.NextCursor)
		w.Header().Set("Link", "<"+(&url.URL{Path: l.url.Path, RawQuery: q.Encode()}).String()+`>; rel="next"`)
	}
	return rpc.Tagged{Body: l.auditListJSON}.Respond(ctx, w, status)
}

func auditRequest(r *http.Request) (auditQuery, error) {
	v := r.URL.Query()
	q := auditQuery{url: r.URL, filter: audit.Filter{ActorType: v.Get("actor_type"), Action: v.Get("action"), ResourceType: v.Get("resource_type")}}
	var err error
	if q.filter.ActorID, err = queryID(v, "actor_id"); err != nil {
		return q, err
	}
	if q.filter.ResourceID, err = queryID(v, "resource_id"); err != nil {
		return q, err
	}
	if q.filter.From, err = queryTime(v, "from"); err != nil {
		return q, err
	}
	if q.filter.To, err = queryTime(v, "to"); err != nil {
		return q, err
	}
	if q.page.Limit, err = queryNumber(v, "limit", auditLimit); err != nil {
		return q, err
	}
	q.page.Limit = min(max(q.page.Limit, 1), auditMaxLimit)
	if q.page.Offset, err = queryNumber(v, "offset", 0); err != nil {
		return q, err
	}
	q.page.After, err = queryMark(v)
	return q, err
}

func invalidQuery(name, value, want string) error {
	return fault.Newf(fault.Invalid, "invalid_query", "%s is %q, not %s", name, value, want).With("parameter", name)
}

func queryID(v url.Values, name string) (string, error) {
	s := v.Get(name)
	if s == "" {
		return "", nil
	}
	out, err := id.Parse[string](name, s)
	if err != nil {
		return "", invalidQuery(name, s, "a UUID")
	}
	return out, nil
}

func queryTime(v url.Values, name string) (time.Time, error) {
	s := v.Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9998 {
		return time.Time{}, invalidQuery(name, s, "a time like 2026-08-02T18:36:49Z")
	}
	return t.UTC(), nil
}

func queryNumber(v url.Values, name string, otherwise int) (int, error) {
	s := v.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, invalidQuery(name, s, "a whole number from 0 on")
	}
	return int(n), nil
}

func queryMark(v url.Values) (*audit.Mark, error) {
	s := v.Get("cursor")
	if s == "" {
		return nil, nil //nolint:nilnil // no cursor, no mark
	}
	wrong := invalidQuery("cursor", s, "a next_cursor of an answer")
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, wrong
	}
	at, entry, _ := strings.Cut(string(text), " ")
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || !id.Valid(entry) || t.UTC().Year() < 1 || t.UTC().Year() > 9998 {
		return nil, wrong
	}
	return &audit.Mark{At: t, ID: audit.ID(entry)}, nil
}

func markOf(e audit.Entry) *string {
	s := base64.RawURLEncoding.EncodeToString([]byte(e.At.Format(time.RFC3339Nano) + " " + string(e.ID)))
	return &s
}

func auditList(q auditQuery, p app.AuditPage) auditListJSON {
	out := auditListJSON{Logs: each(p.Entries, auditOf), Total: p.Total, Count: len(p.Entries), Limit: q.page.Limit, Offset: q.page.Offset}
	if n := len(p.Entries); n > 0 && n == q.page.Limit {
		out.NextCursor = markOf(p.Entries[n-1])
	}
	return out
}

type chainQuery struct {
	period audit.Period
	after  int64
}

// chainList says how the chains are listed: in the order in which they began.
func chainList() page.List[audit.Chain] {
	return page.List[audit.Chain]{
		ID:      func(c audit.Chain) string { return named("audit-chain", string(c.Period)) },
		Sorts:   []page.Sort[audit.Chain]{{Name: "number", Kind: page.Number, Key: func(c audit.Chain) string { return page.Integer(int64(c.Number)) }}},
		InPages: true,
	}
}

func chainRequest(r *http.Request) (chainQuery, error) {
	s, err := segment(r, "chain")
	if err != nil {
		return chainQuery{}, err
	}
	p, ok := audit.ParsePeriod(s)
	if !ok {
		return chainQuery{}, fault.Newf(fault.NotFound, "audit_chain_not_found", "audit chain %q is not there; chains are named like 2026-08", s)
	}
	v := r.URL.Query()
	after, err := queryNumber(v, "after", 0)
	return chainQuery{period: p, after: int64(after)}, err
}

func verifyRequest(r *http.Request) (audit.Period, error) {
	s := r.URL.Query().Get("chain")
	if s == "" {
		return "", nil
	}
	p, ok := audit.ParsePeriod(s)
	if !ok {
		return "", invalidQuery("chain", s, "a month like 2026-08")
	}
	return p, nil
}

func auditRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		get("list_audit_logs", "/admin/audit-logs", Admin, auditRequest, func(ctx context.Context, q auditQuery) (auditAnswer, error) {
			p, err := a.AuditLog(ctx, q.filter, q.page)
			return auditAnswer{auditList(q, p), q.url}, err
		}),
		get("verify_audit_logs", "/admin/audit-logs/verify", Admin, verifyRequest, func(ctx context.Context, p audit.Period) (auditReportJSON, error) {
			r, err := a.VerifyAudit(ctx, p)
			return auditReportOf(r), err
		}),
		get("get_audit_log", "/admin/audit-logs/{id}", Admin, justID[audit.ID], func(ctx context.Context, v audit.ID) (auditJSON, error) {
			e, err := a.AuditEntry(ctx, v)
			return auditOf(e), err
		}),
		list("list_audit_chains", "/admin/audit-chains", Admin, chainList(), none, rpc.Short(chainList(), func(ctx context.Context, _ struct{}) ([]audit.Chain, error) {
			return a.AuditChains(ctx)
		}), auditChainOf),
		list("list_audit_chain_entries", "/admin/audit-chains/{chain}/entries", Admin, app.ChainEntryList(), chainRequest, func(ctx context.Context, c chainQuery, q page.Query) (page.Page[audit.Entry], error) {
			return a.AuditChain(ctx, c.period, c.after, q)
		}, auditOf),
	}
}
