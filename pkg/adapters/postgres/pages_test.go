package postgres

import (
	"context"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// composed is a statement of a page with its arguments, by what it is for.
type composed struct {
	query string
	args  []any
}

// statementsOf returns the statements that a listing's pages are read by: every order, from the start and further on, under
// every condition, alone and with every filter.
func statementsOf[R, T any](l listing[R, T], scopes map[string]part) map[string]composed {
	out := map[string]composed{}
	mark := map[page.Kind]string{page.Text: "m", page.Moment: "2020-01-01T00:00:00.000000Z", page.Number: "0000000000000000007"}
	filtered := map[string]page.Query{"": {}}
	all := page.Query{Is: map[string]string{}}
	for _, f := range l.list.Filters {
		value, special := map[string]string{
			"state": "2020-01-01T00:00:00.000000Z", "success": "true", "enabled": "true", "system": "false",
		}[f.Name]
		if !special {
			value = uuid.NewString()
		}
		filtered[" with "+f.Name] = page.Query{Is: map[string]string{f.Name: value}}
		all.Is[f.Name] = value
	}
	if len(l.list.Search) > 0 {
		filtered[" with q"], all.Search = page.Query{Search: "x"}, "x"
	}
	if l.list.Labels {
		filtered[" with labels"], all.Labels = page.Query{Labels: []string{"x", "y"}}, []string{"x"}
	}
	if l.list.Annotations {
		filtered[" with annotations"], all.Annotations = page.Query{Annotations: []page.Pair{{Key: "k", Value: "v"}}}, []page.Pair{{Key: "k", Value: "v"}}
	}
	filtered[" with everything"] = all
	for scope, only := range scopes {
		for name, q := range filtered {
			narrowed := append([]part{only}, l.narrow(q)...)
			query, args := compose(append([]part{{text: l.count}}, narrowed...))
			out["count of "+scope+name] = composed{query, args}
			for _, s := range l.list.Sorts {
				for further, after := range map[string]*page.Mark{"": nil, " further": {Key: mark[s.Kind], ID: uuid.NewString()}} {
					for down, descending := range map[string]bool{" up": false, " down": true} {
						q.Limit, q.Sort, q.After, q.Descending = 100, s.Name, after, descending
						query, args := compose(append(append([]part{{text: l.rows}}, narrowed...), l.window(q)...))
						out[scope+" by "+s.Name+down+further+name] = composed{query, args}
					}
				}
			}
		}
	}
	return out
}

// busyAgent has many events.
const busyAgent = "00000000-0000-4000-8000-0000000000aa"

func someID() string { return uuid.NewString() }

// pagedLists is every list that has pages, with its conditions. A new one is one more line here.
func pagedLists() map[string]map[string]composed {
	return map[string]map[string]composed{
		"stacks": statementsOf(stackPages(), map[string]part{
			"all": {}, "a generator's": {stacksOfGenerator, []any{someID()}}, "an agent's": {stacksOfAgent, []any{someID()}}, "nobody's": {text: nobody},
		}),
		"deleted stacks": statementsOf(deletedStackPages(), map[string]part{
			"all": {}, "a generator's": {stacksOfGenerator, []any{someID()}}, "nobody's": {text: nobody},
		}),
		"agents": statementsOf(agentPages(), map[string]part{
			"all": {}, "a generator's": {agentsOfGenerator, []any{someID()}}, "itself": {agentItself, []any{someID()}},
		}),
		"templates":      statementsOf(templatePages(), map[string]part{"all": {}, "a generator's": {templatesSeenBy, []any{someID()}}, "nobody's": {text: nobody}}),
		"objects":        statementsOf(objectPages(), map[string]part{"one stack's": {objectsOfOne, []any{someID()}}}),
		"work orders":    statementsOf(workOrderPages(), map[string]part{"all": {}}),
		"work order log": statementsOf(workOrderLogPages(), map[string]part{"all": {}}),
		"join tokens":    statementsOf(joinTokenPages(), map[string]part{"all": {}}),
		"deliveries":     statementsOf(deliveryPages(), map[string]part{"all": {}}),
		"credentials": statementsOf(credentialPages(), map[string]part{
			"all": {}, "a generator's": {credentialsOfTenant, []any{someID()}}, "an agent's": {credentialsOfAgent, []any{someID()}},
		}),
		"events": statementsOf(feedPages(), map[string]part{
			"all": {}, "a generator's": {feedOfGenerator, []any{someID()}}, "an agent's": {feedOfAgent, []any{busyAgent}},
		}),
		"generators": statementsOf(generatorPages(), map[string]part{
			"all": {}, "itself": {generatorItself, []any{someID()}}, "an agent's": {generatorsToAny, []any{someID()}},
		}),
	}
}

func migratedDatabase(t testing.TB) string {
	t.Helper()
	dsn := testenv.Postgres(t)
	if err := Migrate(t.Context(), dsn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return dsn
}

func migratedPool(t testing.TB) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Open("postgres", migratedDatabase(t))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Every statement that pages can be composed of fits the schema and runs.
func TestPagesRun(t *testing.T) {
	t.Parallel()
	db := migratedPool(t)
	n := 0
	for list, all := range pagedLists() {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			rows, err := runs(t.Context(), db, all[name])
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", list, name, err, all[name].query)
			}
			n += rows
		}
	}
	if n == 0 {
		t.Error("nothing was read, not even the generators that are always there")
	}
}

