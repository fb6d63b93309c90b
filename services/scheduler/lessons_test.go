package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// quietFleet is a fleet whose agents are heard or not, with a stack of each kind on all of them.
type quietFleet struct {
	*fleet
	agents []agent.ID
	silent map[agent.ID]bool
	stacks []stack.ID
	newest map[stack.ID]stack.ObjectID
	stop   func()
}

func newQuietFleet(t *testing.T) *quietFleet {
	x := &quietFleet{fleet: newFleet(t), silent: map[agent.ID]bool{}, newest: map[stack.ID]stack.ObjectID{}}
	x.stop = x.start(x.store)
	for i := range 8 {
		x.agents = append(x.agents, x.agent(fmt.Sprint("c", i), "prod"))
	}
	x.stacks = []stack.ID{x.stack("plain", "prod"), x.stack("all"), x.stack("waves"), x.stack("variants")}
	everywhere := &policy.Selector{Labels: []string{"prod"}}
	x.follow(x.stacks[1], policy.Document{Name: "all", Clusters: everywhere})
	x.follow(x.stacks[2], policy.Document{Name: "waves", Clusters: everywhere, Rollout: &policy.Rollout{Waves: []policy.Wave{{Name: "some", Percent: 25}, {Name: "rest"}}}})
	x.follow(x.stacks[3], overridden("prod", `[{"op":"replace","path":"/spec/replicas","value":5}]`))
	x.release()
	x.pass(5 * time.Minute)
	return x
}

func (x *quietFleet) release() {
	for _, id := range x.stacks {
		x.newest[id] = x.publish(id, deployment+"# "+uuid.NewString())
	}
}

// pass lets time go by, in which all that are not silent are heard, and say that what they have is healthy. Whoever is away keeps an assignment
// of each stack all the time.
func (x *quietFleet) pass(d time.Duration) {
	x.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Second) {
		var beats []agent.Heartbeat
		for _, a := range x.agents {
			if !x.silent[a] {
				beats = append(beats, agent.Heartbeat{Agent: a, Boot: string(a), At: time.Now()})
			}
		}
		if err := x.store.Agents().Beat(x.t.Context(), beats); err != nil {
			x.t.Fatal(err)
		}
		for _, id := range x.stacks {
			has := x.assignments(id)
			for _, a := range x.agents {
				switch has[a].State {
				case delivery.Assigned:
					if !x.silent[a] {
						x.healthy(id, a)
					}
				case delivery.Removing:
					x.t.Fatalf("%s is to be removed from %s, silent: %t", id, a, x.silent[a])
				}
			}
		}
		synctest.Wait()
	}
}

// Lesson 24: whoever comes back, however long it was away and whatever happened meanwhile, keeps what it has, and is given what it missed.
func TestLesson24WhoeverComesBackKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	set := func(x *quietFleet, a agent.ID, s agent.Status) {
		x.write(func(ctx context.Context, tx ports.Repositories) error {
			name := fmt.Sprint("c", slices.Index(x.agents, a))
			got, err := tx.Agents().ByName(ctx, name, name)
			if err != nil {
				return err
			}
			got.Status = s
			if err := tx.Agents().Update(ctx, got); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: a, At: time.Now()})
		})
	}
	for name, away := range map[string]func(x *quietFleet, a agent.ID){
		"it is silent for hours": func(x *quietFleet, _ agent.ID) { x.pass(5 * time.Hour) },
		"it is silent, and schedulers start anew": func(x *quietFleet, _ agent.ID) {
			x.pass(10 * time.Minute)
			x.stop()
			x.pass(10 * time.Minute)
			x.stop = x.start(x.store)
			x.pass(30 * time.Minute)
		},
		"it is silent while newer objects come and have their rollouts": func(x *quietFleet, _ agent.ID) {
			for range 3 {
				x.release()
				x.pass(40 * time.Minute)
			}
		},
		"it is silent while a rollout fails and turns back": func(x *quietFleet, _ agent.ID) {
			x.release()
			x.pass(time.Minute)
			x.act(x.stacks[2], (*rollout.Rollout).Undo)
			x.pass(time.Hour)
			x.release()
		},
		"it is switched off": func(x *quietFleet, a agent.ID) {
			set(x, a, agent.Inactive)
			x.pass(2 * time.Hour)
			x.release()
			x.pass(2 * time.Hour)
			set(x, a, agent.Active)
		},
		"nobody is heard": func(x *quietFleet, _ agent.ID) {
			for _, a := range x.agents {
				x.silent[a] = true
			}
			x.pass(3 * time.Hour)
		},
		"its labels are the same again": func(x *quietFleet, _ agent.ID) { // what changed while nobody looked was never true for a scheduler
			x.stop()
			x.unlabel(x.agents[0], "prod")
			x.label(x.agents[0], "prod")
			x.stop = x.start(x.store)
			x.pass(10 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := newQuietFleet(t)
				defer func() { x.stop() }()
				gone := x.agents[0]
				x.silent[gone] = true
				x.pass(5 * time.Minute)
				away(x, gone)
				clear(x.silent)
				x.pass(30 * time.Minute)
				for _, id := range x.stacks {
					x.wantHas("it is back", id, x.newest[id], x.agents...)
				}
			})
		})
	}
}

