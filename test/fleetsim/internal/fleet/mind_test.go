package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/wire"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func stacks(names ...string) *[]wire.Stack {
	out := []wire.Stack{}
	for i, n := range names {
		out = append(out, wire.Stack{StackID: n, DeploymentObjectID: n + "-1", SequenceID: int64(i + 1), Checksum: "sum-" + n})
	}
	return &out
}

// live lets an agent work on what an answer brings until it has nothing left, and returns what it says, with when.
func live(m *mind, res wire.SyncResponse) (said []wire.SyncRequest, at []time.Duration) {
	now := start
	for range 100 {
		for _, s := range m.wants(now) {
			m.fetched(s, now)
		}
		m.finish(now)
		req := m.request()
		said, at = append(said, req), append(at, now.Sub(start))
		m.answered(req, res)
		res = wire.SyncResponse{Revision: res.Revision}
		if m.idle() {
			return said, at
		}
		if due, ok := m.next(); ok && due.After(now) {
			now = due
		}
	}
	return said, at
}

func TestTheSameSeedLivesTheSameLife(t *testing.T) {
	t.Parallel()
	life := Life{ThinkMin: 10 * time.Millisecond, ThinkMax: time.Second, FailShare: 0.5, Status: true}
	res := wire.SyncResponse{Revision: 4, Stacks: stacks("a", "b", "c", "d", "e"), Removed: []wire.Removed{{StackID: "gone", Revision: 3}}}
	run := func(seed uint64, number int) any {
		said, at := live(newMind(life, seed, number), res)
		return map[string]any{"said": said, "at": at}
	}
	if diff := cmp.Diff(run(7, 3), run(7, 3)); diff != "" {
		t.Errorf("twice with one seed (-first +second):\n%s", diff)
	}
	for name, other := range map[string]any{"another seed": run(8, 3), "another agent": run(7, 4)} {
		if cmp.Equal(run(7, 3), other) {
			t.Errorf("%s lives exactly the same life", name)
		}
	}
}

func TestReportsAreRepeatedUntilTheyAreAnswered(t *testing.T) {
	t.Parallel()
	m := newMind(Life{Wait: 10 * time.Second}, 1, 0)
	first := m.request()
	if first.WaitSeconds != 10 || first.Seq != 1 || first.Revision != 0 {
		t.Fatalf("the first sync is %+v, want one that parks for 10 s", first)
	}
	m.answered(first, wire.SyncResponse{Revision: 9, Stacks: stacks("a")})
	wants := m.wants(start)
	if len(wants) != 1 || wants[0].Checksum != "sum-a" {
		t.Fatalf("got %v to fetch, want the manifest of a", wants)
	}
	m.fetched(wants[0], start)
	m.finish(start)
	lost, again := m.request(), m.request()
	if len(again.Applied) != 1 || again.Applied[0].DeploymentObjectID != "a-1" || again.Applied[0].Phase != "applied" || again.WaitSeconds != 0 || again.Seq != lost.Seq+1 {
		t.Fatalf("after a lost answer it says %+v, want the report again, with a new number and without parking", again)
	}
	m.answered(again, wire.SyncResponse{Revision: 9})
	if got := m.request(); len(got.Applied) != 0 || got.Revision != 9 || !m.idle() {
		t.Errorf("after the answer it says %+v, want nothing more", got)
	}
	m.answered(m.request(), wire.SyncResponse{Revision: 10, Stacks: stacks("a")})
	if got := m.wants(start); len(got) != 0 {
		t.Errorf("it wants %v, which it has", got)
	}
}

func TestANewerObjectTakesThePlaceOfTheOneInHand(t *testing.T) {
	t.Parallel()
	m := newMind(Life{ThinkMin: time.Second}, 1, 0)
	m.answered(m.request(), wire.SyncResponse{Revision: 1, Stacks: stacks("a")})
	m.fetched(m.wants(start)[0], start)
	next := stacks("a")
	(*next)[0].DeploymentObjectID, (*next)[0].Checksum = "a-2", "sum-2"
	m.answered(m.request(), wire.SyncResponse{Revision: 2, Stacks: next})
	m.finish(start.Add(time.Hour))
	if got := m.request(); len(got.Applied) != 0 {
		t.Fatalf("it reports %v, which it has stopped applying", got.Applied)
	}
	m.fetched(m.wants(start)[0], start)
	m.finish(start.Add(999 * time.Millisecond))
	if got := m.request(); len(got.Applied) != 0 {
		t.Fatalf("it reports %v before its time", got.Applied)
	}
	m.finish(start.Add(time.Second))
	if got := m.request(); len(got.Applied) != 1 || got.Applied[0].DeploymentObjectID != "a-2" {
		t.Errorf("it reports %v, want the newer object", got.Applied)
	}
}

func TestAFailureIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	m := newMind(Life{FailShare: 1, Retry: 5 * time.Second}, 1, 0)
	m.answered(m.request(), wire.SyncResponse{Revision: 1, Stacks: stacks("a")})
	m.fetched(m.wants(start)[0], start)
	m.finish(start)
	m.life.FailShare = 0
	if got := m.request(); len(got.Applied) != 1 || got.Applied[0].Phase != "failed" || got.Applied[0].Message == "" {
		t.Fatalf("it reports %v, want a failure with its reason", got.Applied)
	}
	if due, ok := m.next(); !ok || due.Before(start.Add(5*time.Second)) {
		t.Fatalf("it tries again at %s (%v), want after 5 s", due, ok)
	}
	m.finish(start.Add(5 * time.Second)) // the chance of this one was drawn before
	m.finish(start.Add(10 * time.Second))
	if got := m.request(); len(got.Applied) != 1 || got.Applied[0].Phase != "applied" {
		t.Errorf("it reports %v, want success at last", got.Applied)
	}
}

func TestARemovalIsAcknowledgedAndAManifestThatIsGoneIsAskedForAnew(t *testing.T) {
	t.Parallel()
	m := newMind(Life{}, 1, 0)
	m.answered(m.request(), wire.SyncResponse{Revision: 5, Stacks: stacks(), Removed: []wire.Removed{{StackID: "x", Revision: 5}}})
	if len(m.wants(start)) != 0 {
		t.Fatal("a removal needs no manifest")
	}
	m.finish(start)
	req := m.request()
	if diff := cmp.Diff([]wire.Removed{{StackID: "x", Revision: 5}}, req.Removed); diff != "" {
		t.Fatalf("acknowledged (-want +got):\n%s", diff)
	}
	m.answered(req, wire.SyncResponse{Revision: 6, Stacks: stacks("a")})
	m.forget(m.wants(start)[0])
	if got := m.request(); got.Revision != 0 || !m.idle() {
		t.Errorf("it says revision %d, want 0: everything is to be told again", got.Revision)
	}
}
