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
		"one batch may name an agent twice":      beatTwice,
		"unknown and deleted agents are ignored": beatUnknown,
		"an update does not roll a beat back":    beatSurvivesUpdate,
		"beats and updates do not disturb":       beatsBesideUpdates,
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
