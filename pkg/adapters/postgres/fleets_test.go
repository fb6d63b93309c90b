package postgres_test

import (
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/migrations"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// decisions commits decisions about stacks of its own, one after the other of each, about clusters that are named.
type decisions struct {
	s      *postgres.Store
	lease  ports.Lease
	stacks []stack.ID
	last   map[stack.ID]int64
}

func deciding(t *testing.T, s *postgres.Store, n int) *decisions {
	t.Helper()
	d := &decisions{s: s, last: map[stack.ID]int64{}}
	g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "ci", RegistrationPolicy: tenancy.PolicyOpen, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := s.Generators().Insert(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		x := stack.Stack{ID: stack.ID(uuid.NewString()), Name: fmt.Sprint("s", i), Generator: g.ID, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := s.Stacks().Insert(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		d.stacks = append(d.stacks, x.ID)
	}
	var err error
	if d.lease, err = s.Leases().Acquire(t.Context(), "shard", "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *decisions) about(s stack.ID, at time.Time, clusters ...string) ports.Commit {
	r := placement.Record{Stack: s, Generation: d.last[s] + 1, At: at.UTC().Truncate(time.Microsecond), Decision: placement.Decision{Stack: s}}
	for _, c := range clusters {
		r.Decision.Verdicts = append(r.Decision.Verdicts, placement.Verdict{Agent: agent.ID("agent of " + c), Cluster: c, Picked: true})
	}
	d.last[s]++
	return ports.Commit{Lease: d.lease, Stack: s, StackVersion: 1, Generation: r.Generation - 1, Record: r}
}

func (d *decisions) commit(t *testing.T, list ...ports.Commit) {
	t.Helper()
	if _, err := d.s.Decisions().Commit(t.Context(), list...); err != nil {
		t.Fatal(err)
	}
	d.read(t, list...)
}

func (d *decisions) read(t *testing.T, list ...ports.Commit) {
	t.Helper()
	for _, c := range list {
		got, _, err := d.s.Decisions().Latest(t.Context(), c.Stack)
		if diff := cmp.Diff(c.Record, got); diff != "" || err != nil {
			t.Fatalf("%v (-committed +read):\n%s", err, diff)
		}
	}
}

// Which clusters decisions are about is kept once for all that are about the same ones, and no longer than one of them.
func TestDecisionsShareTheirFleet(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db, now := connect(t, dsn), time.Now()
	d := deciding(t, open(t, dsn), 3)
	count := func(want int, when string) {
		t.Helper()
		if got := column(t, db, `SELECT count(*) FROM decision_fleets`); got[0] != fmt.Sprint(want) {
			t.Errorf("%s: %s fleets are kept, want %d", when, got[0], want)
		}
	}
	old := now.Add(-2 * time.Hour)
	d.commit(t, d.about(d.stacks[0], old, "a", "b"), d.about(d.stacks[1], old, "a", "b"), d.about(d.stacks[2], old, "a"))
	count(2, "three decisions about two fleets")
	d.commit(t, d.about(d.stacks[0], now, "b", "a"), d.about(d.stacks[2], now, "a", "b"))
	count(3, "one about a third")
	d.commit(t, d.about(d.stacks[0], now), d.about(d.stacks[1], now, "b", "a"))
	count(4, "one about none")

	trim := func() {
		t.Helper()
		if _, err := d.s.History().Keep(t.Context(), now.Add(-time.Hour), now, 100); err != nil {
			t.Fatal(err)
		}
	}
	trim()
	count(4, "fleets that were put of late")
	column(t, db, `UPDATE decision_fleets SET put_at = now() - interval '2 hours'`)
	trim()
	count(3, "after the only decisions about one were trimmed")
	d.commit(t, d.about(d.stacks[2], now, "a"))
	count(4, "after it came back")
}

// Decisions keep which clusters they are about when the schema goes back to the one before, and forward again.
func TestDecisionsKeepTheirFleetOverMigrations(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	d := deciding(t, open(t, dsn), 2)
	made := []ports.Commit{d.about(d.stacks[0], time.Now(), "a", "b"), d.about(d.stacks[1], time.Now(), "a", "b")}
	d.commit(t, made...)
	name, err := fs.Glob(migrations.Files, "*_decision_fleets.sql")
	if err != nil || len(name) != 1 {
		t.Fatalf("migrations %v, %v", name, err)
	}
	number, err := strconv.ParseInt(name[0][:5], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.MigrateDown(t.Context(), dsn, number-1, quietLog); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), dsn, quietLog); err != nil {
		t.Fatal(err)
	}
	d.read(t, made...)
}

// Replicas that meet in a new fleet keep it once, and neither waits for the other's mistake.
func TestReplicasPutTheSameFleet(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	d := deciding(t, open(t, dsn), 8)
	var all sync.WaitGroup
	for i, s := range d.stacks {
		c := d.about(s, time.Now(), "a", fmt.Sprint("b", i%2))
		all.Go(func() {
			if _, err := d.s.Decisions().Commit(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := column(t, db, `SELECT count(*) || ' of ' || (SELECT count(*) FROM decisions) FROM decision_fleets`); got[0] != "2 of 8" {
		t.Errorf("fleets %s decisions, want 2 of 8", got[0])
	}
}
