package porttest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func auditCases() map[string]func(*world) {
	return map[string]func(*world){
		"an entry comes back as it was":           auditRoundTrip,
		"what is incomplete is refused":           auditRefusals,
		"an entry lives and dies with its change": auditRollback,
		"filters":                               auditFilters,
		"pages":                                 auditPages,
		"names are those of now":                auditNames,
		"sealing":                               auditSealing,
		"sealing in several processes":          auditSealers,
		"what is committed late is sealed late": auditLate,
		"dropping":                              auditDropping,
	}
}

func (w *world) auditMethods() map[string]method {
	return map[string]method{
		"AuditLog.Append": func(ctx context.Context, r ports.Repositories) error {
			return r.AuditLog().Append(ctx, w.newEntry(audit.StackCreated, w.at))
		},
		"AuditLog.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.AuditLog().Get(ctx, newID[audit.ID]()))
		},
		"AuditLog.List": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.AuditLog().List(ctx, audit.Filter{}, audit.Page{Limit: 10})
			return err
		},
		"AuditLog.Chains": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.AuditLog().Chains(ctx))
		},
		"AuditLog.Sealed": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.AuditLog().Sealed(ctx, "2026-01", 0, 10))
		},
		"AuditLog.Waiting": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.AuditLog().Waiting(ctx))
		},
		"AuditKeeper.Seal": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.AuditKeeper().Seal(ctx, 10))
		},
		"AuditKeeper.Prepare": func(ctx context.Context, r ports.Repositories) error {
			return r.AuditKeeper().Prepare(ctx, "2026-01")
		},
		"AuditKeeper.Drop": func(ctx context.Context, r ports.Repositories) error {
			return r.AuditKeeper().Drop(ctx, "2026-01", w.at)
		},
	}
}

func (w *world) newEntry(a audit.Action, at time.Time) audit.Entry {
	who := audit.ActorOf(tenancy.Principal{Role: tenancy.RoleAdmin, Credential: newID[tenancy.CredentialID]()})
	return audit.Did(a, newID[string](), map[string]any{"name": "before"}, map[string]any{"name": "after"}).With("why", `it's "so" <&> \ größer`).
		Complete(newID[audit.ID](), at, who, audit.Source{RequestID: "r-1", IP: "192.0.2.1", UserAgent: "curl/8", Traceparent: traceparent})
}

func (w *world) audited(a audit.Action, at time.Time) audit.Entry {
	w.Helper()
	e := w.newEntry(a, at)
	wantNone(w.T, "append", w.AuditLog().Append(w.ctx, e))
	return e
}

func (w *world) auditList(f audit.Filter, p audit.Page) ([]audit.ID, int) {
	w.Helper()
	list, total, err := w.AuditLog().List(w.ctx, f, p)
	wantNone(w.T, "list", err)
	ids := make([]audit.ID, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	return ids, total
}

func auditRoundTrip(w *world) {
	e := w.audited(audit.StackCreated, w.at)
	bare := audit.Did(audit.PAKRotated, "", nil, nil).Complete(newID[audit.ID](), w.at, audit.Actor{Type: audit.System}, audit.Source{})
	wantNone(w.T, "append", w.AuditLog().Append(w.ctx, bare))
	wantNone(w.T, "append nothing", w.AuditLog().Append(w.ctx))
	e.ActorName, bare.ActorName = "admin", "system"
	for _, want := range []audit.Entry{e, bare} {
		got, err := w.AuditLog().Get(w.ctx, want.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "content hash", got.Sum(), got.Hash)
		wantSame(w.T, "hash", got.Hash, want.Hash)
		wantSame(w.T, "details", got.Details, want.Details)
		wantSame(w.T, "actor's name", got.ActorName, want.ActorName)
		wantSame(w.T, "place", got.Seq, 0)
	}
	_, err := w.AuditLog().Get(w.ctx, newID[audit.ID]())
	wantCode(w.T, "get nothing", err, fault.NotFound, "audit_log_not_found")
	wantCode(w.T, "append again", w.AuditLog().Append(w.ctx, e), fault.Conflict, "unique_violation")
}

func auditRefusals(w *world) {
	for name, spoil := range map[string]func(*audit.Entry){
		"nobody":             func(e *audit.Entry) { e.Actor = audit.Actor{} },
		"no id":              func(e *audit.Entry) { e.ID = "" },
		"a changed content":  func(e *audit.Entry) { e.Source.IP = "192.0.2.9" },
		"no action":          func(e *audit.Entry) { e.Action = "" },
		"an id that is none": func(e *audit.Entry) { e.ResourceID = "x" },
	} {
		e := w.newEntry(audit.StackCreated, w.at)
		spoil(&e)
		if err := w.AuditLog().Append(w.ctx, e); !fault.Is(err, fault.Internal) {
			w.Errorf("%s: got %v, want Internal", name, err)
		}
	}
	e := audit.Did(audit.StackCreated, "", nil, func() {}).Complete(newID[audit.ID](), w.at, audit.Actor{Type: audit.System}, audit.Source{})
	if err := w.AuditLog().Append(w.ctx, e); !fault.Is(err, fault.Internal) {
		w.Errorf("what has no digest: got %v, want Internal", err)
	}
	if _, total := w.auditList(audit.Filter{}, audit.Page{Limit: 10}); total != 0 {
		w.Errorf("got %d entries, want none", total)
	}
}

func auditRollback(w *world) {
	e := w.newEntry(audit.StackCreated, w.at)
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.AuditLog().Append(ctx, e); err != nil {
			return err
		}
		return errClosure
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v", err)
	}
	_, err = w.AuditLog().Get(w.ctx, e.ID)
	wantCode(w.T, "after the rollback", err, fault.NotFound, "audit_log_not_found")
}

