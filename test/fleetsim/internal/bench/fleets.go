package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/test/fleetsim/internal/fleet"
)

func array(ids []string) any { return pq.Array(ids) }

// thousand measures what 1,000 connected agents cost, and a publish to a tenth of them.
func thousand(ctx context.Context, r *run) error {
	n := r.sized(1000, 20)
	some := max(n/10, 1)
	r.say("registering %d agents", n)
	if err := r.createAgents(ctx, n, func(i int) []string {
		if i < some {
			return []string{"some"}
		}
		return nil
	}); err != nil {
		return err
	}
	if r.wants("9") || r.wants("12") {
		if err := r.idle(ctx, 10*time.Second, 30*time.Second, r.rowsOfThousand); err != nil {
			return err
		}
	}
	if !r.wants("2") {
		return nil
	}
	x, all, f, err := r.spreadOut(ctx, "some", some, r.sized(50, 3))
	if err != nil {
		return err
	}
	out := Result{Row: "2", What: "publish to all acknowledged", Scale: fmt.Sprintf("%d of %d connected agents", some, n), Target: "p99 <= 1 s", Unit: "s (p99)", Limit: 1,
		Full: r.o.Scale >= 1, Times: times(all)}
	out.Value = round(out.Times.P99 / 1000)
	r.finish(x, &out, f, float64(some))
	return nil
}

// tenThousand measures what 10,000 connected agents cost, and a publish to all of them.
func tenThousand(ctx context.Context, r *run) error {
	n := r.sized(10_000, 50)
	r.say("registering %d agents", n)
	if err := r.createAgents(ctx, n, nil); err != nil {
		return err
	}
	if r.wants("10") {
		if err := r.idle(ctx, 30*time.Second, 60*time.Second, r.rowsOfTenThousand); err != nil {
			return err
		}
	}
	if !r.wants("3") {
		return nil
	}
	x, all, f, err := r.spreadOut(ctx, "prod", n, 3)
	if err != nil {
		return err
	}
	out := Result{Row: "3", What: "publish to all acknowledged", Scale: fmt.Sprintf("all of %d connected agents", n), Target: "<= 10 s", Unit: "s (max)", Limit: 10,
		Full: r.o.Scale >= 1, Times: times(all)}
	out.Value = round(out.Times.Max / 1000)
	r.finish(x, &out, f, float64(n))
	return nil
}

func (r *run) finish(x *span, out *Result, f *fleet.Fleet, agents float64) {
	x.end(out)
	out.Wire = map[string]int64{"in": f.Counts.BytesIn.Load(), "out": f.Counts.BytesOut.Load()}
	out.Details = map[string]float64{"ms_of_a_report_p50": ms(f.Told.Quantile(0.5)), "ms_of_a_report_p99": ms(f.Told.Quantile(0.99)), "failures": float64(f.Counts.Failures.Load())}
	x.perThing(out, "application", int(f.Counts.Reports.Load()))
	out.Ratio = Ratio{out.Value * out.Rates.Commits / agents, "single inserts an agent"}
	r.add(*out)
}

// spreadOut publishes a stack for the agents with this label again and again, and returns how long each time it took until
// all had applied it and were acknowledged.
func (r *run) spreadOut(ctx context.Context, label string, n, again int) (*span, []time.Duration, *fleet.Fleet, error) {
	f, end, err := r.simulate(ctx, r.agents, r.o.Life, time.Duration(len(r.agents))*time.Millisecond)
	defer end()
	if err != nil {
		return nil, nil, nil, err
	}
	stack, err := r.createStack(ctx, "out-"+label, "", label)
	if err != nil {
		return nil, nil, nil, err
	}
	var x *span
	var all []time.Duration
	for i := range again + 1 {
		if i == 1 { // the first one, when every cluster is new, does not count
			f.ResetTimes()
			if x, err = r.begin(ctx, label); err != nil {
				return nil, nil, nil, err
			}
		}
		object, at, err := r.publish(ctx, stack, "out", strconv.Itoa(i))
		if err != nil {
			return nil, nil, nil, err
		}
		within, cancel := context.WithTimeout(ctx, 5*patience)
		acks, err := f.WaitAcks(within, object, n)
		cancel()
		if err != nil {
			return nil, nil, nil, err
		}
		if i > 0 {
			all = append(all, acks[n-1].Sub(at))
		}
	}
	return x, all, f, nil
}

// idleness is what was seen of a fleet that had nothing to do.
type idleness struct {
	span    *span
	fleet   *fleet.Fleet
	wait    time.Duration
	seconds float64
	queries float64 // transactions a second, beyond those without a fleet
}

