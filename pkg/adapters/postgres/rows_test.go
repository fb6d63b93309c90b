package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func newAgent(t testing.TB, s *postgres.Store, name string) agent.ID {
	t.Helper()
	a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: name, ClusterName: "c", Status: agent.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := s.Agents().Insert(t.Context(), a); err != nil {
		t.Fatalf("insert agent: %v", err)
	}
	return a.ID
}

// Bundles lie compressed; what does not shrink lies as it is; either way the bytes come back and damage is noticed.
func TestBlobsAtRest(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, db := open(t, dsn), connect(t, dsn)
	text := []byte(strings.Repeat("apiVersion: v1\nkind: ConfigMap\n---\n", 2000))
	tests := map[string]struct {
		content  []byte
		encoding string
	}{
		"a bundle": {text, "zstd"},
		"noise":    {[]byte(uuid.NewString()), "plain"},
		"nothing":  {nil, "plain"},
	}
	for name, tc := range tests {
		sum, err := s.Blobs().Put(t.Context(), tc.content)
		if err != nil {
			t.Fatalf("put %s: %v", name, err)
		}
		row := column(t, db, `SELECT format('%s %s %s', encoding, size, octet_length(content) <= size) FROM blobs WHERE sha256 = decode($1, 'hex')`, string(sum))
		if want := fmt.Sprintf("%s %d t", tc.encoding, len(tc.content)); len(row) != 1 || row[0] != want {
			t.Errorf("%s at rest: got %v, want %s", name, row, want)
		}
		got, err := s.Blobs().Get(t.Context(), sum)
		if err != nil || !bytes.Equal(got, tc.content) {
			t.Errorf("get %s: got %d bytes, %v", name, len(got), err)
		}
	}
	sum, err := s.Blobs().Put(t.Context(), text)
	if err != nil {
		t.Fatalf("put again: %v", err)
	}
	other := column(t, db, `UPDATE blobs SET content = (SELECT content FROM blobs WHERE encoding = 'plain' AND size > 0), encoding = 'plain'
		WHERE sha256 = decode($1, 'hex') RETURNING encoding`, string(sum))
	if len(other) != 1 {
		t.Fatalf("damage a blob: %v", other)
	}
	if _, err := s.Blobs().Get(t.Context(), sum); fault.KindOf(err) != fault.Internal || err == nil {
		t.Errorf("get a damaged blob: got %v, want an internal error", err)
	}
}

// Heartbeats are cheap: no index entry is written for them, and a page has room for the new versions of all its rows.
func TestHeartbeatsAreHOT(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	db := connect(t, dsn)
	const agents = 200
	var ids []agent.ID
	beat := func(at time.Time, boot string) (hot int) {
		t.Helper()
		s := open(t, dsn)
		for i := len(ids); i < agents; i++ {
			ids = append(ids, newAgent(t, s, fmt.Sprint("agent-", i)))
		}
		var beats []agent.Heartbeat
		for i, id := range ids {
			ok, ms := i%2 == 0, int32(i)
			beats = append(beats, agent.Heartbeat{Agent: id, Boot: boot, At: at, K8sReachable: &ok, K8sLatencyMS: &ms})
		}
		before := liveness(t, db)
		if err := s.Agents().Beat(t.Context(), beats); err != nil {
			t.Fatalf("beat: %v", err)
		}
		if err := s.Close(); err != nil { // sessions tell their counts when they end
			t.Fatalf("close: %v", err)
		}
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if now := liveness(t, db); now.updates-before.updates >= agents {
				return now.hot - before.hot
			}
		}
		t.Fatal("the updates were not counted")
		return 0
	}
	at := time.Now()
	var boot string
	for i := range agent.KeptBoots { // rows become as long as they can be
		boot = uuid.NewString()
		beat(at.Add(time.Duration(i)*time.Millisecond), boot)
	}
	if _, err := db.ExecContext(t.Context(), `VACUUM FULL agent_liveness`); err != nil { // pages as full as they are meant to be
		t.Fatalf("vacuum: %v", err)
	}
	if hot := beat(at.Add(time.Second), boot); hot != agents {
		t.Errorf("%d of %d updates were HOT, want all", hot, agents)
	}
	if versions := column(t, db, `SELECT DISTINCT version::text FROM agents`); !slices.Equal(versions, []string{"1"}) {
		t.Errorf("versions after heartbeats: %v, want 1 only", versions)
	}
}

type updates struct{ updates, hot int }