func auditFilters(w *world) {
	a := w.audited(audit.StackCreated, w.at)
	b := w.audited(audit.StackDeleted, w.at.Add(time.Second))
	c := w.audited(audit.AgentCreated, w.at.Add(2*time.Second))
	for name, tc := range map[string]struct {
		f    audit.Filter
		want []audit.ID
	}{
		"all":             {audit.Filter{}, []audit.ID{c.ID, b.ID, a.ID}},
		"an action":       {audit.Filter{Action: "stack.created"}, []audit.ID{a.ID}},
		"a part of one":   {audit.Filter{Action: "stack"}, nil},
		"a beginning":     {audit.Filter{Action: "stack.*"}, []audit.ID{b.ID, a.ID}},
		"any beginning":   {audit.Filter{Action: "*"}, []audit.ID{c.ID, b.ID, a.ID}},
		"an actor":        {audit.Filter{ActorID: b.Actor.ID}, []audit.ID{b.ID}},
		"a kind of actor": {audit.Filter{ActorType: "system"}, nil},
		"admins":          {audit.Filter{ActorType: "admin"}, []audit.ID{c.ID, b.ID, a.ID}},
		"a kind of thing": {audit.Filter{ResourceType: "agent"}, []audit.ID{c.ID}},
		"a thing":         {audit.Filter{ResourceID: a.ResourceID}, []audit.ID{a.ID}},
		"no thing":        {audit.Filter{ResourceID: "nothing"}, nil},
		"from":            {audit.Filter{From: b.At}, []audit.ID{c.ID, b.ID}},
		"to":              {audit.Filter{To: b.At}, []audit.ID{a.ID}},
		"between":         {audit.Filter{From: a.At, To: c.At}, []audit.ID{b.ID, a.ID}},
	} {
		got, total := w.auditList(tc.f, audit.Page{Limit: 10})
		if tc.want == nil {
			tc.want = []audit.ID{}
		}
		wantSame(w.T, name, got, tc.want)
		wantSame(w.T, name+": total", total, len(tc.want))
	}
}

func auditPages(w *world) {
	var want []audit.ID
	for i := range 5 {
		want = append([]audit.ID{w.audited(audit.StackCreated, w.at.Add(time.Duration(i)*time.Second)).ID}, want...)
	}
	got, total := w.auditList(audit.Filter{}, audit.Page{Offset: 1, Limit: 2})
	wantSame(w.T, "by offset", got, want[1:3])
	wantSame(w.T, "total", total, 5)
	last, err := w.AuditLog().Get(w.ctx, want[1])
	wantNone(w.T, "get", err)
	w.audited(audit.StackDeleted, w.at.Add(time.Minute)) // moves offsets, not marks
	got, _ = w.auditList(audit.Filter{}, audit.Page{After: &audit.Mark{At: last.At, ID: last.ID}, Limit: 2})
	wantSame(w.T, "after a mark", got, want[2:4])
}

func auditNames(w *world) {
	p := w.place(1)
	for role, want := range map[tenancy.Principal]string{
		{Role: tenancy.RoleGenerator, Generator: p.generator.ID, Credential: newID[tenancy.CredentialID]()}:               p.generator.Name,
		{Role: tenancy.RoleAgent, Agent: p.agents[0].ID, Credential: newID[tenancy.CredentialID]()}:                       p.agents[0].Name,
		{Role: tenancy.RoleGenerator, Generator: newID[tenancy.GeneratorID](), Credential: newID[tenancy.CredentialID]()}: "",
		{Role: tenancy.RoleAdmin, Credential: newID[tenancy.CredentialID]()}:                                              "admin",
	} {
		e := audit.Did(audit.StackUpdated, "", nil, nil).Complete(newID[audit.ID](), w.at, audit.ActorOf(role), audit.Source{})
		wantNone(w.T, "append", w.AuditLog().Append(w.ctx, e))
		got, err := w.AuditLog().Get(w.ctx, e.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "name", got.ActorName, want)
	}
}

