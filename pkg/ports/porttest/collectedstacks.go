package porttest

import (
	"fmt"
	"math"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// later is a moment before which everything was collected that is collected in a test.
func later() time.Time { return time.Now().Add(time.Hour) }

// collect drops what deleted stacks have kept, as far as no agent has them.
func (w *world) collect() {
	w.Helper()
	_, err := w.Stacks().Collect(w.ctx, later(), 100)
	wantNone(w.T, "collect", err)
}

// purge purges step by step what was collected before, and returns how many steps there were.
func (w *world) purge(before time.Time, limit int) (steps int) {
	w.Helper()
	for steps = 1; ; steps++ {
		more, err := w.Stacks().Purge(w.ctx, before, limit)
		wantNone(w.T, "purge", err)
		if !more {
			return steps
		}
		if steps > 100 {
			w.Fatal("there is always more to purge")
		}
	}
}

// gone reports whether nothing is left of p: objects, records, rollouts and the row, whose id is free again.
func (w *world) gone(p placed) bool {
	w.Helper()
	_, err := w.Objects().Get(w.ctx, everything, p.object.ID)
	if err == nil {
		return false
	}
	wantCode(w.T, "object", err, fault.NotFound, "deployment_object_not_found")
	objects, err := w.Objects().OfStack(w.ctx, p.stack.ID)
	wantNone(w.T, "objects", err)
	rollouts, err := w.Rollouts().OfStack(w.ctx, p.stack.ID, 10)
	wantNone(w.T, "rollouts", err)
	records, err := w.History().Page(w.ctx, everything, p.stack.ID, page.Query{Limit: 10, Sort: placement.RecordList().Sorts[0].Name})
	wantNone(w.T, "records", err)
	wantSame(w.T, "objects, rollouts and records beside one that is gone", [3]int{len(objects), len(rollouts), len(records.Items)}, [3]int{})
	_, _, err = w.Decisions().Latest(w.ctx, p.stack.ID)
	wantKind(w.T, "newest decision", err, fault.NotFound)
	again := w.newStack(w.generator("heir-"+string(p.stack.ID)).ID, "again")
	again.ID = p.stack.ID
	wantNone(w.T, "make another of its id", w.Stacks().Insert(w.ctx, again))
	s := w.subject(again.ID)
	if s.Newest != nil || s.Generation != 0 || len(s.Labels) != 0 || s.Policy != nil {
		w.Fatalf("another of its id: %+v, want one that begins", s)
	}
	return true
}

// stackPurge has a stack with everything that a stack can have, and others that must stay.
func stackPurge(w *world) {
	old, _ := w.furnished()
	a := old.agents[0].ID
	r := w.save(w.newRollout(old), true)
	over := w.newRollout(old)
	ended := w.at
	over.EndedAt = &ended
	w.save(over, false)
	w.drain(a, cluster.Drain{Since: w.at}, true)
	kept, _ := w.furnished() // its agent has not removed it
	wantNone(w.T, "release", w.Drains().Release(w.ctx, a, []stack.ID{old.stack.ID, kept.stack.ID}, w.at))
	watch := w.newRollout(kept)
	watch.Phase, watch.Blockers = "pending", nil
	_, err := w.Rollouts().Save(w.ctx, ports.RolloutWrite{Rollout: watch, Governs: true, DependsOn: []stack.ID{old.stack.ID}})
	wantNone(w.T, "save what depends on it", err)
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, kept.stack.ID, w.at))
	live, deleted := w.place(1), w.place(1)
	w.dropped(old, w.at)
	w.dropped(deleted, w.at.Add(time.Minute)) // the second to be collected
	wantSame(w.T, "steps when nothing was collected", w.purge(later(), 10), 1)
	if n, err := w.Stacks().Collect(w.ctx, later(), 1); err != nil || n != 1 {
		w.Fatalf("collected %d, %v; want one", n, err)
	}
	w.purge(w.at, 10)
	if _, err := w.Objects().Get(w.ctx, everything, old.object.ID); err != nil {
		w.Fatalf("object of what was not collected before: %v", err)
	}
	w.purge(later(), 10)
	wantSame(w.T, "gone", w.gone(old), true)
	_, _, err = w.Rollouts().Get(w.ctx, everything, r.ID)
	wantCode(w.T, "rollout", err, fault.NotFound, "rollout_not_found")
	governing, err := w.Rollouts().Governing(w.ctx, nil)
	wantNone(w.T, "governing", err)
	if len(governing) != 1 || governing[kept.stack.ID].ID != watch.ID {
		w.Fatalf("governing: %v, want that of the stack that stays alone", governing)
	}
	drains, err := w.Drains().Running(w.ctx)
	wantNone(w.T, "drains", err)
	wantSame(w.T, "what the drain has let go", drains[a].Released, map[stack.ID]time.Time{kept.stack.ID: w.at})

	_, err = w.Stacks().Deleted(w.ctx, everything, deleted.stack.ID)
	wantNone(w.T, "one that can be restored", err)
	wantNone(w.T, "restore it", w.Stacks().Restore(w.ctx, deleted.stack.ID, w.at))
	wantNone(w.T, "restore the one that its agent has", w.Stacks().Restore(w.ctx, kept.stack.ID, w.at))
	for _, p := range []placed{live, kept, deleted} {
		w.seeStack(p.stack.ID)
		if o, err := w.Objects().Newest(w.ctx, p.stack.ID); err != nil || o.ID != p.object.ID {
			w.Fatalf("newest object of one that stays: %v, %v", o.ID, err)
		}
		if _, _, err := w.Decisions().Latest(w.ctx, p.stack.ID); err != nil {
			w.Fatalf("newest decision about one that stays: %v", err)
		}
	}
}

