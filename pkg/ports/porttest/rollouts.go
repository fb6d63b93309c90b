package porttest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func rolloutCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":                      rolloutRoundTrip,
		"unknown is not found":                           rolloutUnknown,
		"a stale version is a conflict":                  rolloutStale,
		"of racing writes one is stored":                 rolloutRace,
		"one governs a stack":                            rolloutGoverns,
		"the object is one of the stack":                 rolloutObject,
		"scopes":                                         rolloutScopes,
		"its stack's assignments are watched while open": rolloutWatched,
		"statuses of stacks":                             rolloutStatuses,
		"a former object that is assigned again":         recordAssignedAgain,
		"old ones go":                                    rolloutTrim,
		"an error of the closure rolls back":             rolloutRollsBack,
	}
}

func (w *world) rolloutMethods() map[string]method {
	s, id := newID[stack.ID](), newID[rollout.ID]()
	return map[string]method{
		"Rollouts.Get": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Rollouts().Get(ctx, everything, id)
			return err
		},
		"Rollouts.OfStack": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().OfStack(ctx, s, 10))
		},
		"Rollouts.History": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().History(ctx, id))
		},
		"Rollouts.Governing": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().Governing(ctx, nil))
		},
		"Rollouts.Statuses": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().Statuses(ctx, []stack.ID{s}))
		},
		"Rollouts.Save": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: rollout.Rollout{
				ID: id, Stack: s, Object: newID[stack.ObjectID](), Phase: rollout.PhasePending, CreatedAt: w.at,
			}}))
		},
		"Rollouts.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Rollouts().Trim(ctx, w.at, 10))
		},
	}
}

// newRollout returns an open rollout of p's object with all its agents.
func (w *world) newRollout(p placed) rollout.Rollout {
	begun := w.at.Add(time.Second)
	r := rollout.Rollout{
		ID: newID[rollout.ID](), Stack: p.stack.ID, Object: p.object.ID, Base: p.object.ID, Phase: rollout.PhaseProgressing, Since: w.at,
		Reason: "wave canary begins", Stage: rollout.StageSoaking, BegunAt: &begun, HealthySince: &begun, WakeAt: &begun, CreatedAt: w.at,
		Spec: rollout.Spec{
			Waves:         []rollout.Wave{{Name: "canary", Selective: true, Soak: policy.Duration(time.Minute), Approval: true}, {Name: "rest", Percent: 50}},
			MaxConcurrent: rollout.Bound{Percent: 20}, MaxFailed: 1, Rollback: true, Deadline: policy.Duration(time.Hour),
			Windows: []policy.Window{{Cron: "0 22 * * *", Duration: policy.Duration(time.Hour), Timezone: "Europe/Berlin"}},
		},
		Blockers: []rollout.Blocker{{Kind: rollout.BlockedBySoak, Since: w.at, Message: "it soaks", Release: "time", Until: &begun, Count: 1}},
	}
	for _, a := range p.agents {
		r.Members = append(r.Members, rollout.Member{Agent: a.ID, State: rollout.MemberDeploying, Since: w.at, From: p.object.ID, AdmittedAt: &begun, Message: "applying"})
	}
	slices.SortFunc(r.Members, func(x, y rollout.Member) int { return strings.Compare(string(x.Agent), string(y.Agent)) })
	return r
}

func (w *world) save(r rollout.Rollout, governs bool, steps ...rollout.Transition) rollout.Rollout {
	w.Helper()
	v, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: governs, Members: r.Members, Transitions: steps})
	wantNone(w.T, "save rollout", err)
	wantGrown(w.T, "version", r.Version, v)
	r.Version = v
	return r
}

func rolloutRoundTrip(w *world) {
	p := w.place(3)
	r := w.newRollout(p)
	first := rollout.Transition{Rollout: r.ID, At: w.at, From: rollout.PhasePending, To: rollout.PhaseProgressing, Reason: "it begins"}
	r = w.save(r, true, first)
	got, governs, err := w.Rollouts().Get(w.ctx, everything, r.ID)
	wantNone(w.T, "get", err)
	wantSame(w.T, "rollout", got, r)
	wantSame(w.T, "governs", governs, true)
	all, err := w.Rollouts().Governing(w.ctx, nil)
	wantNone(w.T, "governing", err)
	wantSame(w.T, "governing", all, map[stack.ID]rollout.Rollout{p.stack.ID: r})
	some, err := w.Rollouts().Governing(w.ctx, []stack.ID{newID[stack.ID]()})
	wantNone(w.T, "governing others", err)
	wantSame(w.T, "governing others", len(some), 0)

	// Of the members only what changed is given.
	ended := w.at.Add(time.Hour)
	r.Phase, r.EndedAt, r.Blockers, r.WakeAt = rollout.PhaseAborted, &ended, nil, nil
	r.Members[1].State, r.Members[1].Message = rollout.MemberFailed, "broken"
	second := rollout.Transition{Rollout: r.ID, At: ended, From: rollout.PhaseProgressing, To: rollout.PhaseAborted, Wave: 1, By: "somebody", Reason: "asked for"}
	v, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: r.Members[1:2], Transitions: []rollout.Transition{second}})
	wantNone(w.T, "save again", err)
	r.Version = v
	got, _, err = w.Rollouts().Get(w.ctx, everything, r.ID)
	wantNone(w.T, "get again", err)
	wantSame(w.T, "rollout again", got, r)
	history, err := w.Rollouts().History(w.ctx, r.ID)
	wantNone(w.T, "history", err)
	wantSame(w.T, "history", history, []rollout.Transition{first, second})
	got.Members[0].State = rollout.MemberHealthy
	again, _, err := w.Rollouts().Get(w.ctx, everything, r.ID)
	wantNone(w.T, "get once more", err)
	wantSame(w.T, "what was returned is a copy", again, r)
}

