package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// rollouts measures row 8: waves of 20, 30 and 50 of 100 clusters, whose agents take a while to apply.
func rollouts(ctx context.Context, r *run) error {
	clusters, many := r.sized(100, 10), r.sized(100, 3)
	r.say("registering %d agents", clusters)
	if err := r.createAgents(ctx, clusters, nil); err != nil {
		return err
	}
	f, end, err := r.simulate(ctx, r.agents, r.o.Life, 0)
	defer end()
	if err != nil {
		return err
	}
	// A wave's share is of what earlier ones left: 20 % of 100, 37 % of 80 (rounded up: 30), the rest.
	policy, err := r.createPolicy(ctx, map[string]any{"name": "staged", "clusters": map[string]any{"labels": []string{"prod"}}, "strategy": map[string]any{"type": "all"},
		"rollout": map[string]any{"waves": []any{map[string]any{"name": "first", "percent": 20}, map[string]any{"name": "second", "percent": 37}, map[string]any{"name": "rest"}}}})
	if err != nil {
		return err
	}
	stacks := make([]string, many)
	if err := parallel(ctx, many, func(ctx context.Context, i int) error {
		id, err := r.createStack(ctx, "staged-"+strconv.Itoa(i), policy)
		if err != nil {
			return err
		}
		stacks[i] = id
		return nil
	}); err != nil {
		return err
	}
	if _, _, err := r.roll(ctx, stacks, "1"); err != nil { // the first revision is not measured: every cluster is new to it
		return err
	}
	x, err := r.begin(ctx, "8")
	if err != nil {
		return err
	}
	f.ResetTimes()
	const again = 5
	var one []time.Duration
	for i := range again {
		took, _, err := r.roll(ctx, stacks[:1], "one-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		one = append(one, took...)
	}
	all, last, err := r.roll(ctx, stacks, "all")
	if err != nil {
		return err
	}
	out := Result{Row: "8", What: "staged rollout 20/30/50 %, all clusters healthy and the rollout completed", Scale: fmt.Sprintf("%d clusters, %d at once", clusters, many),
		Target: "one <= 5 s, 100 at once <= 20 s", Value: round(last.Seconds()), Unit: "s for all", Limit: 20, Full: r.o.Scale >= 1, Times: times(all)}
	x.end(&out)
	worst := slices.Max(one)
	out.Details = map[string]float64{"s_for_one_max": round(worst.Seconds()), "s_for_one_median": times(one).P50 / 1000,
		"s_of_applying_at_most": 3 * r.o.Life.ThinkMax.Seconds()}
	x.perThing(&out, "application", (again+many)*clusters)
	out.Wire = map[string]int64{"in": f.Counts.BytesIn.Load(), "out": f.Counts.BytesOut.Load()}
	out.Ratio = Ratio{last.Seconds() * out.Rates.Commits / float64(many*clusters), "single inserts an application"}
	if worst > 5*time.Second {
		out.Limit = 0 // the whole row is not met
	}
	r.add(out)
	return nil
}

// roll publishes to all stacks at once and waits until their rollouts have completed. It returns how long each took, from
// before its publishing to the end that the rollout itself tells of, and how long until all were seen in the database.
func (r *run) roll(ctx context.Context, stacks []string, text string) ([]time.Duration, time.Duration, error) {
	began := time.Now()
	objects, at := make([]string, len(stacks)), make([]time.Time, len(stacks))
	if err := parallel(ctx, len(stacks), func(ctx context.Context, i int) error {
		var err error
		objects[i], at[i], err = r.publish(ctx, stacks[i], "staged-"+strconv.Itoa(i), text)
		return err
	}); err != nil {
		return nil, 0, err
	}
	const completed = "SELECT count(*) FROM rollouts WHERE object_id = ANY ($1::uuid[]) AND phase = 'completed'"
	if err := poll(ctx, 20*time.Millisecond, 10*patience, "the rollouts", func() (bool, error) {
		n, err := r.number(ctx, completed, array(objects))
		return n >= int64(len(stacks)), err
	}); err != nil {
		return nil, 0, err
	}
	last := time.Since(began)
	took := make([]time.Duration, len(stacks))
	for i, o := range objects {
		var ended time.Time
		if err := r.db.QueryRowContext(ctx, "SELECT ended_at FROM rollouts WHERE object_id = $1", o).Scan(&ended); err != nil {
			return nil, 0, fmt.Errorf("read a rollout: %w", err)
		}
		took[i] = ended.Sub(at[i])
	}
	return took, last, nil
}