// purgeBounded has more of everything than one step takes.
func purgeBounded(w *world) {
	var all []placed
	for range 3 {
		p := w.place(1)
		for i := range 4 {
			w.publish(p.stack.ID, fmt.Sprint("revision ", i))
			w.decide(p.stack.ID)
		}
		w.dropped(p, w.at)
		all = append(all, p)
	}
	w.collect()
	if steps := w.purge(later(), 2); steps < 2 {
		w.Fatalf("purged in %d step, want several of two at most", steps)
	}
	for _, p := range all {
		wantSame(w.T, "gone", w.gone(p), true)
	}
}

// purgeWaits has stacks that something names which is kept for a time of its own.
func purgeWaits(w *world) {
	told, asked, counted := w.place(1), w.place(1), w.place(1)
	w.addEvent(w.newAgentEvent(told.agents[0].ID, told.object.ID, "SUCCESS", 0))
	w.ask(asked.agents[0].ID, asked.object, 0)
	wantNone(w.T, "count a removal", w.Removals().Add(w.ctx, w.at, math.MaxInt, placement.Removal{Stack: counted.stack.ID, Count: 1, At: w.at.Add(time.Second)}))
	all := map[string]placed{"of which an agent told": told, "that was asked about": asked, "that was removed of late": counted}
	for _, p := range all {
		w.dropped(p, w.at)
	}
	w.collect()
	w.purge(later(), 10)
	for name, p := range all {
		if _, err := w.Objects().Get(w.ctx, everything, p.object.ID); err != nil {
			w.Errorf("object of a stack %s: %v, want it there", name, err)
		}
	}
	wantSame(w.T, "events", len(w.events(told.agents[0].ID)), 1)
	events, err := w.Reports().TrimEvents(w.ctx, later(), 10)
	wantNone(w.T, "trim events", err)
	requests, err := w.Diagnostics().Trim(w.ctx, later().Add(1000*time.Hour), 10)
	wantNone(w.T, "trim diagnostics", err)
	removals, err := w.Removals().Trim(w.ctx, later(), 10)
	wantNone(w.T, "trim removals", err)
	wantSame(w.T, "trimmed", [3]int{events, requests, removals}, [3]int{1, 1, 1})
	w.purge(later(), 10)
	for _, p := range all {
		wantSame(w.T, "gone", w.gone(p), true)
	}
	_, err = w.Reports().AddEvent(w.ctx, w.newAgentEvent(told.agents[0].ID, told.object.ID, "SUCCESS", 1))
	wantCode(w.T, "an event of an agent that comes too late", err, fault.NotFound, "deployment_object_not_found")
}

// purgeContents has contents that two stacks share, one of which goes.
func purgeContents(w *world) {
	old, live := w.place(1), w.place(1)
	shared := w.publish(old.stack.ID, "kind: Shared")
	w.publish(live.stack.ID, "kind: Shared")
	w.dropped(old, w.at)
	w.collect()
	w.trimBlobs(later(), 10)
	wantSame(w.T, "contents of what is not purged yet", w.stored(old.object.Checksum, shared.Checksum), map[stack.Checksum]bool{old.object.Checksum: true, shared.Checksum: true})
	w.purge(later(), 10)
	w.trimBlobs(later(), 10)
	wantSame(w.T, "contents", w.stored(old.object.Checksum, shared.Checksum, live.object.Checksum),
		map[stack.Checksum]bool{shared.Checksum: true, live.object.Checksum: true})
}
