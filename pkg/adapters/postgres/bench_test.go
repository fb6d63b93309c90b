package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// fleet fills a database with 10 000 agents and 200 stacks, each agent with 20 assignments.
func fleet(b *testing.B) (*postgres.Store, []string, []string) {
	b.Helper()
	dsn := migrated(b)
	db := connect(b, dsn)
	for _, fill := range []string{
		`INSERT INTO agents (id, name, cluster_name, status, created_at, updated_at)
			SELECT gen_random_uuid(), 'a' || i, 'c' || i, 'ACTIVE', now(), now() FROM generate_series(1, 10000) i`,
		`INSERT INTO agent_liveness (agent_id) SELECT id FROM agents`,
		`INSERT INTO agent_report_order (agent_id) SELECT id FROM agents`,
		`INSERT INTO agent_revisions (agent_id, revision) SELECT id, 1 FROM agents`,
		`INSERT INTO agent_labels (id, agent_id, label) SELECT gen_random_uuid(), id, 'label-' || i FROM agents, generate_series(1, 4) i`,
		`INSERT INTO registrations (id, agent_id, generator_id, state, registered_at)
			SELECT gen_random_uuid(), a.id, g.id, 'approved', now() FROM agents a, generators g`,
		`INSERT INTO stacks (id, name, generator_id, created_at, updated_at)
			SELECT gen_random_uuid(), 's' || i, (SELECT id FROM generators WHERE name = 'admin-generator'), now(), now() FROM generate_series(1, 200) i`,
		`INSERT INTO stack_placements (stack_id) SELECT id FROM stacks`,
		`INSERT INTO blobs (sha256, encoding, size, content) VALUES (sha256('x'), 'plain', 1, 'x')`,
		`INSERT INTO deployment_objects (id, stack_id, checksum, size, submitted_at, created_at, updated_at)
			SELECT gen_random_uuid(), id, sha256('x'), 1, now(), now(), now() FROM stacks, generate_series(1, 10)`,
		`INSERT INTO assignments (agent_id, stack_id, object_id, state, revision, since)
			SELECT a.id, s.id, (SELECT o.id FROM deployment_objects o WHERE o.stack_id = s.id ORDER BY sequence_id DESC LIMIT 1), 'assigned', 1, now()
			FROM (SELECT id, row_number() OVER () AS n FROM agents) a JOIN (SELECT id, row_number() OVER () AS n FROM stacks) s ON (a.n + s.n) % 10 = 0`,
		`ANALYZE`,
	} {
		if _, err := db.ExecContext(b.Context(), fill); err != nil {
			b.Fatalf("%s: %v", fill, err)
		}
	}
	agents := column(b, db, `SELECT id::text FROM agents ORDER BY id`)
	stacks := column(b, db, `SELECT id::text FROM stacks ORDER BY id`)
	return open(b, dsn), agents, stacks
}

// BenchmarkFleet measures what a fleet of 10 000 agents asks most.
func BenchmarkFleet(b *testing.B) {
	s, agents, stacks := fleet(b)
	ctx := b.Context()
	check := func(b *testing.B, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("ping", func(b *testing.B) {
		for b.Loop() {
			check(b, s.Ping(ctx))
		}
	})
	b.Run("assignments of an agent", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, list, err := s.Assignments().OfAgent(ctx, agent.ID(agents[i%len(agents)]))
			check(b, err)
			if len(list) != 20 {
				b.Fatalf("got %d assignments, want 20", len(list))
			}
		}
	})
	b.Run("heartbeats of 1000", func(b *testing.B) {
		ok, ms := true, int32(7)
		for i := 0; b.Loop(); i++ {
			beats := make([]agent.Heartbeat, 1000)
			for j := range beats {
				beats[j] = agent.Heartbeat{Agent: agent.ID(agents[(i*1000+j)%len(agents)]), At: time.Now(), K8sReachable: &ok, K8sLatencyMS: &ms}
			}
			check(b, s.Agents().Beat(ctx, beats))
		}
	})
	b.Run("a report", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			id := agent.ID(agents[i%len(agents)])
			_, err := s.Reports().Advance(ctx, id, delivery.Mark{Boot: "b", Seq: int64(i) + 1}, time.Now())
			check(b, err)
		}
	})
	b.Run("all clusters", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Facts().Clusters(ctx, nil)
			check(b, err)
		}
	})
	b.Run("all subjects", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Facts().Subjects(ctx, nil)
			check(b, err)
		}
	})
	b.Run("all assignments", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Facts().Prior(ctx, nil)
			check(b, err)
		}
	})
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("a decision for %d", n), func(b *testing.B) {
			id := stack.ID(stacks[n%len(stacks)])
			newest, err := s.Objects().Newest(ctx, id)
			check(b, err)
			l, err := s.Leases().Acquire(ctx, "shard", "bench", time.Hour)
			check(b, err)
			changes := make([]placement.Change, n)
			for i := range changes {
				changes[i] = placement.Change{Agent: agent.ID(agents[i]), State: delivery.Assigned, Object: newest.ID, Reason: "label", Version: 1}
			}
			for b.Loop() {
				now, err := s.Facts().Subjects(ctx, []stack.ID{id})
				check(b, err)
				c := ports.Commit{Lease: l, Stack: id, StackVersion: now[0].Version, Generation: now[0].Generation, Changes: changes}
				c.Record = placement.Record{Decision: placement.Decision{Stack: id, Changes: changes}, At: time.Now()}
				_, err = s.Decisions().Commit(ctx, c)
				check(b, err)
			}
		})
	}
}
