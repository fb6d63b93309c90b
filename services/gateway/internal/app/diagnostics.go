package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// openDiagnostics is how many open requests an agent is shown at a time.
const openDiagnostics = 50

// claimTries bounds how often a request is read again because it changed before it was written.
const claimTries = 3

// Diagnostics returns the requests that the agent may claim, oldest first.
func (g *Gateway) Diagnostics(ctx context.Context, p tenancy.Principal, agentID string) ([]diagnostic.Request, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return nil, err
	}
	return g.Store.Diagnostics().Open(ctx, a, g.Now(), openDiagnostics)
}

// ClaimDiagnostic gives a request to the agent that is asked; an admin may claim in its place. Of several that try at once one
// succeeds, the others get a Conflict.
func (g *Gateway) ClaimDiagnostic(ctx context.Context, p tenancy.Principal, requestID string) (diagnostic.Request, error) {
	if p.Role == tenancy.RoleAgent {
		if err := g.Roster.Check(ctx, p.Agent); err != nil {
			return diagnostic.Request{}, err
		}
	}
	return g.moveDiagnostic(ctx, p, requestID, func(r diagnostic.Request, now time.Time) (diagnostic.Request, *diagnostic.Result, error) {
		next, err := r.Claim(now)
		return next, nil, err
	})
}

// Answer is what an agent saw, as it sends it.
type Answer struct {
	PodStatuses string
	Events      string
	LogTails    *string
	CollectedAt time.Time
}

// AnswerDiagnostic keeps the answer of the agent that was asked. Values of Secrets of the deployment object are taken out of it first.
func (g *Gateway) AnswerDiagnostic(ctx context.Context, p tenancy.Principal, requestID string, in Answer) (diagnostic.Result, error) {
	if p.Role != tenancy.RoleAgent {
		return diagnostic.Result{}, fault.New(fault.Forbidden, "agent_pak_required", "diagnostics are answered by agents")
	}
	if in.CollectedAt.IsZero() {
		return diagnostic.Result{}, fault.New(fault.Invalid, "invalid_diagnostic_result", "collected_at is missing")
	}
	rid, err := id.Parse[diagnostic.ID]("id", requestID)
	if err != nil {
		return diagnostic.Result{}, err
	}
	r, _, err := g.Store.Diagnostics().Get(ctx, tenancy.ScopeOf(p), rid)
	if err != nil {
		return diagnostic.Result{}, err
	}
	secrets, err := g.secretsOf(ctx, r)
	if err != nil {
		return diagnostic.Result{}, err
	}
	answer, err := diagnostic.Result{
		ID: diagnostic.ResultID(uuid.NewString()), Request: rid, PodStatuses: in.PodStatuses, Events: in.Events, LogTails: in.LogTails, CollectedAt: in.CollectedAt,
	}.Checked(secrets)
	if err != nil {
		return diagnostic.Result{}, err
	}
	_, err = g.moveDiagnostic(ctx, p, requestID, func(r diagnostic.Request, now time.Time) (diagnostic.Request, *diagnostic.Result, error) {
		next, err := r.Complete(now)
		answer.CreatedAt = now
		return next, &answer, err
	})
	return answer, err
}

// moveDiagnostic takes a request one step on, reading it again when another was faster.
func (g *Gateway) moveDiagnostic(ctx context.Context, p tenancy.Principal, requestID string,
	step func(diagnostic.Request, time.Time) (diagnostic.Request, *diagnostic.Result, error),
) (diagnostic.Request, error) {
	rid, err := id.Parse[diagnostic.ID]("id", requestID)
	if err != nil {
		return diagnostic.Request{}, err
	}
	var next diagnostic.Request
	for range claimTries {
		now := g.Now().UTC().Truncate(time.Microsecond)
		err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			was, _, err := tx.Diagnostics().Get(ctx, tenancy.ScopeOf(p), rid)
			if err != nil {
				return err
			}
			var answer *diagnostic.Result
			if next, answer, err = step(was, now); err != nil {
				return err
			}
			if err := tx.Diagnostics().Move(ctx, was, next, answer); err != nil {
				return err
			}
			if answer == nil {
				return did(ctx, tx, p, audit.Did(audit.DiagnosticClaimed, string(rid), was, next).With("agent_id", string(next.Agent)))
			}
			return tx.Outbox().Append(ctx, event.Event{
				ID: uuid.NewString(), Type: event.DiagnosticCompleted, Agent: next.Agent, Stack: next.Stack, Object: next.Object, At: now,
				Data: map[string]any{
					"diagnostic_request_id": string(next.ID), "agent_id": string(next.Agent), "deployment_object_id": string(next.Object), "completed_at": now,
				},
			})
		})
		if !fault.Is(err, fault.Conflict) || fault.CodeOf(err) != "conflict" {
			break
		}
	}
	if err != nil {
		return diagnostic.Request{}, fmt.Errorf("move diagnostic request: %w", err)
	}
	return next, nil
}

// secretsOf returns a redactor of the values of the Secrets that the deployment object has.
func (g *Gateway) secretsOf(ctx context.Context, r diagnostic.Request) (diagnostic.Redactor, error) {
	o, err := g.object(ctx, r.Object)
	if fault.Is(err, fault.NotFound) { // deleted meanwhile; what the agent saw may still be told
		return diagnostic.NewRedactor(nil), nil
	}
	if err != nil {
		return diagnostic.Redactor{}, err
	}
	content, err := g.Store.Blobs().Get(ctx, o.Checksum)
	if err != nil {
		return diagnostic.Redactor{}, err
	}
	limits := bundle.DefaultLimits()
	limits.Bytes = int64(len(content)) + 1
	objects, err := bundle.Parse(content, limits)
	if err != nil { // what cannot be read was never applied, and neither were its Secrets; a deletion marker has none
		return diagnostic.NewRedactor(nil), nil //nolint:nilerr // as said
	}
	var values []string
	for _, m := range objects {
		if m.Kind() == "Secret" && m.GroupVersionKind().Group == "" {
			values = append(values, secretValues(m.Object)...)
		}
	}
	return diagnostic.NewRedactor(values), nil
}

// secretValues returns the values of a Secret, as they are and as they are written in base64.
func secretValues(manifest map[string]any) []string {
	var out []string
	data, _ := manifest["data"].(map[string]any)
	for _, v := range data {
		text, _ := v.(string)
		out = append(out, text)
		if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
			out = append(out, string(plain))
		}
	}
	plain, _ := manifest["stringData"].(map[string]any)
	for _, v := range plain {
		if text, ok := v.(string); ok {
			out = append(out, text, base64.StdEncoding.EncodeToString([]byte(text)))
		}
	}
	return out
}