// poisoned is a store that cannot keep decisions about one stack.
type poisoned struct {
	ports.Store
	stack stack.ID
}

func (p poisoned) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	return p.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, poisonedTx{tx, p.stack}) })
}

type poisonedTx struct {
	ports.Repositories
	stack stack.ID
}

func (p poisonedTx) Decisions() ports.Decisions {
	return poisonedDecisions{p.Repositories.Decisions(), p.stack}
}

type poisonedDecisions struct {
	ports.Decisions
	stack stack.ID
}

func (p poisonedDecisions) Commit(ctx context.Context, list ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	if slices.ContainsFunc(list, func(c ports.Commit) bool { return c.Stack == p.stack }) {
		return nil, fault.New(fault.Internal, "internal_error", "it cannot be stored")
	}
	return p.Decisions.Commit(ctx, list...)
}

// Lesson 29: one cluster that cannot be reached, a rollout that waits for it, a removal that it never acknowledges, a policy that cannot be
// read and a stack about which nothing can be stored starve nobody, and end no scheduler: what is published elsewhere is assigned at
// once, hour after hour.
func TestLesson29OneThatIsBrokenStarvesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newQuietFleet(t)
		x.stop()
		bad := x.stack("cannot be stored", "prod")
		x.stop = x.start(poisoned{x.store, bad})
		defer func() { x.stop() }()
		gone := x.agents[0]
		x.silent[gone] = true
		x.pass(5 * time.Minute)

		unread := x.stack("cannot be read")
		x.follow(unread, policy.Document{Name: "unread", Clusters: &policy.Selector{CEL: "cluster.nodes.ready > 1"}}) // no compiler is given
		waits := x.stack("waits")
		x.follow(waits, policy.Document{Name: "waits", Clusters: &policy.Selector{Labels: []string{"prod"}}, Rollout: &policy.Rollout{Offline: "wait"}})
		x.newest[waits] = x.publish(waits, "for ever")
		x.stacks = append(x.stacks, waits)
		leaves := x.stack("leaves", "prod")
		x.publish(leaves, "never acknowledged")
		settle()
		x.unlabelStack(leaves, "prod")
		x.approve(leaves)
		settle()
		for hour := range 3 {
			x.publish(bad, fmt.Sprint("content ", hour))
			x.publish(unread, fmt.Sprint("content ", hour))
			fine := x.stack(fmt.Sprint("fine", hour), "prod")
			object := x.publish(fine, fmt.Sprint("fine ", hour))
			synctest.Wait()
			x.wantHas("what is new is decided at once", fine, object, x.agents...)
			x.newest[x.stacks[0]] = x.publish(x.stacks[0], fmt.Sprint("newer ", hour))
			synctest.Wait()
			x.wantHas("and what is newer", x.stacks[0], x.newest[x.stacks[0]], x.agents...)
			x.pass(time.Hour)
		}
		if got := x.assignments(bad); len(got) != 0 {
			t.Errorf("got %+v, want nothing: it could not be stored", got)
		}
		if r := x.governing(waits); r.Phase != rollout.PhaseProgressing {
			t.Errorf("the rollout is %s, want it to wait for the one that is away", r.Phase)
		}
	})
}
