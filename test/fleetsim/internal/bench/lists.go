package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// lists measures row 18: every page of 100 of a long list, one after the other, from the first to the last.
func lists(ctx context.Context, r *run) error {
	stacks, agents := r.sized(100_000, 1000), r.sized(10_000, 300)
	r.say("filling in %d stacks and %d agents", stacks, agents)
	if err := r.fill(ctx, stacks, agents); err != nil {
		return err
	}
	if r.scheduler != r.api { // it would be deciding about them
		if err := r.scheduler.stop(); err != nil {
			return err
		}
	}
	// A page may be asked for in any order; names are not in the order of ids.
	walks := []struct {
		what, path  string
		rows, again int
	}{
		{"stacks", "/stacks?limit=100", stacks, 1}, {"stacks_by_name", "/stacks?limit=100&sort=name", stacks, 1},
		{"agents", "/agents?limit=100", agents, 10}, {"agents_by_name", "/agents?limit=100&sort=name", agents, 10},
	}
	x, err := r.begin(ctx, "18")
	if err != nil {
		return err
	}
	out := Result{Row: "18", What: "a page of 100, every page from the first to the last", Scale: fmt.Sprintf("%d stacks, %d agents", stacks, agents),
		Target: "p99 <= 20 ms", Unit: "ms (worst p99 of the lists)", Limit: 20, Full: r.o.Scale >= 1, Details: map[string]float64{}}
	var all []time.Duration
	for _, w := range walks {
		var took []time.Duration
		for range w.again {
			one, n, err := r.walk(ctx, w.path)
			if err != nil {
				return err
			}
			if n < w.rows {
				return fmt.Errorf("the pages of %s held %d rows, want %d", w.path, n, w.rows)
			}
			took = append(took, one...)
		}
		t := times(took)
		out.Details[w.what+"_ms_p50"], out.Details[w.what+"_ms_p99"] = t.P50, t.P99
		out.Value = max(out.Value, t.P99)
		all = append(all, took...)
	}
	out.Times = times(all)
	x.end(&out)
	out.Details["api_cpu_ms_a_page"] = round((out.CPU["api"] + out.CPU["broker"]) * 1e3 / float64(len(all)))
	out.Details["postgres_cpu_ms_a_page"] = round(out.CPU["postgres"] * 1e3 / float64(len(all)))
	out.Ratio = Ratio{out.Times.P50 / 1000 * out.Rates.Selects, "SELECT 1 a page (p50)"}
	r.add(out)
	return nil
}

// fill puts stacks and agents into the database at once: by the API it would take longer than what is measured.
func (r *run) fill(ctx context.Context, stacks, agents int) error {
	for _, f := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO stacks (id, name, description, generator_id, created_at, updated_at)
			SELECT gen_random_uuid(), 'stack-' || md5(i::text), 'a stack of the benchmark', $2, now(), now() FROM generate_series(1, $1::int) i`, []any{stacks, r.generator}},
		{`INSERT INTO stack_placements (stack_id) SELECT id FROM stacks ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO agents (id, name, cluster_name, status, created_at, updated_at)
			SELECT gen_random_uuid(), 'agent-' || md5(i::text), 'cluster-' || i, 'ACTIVE', now(), now() FROM generate_series(1, $1::int) i`, []any{agents}},
		{`INSERT INTO agent_liveness (agent_id) SELECT id FROM agents ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO agent_report_order (agent_id) SELECT id FROM agents ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO agent_revisions (agent_id, revision) SELECT id, 1 FROM agents ON CONFLICT DO NOTHING`, nil},
		{`ANALYZE`, nil},
	} {
		if _, err := r.db.ExecContext(ctx, f.query, f.args...); err != nil {
			return fmt.Errorf("%s: %w", f.query, err)
		}
	}
	return nil
}

// walk follows a list from page to page. It returns how long each took, and how many rows there were.
func (s *stage) walk(ctx context.Context, path string) ([]time.Duration, int, error) {
	base := strings.TrimSuffix(s.api.ready, "/readyz")
	var took []time.Duration
	rows := 0
	for next := "/api/v1" + path; next != ""; {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+next, nil)
		if err != nil {
			return nil, 0, fmt.Errorf("make request: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+s.key)
		res, err := s.http.Do(req)
		if err != nil {
			return nil, 0, fmt.Errorf("GET %s: %w", next, err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it has been read
		took = append(took, time.Since(began))
		if err != nil || res.StatusCode != http.StatusOK {
			return nil, 0, fmt.Errorf("GET %s: %s %s: %w", next, res.Status, text, err)
		}
		var page []json.RawMessage
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", next, err)
		}
		rows += len(page)
		next = ""
		if link, rest, ok := strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">"); ok && strings.Contains(rest, `rel="next"`) {
			next = strings.TrimPrefix(link, base)
		}
	}
	return took, rows, nil
}
