package bench

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/test/fleetsim/internal/fleet"
)

// rich is a policy with eight filters, four scorers, spread and a pick of n: that of BenchmarkDecideRich.
func rich(name string, n int) map[string]any {
	expression := func(key, operator string, values ...string) map[string]any {
		return map[string]any{"key": key, "operator": operator, "values": values}
	}
	return map[string]any{
		"name": name,
		"clusters": map[string]any{
			"labels": []string{"prod"},
			"expressions": []any{
				expression("annotation.region", "In", "r0", "r1", "r2", "r3"), expression("kubernetes.version", ">=", "1.30"),
				expression("allocatable.cpu", ">", "8"), expression("nodes.ready", ">=", "3"), expression("api", "Exists", "cert-manager.io/v1"),
			},
			"cel": "cluster.nodes.ready >= 3 && cluster.facts['gpu_price'] < 9.5",
		},
		"requires":    map[string]any{"cpu": "10m", "memory": "1Mi"},
		"tolerations": []any{map[string]any{"key": "maintenance", "effect": "NoPlace"}},
		"strategy":    map[string]any{"count": map[string]any{"min": n, "max": n}},
		"spread":      []any{map[string]any{"by": "annotation.region", "max_skew": 1, "min_domains": 2}},
		"prefer": []any{
			map[string]any{"property": "available.cpu", "range": []int{0, 64}, "weight": 5},
			map[string]any{"property": "facts.gpu_price", "range": []int{0, 10}, "order": "low", "weight": 3},
			map[string]any{"property": "available.memory", "range": []int{0, 274877906944}, "weight": 2},
			map[string]any{"balance": true},
		},
		// What is placed stays: a scheduler that starts anew would otherwise balance what came one after the other.
		"stickiness": map[string]any{"points": 20, "min_dwell": "24h"},
	}
}

const countDecisions = "SELECT count(*) FROM decisions"

// picks of each policy.
const picks = 10

// decisions measures deciding and committing over 1,000 clusters.
func decisions(ctx context.Context, r *run) error {
	clusters := r.sized(1000, 50)
	r.say("registering %d agents", clusters)
	if err := r.createAgents(ctx, clusters, nil); err != nil {
		return err
	}
	// Their agents tell what the clusters are and leave: what is measured is the control plane's.
	_, end, err := r.simulate(ctx, r.agents, fleet.Life{Status: true}, 0)
	if err == nil {
		err = poll(ctx, 50*time.Millisecond, patience, "every cluster's status", func() (bool, error) {
			n, err := r.number(ctx, "SELECT count(*) FROM cluster_status")
			return n >= int64(clusters), err
		})
	}
	end()
	if err != nil {
		return err
	}
	if r.wants("5") {
		if err := r.commits(ctx, clusters); err != nil {
			return err
		}
	}
	if !r.wants("6") && !r.wants("7") {
		return nil
	}
	if err := r.cold(ctx, clusters); err != nil {
		return err
	}
	if r.wants("7") {
		return r.restart(ctx)
	}
	return nil
}

// timeline watches a growing number until it has grown by n, and returns the moments at which shares of it were there.
func (r *run) timeline(ctx context.Context, from time.Time, n int64, limit time.Duration, count func() (int64, error)) (first, last time.Duration, shares map[string]float64, err error) {
	shares = map[string]float64{}
	base := int64(-1)
	err = poll(ctx, 50*time.Millisecond, limit, fmt.Sprintf("%d decisions", n), func() (bool, error) {
		got, err := count()
		if err != nil {
			return false, err
		}
		since := time.Since(from)
		if base < 0 && got > 0 {
			base, first = got, since
		}
		for name, share := range map[string]float64{"s_to_10%": 0.1, "s_to_50%": 0.5, "s_to_90%": 0.9, "s_to_99%": 0.99, "s_to_100%": 1} {
			if _, done := shares[name]; !done && float64(got) >= share*float64(n) {
				shares[name] = round(since.Seconds())
			}
		}
		last = since
		return got >= n, nil
	})
	shares["s_to_first"] = round(first.Seconds())
	return first, last, shares, err
}

