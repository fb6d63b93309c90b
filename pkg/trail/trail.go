// Package trail sees to it that no change happens without an entry in the audit log. Whoever lets a request in says in its
// context who asks (With); the store that is wrapped here (Store) adds that to each entry that a use case appends, and adds an
// entry of its own to a change whose use case has appended none.
package trail

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Request is who asks for what, and from where.
type Request struct {
	Actor  audit.Actor
	Source audit.Source
	// Operation is the id of the operation that changes something; empty for one that changes nothing that anybody asks
	// about later: its transactions need no entry.
	Operation string
	Resource  string // the id in the path, if there is one

	told atomic.Bool // an entry of this request is committed
}

type key struct{}

// With returns ctx that carries who asks.
func With(ctx context.Context, r *Request) context.Context { return context.WithValue(ctx, key{}, r) }

// Host returns ctx of an operator, or of Brokkr itself, that works on the store without a credential. Act is what is done,
// such as rotate_admin.
func Host(ctx context.Context, act string) context.Context {
	return With(ctx, &Request{Actor: audit.Actor{Type: audit.System}, Operation: act})
}

func of(ctx context.Context) *Request {
	r, _ := ctx.Value(key{}).(*Request)
	return r
}

// Store returns store with a watch over its transactions. Transactions outside any request (the loops of the control plane)
// pass as they are; they may append nothing.
func Store(store ports.Store, now func() time.Time) ports.Store {
	return watched{store, now}
}

type watched struct {
	ports.Store
	now func() time.Time
}

// Write implements ports.Store: the change and its entries, or neither.
func (s watched) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	asked := of(ctx)
	wrote := false
	err := s.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		log := &appender{AuditLog: tx.AuditLog(), asked: asked, now: s.now}
		if err := fn(ctx, repositories{tx, log}); err != nil {
			return err
		}
		if asked != nil && asked.Operation != "" && !log.wrote && !asked.told.Load() {
			e := audit.Did(audit.Unnamed(asked.Operation), asked.Resource, nil, nil)
			if err := log.Append(ctx, e); err != nil {
				return err
			}
		}
		wrote = log.wrote
		return nil
	})
	if err == nil && wrote && asked != nil {
		asked.told.Store(true)
	}
	return err
}

// AuditLog returns the log whose Append adds who asks.
func (s watched) AuditLog() ports.AuditLog {
	return &appender{AuditLog: s.Store.AuditLog(), now: s.now}
}

type repositories struct {
	ports.Repositories
	log *appender
}

func (r repositories) AuditLog() ports.AuditLog { return r.log }

type appender struct {
	ports.AuditLog
	asked *Request
	now   func() time.Time
	wrote bool
}

// Append completes entries with who asks, from where and when.
func (a *appender) Append(ctx context.Context, entries ...audit.Entry) error {
	asked := a.asked
	if asked == nil {
		asked = of(ctx)
	}
	if asked == nil {
		return fault.New(fault.Internal, "internal_error", "an audit entry of nobody: the context does not say who asks")
	}
	done := make([]audit.Entry, len(entries))
	for i, e := range entries {
		done[i] = e.Complete(audit.ID(uuid.NewString()), a.now(), asked.Actor, asked.Source)
	}
	if err := a.AuditLog.Append(ctx, done...); err != nil {
		return err
	}
	a.wrote = a.wrote || len(entries) > 0
	return nil
}
