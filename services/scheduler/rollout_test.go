package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// follow lets a policy decide about the stack.
func (f *fleet) follow(s stack.ID, doc policy.Document) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		now := time.Now()
		p := policy.Policy{ID: policy.ID(f.newID()), Generator: f.team, Name: "policy of " + string(s), Revision: 1, Document: doc, CreatedAt: now, UpdatedAt: now}
		if err := tx.Policies().Insert(ctx, p); err != nil {
			return err
		}
		if err := tx.Policies().Attach(ctx, policy.Attachment{Policy: p.ID, Stack: s, At: now}); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.PolicyAttached, Stack: s, Generator: f.team, At: now, Data: map[string]any{"policy_id": string(p.ID)}})
	})
}

// tell stores what an agent says of the object that it is assigned, as a gateway does; silently leaves out the event.
func (f *fleet) tell(s stack.ID, a agent.ID, h delivery.Health, silently bool) {
	f.t.Helper()
	w := f.wanted(s, a)
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		changed, err := tx.Reports().Record(ctx, a, time.Now(), []delivery.Report{{
			Stack: s, Object: w.Object, Sequence: w.Sequence, Phase: delivery.PhaseApplied, Health: h, ObservedAt: time.Now(),
		}})
		if err != nil || len(changed) == 0 || !w.Watched || silently {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AssignmentReported, Stack: s, Agent: a, At: time.Now()})
	})
}

func (f *fleet) healthy(s stack.ID, agents ...agent.ID) {
	f.t.Helper()
	for _, a := range agents {
		f.tell(s, a, delivery.HealthHealthy, false)
	}
}

func (f *fleet) wanted(s stack.ID, a agent.ID) delivery.Wanted {
	f.t.Helper()
	list, err := f.store.Assignments().OfStack(f.t.Context(), s)
	if err != nil {
		f.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(w delivery.Wanted) bool { return w.Agent == a })
	if i < 0 {
		f.t.Fatalf("the stack is not assigned to %s", a)
	}
	return list[i]
}

func (f *fleet) governing(s stack.ID) rollout.Rollout {
	f.t.Helper()
	got, err := f.store.Rollouts().Governing(f.t.Context(), []stack.ID{s})
	if err != nil {
		f.t.Fatal(err)
	}
	return got[s]
}

// wantHas fails unless exactly these agents are assigned the object.
func (f *fleet) wantHas(why string, s stack.ID, o stack.ObjectID, want ...agent.ID) {
	f.t.Helper()
	var got []agent.ID
	for a, x := range f.assignments(s) {
		if x.Object == o && x.State == delivery.Assigned {
			got = append(got, a)
		}
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		r := f.governing(s)
		f.t.Fatalf("%s: the object is assigned to %d agents %v, want %d %v (rollout %s, %+v)", why, len(got), got, len(want), want, r.Phase, r.Blockers)
	}
}

// act is somebody who does something with the stack's rollout, as the api does it.
func (f *fleet) act(s stack.ID, do func(*rollout.Rollout, time.Time, string) (rollout.Transition, error)) {
	f.t.Helper()
	r := f.governing(s)
	before := r.Clone()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		t, err := do(&r, time.Now(), "somebody")
		if err != nil {
			return err
		}
		if _, err := tx.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: rollout.Changed(&before, &r), Transitions: []rollout.Transition{t}}); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.RolloutActed, Stack: s, At: time.Now()})
	})
}

func canaryThenRest(change ...func(*policy.Rollout)) policy.Document {
	r := policy.Rollout{Waves: []policy.Wave{{Name: "canary", Clusters: &policy.Selector{Labels: []string{"canary"}}}, {Name: "rest"}}}
	for _, c := range change {
		c(&r)
	}
	return policy.Document{Name: "waves", Rollout: &r}
}

// staged is a stack on four clusters, one of them the canary, all healthy with its first object; a second one has been published.
type staged struct {
	*fleet
	s           stack.ID
	first, next stack.ObjectID
	canary      agent.ID
	rest        []agent.ID
	stop        func()
}

// stage begins a rollout whose canary is given the object at once.
func stage(t *testing.T, doc policy.Document) *staged {
	t.Helper()
	x := released(t, doc)
	x.wantHas("the canary alone", x.s, x.next, x.canary)
	return x
}

// released is stage without saying what comes of it.
func released(t *testing.T, doc policy.Document) *staged {
	t.Helper()
	x := &staged{fleet: newFleet(t)}
	x.stop = x.start(x.store)
	settle()
	x.canary = x.agent("canary", "prod", "canary")
	for i := range 3 {
		x.rest = append(x.rest, x.agent(fmt.Sprint("c", i), "prod"))
	}
	x.s = x.stack("web", "prod")
	x.first = x.publish(x.s, "one")
	synctest.Wait()
	x.healthy(x.s, append(x.rest, x.canary)...)
	x.follow(x.s, doc)
	synctest.Wait()
	x.wantHas("before", x.s, x.first, append(x.rest, x.canary)...)
	x.next = x.publish(x.s, "two")
	synctest.Wait()
	return x
}

func TestHealthyCanaryReleasesTheRestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest())
		defer x.stop()
		began := time.Now()
		x.tell(x.s, x.canary, delivery.HealthProgressing, false)
		synctest.Wait()
		x.wantHas("progressing", x.s, x.next, x.canary)
		x.healthy(x.s, x.canary)
		synctest.Wait()
		x.wantHas("healthy", x.s, x.next, append(x.rest, x.canary)...)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the wave was released after %s: the report alone should release it", waited)
		}
		x.healthy(x.s, x.rest...)
		synctest.Wait()
		r := x.governing(x.s)
		history, err := x.store.Rollouts().History(t.Context(), r.ID)
		if err != nil || r.Phase != rollout.PhaseCompleted || len(history) != 2 {
			t.Errorf("rollout %s, history %+v (%v); want it completed, with two transitions", r.Phase, history, err)
		}
		if x.wanted(x.s, x.canary).Watched {
			t.Error("reports still make events though nothing waits for them")
		}
	})
}

func TestFailedCanaryRollsBackByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.OnFailure = "rollback" }))
		defer x.stop()
		x.tell(x.s, x.canary, delivery.HealthFailing, false)
		synctest.Wait()
		x.wantHas("back", x.s, x.first, append(x.rest, x.canary)...)
		if r := x.governing(x.s); r.Phase != rollout.PhaseRollingBack {
			t.Fatalf("rollout %s, want it to wait for the canary's report", r.Phase)
		}
		x.healthy(x.s, x.canary)
		synctest.Wait()
		if r := x.governing(x.s); r.Phase != rollout.PhaseRolledBack {
			t.Fatalf("rollout %s, want it rolled back", r.Phase)
		}
		time.Sleep(20 * time.Minute) // also after everything has been read and decided again
		synctest.Wait()
		x.wantHas("it stays so", x.s, x.first, append(x.rest, x.canary)...)
		fix := x.publish(x.s, "three")
		synctest.Wait()
		x.wantHas("a fix begins with the canary again", x.s, fix, x.canary)
	})
}

func TestSoakAndDeadlineEndByTimeAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) {
			r.Waves[0].Soak = policy.Duration(90 * time.Second)
			r.Deadline = policy.Duration(3 * time.Minute)
		}))
		defer x.stop()
		x.healthy(x.s, x.canary)
		synctest.Wait()
		time.Sleep(89 * time.Second)
		synctest.Wait()
		x.wantHas("it soaks", x.s, x.next, x.canary)
		time.Sleep(time.Second + 10*time.Millisecond)
		synctest.Wait()
		x.wantHas("it has soaked", x.s, x.next, append(x.rest, x.canary)...)
		time.Sleep(3*time.Minute + 10*time.Millisecond)
		synctest.Wait()
		if r := x.governing(x.s); r.Phase != rollout.PhasePaused {
			t.Errorf("rollout %s, want it paused: nothing was reported in time", r.Phase)
		}
	})
}

func TestMissedReportIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest())
		defer x.stop()
		x.tell(x.s, x.canary, delivery.HealthHealthy, true)
		synctest.Wait()
		x.wantHas("nobody heard of it", x.s, x.next, x.canary)
		settle()
		x.wantHas("found", x.s, x.next, append(x.rest, x.canary)...)
	})
}

func TestRolloutOutlivesItsScheduler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.Waves[0].Soak = policy.Duration(time.Minute) }))
		x.healthy(x.s, x.canary)
		synctest.Wait()
		id := x.governing(x.s).ID
		x.stop()
		stop := x.start(x.store)
		defer stop()
		time.Sleep(50 * time.Second)
		synctest.Wait()
		x.wantHas("it goes on soaking", x.s, x.next, x.canary)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		x.wantHas("by another scheduler", x.s, x.next, append(x.rest, x.canary)...)
		if r := x.governing(x.s); r.ID != id {
			t.Errorf("rollout %s, want %s to go on", r.ID, id)
		}
	})
}

func TestSomebodyActs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.Waves[0].Approval = true }))
		defer x.stop()
		x.act(x.s, (*rollout.Rollout).Pause)
		x.healthy(x.s, x.canary)
		settle()
		if r := x.governing(x.s); r.Phase != rollout.PhasePaused {
			t.Fatalf("rollout %s, want it paused", r.Phase)
		}
		x.act(x.s, (*rollout.Rollout).Resume)
		synctest.Wait()
		if r := x.governing(x.s); r.Phase != rollout.PhaseWaitingApproval {
			t.Fatalf("rollout %s, want it to wait for an approval", r.Phase)
		}
		x.act(x.s, func(r *rollout.Rollout, now time.Time, by string) (rollout.Transition, error) {
			return r.Approve(now, by, 0)
		})
		synctest.Wait()
		x.wantHas("approved", x.s, x.next, append(x.rest, x.canary)...)
		x.healthy(x.s, x.rest...)
		synctest.Wait()
		x.act(x.s, (*rollout.Rollout).Undo)
		synctest.Wait()
		x.wantHas("undone", x.s, x.first, append(x.rest, x.canary)...)
	})
}

// Lesson 24: a cluster that comes back keeps what it has, and is given what it missed.
func TestLesson24ClusterThatComesBackLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest())
		defer x.stop()
		away := x.rest[0]
		set := func(s agent.Status) {
			x.write(func(ctx context.Context, tx ports.Repositories) error {
				list, err := tx.Agents().ByName(ctx, "c0", "c0")
				if err != nil {
					return err
				}
				list.Status = s
				if err := tx.Agents().Update(ctx, list); err != nil {
					return err
				}
				return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: away, At: time.Now()})
			})
			synctest.Wait()
		}
		set(agent.Inactive)
		x.healthy(x.s, x.canary)
		synctest.Wait()
		x.wantHas("who is away keeps what it has", x.s, x.first, away)
		set(agent.Active)
		settle()
		x.wantHas("it is back", x.s, x.next, append(x.rest, x.canary)...)
		if got := x.assignments(x.s)[away]; got.State != delivery.Assigned {
			t.Errorf("assignment of who was away = %+v", got)
		}
	})
}
