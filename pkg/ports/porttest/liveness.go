package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func livenessCases() map[string]func(*world) {
	return map[string]func(*world){
		"a beat says what it says":               beatStores,
		"never backwards":                        beatNeverBack,
		"never later than now":                   beatNeverAhead,
		"one batch may name an agent twice":      beatTwice,
		"unknown and deleted agents are ignored": beatUnknown,
		"an update does not roll a beat back":    beatSurvivesUpdate,
		"beats and updates do not disturb":       beatsBesideUpdates,
		"two processes take turns":               beatTurns,
		"turns within one batch":                 beatTurnsInBatch,
		"every process that is new follows":      beatRestarts,
	}
}

func (w *world) beat(beats ...agent.Heartbeat) {
	w.Helper()
	wantNone(w.T, "beat", w.Agents().Beat(w.ctx, beats))
}

func beatStores(w *world) {
	a, b := w.agent("edge"), w.agent("core")
	yes, ms := true, int32(12)
	t1, t2 := w.at.Add(time.Second), w.at.Add(2*time.Second)
	w.beat(agent.Heartbeat{Agent: a.ID, At: t1, K8sReachable: &yes, K8sLatencyMS: &ms}, agent.Heartbeat{Agent: b.ID, At: t2})
	got := w.seeAgent(a.ID)
	wantSame(w.T, "liveness", got.Liveness, agent.Liveness{LastHeartbeat: &t1, K8sReachable: &yes, K8sLatencyMS: &ms, K8sReportedAt: &t1})
	wantSame(w.T, "version", got.Version, a.Version)
	wantSame(w.T, "updated_at", got.UpdatedAt, a.UpdatedAt)
	wantSame(w.T, "liveness of the other", w.seeAgent(b.ID).Liveness, agent.Liveness{LastHeartbeat: &t2})

	// Nil fields leave what is stored.
	w.beat(agent.Heartbeat{Agent: a.ID, At: t2})
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, agent.Liveness{LastHeartbeat: &t2, K8sReachable: &yes, K8sLatencyMS: &ms, K8sReportedAt: &t1})

	copied := w.seeAgent(a.ID)
	*copied.Liveness.K8sReachable, *copied.Liveness.LastHeartbeat = false, w.at
	wantSame(w.T, "liveness after the caller changed a copy", w.seeAgent(a.ID).Liveness, agent.Liveness{LastHeartbeat: &t2, K8sReachable: &yes, K8sLatencyMS: &ms, K8sReportedAt: &t1})
}

func beatNeverBack(w *world) {
	a := w.agent("edge")
	yes, no := true, false
	now, older := w.at.Add(time.Minute), w.at
	w.beat(agent.Heartbeat{Agent: a.ID, At: now, K8sReachable: &yes})
	want := w.seeAgent(a.ID).Liveness
	w.beat(agent.Heartbeat{Agent: a.ID, At: older, K8sReachable: &no})
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, want)
	w.beat()
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, want)
}

// beatNeverAhead has a gateway whose clock is an hour ahead.
func beatNeverAhead(w *world) {
	a := w.agent("edge")
	yes, before := true, time.Now()
	w.beat(agent.Heartbeat{Agent: a.ID, At: before.Add(time.Hour)})
	got := w.seeAgent(a.ID).Liveness
	const clocks = time.Minute // between the test's clock and the store's
	if got.LastHeartbeat == nil || got.LastHeartbeat.After(time.Now().Add(clocks)) || got.LastHeartbeat.Before(before.Add(-clocks)) || got.K8sReportedAt != nil {
		w.Fatalf("after a heartbeat of the time to come: got %+v, want one of now", got)
	}
	w.beat(agent.Heartbeat{Agent: a.ID, At: before.Add(2 * time.Hour), K8sReachable: &yes})
	next := w.seeAgent(a.ID).Liveness
	if next.LastHeartbeat.Before(*got.LastHeartbeat) || next.LastHeartbeat.After(time.Now().Add(clocks)) {
		w.Errorf("after the next: got %v, want one of now", next.LastHeartbeat)
	}
	wantSame(w.T, "when Kubernetes was reported", next.K8sReportedAt, next.LastHeartbeat)
}

func beatTwice(w *world) {
	a := w.agent("edge")
	yes, no := true, false
	newest := w.at.Add(2 * time.Second)
	w.beat(
		agent.Heartbeat{Agent: a.ID, At: w.at, K8sReachable: &yes},
		agent.Heartbeat{Agent: a.ID, At: newest, K8sReachable: &no},
		agent.Heartbeat{Agent: a.ID, At: w.at.Add(time.Second), K8sReachable: &yes},
	)
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, agent.Liveness{LastHeartbeat: &newest, K8sReachable: &no, K8sReportedAt: &newest})
}

func beatUnknown(w *world) {
	a, gone := w.agent("edge"), w.agent("gone")
	wantNone(w.T, "delete", w.Agents().Delete(w.ctx, gone.ID, w.at))
	t1 := w.at.Add(time.Second)
	w.beat(agent.Heartbeat{Agent: newID[agent.ID](), At: t1}, agent.Heartbeat{Agent: gone.ID, At: t1}, agent.Heartbeat{Agent: a.ID, At: t1})
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, agent.Liveness{LastHeartbeat: &t1})
}

