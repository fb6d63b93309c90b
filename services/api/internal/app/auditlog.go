package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// AuditPage is a part of the audit log.
type AuditPage struct {
	Entries []audit.Entry
	Total   int
}

// AuditLog returns the entries that f chooses, newest first.
func (a *App) AuditLog(ctx context.Context, f audit.Filter, p audit.Page) (AuditPage, error) {
	list, total, err := a.Store.AuditLog().List(ctx, f, p)
	if err != nil {
		return AuditPage{}, fmt.Errorf("list audit log entries: %w", err)
	}
	return AuditPage{Entries: list, Total: total}, nil
}

// AuditEntry returns one entry.
func (a *App) AuditEntry(ctx context.Context, id audit.ID) (audit.Entry, error) {
	e, err := a.Store.AuditLog().Get(ctx, id)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("get audit log entry: %w", err)
	}
	return e, nil
}

// AuditChains returns what is known of the chains beside their entries.
func (a *App) AuditChains(ctx context.Context) ([]audit.Chain, error) {
	out, err := a.Store.AuditLog().Chains(ctx)
	if err != nil {
		return nil, fmt.Errorf("list audit chains: %w", err)
	}
	return out, nil
}

// ChainEntryList says how the entries of a chain are listed: in its order, and in no other.
func ChainEntryList() page.List[audit.Entry] {
	return page.List[audit.Entry]{
		ID:      func(e audit.Entry) string { return string(e.ID) },
		Sorts:   []page.Sort[audit.Entry]{{Name: "sequence", Kind: page.Number, Key: func(e audit.Entry) string { return page.Integer(e.Seq) }}},
		InPages: true,
	}
}

// AuditChain returns a page of the entries of a chain behind seq; NotFound if there is no such chain.
func (a *App) AuditChain(ctx context.Context, p audit.Period, seq int64, q page.Query) (page.Page[audit.Entry], error) {
	if q.Descending {
		return page.Page[audit.Entry]{}, fault.New(fault.Invalid, "invalid_query", "query parameter sort: a chain is read in its own order alone").With("parameter", page.ParamSort)
	}
	if q.After != nil {
		last, err := strconv.ParseInt(q.After.Key, 10, 64)
		if err != nil {
			return page.Page[audit.Entry]{}, fmt.Errorf("read the cursor: %w", err)
		}
		seq = last
	}
	chains, err := a.AuditChains(ctx)
	if err != nil {
		return page.Page[audit.Entry]{}, err
	}
	for _, c := range chains {
		if c.Period != p {
			continue
		}
		out, err := a.Store.AuditLog().Sealed(ctx, p, seq, q.Limit+1)
		if err != nil {
			return page.Page[audit.Entry]{}, fmt.Errorf("read audit chain: %w", err)
		}
		total := int(c.Entries)
		if c.DroppedAt != nil {
			total = 0
		}
		return ChainEntryList().Trim(q, out, total), nil
	}
	return page.Page[audit.Entry]{}, fault.Newf(fault.NotFound, "audit_chain_not_found", "audit chain %s is not there", p)
}

// AuditReport is what a verification found.
type AuditReport struct {
	Entries int64 // that were verified
	Waiting int   // that are not sealed yet: about them nothing can be said
	Chains  []audit.Chain
	Broken  *audit.Break // the first wrong place; nil if there is none
}

// verifyPage is how many entries are read at a time.
const verifyPage = 1000

// VerifyAudit walks along the chains (all if p is empty) up to the first wrong place.
func (a *App) VerifyAudit(ctx context.Context, p audit.Period) (AuditReport, error) {
	var out AuditReport
	waiting, err := a.Store.AuditLog().Waiting(ctx)
	if err != nil {
		return out, fmt.Errorf("count unsealed audit log entries: %w", err)
	}
	out.Waiting = waiting
	if out.Chains, err = a.AuditChains(ctx); err != nil {
		return out, err
	}
	if errors.As(audit.CheckChains(out.Chains), &out.Broken) {
		return out, nil
	}
	known := p == ""
	for i := range out.Chains {
		c := out.Chains[i]
		if p != "" && c.Period != p {
			continue
		}
		known = true
		if c.DroppedAt != nil {
			continue
		}
		var next *audit.Chain
		if i+1 < len(out.Chains) {
			next = &out.Chains[i+1]
		}
		n, err := a.walk(ctx, c, next)
		out.Entries += n
		var broken *audit.Break
		if errors.As(err, &broken) {
			dropped, err := a.droppedMeanwhile(ctx, c.Period)
			if err != nil {
				return out, err
			}
			if dropped != nil { // its entries were let go while they were read
				out.Chains[i] = *dropped
				continue
			}
			out.Broken = broken
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
	if !known {
		return out, fault.Newf(fault.NotFound, "audit_chain_not_found", "audit chain %s is not there", p)
	}
	return out, nil
}

// droppedMeanwhile returns the chain if its entries have been dropped by now; nil if they are still kept.
func (a *App) droppedMeanwhile(ctx context.Context, p audit.Period) (*audit.Chain, error) {
	now, err := a.AuditChains(ctx)
	if err != nil {
		return nil, err
	}
	for i, c := range now {
		if c.Period == p && c.DroppedAt != nil {
			return &now[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it is still there
}

// walk verifies one chain up to where it was when the walk began, and returns how many entries are right.
func (a *App) walk(ctx context.Context, c audit.Chain, next *audit.Chain) (int64, error) {
	w, n := audit.NewWalk(c, next), int64(0)
	for n < c.Entries {
		page, err := a.Store.AuditLog().Sealed(ctx, c.Period, n, int(min(verifyPage, c.Entries-n)))
		if err != nil {
			return n, fmt.Errorf("read audit chain: %w", err)
		}
		for _, e := range page {
			if err := w.Add(e); err != nil {
				return n, err
			}
			n++
		}
		if len(page) == 0 {
			break
		}
	}
	if err := w.End(); err != nil {
		return n, err
	}
	return n, a.nothingBehind(ctx, c)
}

// nothingBehind finds an entry behind the end of a chain that has not grown meanwhile.
func (a *App) nothingBehind(ctx context.Context, c audit.Chain) error {
	behind, err := a.Store.AuditLog().Sealed(ctx, c.Period, c.Entries, 1)
	if err != nil {
		return fmt.Errorf("read audit chain: %w", err)
	}
	if len(behind) == 0 {
		return nil
	}
	now, err := a.AuditChains(ctx)
	if err != nil {
		return err
	}
	for _, v := range now {
		if v.Period == c.Period && v.Entries == c.Entries {
			return &audit.Break{Period: c.Period, Seq: behind[0].Seq, ID: behind[0].ID, Reason: "the chain ends before it"}
		}
	}
	return nil
}
