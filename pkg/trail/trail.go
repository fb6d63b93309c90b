// Package trail sees to it that no change happens without an entry in the audit log. Whoever lets a request in says in its
// context who asks (With); the store that is wrapped here (Store) adds that to each entry that a use case appends, and adds an
// entry of its own to a change whose use case has appended none. A request that has an idempotency key (Once) is noted as done
// in the transaction of its change too.
package trail

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
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
	// Again authenticates the request once more, before each of its transactions: its body may have been long in coming. It is to
	// cost nothing while nothing was revoked; nil: there is nothing to ask.
	Again func(ctx context.Context) error

	told  atomic.Bool                          // an entry of this request is committed
	about atomic.Pointer[idempotency.Resource] // the first that such an entry names

	once     *idempotency.Record // the key to mark as used, and for what; nil: none
	marked   atomic.Bool         // the mark is committed
	collided atomic.Bool         // somebody else has the key
}

// Once gives the request that ctx carries a key under which it is done at most once: its first transaction that is committed
// marks it as used by r's request, and one that finds it used, or claimed by another, comes to nothing. It returns the request,
// nil if ctx carries none.
func Once(ctx context.Context, r idempotency.Record) *Request {
	asked := of(ctx)
	if asked != nil {
		asked.once = &r
		asked.collided.Store(false)
	}
	return asked
}

// Marked reports whether the request has done something under its key.
func (r *Request) Marked() bool { return r.marked.Load() }

// Collided reports whether the request came to nothing because its key is used or claimed by another; what the use case
// made of it is no answer for anybody.
func (r *Request) Collided() bool { return r.collided.Load() && !r.marked.Load() }

type keepKey struct{}

// KeepKey returns ctx whose transactions leave the request's key unused, for what happens before it is known whether
// the request comes to anything.
func KeepKey(ctx context.Context) context.Context { return context.WithValue(ctx, keepKey{}, true) }

// claim begins a transaction under the request's key, if that is to be marked.
func (r *Request) claim(ctx context.Context, tx ports.Repositories, now time.Time) (*idempotency.Record, error) {
	if r == nil || r.once == nil || r.marked.Load() || ctx.Value(keepKey{}) != nil {
		return nil, nil //nolint:nilnil // there is nothing to mark
	}
	mark := *r.once
	mark.At = now
	return &mark, r.noted(tx.Idempotency().Claim(ctx, mark.Key, now))
}

func (r *Request) noted(err error) error {
	if idempotency.Collision(err) {
		r.collided.Store(true)
	}
	return err
}

type key struct{}

// With returns ctx that carries who asks.
func With(ctx context.Context, r *Request) context.Context { return context.WithValue(ctx, key{}, r) }

// Host returns ctx of an operator, or of Brokkr itself, that works on the store without a credential. Act is what is done,
// such as rotate_admin.
func Host(ctx context.Context, act string) context.Context {
	return With(ctx, &Request{Actor: audit.Actor{Type: audit.System}, Operation: act})
}

// Credential is the one by which the request of ctx was let in; empty for who works without.
func Credential(ctx context.Context) tenancy.CredentialID {
	if asked := of(ctx); asked != nil {
		return asked.Actor.Credential
	}
	return ""
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

// Write implements ports.Store: the change and its entries, or neither, and nothing for who may not ask any more.
func (s watched) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	asked := of(ctx)
	if asked != nil && asked.Again != nil {
		if err := asked.Again(ctx); err != nil {
			return err
		}
	}
	var log *appender
	marks := false
	err := s.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		mark, err := asked.claim(ctx, tx, s.now())
		if err != nil {
			return err
		}
		log = &appender{AuditLog: tx.AuditLog(), asked: asked, now: s.now}
		if err := fn(ctx, repositories{tx, log}); err != nil {
			return err
		}
		if asked != nil && asked.Operation != "" && !log.wrote && !asked.told.Load() {
			e := audit.Did(audit.Unnamed(asked.Operation), asked.Resource, nil, nil)
			if err := log.Append(ctx, e); err != nil {
				return err
			}
		}
		marks = mark != nil
		if mark != nil {
			mark.Resource = log.first
			if about := asked.about.Load(); log.first.ID == "" && about != nil {
				mark.Resource = *about
			}
			return asked.noted(tx.Idempotency().Mark(ctx, *mark))
		}
		return nil
	})
	if err == nil && log.wrote && asked != nil {
		asked.told.Store(true)
		if log.first.ID != "" {
			asked.about.CompareAndSwap(nil, &log.first)
		}
	}
	if err == nil && marks {
		asked.marked.Store(true)
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
	first idempotency.Resource // of the first entry that names one
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
	for _, e := range done {
		if a.first.ID == "" && e.ResourceID != "" {
			a.first = idempotency.Resource{Type: e.ResourceType, ID: e.ResourceID}
		}
	}
	return nil
}