// beatSurvivesUpdate has a beat between the read and the write of an update.
func beatSurvivesUpdate(w *world) {
	a := w.agent("edge")
	t1 := w.at.Add(time.Second)
	read := w.seeAgent(a.ID)
	w.beat(agent.Heartbeat{Agent: a.ID, At: t1})
	read.Name = "renamed"
	wantNone(w.T, "update", w.Agents().Update(w.ctx, read))
	got := w.seeAgent(a.ID)
	if got.Name != "renamed" || got.Liveness.LastHeartbeat == nil || !got.Liveness.LastHeartbeat.Equal(t1) {
		w.Fatalf("after beat and update: got %+v, want the new name and the beat", got)
	}
}

func beatsBesideUpdates(w *world) {
	a := w.agent("edge")
	const rounds = 20
	last := w.at.Add(rounds * time.Second)
	errs := race(2, func(i int) error {
		for n := 1; n <= rounds; n++ {
			var err error
			if i == 0 {
				err = w.Agents().Beat(w.ctx, []agent.Heartbeat{{Agent: a.ID, At: w.at.Add(time.Duration(n) * time.Second)}})
			} else {
				err = w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
					now, err := tx.Agents().Get(ctx, everything, a.ID)
					if err != nil {
						return err
					}
					return tx.Agents().Update(ctx, now)
				})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		wantNone(w.T, "beat beside update", err)
	}
	got := w.seeAgent(a.ID)
	wantSame(w.T, "last heartbeat", got.Liveness.LastHeartbeat, &last)
	wantSame(w.T, "version", got.Version, a.Version+rounds)
}

// wantDuplicate checks since when the agent is used twice; seconds after the world's time, negative: it is not.
func (w *world) wantDuplicate(what string, a agent.ID, since int) {
	w.Helper()
	var want *time.Time
	if since >= 0 {
		at := w.at.Add(time.Duration(since) * time.Second)
		want = &at
	}
	wantSame(w.T, what, w.seeAgent(a).Liveness.DuplicateSince, want)
}

func beatTurns(w *world) {
	a, other := w.agent("edge"), w.agent("core")
	first, second := newID[string](), newID[string]()
	hear := func(boot string, second int) {
		w.Helper()
		w.beat(agent.Heartbeat{Agent: a.ID, Boot: boot, At: w.at.Add(time.Duration(second) * time.Second)})
	}
	hear(first, 1)
	hear(first, 2)
	hear(second, 3)
	w.wantDuplicate("after a restart", a.ID, -1)
	hear(first, 4)
	w.wantDuplicate("when the former comes back", a.ID, 4)
	hear("", 5)
	hear(second, 6)
	hear(first, 7)
	w.wantDuplicate("while they take turns", a.ID, 4)
	w.beat(agent.Heartbeat{Agent: other.ID, Boot: first, At: w.at})
	w.wantDuplicate("another agent", other.ID, -1)
	hear(second, 6)
	hear(first, 187)
	w.wantDuplicate("three minutes after the last turn", a.ID, 4)
	hear(first, 188)
	w.wantDuplicate("after more than three minutes", a.ID, -1)
	hear(second, 189)
	w.wantDuplicate("again", a.ID, 189)
}

func beatTurnsInBatch(w *world) {
	a, b := w.agent("edge"), w.agent("core")
	first, second := newID[string](), newID[string]()
	at := func(second int) time.Time { return w.at.Add(time.Duration(second) * time.Second) }
	yes := true
	w.beat(
		agent.Heartbeat{Agent: a.ID, Boot: second, At: at(2)}, agent.Heartbeat{Agent: a.ID, Boot: first, At: at(3), K8sReachable: &yes},
		agent.Heartbeat{Agent: b.ID, Boot: first, At: at(2)}, agent.Heartbeat{Agent: a.ID, Boot: first, At: at(1)},
		agent.Heartbeat{Agent: b.ID, Boot: second, At: at(3)},
	)
	w.wantDuplicate("turns in a batch", a.ID, 3)
	w.wantDuplicate("a restart in a batch", b.ID, -1)
	when := at(3)
	wantSame(w.T, "liveness", w.seeAgent(a.ID).Liveness, agent.Liveness{LastHeartbeat: &when, K8sReachable: &yes, K8sReportedAt: &when, DuplicateSince: &when})
}

func beatRestarts(w *world) {
	a := w.agent("edge")
	boots := make([]string, agent.KeptBoots+1)
	for i := range boots {
		boots[i] = newID[string]()
		w.beat(agent.Heartbeat{Agent: a.ID, Boot: boots[i], At: w.at.Add(time.Duration(i) * time.Second)})
	}
	w.wantDuplicate("after restarts", a.ID, -1)
	w.beat(agent.Heartbeat{Agent: a.ID, Boot: boots[0], At: w.at.Add(10 * time.Second)})
	w.wantDuplicate("one that was long ago is forgotten", a.ID, -1)
	w.beat(agent.Heartbeat{Agent: a.ID, Boot: boots[2], At: w.at.Add(11 * time.Second)})
	w.wantDuplicate("one that is remembered", a.ID, 11)
}