// commits measures row 5: one policy reaches many stacks, and its next revision asks for one cluster more of each.
func (r *run) commits(ctx context.Context, clusters int) error {
	n := r.sized(5000, 100)
	r.say("creating %d stacks under one policy", n)
	id, err := r.createPolicy(ctx, rich("warm", picks))
	if err != nil {
		return err
	}
	if err := r.call(ctx, http.MethodPut, "/placement-policies/"+id+"/stack-labels/warm", nil, nil); err != nil {
		return err
	}
	if err := parallel(ctx, n, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("warm-%05d", i)
		s, err := r.createStack(ctx, name, "", "warm")
		if err == nil {
			_, _, err = r.publish(ctx, s, name, "1")
		}
		return err
	}); err != nil {
		return err
	}
	const settled = "SELECT count(*) FROM (SELECT stack_id FROM assignments WHERE state = 'assigned' GROUP BY stack_id HAVING count(*) = $1) AS s"
	settle := func(want int) error {
		return poll(ctx, 100*time.Millisecond, 10*patience, "every stack to be placed", func() (bool, error) {
			got, err := r.number(ctx, settled, want)
			return got >= int64(n), err
		})
	}
	if err := settle(picks); err != nil {
		return err
	}
	if err := r.quiet(ctx); err != nil {
		return err
	}
	base, err := r.number(ctx, countDecisions)
	if err != nil {
		return err
	}
	x, err := r.begin(ctx, "5")
	if err != nil {
		return err
	}
	began := time.Now()
	if err := r.call(ctx, http.MethodPut, "/placement-policies/"+id, rich("warm", picks+1), nil); err != nil {
		return err
	}
	_, last, shares, err := r.timeline(ctx, began, int64(n), 10*patience, func() (int64, error) {
		got, err := r.number(ctx, countDecisions)
		return got - base, err
	})
	if err != nil {
		return err
	}
	out := Result{Row: "5", What: "decisions committed to PostgreSQL", Scale: fmt.Sprintf("%d stacks of one policy whose revision asks for one cluster more, %d clusters", n, clusters),
		Target: ">= 500/s", Value: round(float64(n) / last.Seconds()), Unit: "decisions/s", Limit: 500, Floor: true, Full: r.o.Scale >= 1, Details: shares}
	x.end(&out)
	x.perThing(&out, "decision", n)
	out.Ratio = Ratio{out.Value / out.Rates.Commits, "x single-row inserts/s"}
	if err := settle(picks + 1); err != nil {
		return err
	}
	r.add(out)
	return nil
}

// quiet waits until the scheduler has nothing left to decide.
func (r *run) quiet(ctx context.Context) error {
	calm := 0
	return poll(ctx, 150*time.Millisecond, 10*patience, "the scheduler to be done", func() (bool, error) {
		m, err := r.scheduler.metrics(ctx)
		if err != nil {
			return false, err
		}
		if calm++; m.sum("brokkr_scheduler_dirty_stacks", "") > 0 {
			calm = 0
		}
		return calm > 4, nil
	})
}

// cold measures row 6: a scheduler starts on policies and clusters that nobody has decided about.
func (r *run) cold(ctx context.Context, clusters int) error {
	n := r.sized(10_000, 200)
	if err := r.scheduler.stop(); err != nil {
		return err
	}
	r.say("creating %d policies, each with a stack", n)
	began := time.Now()
	if err := parallel(ctx, n, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("cold-%05d", i)
		id, err := r.createPolicy(ctx, rich(name, picks))
		if err != nil {
			return err
		}
		s, err := r.createStack(ctx, name, id)
		if err == nil {
			_, _, err = r.publish(ctx, s, name, "1")
		}
		return err
	}); err != nil {
		return err
	}
	loaded := time.Since(began)
	if _, err := r.db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil { // as autovacuum leaves it
		return fmt.Errorf("vacuum: %w", err)
	}
	base, err := r.number(ctx, countDecisions)
	if err != nil {
		return err
	}
	x, err := r.begin(ctx, "6")
	if err != nil {
		return err
	}
	began = time.Now()
	if err := r.scheduler.start(); err != nil {
		return err
	}
	first, last, shares, err := r.timeline(ctx, began, int64(n), 20*patience, func() (int64, error) {
		got, err := r.number(ctx, countDecisions)
		return got - base, err
	})
	if err != nil {
		return err
	}
	m, err := r.scheduler.metrics(ctx)
	if err != nil {
		return err
	}
	assigned, err := r.number(ctx, "SELECT count(*) FROM assignments")
	if err != nil {
		return err
	}
	maps.Copy(shares, map[string]float64{"s_deciding_in_process": round(m.sum("brokkr_scheduler_decide_seconds_sum", "")), "decisions_per_s_once_it_ran": round(float64(n) / max(last-first, time.Millisecond).Seconds()),
		"assignments": float64(assigned), "s_to_load_the_fixture_by_api": round(loaded.Seconds())})
	out := Result{Row: "6", What: "all decisions durable, from the start of the scheduler's process", Scale: fmt.Sprintf("%d policies x %d clusters, pick %d", n, clusters, picks),
		Target: "<= 30 s", Value: round(last.Seconds()), Unit: "s", Limit: 30, Full: r.o.Scale >= 1, Details: shares}
	x.end(&out)
	x.perThing(&out, "decision", n)
	out.Ratio = Ratio{float64(n) / last.Seconds() / out.Rates.Commits, "x single-row inserts/s"}
	if r.wants("6") {
		r.add(out)
	}
	return r.quiet(ctx)
}

