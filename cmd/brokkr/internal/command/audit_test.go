package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// auditWorld is a log of two months, the first of which was dropped if dropped is set.
func auditWorld(dropped bool) ([]client.AuditChain, map[string][]client.AuditLog) {
	entries := map[string][]client.AuditLog{}
	var chains []client.AuditChain
	var former *audit.Chain
	for i, n := range []int{3, 2} {
		at := time.Date(2026, time.Month(7+i), 2, 10, 0, 0, 5000, time.UTC)
		c := audit.Begin(audit.PeriodOf(at), former)
		for j := range n {
			e := audit.Did(audit.StackUpdated, stackID, map[string]int{"v": j}, map[string]int{"v": j + 1}).With("name", "hello").
				Complete(audit.ID(uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d/%d", i, j)).String()), at.Add(time.Duration(j)*time.Hour),
					audit.ActorOf(tenancy.Principal{Role: tenancy.RoleGenerator, Generator: genID, Credential: objectID}),
					audit.Source{RequestID: "req-1", IP: "192.0.2.1", UserAgent: "curl/8"})
			e = c.Seal(e)
			entries[string(c.Period)] = append(entries[string(c.Period)], auditLog(e))
		}
		out := client.AuditChain{Chain: string(c.Period), Number: c.Number, Entries: c.Entries, Head: c.Head.String()}
		if c.After != nil {
			out.After = &client.AuditPoint{Chain: string(c.After.Period), Sequence: c.After.Seq, Link: c.After.Link.String()}
		}
		if dropped && i == 0 {
			gone := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
			out.DroppedAt = &gone
		}
		chains, former = append(chains, out), &c
	}
	return chains, entries
}

func auditLog(e audit.Entry) client.AuditLog {
	text := func(s string) *string { return &s }
	return client.AuditLog{
		ID: string(e.ID), Timestamp: e.At, ActorType: e.Actor.Type, ActorID: &e.Actor.ID, ActorName: text("ci"), CredentialID: text(string(e.Actor.Credential)),
		Action: string(e.Action), ResourceType: e.ResourceType, ResourceID: &e.ResourceID, Details: e.Details, IPAddress: e.Source.IP,
		UserAgent: e.Source.UserAgent, RequestID: e.Source.RequestID, BeforeDigest: text(string(e.Before)), AfterDigest: text(string(e.After)),
		Hash: e.Hash.String(), Chain: text(string(audit.PeriodOf(e.At))), Sequence: &e.Seq, Link: text(e.Link.String()),
	}
}

func asText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func auditRoutes(t *testing.T, dropped bool) routes {
	t.Helper()
	chains, entries := auditWorld(dropped)
	july, august := entries["2026-07"], entries["2026-08"]
	return routes{
		"GET /admin/audit-chains":                                    {ok(asText(t, chains))},
		"GET /admin/audit-chains/2026-07/entries?after=0&limit=1000": {ok(asText(t, july[:2]))},
		"GET /admin/audit-chains/2026-07/entries?after=2&limit=1000": {ok(asText(t, july[2:]))},
		"GET /admin/audit-chains/2026-08/entries?after=0&limit=1000": {ok(asText(t, august))},
		"GET /admin/audit-logs/" + july[0].ID:                        {ok(asText(t, july[0]))},
		"GET /admin/audit-logs?action=stack.%2A&from=2026-08-01T12%3A00%3A00Z&limit=50": {ok(
			asText(t, map[string]any{"logs": august, "total": 7, "next_cursor": nil}))},
		"GET /admin/audit-logs?limit=3":             {ok(asText(t, map[string]any{"logs": august, "total": 5, "next_cursor": "next"}))},
		"GET /admin/audit-logs?cursor=next&limit=1": {ok(asText(t, map[string]any{"logs": july[:1], "total": 5, "next_cursor": "more"}))},
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	_, entries := auditWorld(false)
	id := entries["2026-07"][0].ID
	broken := `{"ok":false,"entries":1,"unsealed":0,"chains":[],"broken":{"chain":"2026-07","sequence":2,"id":"` + id + `","reason":"its content was changed"}}`
	for name, tt := range map[string]struct {
		args   string
		routes routes
		exit   int
	}{
		"audit-list":            {"audit list --action stack.* --since 24h", auditRoutes(t, false), 0},
		"audit-list-pages":      {"audit list --limit 3 -o wide", auditRoutes(t, false), 0},
		"audit-get":             {"audit get " + id, auditRoutes(t, false), 0},
		"audit-get-none":        {"audit get x", routes{"GET /admin/audit-logs/x": {refused(404, "audit_log_not_found", "audit log entry x is not there")}}, 1},
		"audit-list-bad-time":   {"audit list --from yesterday", routes{}, 2},
		"audit-verify":          {"audit verify", routes{"GET /admin/audit-logs/verify": {ok(`{"ok":true,"entries":5,"unsealed":1,"chains":[{"chain":"2026-07"}],"broken":null}`)}}, 0},
		"audit-verify-broken":   {"audit verify", routes{"GET /admin/audit-logs/verify": {ok(broken)}}, 1},
		"audit-verify-no-admin": {"audit verify", routes{"GET /admin/audit-logs/verify": {refused(403, "admin_required", "only an admin may do this")}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run{routes: tt.routes, args: strings.Fields(tt.args)}.do(t)
			if res.exit != tt.exit {
				t.Errorf("exit %d, want %d", res.exit, tt.exit)
			}
			res.golden(t, t.Name())
		})
	}
}

func TestAuditExportIsVerifiedWithoutABroker(t *testing.T) {
	t.Parallel()
	for _, dropped := range []bool{false, true} {
		exported := run{routes: auditRoutes(t, dropped), args: []string{"audit", "export"}}.do(t)
		if exported.exit != 0 {
			t.Fatalf("export: %s", exported.err)
		}
		verify := func(text string) result {
			return run{args: []string{"audit", "verify", "-f", "-"}, stdin: text, loose: true}.do(t)
		}
		want := map[bool]string{false: "5 entries in 2 chains", true: "2 entries in 2 chains"}[dropped]
		if res := verify(exported.out); res.exit != 0 || !strings.Contains(res.out, want) {
			t.Fatalf("dropped %v: exit %d, %s%s, want %s", dropped, res.exit, res.out, res.err, want)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(exported.out, "\n"), "\n")
		last := len(lines) - 1
		for name, tc := range map[string]struct {
			lines []string
			says  string
		}{
			"changed":       {append(append([]string{}, lines[:last]...), strings.Replace(lines[last], "192.0.2.1", "192.0.2.2", 1)), "content was changed"},
			"deleted":       {append(append([]string{}, lines[:last-1]...), lines[last]), "is missing"},
			"cut off":       {lines[:last], "is missing"},
			"twice":         {append(append([]string{}, lines...), "\n"+lines[last]), "wrong order"},
			"without chain": {lines[1+map[bool]int{false: 3}[dropped]+1:], "line 1"},
			"empty":         {nil, "no chain"},
			"no export":     {[]string{"hello"}, "line 1"},
		} {
			res := verify(strings.Join(tc.lines, ""))
			if res.exit != 1 || !strings.Contains(res.err, tc.says) {
				t.Errorf("dropped %v, %s: exit %d, %s%s, want 1 saying %q", dropped, name, res.exit, res.out, res.err, tc.says)
			}
		}
	}
}