// verify walks along all chains and returns how many entries they have.
func (w *world) verify() (int, error) {
	w.Helper()
	chains, err := w.AuditLog().Chains(w.ctx)
	wantNone(w.T, "chains", err)
	if err := audit.CheckChains(chains); err != nil {
		return 0, err
	}
	n := 0
	for i, c := range chains {
		if c.DroppedAt != nil {
			continue
		}
		var next *audit.Chain
		if i+1 < len(chains) {
			next = &chains[i+1]
		}
		walk, seq := audit.NewWalk(c, next), int64(0)
		for {
			page, err := w.AuditLog().Sealed(w.ctx, c.Period, seq, 3)
			wantNone(w.T, "sealed", err)
			for _, e := range page {
				if err := walk.Add(e); err != nil {
					return n, err
				}
				seq, n = e.Seq, n+1
			}
			if len(page) < 3 {
				break
			}
		}
		if err := walk.End(); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (w *world) seal(limit, want int) {
	w.Helper()
	n, err := w.AuditKeeper().Seal(w.ctx, limit)
	wantNone(w.T, "seal", err)
	wantSame(w.T, "sealed", n, want)
}

func (w *world) verified(want int) {
	w.Helper()
	n, err := w.verify()
	wantNone(w.T, "verify", err)
	wantSame(w.T, "verified entries", n, want)
}

var month = time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC) //nolint:gochecknoglobals // a constant

func auditSealing(w *world) {
	w.seal(10, 0)
	w.verified(0)
	for i := range 7 {
		w.audited(audit.StackCreated, month.Add(time.Duration(i)*time.Second))
	}
	waiting, err := w.AuditLog().Waiting(w.ctx)
	wantNone(w.T, "waiting", err)
	wantSame(w.T, "waiting", waiting, 7)
	w.seal(3, 3)
	w.verified(3)
	w.seal(10, 4)
	w.seal(10, 0)
	w.verified(7)
	chains, err := w.AuditLog().Chains(w.ctx)
	wantNone(w.T, "chains", err)
	if len(chains) != 2 || chains[0].Period != "2026-03" || chains[0].Entries != 1 || chains[1].Entries != 6 || chains[1].After == nil {
		w.Fatalf("chains: got %+v, want one of March with one entry, and one of April with 6 that rests on it", chains)
	}
	waiting, err = w.AuditLog().Waiting(w.ctx)
	wantNone(w.T, "waiting", err)
	wantSame(w.T, "waiting", waiting, 0)
}

func auditSealers(w *world) {
	const entries = 40
	for i := range entries {
		w.audited(audit.StackCreated, month.Add(time.Duration(i)*time.Second))
	}
	errs := race(4, func(int) error {
		for {
			n, err := w.AuditKeeper().Seal(w.ctx, 5)
			if err != nil || n == 0 {
				return err
			}
		}
	})
	wantNone(w.T, "sealers", errors.Join(errs...))
	w.verified(entries)
}

func auditLate(w *world) {
	late := w.newEntry(audit.StackCreated, month)
	w.audited(audit.StackUpdated, month.Add(time.Hour))
	w.seal(10, 1)
	wantNone(w.T, "append", w.AuditLog().Append(w.ctx, late))
	w.audited(audit.StackUpdated, month.Add(2*time.Hour))
	w.seal(10, 2)
	w.verified(3)
}

func auditDropping(w *world) {
	for i := range 4 {
		period := audit.PeriodOf(month).Next()
		wantNone(w.T, "prepare", w.AuditKeeper().Prepare(w.ctx, period))
		wantNone(w.T, "prepare again", w.AuditKeeper().Prepare(w.ctx, period))
		w.audited(audit.Unnamed("call_"+strconv.Itoa(i)), month.Add(time.Duration(i)*20*24*time.Hour))
	}
	wantNone(w.T, "drop what has no chain", w.AuditKeeper().Drop(w.ctx, "2026-03", w.at))
	w.seal(10, 4)
	waits := w.audited(audit.StackCreated, month.Add(-time.Hour))
	wantCode(w.T, "drop what is not sealed", w.AuditKeeper().Drop(w.ctx, "2026-03", w.at), fault.Refused, "audit_not_sealed")
	w.seal(10, 1)
	w.verified(5)
	wantNone(w.T, "drop", w.AuditKeeper().Drop(w.ctx, "2026-03", w.at))
	wantNone(w.T, "drop again", w.AuditKeeper().Drop(w.ctx, "2026-03", w.at.Add(time.Hour)))
	wantNone(w.T, "drop", w.AuditKeeper().Drop(w.ctx, "2026-04", w.at))
	_, err := w.AuditLog().Get(w.ctx, waits.ID)
	wantCode(w.T, "get what was dropped", err, fault.NotFound, "audit_log_not_found")
	chains, err := w.AuditLog().Chains(w.ctx)
	wantNone(w.T, "chains", err)
	if len(chains) != 3 || chains[0].DroppedAt == nil || !chains[0].DroppedAt.Equal(w.at) || chains[0].Entries != 2 || chains[2].DroppedAt != nil {
		w.Fatalf("chains: got %+v, want three, of which the first two were dropped", chains)
	}
	w.verified(2)
	w.audited(audit.StackCreated, month.Add(50*24*time.Hour))
	w.seal(10, 1)
	w.verified(3)
}
