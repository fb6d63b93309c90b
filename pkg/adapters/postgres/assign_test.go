package postgres_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// assigning decides what an agent has of stacks that have an object each.
type assigning struct {
	*decisions
	agent   agent.ID
	objects map[stack.ID]stack.ObjectID
}

func assigningTo(t *testing.T, s *postgres.Store, stacks int) *assigning {
	t.Helper()
	a := &assigning{decisions: deciding(t, s, stacks), agent: agent.ID(uuid.NewString()), objects: map[stack.ID]stack.ObjectID{}}
	err := s.Agents().Insert(t.Context(), agent.Agent{ID: a.agent, Name: "a", ClusterName: "a", Status: agent.Active, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := s.Blobs().Put(t.Context(), []byte("a: b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range a.stacks {
		o, err := s.Objects().Insert(t.Context(), stack.Object{ID: stack.ObjectID(uuid.NewString()), Stack: id, Checksum: sum, Size: 4, SubmittedAt: time.Now(), CreatedAt: time.Now(), UpdatedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		a.objects[id] = o.ID
	}
	return a
}

// to decides that the agent has the stack in this state from now on.
func (a *assigning) to(t *testing.T, id stack.ID, st delivery.State, rooms ...ports.Room) (delivery.Revision, error) {
	t.Helper()
	c := a.about(id, time.Now(), "a")
	c.StackVersion, c.Changes, c.Rooms = 2, []placement.Change{{Agent: a.agent, Version: 1, Object: a.objects[id], State: st}}, rooms
	revisions, err := a.s.Decisions().Commit(t.Context(), c)
	if err != nil {
		a.last[id]--
	}
	return revisions[a.agent], err //nolint:wrapcheck // told apart by its kind
}

func (a *assigning) must(t *testing.T, id stack.ID, st delivery.State) delivery.Revision {
	t.Helper()
	r, err := a.to(t, id, st)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A database that is restored from a backup knows nothing of the revisions that it gave meanwhile. What it gives next is none of them:
// agents that have one, and caches, would take what is new for what they have.
func TestARestoredDatabaseGivesNoRevisionAgain(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, db := open(t, dsn), connect(t, dsn)
	a := assigningTo(t, s, 1)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO agent_revisions (agent_id, revision) VALUES ($1, 5)`, a.agent); err != nil { // the backup
		t.Fatal(err)
	}
	first, second := a.must(t, a.stacks[0], delivery.Assigned), a.must(t, a.stacks[0], delivery.Assigned)
	if second <= first {
		t.Errorf("revision %d after %d, want it to grow", second, first)
	}
	if _, err := db.ExecContext(t.Context(), `UPDATE agent_revisions SET revision = 5`); err != nil { // restored
		t.Fatal(err)
	}
	if again := a.must(t, a.stacks[0], delivery.Assigned); again <= second {
		t.Errorf("revision %d after the restore, and %d was given before", again, second)
	}
}

// While an upgrade goes on, processes of the version before assign stacks and keep no count of them. Nobody goes by the former count then.
func TestWhatIsAssignedWithoutBeingCountedCounts(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, db := open(t, dsn), connect(t, dsn)
	a := assigningTo(t, s, 5)
	load := func(what string, n int, kept bool) {
		t.Helper()
		list, err := s.Facts().Clusters(t.Context(), []agent.ID{a.agent})
		if err != nil || len(list) != 1 || list[0].Load != n {
			t.Errorf("%s: %+v, %v: want a load of %d", what, list, err, n)
		}
		var is bool
		var ids int64
		if err := db.QueryRowContext(t.Context(), `SELECT COALESCE(assigned IS NOT NULL AND counted_in = revision, false), assigned_ids FROM agent_revisions`).Scan(&is, &ids); err != nil || is != kept {
			t.Errorf("%s: the count is kept: %t (%v), want %t", what, is, err, kept)
		}
		want := int64(0)
		for _, id := range column(t, db, `SELECT stack_id FROM assignments WHERE state = 'assigned'`) {
			u := uuid.MustParse(id)
			want ^= int64(binary.BigEndian.Uint64(u[8:])) //nolint:gosec // the same bits
		}
		if kept && ids != want {
			t.Errorf("%s: the ids come to %#x, want %#x", what, ids, want)
		}
	}
	a.must(t, a.stacks[0], delivery.Assigned)
	a.must(t, a.stacks[1], delivery.Assigned)
	a.must(t, a.stacks[1], delivery.Assigned)
	load("two", 2, true)
	r := a.must(t, a.stacks[1], delivery.Removing)
	load("one of two", 1, true)
	if dropped, err := s.Reports().Acknowledge(t.Context(), a.agent, delivery.Removal{Stack: a.stacks[1], Revision: r}); !dropped || err != nil {
		t.Fatalf("acknowledge: %t, %v", dropped, err)
	}
	load("acknowledged", 1, true)

	before := func(id stack.ID) {
		t.Helper()
		for _, sql := range []string{`UPDATE agent_revisions SET revision = revision + 1`, `INSERT INTO assignments (agent_id, stack_id, object_id, state, revision, reason, traceparent, since)
			SELECT agent_id, '` + string(id) + `', '` + string(a.objects[id]) + `', 'assigned', revision, '', '', now() FROM agent_revisions`} {
			if _, err := db.ExecContext(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	before(a.stacks[2])
	load("one more, of the version before", 2, false)
	if _, err := a.to(t, a.stacks[3], delivery.Assigned, ports.Room{Agent: a.agent, Stacks: []stack.ID{a.stacks[0], a.stacks[3]}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("the room that it has is given again: %v", err)
	}
	a.must(t, a.stacks[3], delivery.Assigned)
	load("counted anew", 3, true)
	r = a.must(t, a.stacks[3], delivery.Removing)
	before(a.stacks[4])
	if dropped, err := s.Reports().Acknowledge(t.Context(), a.agent, delivery.Removal{Stack: a.stacks[3], Revision: r}); !dropped || err != nil {
		t.Fatalf("acknowledge: %t, %v", dropped, err)
	}
	load("acknowledged, and one of the version before", 3, false)
}