// runs reads what the statement answers and returns how many rows those are.
func runs(ctx context.Context, db *sqlx.DB, c composed) (int, error) {
	rows, err := db.QueryContext(ctx, c.query, c.args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// A page of a long list is read from its index: nothing is sorted, and nothing before it is read.
func TestPagesUseIndexes(t *testing.T) {
	t.Parallel()
	db := migratedPool(t)
	db.SetMaxOpenConns(1) // settings are those of a connection
	for _, fill := range []string{
		`SET session_replication_role = replica`, // what the rows refer to need not be there
		`INSERT INTO stacks (id, name, generator_id, created_at, updated_at)
			SELECT gen_random_uuid(), chr(97 + i % 26) || i, (SELECT id FROM generators WHERE name = 'admin-generator'), now() + i * interval '1s', now() FROM generate_series(1, 20000) i`,
		`INSERT INTO agents (id, name, cluster_name, status, created_at, updated_at)
			SELECT gen_random_uuid(), chr(107 + i % 4) || 'agent', chr(97 + i % 26) || i, 'ACTIVE', now() + i * interval '1s', now() FROM generate_series(1, 5000) i`,
		`INSERT INTO credentials (id, name, role, short, hash, created_at)
			SELECT gen_random_uuid(), 'x', 'viewer', 's' || i, repeat('0', 64), now() + i * interval '1s' FROM generate_series(1, 5000) i`,
		`INSERT INTO join_tokens (id, name, short, hash, max_uses, created_at, expires_at)
			SELECT gen_random_uuid(), 'x', 'j' || i, repeat('0', 64), 1, now() + i * interval '1s', now() + interval '30 days' FROM generate_series(1, 5000) i`,
		`INSERT INTO agent_events (id, agent_id, object_id, event_type, status, created_at, updated_at)
			SELECT gen_random_uuid(), '` + busyAgent + `', gen_random_uuid(), 'DEPLOY', 'SUCCESS', now(), now() FROM generate_series(1, 5000) i`,
		`INSERT INTO agent_events (id, agent_id, object_id, event_type, status, created_at, updated_at)
			SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'DEPLOY', 'SUCCESS', now(), now() FROM generate_series(1, 50000) i`,
		`INSERT INTO webhook_deliveries (id, subscription_id, event_type, event_id, payload, due_at, created_at)
			SELECT gen_random_uuid(), gen_random_uuid(), 'x', gen_random_uuid()::text, '{}', now(), now() FROM generate_series(1, 5000) i`,
		`INSERT INTO work_orders (id, work_type, checksum, size, status, claim_timeout_seconds, max_retries, backoff_seconds, retry_count, available_at, version, created_at, updated_at)
			SELECT gen_random_uuid(), 'x', sha256(i::text::bytea), 1, 'PENDING', 60, 1, 1, 0, now(), 1, now() + i * interval '1s', now() FROM generate_series(1, 5000) i`,
		`INSERT INTO work_order_log (id, work_type, checksum, size, success, retries_attempted, created_at, completed_at)
			SELECT gen_random_uuid(), 'x', sha256(i::text::bytea), 1, true, 0, now(), now() + i * interval '1s' FROM generate_series(1, 5000) i`,
		`ANALYZE`,
	} {
		db.MustExecContext(t.Context(), fill)
	}
	reads := regexp.MustCompile(`Seq Scan on (stacks|agents|credentials|join_tokens|agent_events|webhook_deliveries|work_orders|work_order_log)\b|\bSort\b`)
	nested := regexp.MustCompile(`(?s)\n +SubPlan .*`) // what is read of a single row
	seen := 0
	for _, list := range []string{"stacks", "agents", "credentials", "join tokens", "events", "deliveries", "work orders", "work order log", "deleted stacks"} {
		if list == "deleted stacks" { // as long as there are none, what is estimated of the others is as it was
			db.MustExecContext(t.Context(), `INSERT INTO stacks (id, name, generator_id, created_at, updated_at, deleted_at)
				SELECT gen_random_uuid(), 'gone' || i, (SELECT id FROM generators WHERE name = 'admin-generator'), now(), now(), now() + i * interval '1s' FROM generate_series(1, 5000) i`)
			db.MustExecContext(t.Context(), `ANALYZE stacks`)
		}
		for name, c := range pagedLists()[list] {
			whose, _, _ := strings.Cut(name, " by ")
			if strings.HasPrefix(name, "count") || strings.Contains(name, " with ") || (whose != "all" && (list != "events" || whose != "an agent's")) {
				continue
			}
			seen++
			var plan []string
			if err := db.SelectContext(t.Context(), &plan, "EXPLAIN "+c.query, c.args...); err != nil {
				t.Fatalf("%s: explain %s: %v", list, name, err)
			}
			if text := nested.ReplaceAllString(strings.Join(plan, "\n"), ""); reads.MatchString(text) || !strings.Contains(text, "Index Scan") {
				t.Errorf("%s: %s is not read from an index in order:\n%s", list, name, text)
			}
		}
	}
	if seen != 52 {
		t.Errorf("explained %d statements, want 52", seen)
	}
}

// A connection forgets prepared statements when it has too many.
func TestPreparedStatementsAreBounded(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), migratedDatabase(t), Options{MaxOpen: 1})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	ctx := t.Context()
	for i := range maxPrepared + 50 {
		var n int
		if err := store.db.GetContext(ctx, &n, ping+strings.Repeat(" ", i)); err != nil {
			t.Fatalf("statement %d: %v", i, err)
		}
	}
	var kept int
	if err := store.db.GetContext(ctx, &kept, `SELECT count(*) FROM pg_prepared_statements`); err != nil || kept > maxPrepared || kept < maxPrepared/2 {
		t.Errorf("kept %d prepared statements, %v; want about %d", kept, err, maxPrepared)
	}
}
