package gateway_test

import (
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// The first report of a process that died before anybody had heard of it comes after its successor's: it is worth nothing, and the successor goes on
// being heard.
func TestLateFirstReportOfADeadProcessEndsNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		object := w.publish(w.stack("web").ID, "v: 1")
		w.assign(object, a)
		r := w.gateway(options{})
		says := func(p *process, turn int64, h delivery.Health) wire.SyncRequest {
			req := p.request(wire.MaxWaitSeconds)
			req.Turn = &turn
			req.Applied = []wire.Applied{{StackID: string(object.Stack), DeploymentObjectID: string(object.ID), SequenceID: int64(object.Sequence),
				Phase: string(delivery.PhaseApplied), Health: string(h), ObservedAt: time.Now()}}
			return req
		}
		want := func(why string, h delivery.Health) {
			t.Helper()
			if _, held := w.held(a); held[0].Status == nil || held[0].Status.Health != h {
				t.Fatalf("%s: got %+v, want %s", why, held[0].Status, h)
			}
		}
		first, dead, live := a.start(), a.start(), a.start()
		r.catchUp(first)
		if res := r.sync(first, says(first, 0, delivery.HealthProgressing)); res.answer().Turn != 0 {
			t.Fatal("the very first process has to wait for a turn, though it ends nobody")
		}
		want("the very first process", delivery.HealthProgressing)
		late := says(dead, 0, delivery.HealthHealthy)

		live.revision = r.catchUp(live).Revision
		asked := r.sync(live, says(live, 0, delivery.HealthFailing))
		turn := asked.answer().Turn
		if turn == 0 || asked.took != 0 {
			t.Fatalf("the next process is given turn %d after %s, want one at once", turn, asked.took)
		}
		want("not yet told with a turn", delivery.HealthProgressing)
		r.sync(live, says(live, turn, delivery.HealthFailing)).leave()
		want("told with its turn", delivery.HealthFailing)

		if res := r.sync(dead, late).answer(); res.Turn == 0 {
			t.Error("the late report is taken")
		}
		want("after the late report of the dead one", delivery.HealthFailing)
		r.sync(live, says(live, turn, delivery.HealthDegraded)).leave()
		want("the live one is heard", delivery.HealthDegraded)
		r.sync(first, says(first, 0, delivery.HealthHealthy)).leave()
		want("the first one is over", delivery.HealthDegraded)
	})
}