// written counts rows that were written by transactions from this one on, where decisions go.
const written = `SELECT (SELECT count(*) FROM assignments WHERE xmin::text::bigint >= $1) + (SELECT count(*) FROM decisions WHERE xmin::text::bigint >= $1)
	+ (SELECT count(*) FROM stack_placements WHERE xmin::text::bigint >= $1) + (SELECT count(*) FROM agent_revisions WHERE xmin::text::bigint >= $1)
	+ (SELECT count(*) FROM rollouts WHERE xmin::text::bigint >= $1)`

// restart measures row 7: once with nothing to do, for what it writes and when it is steady; once with something published
// meanwhile, for the first decision.
func (r *run) restart(ctx context.Context) error {
	assigned, err := r.number(ctx, "SELECT count(*) FROM assignments WHERE state = 'assigned'")
	if err != nil {
		return err
	}
	r.say("restarting the scheduler with %d assignments", assigned)
	if err := r.scheduler.stop(); err != nil {
		return err
	}
	mark, err := r.number(ctx, "SELECT pg_current_xact_id()::text::bigint")
	if err != nil {
		return err
	}
	x, err := r.begin(ctx, "7")
	if err != nil {
		return err
	}
	if err := r.scheduler.start(); err != nil {
		return err
	}
	if err := poll(ctx, 100*time.Millisecond, 10*patience, "a steady scheduler", func() (bool, error) {
		m, err := r.scheduler.metrics(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return m.sum("brokkr_scheduler_rounds_total", "ok") > 0 && m.sum("brokkr_scheduler_shards_held", "") > 0 &&
			m.sum("brokkr_scheduler_decisions_total", "") > 0 && m.sum("brokkr_scheduler_dirty_stacks", "") == 0, nil
	}); err != nil {
		return err
	}
	steady := time.Since(r.scheduler.started)
	if err := r.quiet(ctx); err != nil {
		return err
	}
	wrote, err := r.number(ctx, written, mark)
	if err != nil {
		return err
	}
	out := Result{Row: "7", What: "restart of the scheduler: first decision", Scale: fmt.Sprintf("%d assignments", assigned),
		Target: "first <= 3 s, steady <= 10 s, 0 rows written", Unit: "s", Limit: 3, Full: r.o.Scale >= 1}
	x.end(&out)
	first, err := r.firstDecision(ctx)
	if err != nil {
		return err
	}
	out.Value = round(first.Seconds())
	out.Details = map[string]float64{"s_to_steady": round(steady.Seconds()), "rows_written": float64(wrote)}
	out.Ratio = Ratio{first.Seconds() * out.Rates.Selects, "x the time of a SELECT 1"}
	if steady > 10*time.Second || wrote > 0 {
		out.Limit = 0 // the whole row is not met
	}
	r.add(out)
	return nil
}

// firstDecision restarts the scheduler once more and returns how long after its start what was published meanwhile is decided.
func (r *run) firstDecision(ctx context.Context) (time.Duration, error) {
	if err := r.scheduler.stop(); err != nil {
		return 0, err
	}
	var stack string
	if err := r.db.QueryRowContext(ctx, "SELECT stack_id::text FROM assignments ORDER BY stack_id DESC LIMIT 1").Scan(&stack); err != nil {
		return 0, fmt.Errorf("find a stack: %w", err)
	}
	object, _, err := r.publish(ctx, stack, "again", "2")
	if err != nil {
		return 0, err
	}
	if err := r.scheduler.start(); err != nil {
		return 0, err
	}
	err = poll(ctx, 10*time.Millisecond, 10*patience, "the first decision", func() (bool, error) {
		n, err := r.number(ctx, "SELECT count(*) FROM decisions WHERE stack_id = $1 AND object_id = $2", stack, object)
		return n > 0, err
	})
	return time.Since(r.scheduler.started), err
}