func rolloutUnknown(w *world) {
	p := w.place(1)
	_, _, err := w.Rollouts().Get(w.ctx, everything, newID[rollout.ID]())
	wantCode(w.T, "get", err, fault.NotFound, "rollout_not_found")
	r := w.newRollout(p)
	r.Version = 3
	_, err = w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r})
	wantCode(w.T, "save", err, fault.NotFound, "rollout_not_found")
	list, err := w.Rollouts().OfStack(w.ctx, newID[stack.ID](), 10)
	wantNone(w.T, "of stack", err)
	wantSame(w.T, "of stack", len(list), 0)
	history, err := w.Rollouts().History(w.ctx, newID[rollout.ID]())
	wantNone(w.T, "history", err)
	wantSame(w.T, "history", len(history), 0)
}

func rolloutStale(w *world) {
	r := w.newRollout(w.place(1))
	next := w.save(r, true)
	_, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true})
	wantKind(w.T, "insert again", err, fault.Conflict)
	w.save(next, true)
	_, err = w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: next, Governs: true})
	wantKind(w.T, "a stale version", err, fault.Conflict)
}

func rolloutRace(w *world) {
	r := w.save(w.newRollout(w.place(1)), true)
	wantOneWinner(w.T, "save", race(6, func(int) error {
		return discard(w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: r.Members}))
	}))
}

func rolloutGoverns(w *world) {
	p := w.place(1)
	first := w.save(w.newRollout(p), true)
	second := w.newRollout(p)
	second.CreatedAt = w.at.Add(time.Minute)
	_, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: second, Governs: true})
	wantKind(w.T, "a second one that governs", err, fault.Conflict)
	first = w.save(first, false)
	second = w.save(second, true)
	got, err := w.Rollouts().Governing(w.ctx, []stack.ID{p.stack.ID})
	wantNone(w.T, "governing", err)
	wantSame(w.T, "governing", got, map[stack.ID]rollout.Rollout{p.stack.ID: second})
	list, err := w.Rollouts().OfStack(w.ctx, p.stack.ID, 10)
	wantNone(w.T, "of stack", err)
	first.Members, second.Members = nil, nil
	wantSame(w.T, "newest first", list, []rollout.Rollout{second, first})
	list, err = w.Rollouts().OfStack(w.ctx, p.stack.ID, 1)
	wantNone(w.T, "of stack, one", err)
	wantSame(w.T, "of stack, one", list, []rollout.Rollout{second})
}

func rolloutObject(w *world) {
	p, q := w.place(1), w.place(1)
	r := w.newRollout(p)
	r.Object = q.object.ID
	_, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true})
	wantCode(w.T, "save with another stack's object", err, fault.NotFound, "deployment_object_not_found")
}

func rolloutScopes(w *world) {
	p, q := w.place(1), w.place(1)
	r := w.save(w.newRollout(p), true)
	_, _, err := w.Rollouts().Get(w.ctx, tenancy.Scope{Generator: p.generator.ID}, r.ID)
	wantNone(w.T, "the owner", err)
	for name, scope := range map[string]tenancy.Scope{"another": {Generator: q.generator.ID}, "an agent": {Agent: p.agents[0].ID}, "nobody": {}} {
		_, _, err := w.Rollouts().Get(w.ctx, scope, r.ID)
		wantCode(w.T, name, err, fault.NotFound, "rollout_not_found")
	}
}