func liveness(t testing.TB, db *sql.DB) (u updates) {
	t.Helper()
	const query = `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'agent_liveness'`
	if err := db.QueryRowContext(t.Context(), query).Scan(&u.updates, &u.hot); err != nil {
		t.Fatalf("read statistics: %v", err)
	}
	return u
}

// What agents write may hold what Postgres cannot store; it never fails a report.
func TestForeignTextIsStored(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	id := newAgent(t, s, "edge")
	g, err := s.Generators().ByName(t.Context(), "admin-generator")
	if err != nil {
		t.Fatalf("get generator: %v", err)
	}
	st := stack.Stack{ID: stack.ID(uuid.NewString()), Name: "web", Generator: g.ID, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := s.Stacks().Insert(t.Context(), st); err != nil {
		t.Fatalf("insert stack: %v", err)
	}
	sum, err := s.Blobs().Put(t.Context(), []byte("kind: ConfigMap"))
	if err != nil {
		t.Fatalf("put blob: %v", err)
	}
	o, err := s.Objects().Insert(t.Context(), stack.Object{ID: stack.ObjectID(uuid.NewString()), Stack: st.ID, Checksum: sum})
	if err != nil {
		t.Fatalf("insert object: %v", err)
	}
	message := "exec \x00 failed: \xff"
	for want := int64(1); want <= 2; want++ {
		e, err := s.Reports().AddEvent(t.Context(), agent.Event{ID: agent.EventID(uuid.NewString()), Agent: id, Object: o.ID, Type: "DEPLOY", Status: "FAILURE", Message: &message})
		if err != nil || *e.Message != "exec \uFFFD failed: \uFFFD" || e.Count != want {
			t.Fatalf("add event: got %+v, %v; want a readable message and count %d", e, err, want)
		}
	}
}

// A cursor from before a trim is not made to wait for what was trimmed.
func TestTrimLeavesNoGaps(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	now := time.Now()
	add := func(n int, at time.Time) {
		t.Helper()
		events := make([]event.Event, n)
		for i := range events {
			events[i] = event.Event{ID: uuid.NewString(), Type: event.StackChanged, At: at}
		}
		if err := s.Outbox().Append(t.Context(), events...); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
	add(5000, now.Add(-time.Hour))
	if n, err := s.Outbox().Trim(t.Context(), now, 10000); err != nil || n != 5000 {
		t.Fatalf("trim: got %d, %v; want 5000", n, err)
	}
	if end, err := s.Outbox().End(t.Context()); err != nil || end.Seq != 5000 || len(end.Gaps) != 0 {
		t.Fatalf("end of a trimmed outbox: got %d with %d gaps, %v; want 5000 and none", end.Seq, len(end.Gaps), err)
	}
	add(2, now)
	events, c, err := s.Outbox().Read(t.Context(), ports.Cursor{}, now, time.Minute, 10)
	if err != nil || len(events) != 2 || c.Seq != 5002 || len(c.Gaps) != 0 {
		t.Fatalf("read from the beginning: got %d events to %d with %d gaps, %v; want 2 to 5002 with none", len(events), c.Seq, len(c.Gaps), err)
	}
}

// Of several slow transactions each event is read once, in whatever order they commit, page by page.
func TestOutboxGapsPageByPage(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t))
	now := time.Now()
	const writers = 6
	var release [writers]chan struct{}
	drawn, done := make(chan struct{}), make(chan error)
	for i := range writers {
		release[i] = make(chan struct{})
		go func() {
			done <- s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
				for range 2 {
					if err := tx.Outbox().Append(ctx, event.Event{ID: fmt.Sprint("w", i), Type: event.StackChanged, At: now}); err != nil {
						return err
					}
				}
				drawn <- struct{}{}
				<-release[i]
				return nil
			})
		}()
		<-drawn
	}
	seen := map[string]int{}
	var c ports.Cursor
	read := func() {
		t.Helper()
		for {
			events, next, err := s.Outbox().Read(t.Context(), c, now, time.Minute, 3)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			c = next
			for _, e := range events {
				seen[e.ID]++
			}
			if len(events) < 3 {
				return
			}
		}
	}
	for _, i := range []int{5, 2, 4, 0, 3, 1} {
		close(release[i])
		if err := <-done; err != nil {
			t.Fatalf("write: %v", err)
		}
		read()
	}
	for i := range writers {
		if n := seen[fmt.Sprint("w", i)]; n != 2 {
			t.Errorf("events of writer %d: read %d, want 2", i, n)
		}
	}
	if len(c.Gaps) != 0 {
		t.Errorf("gaps left: %v", c.Gaps)
	}
}
