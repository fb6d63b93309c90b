package http

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	credentialJSON struct {
		ID          tenancy.CredentialID `json:"id"`
		Name        string               `json:"name"`
		Role        tenancy.Role         `json:"role"`
		GeneratorID *tenancy.GeneratorID `json:"generator_id"`
		AgentID     *tenancy.AgentID     `json:"agent_id"`
		Prefix      *string              `json:"prefix"`
		State       string               `json:"state"`
		CreatedAt   time.Time            `json:"created_at"`
		ExpiresAt   *time.Time           `json:"expires_at"`
		RevokedAt   *time.Time           `json:"revoked_at"`
		LastUsedAt  *time.Time           `json:"last_used_at"`
	}
	newCredentialJSON struct {
		Name        string     `json:"name"`
		Role        string     `json:"role"`
		GeneratorID *string    `json:"generator_id"`
		AgentID     *string    `json:"agent_id"`
		ExpiresAt   *time.Time `json:"expires_at"`
	}
	credentialKeyJSON struct {
		Credential credentialJSON `json:"credential"`
		PAK        string         `json:"pak"`
	}
	graceJSON struct {
		GraceSeconds int64 `json:"grace_seconds"`
	}
)

func (g graceJSON) overlap() time.Duration {
	// what is beyond every overlap stays beyond when it becomes a duration
	return time.Duration(min(max(g.GraceSeconds, -1), int64(2*tenancy.MaxGrace/time.Second))) * time.Second
}

func credentialOf(now time.Time) func(tenancy.Credential) credentialJSON {
	return func(c tenancy.Credential) credentialJSON {
		out := credentialJSON{
			ID: c.ID, Name: c.Name, Role: c.Role, State: "usable", CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, RevokedAt: c.RevokedAt, LastUsedAt: c.LastUsedAt,
		}
		switch {
		case c.RevokedAt != nil && !now.Before(*c.RevokedAt):
			out.State = "revoked"
		case !c.Usable(now):
			out.State = "expired"
		case c.RevokedAt != nil:
			out.State = "ending"
		}
		if c.Generator != "" {
			out.GeneratorID = &c.Generator
		}
		if c.Agent != "" {
			out.AgentID = &c.Agent
		}
		if prefix, ok := app.PrefixOf(c); ok {
			out.Prefix = &prefix
		}
		return out
	}
}

// limitOf reads ?limit of a list that has pages always.
func limitOf(q url.Values, byDefault, most int) (int, error) {
	v := q.Get("limit")
	if v == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, fault.Newf(fault.Invalid, "invalid_query", "limit is %q, not a number from 1 to %d", v, most)
	}
	return n, nil
}

// pageCursor is where a list of the newest goes on: behind the row of this time and id.
func pageCursor(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(at.UnixMicro(), 10) + "." + id))
}

func readCursor(s string) (time.Time, string, error) {
	if s == "" {
		return time.Time{}, "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	at, row, found := strings.Cut(string(raw), ".")
	micros, numErr := strconv.ParseInt(at, 10, 64)
	// beyond these years a database has no time
	if err != nil || numErr != nil || !found || !id.Valid(row) || micros < 0 || micros > time.Date(9998, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro() {
		return time.Time{}, "", fault.New(fault.Invalid, "invalid_query", "cursor is none of this list; take it from the Link header of the page before")
	}
	return time.UnixMicro(micros).UTC(), row, nil
}

type credentialQuery struct {
	app.CredentialFilter
	url *url.URL
}

func credentialFilter(r *http.Request) (credentialQuery, error) {
	q := r.URL.Query()
	out := credentialQuery{url: r.URL, CredentialFilter: app.CredentialFilter{Role: tenancy.Role(q.Get("role"))}}
	var err error
	if out.Limit, err = limitOf(q, 100, 1000); err != nil {
		return out, err
	}
	if v := q.Get("generator_id"); v != "" {
		if out.Generator, err = id.Parse[tenancy.GeneratorID]("generator_id", v); err != nil {
			return out, err
		}
	}
	if v := q.Get("agent_id"); v != "" {
		if out.Agent, err = id.Parse[agent.ID]("agent_id", v); err != nil {
			return out, err
		}
	}
	switch v := q.Get("state"); v {
	case "":
	case "usable":
		out.Usable = true
	default:
		return out, fault.Newf(fault.Invalid, "invalid_query", "state is %q; only usable can be asked for", v)
	}
	at, row, err := readCursor(q.Get("cursor"))
	out.Before, out.BeforeID = at, tenancy.CredentialID(row)
	return out, err
}

// paged is a page of a list with a link to the next one, if there is one.
type paged[T any] struct {
	items []T
	next  *url.URL
}

// Respond implements rpc.Responder.
func (p paged[T]) Respond(ctx context.Context, w http.ResponseWriter, status int) error {
	if p.next != nil {
		w.Header().Set("Link", "<"+p.next.String()+">; rel=\"next\"")
	}
	return rpc.WithStatus{Status: status, Body: p.items}.Respond(ctx, w, status)
}

func nextPage(of *url.URL, cursor string) *url.URL {
	next := *of
	q := next.Query()
	q.Set("cursor", cursor)
	next.RawQuery = q.Encode()
	return &next
}

func credentialRoutes(a *app.App) []rpc.Route {
	show := func(c tenancy.Credential) credentialJSON { return credentialOf(a.Now())(c) }
	return []rpc.Route{
		get("list_credentials", "/credentials", Authenticated, credentialFilter, func(ctx context.Context, q credentialQuery) (paged[credentialJSON], error) {
			all, more, err := a.ListCredentials(ctx, who(ctx), q.CredentialFilter)
			out := paged[credentialJSON]{items: each(all, show)}
			if more {
				last := all[len(all)-1]
				out.next = nextPage(q.url, pageCursor(last.CreatedAt, string(last.ID)))
			}
			return out, err
		}),
		post("create_credential", "/credentials", operate(Generator)+"|agent", rpc.JSON[newCredentialJSON], func(ctx context.Context, n newCredentialJSON) (credentialKeyJSON, error) {
			c, key, err := a.CreateCredential(ctx, who(ctx), app.NewCredential{
				Name: n.Name, Role: n.Role, Generator: n.GeneratorID, Agent: n.AgentID, ExpiresAt: n.ExpiresAt,
			})
			return credentialKeyJSON{Credential: show(c), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		get("get_credential", "/credentials/{id}", Authenticated, justID[tenancy.CredentialID], func(ctx context.Context, c tenancy.CredentialID) (credentialJSON, error) {
			out, err := a.GetCredential(ctx, who(ctx), c)
			return show(out), err
		}),
		post("rotate_credential", "/credentials/{id}/rotate", Authenticated, idAndMaybe[tenancy.CredentialID, graceJSON], func(ctx context.Context, r of[tenancy.CredentialID, graceJSON]) (credentialKeyJSON, error) {
			c, key, err := a.RotateCredential(ctx, who(ctx), r.id, r.body.overlap())
			return credentialKeyJSON{Credential: show(c), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		del("revoke_credential", "/credentials/{id}", Authenticated, justID[tenancy.CredentialID], func(ctx context.Context, c tenancy.CredentialID) error {
			return a.RevokeCredential(ctx, who(ctx), c)
		}),
	}
}
