package memory

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

// micro returns t as a store gives it: UTC, whole microseconds.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// ptr copies what p points to.
func ptr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func microPtr(p *time.Time) *time.Time {
	if p == nil {
		return nil
	}
	t := micro(*p)
	return &t
}

func copyGenerator(g tenancy.Generator) tenancy.Generator {
	g.Description = ptr(g.Description)
	g.CreatedAt, g.UpdatedAt = micro(g.CreatedAt), micro(g.UpdatedAt)
	g.DeletedAt, g.LastActiveAt = microPtr(g.DeletedAt), microPtr(g.LastActiveAt)
	return g
}

func copyCredential(c tenancy.Credential) tenancy.Credential {
	c.CreatedAt = micro(c.CreatedAt)
	c.ExpiresAt, c.RevokedAt, c.LastUsedAt = microPtr(c.ExpiresAt), microPtr(c.RevokedAt), microPtr(c.LastUsedAt)
	c.Suspended = false // which is said of its generator
	return c
}

func copyAgent(a agent.Agent) agent.Agent {
	a.CreatedAt, a.UpdatedAt, a.DeletedAt = micro(a.CreatedAt), micro(a.UpdatedAt), microPtr(a.DeletedAt)
	l := a.Liveness
	a.Liveness = agent.Liveness{
		LastHeartbeat: microPtr(l.LastHeartbeat), K8sReachable: ptr(l.K8sReachable), K8sLatencyMS: ptr(l.K8sLatencyMS),
		K8sReportedAt: microPtr(l.K8sReportedAt), DuplicateSince: microPtr(l.DuplicateSince),
	}
	return a
}

func copyStack(s stack.Stack) stack.Stack {
	s.Description, s.Treatment = ptr(s.Description), copyTreatment(s.Treatment)
	s.CreatedAt, s.UpdatedAt, s.DeletedAt = micro(s.CreatedAt), micro(s.UpdatedAt), microPtr(s.DeletedAt)
	return s
}

func copyTreatment(t stack.Treatment) stack.Treatment {
	t.IgnorePaths, t.HealthRules = slices.Clone(t.IgnorePaths), slices.Clone(t.HealthRules)
	return t
}

func copyObject(o stack.Object) stack.Object {
	o.SubmittedAt, o.CreatedAt, o.UpdatedAt = micro(o.SubmittedAt), micro(o.CreatedAt), micro(o.UpdatedAt)
	o.DeletedAt, o.Origin = microPtr(o.DeletedAt), ptr(o.Origin)
	return o
}

func copyTemplate(t template.Template) template.Template {
	t.Generator, t.Description = ptr(t.Generator), ptr(t.Description)
	t.CreatedAt, t.UpdatedAt, t.DeletedAt = micro(t.CreatedAt), micro(t.UpdatedAt), microPtr(t.DeletedAt)
	return t
}

func copyEvent(e agent.Event) agent.Event {
	e.Message = ptr(e.Message)
	e.CreatedAt, e.UpdatedAt = micro(e.CreatedAt), micro(e.UpdatedAt)
	return e
}

func copyHold(h *placement.Hold) *placement.Hold {
	if h == nil {
		return nil
	}
	c := *h
	c.Since, c.Removes = micro(h.Since), slices.Clone(h.Removes)
	return &c
}

func copyRecord(r placement.Record) placement.Record {
	r.At = micro(r.At)
	d := r.Decision
	d.Verdicts = slices.Clone(d.Verdicts)
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		v.Reasons, v.Scores, v.Spread = slices.Clone(v.Reasons), slices.Clone(v.Scores), slices.Clone(v.Spread)
	}
	d.Policy, d.Picks, d.Unmet = ptr(d.Policy), slices.Clone(d.Picks), ptr(d.Unmet)
	d.Changes, d.Hold, d.WakeAt = slices.Clone(d.Changes), copyHold(d.Hold), microPtr(d.WakeAt)
	d.Blocked = placement.CopyBlocked(d.Blocked)
	for i := range d.Blocked {
		d.Blocked[i].Since = micro(d.Blocked[i].Since)
	}
	r.Decision = d
	return r
}

func copySubscription(s webhook.Subscription) webhook.Subscription {
	s.EventTypes, s.TargetLabels = slices.Clone(s.EventTypes), slices.Clone(s.TargetLabels)
	s.Filters, s.CreatedBy = ptr(s.Filters), ptr(s.CreatedBy)
	s.CreatedAt, s.UpdatedAt = micro(s.CreatedAt), micro(s.UpdatedAt)
	return s
}

func copyDelivery(d webhook.Delivery) webhook.Delivery {
	d.TargetLabels, d.AcquiredBy, d.LastError = slices.Clone(d.TargetLabels), ptr(d.AcquiredBy), ptr(d.LastError)
	d.AcquiredUntil, d.LastAttemptAt, d.NextRetryAt = microPtr(d.AcquiredUntil), microPtr(d.LastAttemptAt), microPtr(d.NextRetryAt)
	d.CreatedAt, d.CompletedAt = micro(d.CreatedAt), microPtr(d.CompletedAt)
	return d
}

// asJSON returns data as it comes back from JSON, so that numbers have the same types as from a database.
func asJSON(data map[string]any) (map[string]any, error) {
	if data == nil {
		return nil, nil
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_event", "the event's data are not JSON").Because(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fault.New(fault.Invalid, "invalid_event", "the event's data are not JSON").Because(err)
	}
	return out, nil
}

// copyJSON copies a value that asJSON made.
func copyJSON[T any](v T) T {
	switch x := any(v).(type) {
	case map[string]any:
		c := maps.Clone(x)
		for k := range c {
			c[k] = copyJSON(c[k])
		}
		return any(c).(T) //nolint:forcetypeassert // the same type went in
	case []any:
		c := slices.Clone(x)
		for i := range c {
			c[i] = copyJSON(c[i])
		}
		return any(c).(T) //nolint:forcetypeassert // the same type went in
	default:
		return v
	}
}