// idle lets all agents be connected for a while.
func (r *run) idle(ctx context.Context, wait, long time.Duration, rows func(idleness)) error {
	if r.o.Scale < smoke {
		wait, long = time.Second, 3*time.Second
	}
	if err := r.quiet(ctx); err != nil {
		return err
	}
	without, err := r.transactions(ctx, long/3)
	if err != nil {
		return err
	}
	f, end, err := r.simulate(ctx, r.agents, fleet.Life{Wait: wait, Status: true}, wait)
	defer end()
	if err != nil {
		return err
	}
	r.say("%d agents are connected and idle", len(r.agents))
	sleep(ctx, wait) // until nobody tells his first status any more
	x, err := r.begin(ctx, "idle")
	if err != nil {
		return err
	}
	f.ResetTimes()
	x.began, x.at = time.Now(), r.cpu()
	with, err := r.transactions(ctx, long)
	if err != nil {
		return err
	}
	rows(idleness{span: x, fleet: f, wait: wait, seconds: time.Since(x.began).Seconds(), queries: with - without})
	return nil
}

// transactions counts the database's transactions a second.
func (r *run) transactions(ctx context.Context, long time.Duration) (float64, error) {
	const count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
	before, err := r.number(ctx, count)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	sleep(ctx, long)
	after, err := r.number(ctx, count)
	return float64(after-before) / time.Since(began).Seconds(), err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// idleResult is what rows of idle fleets have in common.
func (r *run) idleResult(row, what string, i idleness) Result {
	n := len(r.agents)
	out := Result{Row: row, What: what, Scale: fmt.Sprintf("%d agents, %s", n, i.wait), Full: r.o.Scale >= 1}
	f := i.fleet
	out.Times = &Times{N: int(f.Late.Count()), P50: ms(f.Late.Quantile(0.5)), P90: ms(f.Late.Quantile(0.9)), P99: ms(f.Late.Quantile(0.99)), Max: ms(f.Late.Max())}
	i.span.end(&out)
	out.Wire = map[string]int64{"in": f.Counts.BytesIn.Load(), "out": f.Counts.BytesOut.Load()}
	syncs := float64(f.Counts.Syncs.Load())
	out.Details = map[string]float64{"syncs_per_s": round(syncs / i.seconds), "failures": float64(f.Counts.Failures.Load()),
		"transactions_per_s_beyond_none_connected": round(i.queries), "largest_idle_body_to_agent": float64(f.Counts.IdleIn.Load()), "largest_idle_body_from_agent": float64(f.Counts.IdleOut.Load())}
	return out
}

// broker's CPU in cores, Postgres and the load apart, and peak memory of its processes together.
func (r *run) broker(x Result) (cores, rss float64) {
	for _, p := range r.processes {
		cores += x.CPU[p.name] / x.Seconds
		rss += x.Peak[p.name]
	}
	return round(cores), round(rss)
}

func (r *run) rowsOfThousand(i idleness) {
	if r.wants("9") {
		out := r.idleResult("9", "idle agents: cores of the broker", i)
		cores, rss := r.broker(out)
		out.Target, out.Value, out.Unit, out.Limit = "<= 0.15 core, <= 150 MiB", cores, "cores", 0.15
		out.Details["mib_rss_of_broker"], out.Details["mib_rss_of_gateway"] = rss, out.Peak[r.gateway.name]
		out.Ratio = Ratio{out.Details["syncs_per_s"] / cores / out.Rates.Bare * bareCores, "x bare requests/s a core"}
		if rss > 150 {
			out.Limit = 0 // the whole row is not met
		}
		r.add(out)
	}
	if r.wants("12") {
		out := r.idleResult("12", "idle sync: bytes of body, the larger way", i)
		f := i.fleet
		out.Target, out.Unit, out.Limit = "<= 300 bytes each way, 0 queries", "bytes", 300
		out.Value = float64(max(f.Counts.IdleIn.Load(), f.Counts.IdleOut.Load()))
		perSync := max(i.queries, 0) / out.Details["syncs_per_s"]
		out.Details["transactions_per_sync"] = round(perSync)
		out.Ratio = Ratio{perSync, "transactions a sync"}
		if perSync > 0.05 { // the batched flush of heartbeats is there however many agents are
			out.Limit = 0
		}
		r.add(out)
	}
}

// bareCores is how many cores the bare handler and its clients had.
const bareCores = 2

func (r *run) rowsOfTenThousand(i idleness) {
	out := r.idleResult("10", "idle agents: cores of the broker", i)
	cores, rss := r.broker(out)
	out.Target, out.Value, out.Unit, out.Limit = "<= 1 core, sync p99 <= 50 ms beyond its wait", cores, "cores", 1
	out.Details["mib_rss_of_broker"] = rss
	out.Ratio = Ratio{out.Times.P99 / 1000 * out.Rates.Bare, "x the time of a bare request (p99 of lateness)"}
	if out.Times.P99 > 50 {
		out.Limit = 0 // the whole row is not met
	}
	r.add(out)
}
