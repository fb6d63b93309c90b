package target

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
)

// rows are one agent's assignments, and how often they were read whole.
type rows struct {
	ports.Assignments
	revision delivery.Revision
	list     map[stack.ID]delivery.Wanted
	at       time.Time
	whole    int
}

func (r *rows) OfAgent(context.Context, agent.ID) (delivery.Revision, []delivery.Wanted, error) {
	r.whole++
	return r.revision, r.newer(0), nil
}

func (r *rows) Since(_ context.Context, _ agent.ID, since delivery.Revision) (delivery.Revision, []delivery.Wanted, delivery.Tally, error) {
	return r.revision, r.newer(since), delivery.TallyOf(r.newer(0)), nil
}

func (r *rows) newer(since delivery.Revision) []delivery.Wanted {
	var out []delivery.Wanted
	for _, w := range r.list {
		if w.Revision > since {
			out = append(out, w)
		}
	}
	return State{}.with(0, out).Wanted
}

// set makes an assignment another one.
func (r *rows) set(s stack.ID, object string, sequence stack.Sequence) {
	r.revision++
	r.at = r.at.Add(time.Millisecond)
	w := delivery.Wanted{Sequence: sequence, StackName: string(s)}
	w.Stack, w.Object, w.Revision, w.Since, w.State = s, stack.ObjectID(object), r.revision, r.at, delivery.Assigned
	r.list[s] = w
}

func (r *rows) drop(s stack.ID) {
	if _, ok := r.list[s]; ok {
		r.revision++
		delete(r.list, s)
	}
}

func reader(r *rows, now func() time.Time) *Reader {
	h := hub.New(r, nil, now)
	return New(r, nil, h, slog.New(slog.DiscardHandler), now, func(Result) {})
}

// Whatever happens to the assignments: what is put together of what was there and what is newer is what there is.
func TestWhatIsPutTogetherIsWhatThereIs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // which changes there are
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		r := &rows{list: map[stack.ID]delivery.Wanted{}, at: at}
		x := reader(r, func() time.Time { return at })
		for step := range 200 {
			for range rnd.IntN(4) {
				s := stack.ID(fmt.Sprint("s", rnd.IntN(6)))
				switch rnd.IntN(6) {
				case 0:
					r.drop(s)
				case 1: // a restored store: what has happened lately happens otherwise
					r.revision = max(0, r.revision-delivery.Revision(rnd.IntN(3)))
					for id, w := range r.list {
						if w.Revision > r.revision {
							delete(r.list, id)
						}
					}
				default:
					r.set(s, fmt.Sprint("o", step), stack.Sequence(rnd.IntN(20)))
				}
			}
			at = at.Add(time.Duration(rnd.IntN(2000)) * time.Millisecond)
			got, err := x.Newest(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			want := State{Revision: r.revision, Wanted: r.newer(0)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, step %d (-there is +put together):\n%s", seed, step, diff)
			}
		}
		if r.whole > 150 {
			t.Errorf("seed %d: everything was read %d times of 200", seed, r.whole)
		}
	}
}

// A state is read whole again after a while, what came in between or not, and when too many are kept.
func TestStatesAreKeptAWhile(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	r := &rows{list: map[stack.ID]delivery.Wanted{}, at: at}
	x := reader(r, func() time.Time { return at })
	read := func(a agent.ID, whole int, when string) {
		t.Helper()
		r.set("s", when, 1)
		if _, err := x.Newest(t.Context(), a); err != nil || r.whole != whole {
			t.Errorf("%s: everything was read %d times (%v), want %d", when, r.whole, err, whole)
		}
	}
	read("a", 1, "first")
	at = at.Add(keptFor - 1)
	read("a", 1, "as long as it is kept")
	at = at.Add(1)
	read("a", 2, "after that")
	read("b", 3, "another agent")
	x.kept.put("c", State{Wanted: slices.Repeat([]delivery.Wanted{{}}, keptLines-1)})
	read("a", 4, "after many lines")
	x.kept.put("d", State{Wanted: slices.Repeat([]delivery.Wanted{{}}, keptLines+1)})
	if _, ok := x.kept.get("d"); ok || x.kept.lines != 0 {
		t.Errorf("a state of more lines than are kept is kept, %d lines", x.kept.lines)
	}
}