func rolloutWatched(w *world) {
	p, q := w.place(1), w.place(1)
	watched := func(of placed) bool {
		_, held := w.held(of.agents[0].ID)
		return held[of.stack.ID].Watched
	}
	wantSame(w.T, "without a rollout", watched(p), false)
	r := w.save(w.newRollout(p), true)
	wantSame(w.T, "open", watched(p), true)
	wantSame(w.T, "another stack", watched(q), false)
	v, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, DependsOn: []stack.ID{q.stack.ID}})
	wantNone(w.T, "save with a dependency", err)
	r.Version = v
	wantSame(w.T, "what it depends on", watched(q), true)
	r.Phase, r.Blockers = rollout.PhaseCompleted, nil
	v, err = w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, DependsOn: []stack.ID{q.stack.ID}})
	wantNone(w.T, "complete", err)
	r.Version = v
	wantSame(w.T, "completed", watched(p) || watched(q), false)
	r.Blockers = []rollout.Blocker{{Kind: rollout.BlockedByDependency, Since: w.at, Count: 1}}
	v, err = w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, DependsOn: []stack.ID{q.stack.ID}})
	wantNone(w.T, "completed, and joined", err)
	r.Version = v
	wantSame(w.T, "the stack whose rollout is over", watched(p), false)
	wantSame(w.T, "what those who joined wait for", watched(q), true)
	r.Blockers = nil
	v, err = w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: r, Governs: true, DependsOn: []stack.ID{q.stack.ID}})
	wantNone(w.T, "nobody waits any more", err)
	r.Version = v
	wantSame(w.T, "when nobody waits any more", watched(p) || watched(q), false)
	r.Phase = rollout.PhaseRollingBack
	w.save(r, true)
	wantSame(w.T, "going back", watched(p), true)
}

func rolloutStatuses(w *world) {
	p, q := w.place(2), w.place(1)
	w.record(p.agents[0].ID, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))
	w.record(q.agents[0].ID, w.at, w.report(q.object, delivery.PhaseFailed, delivery.HealthUnknown))
	got, err := w.Rollouts().Statuses(w.ctx, []stack.ID{p.stack.ID, newID[stack.ID]()})
	wantNone(w.T, "statuses", err)
	want := map[stack.ID]map[agent.ID]delivery.Status{p.stack.ID: {p.agents[0].ID: *w.status(p.agents[0].ID, p.stack.ID)}}
	wantSame(w.T, "statuses", got, want)
}

// After a rollback the assigned object is older than the last reported one, and its reports count.
func recordAssignedAgain(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	next := w.publish(p.stack.ID, "next")
	w.decide(p.stack.ID, w.assign(a, next))
	w.record(a, w.at, w.report(next, delivery.PhaseApplied, delivery.HealthFailing))
	w.decide(p.stack.ID, w.assign(a, p.object))
	w.record(a, w.at, w.report(next, delivery.PhaseApplied, delivery.HealthDegraded))
	wantSame(w.T, "it has not turned back yet", w.status(a, p.stack.ID).Health, delivery.HealthDegraded)
	wantSame(w.T, "changed", len(w.record(a, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))), 1)
	want := w.status(a, p.stack.ID)
	wantSame(w.T, "object", want.Object, p.object.ID)
	wantSame(w.T, "changed by an old report", len(w.record(a, w.at, w.report(next, delivery.PhaseApplied, delivery.HealthFailing))), 0)
	wantSame(w.T, "status after an old report", w.status(a, p.stack.ID), want)
}

func rolloutTrim(w *world) {
	p := w.place(1)
	old, young := w.at.Add(-time.Hour), w.at
	var ids []rollout.ID
	for _, end := range []*time.Time{&old, &old, &young, nil} {
		r := w.newRollout(p)
		r.EndedAt = end
		r.Phase = rollout.PhaseSuperseded
		if end == nil {
			r.Phase = rollout.PhaseProgressing
		}
		r = w.save(r, end == nil, rollout.Transition{At: w.at, From: rollout.PhasePending, To: r.Phase})
		ids = append(ids, r.ID)
	}
	n, err := w.Rollouts().Trim(w.ctx, w.at.Add(-time.Minute), 1)
	wantNone(w.T, "trim one", err)
	wantSame(w.T, "trimmed", n, 1)
	n, err = w.Rollouts().Trim(w.ctx, w.at.Add(-time.Minute), 10)
	wantNone(w.T, "trim all", err)
	wantSame(w.T, "trimmed then", n, 1)
	for i, id := range ids {
		_, _, err := w.Rollouts().Get(w.ctx, everything, id)
		if i < 2 {
			wantKind(w.T, "get an old one", err, fault.NotFound)
			history, err := w.Rollouts().History(w.ctx, id)
			wantNone(w.T, "history of an old one", err)
			wantSame(w.T, "history of an old one", len(history), 0)
			continue
		}
		wantNone(w.T, "get a young one", err)
	}
}

func rolloutRollsBack(w *world) {
	r := w.newRollout(w.place(1))
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: r.Members}); err != nil {
			return err
		}
		return errClosure
	})
	wantSame(w.T, "rolled back", err == errClosure, true) //nolint:errorlint // it comes back as it is
	_, _, err = w.Rollouts().Get(w.ctx, everything, r.ID)
	wantKind(w.T, "get", err, fault.NotFound)
}
