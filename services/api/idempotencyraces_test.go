package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/services/api"
)

// Whatever call to the store fails: the request has one effect, and who repeats it learns the truth.
func TestFailureAnywhereLeavesOneEffect(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	seen := map[string]int{}
	for n := 1; n < 20; n++ {
		name := fmt.Sprintf("fault-%d", n)
		q := under(name, newStackOf(name))
		h, _ := w.replica(porttest.Faulty(inner, n, errors.New("broken")), inner, time.Now)
		first := w.on(h, asOwner, q)
		if first.Code >= 400 && w.stacks(name) != 0 {
			t.Errorf("call %d: %d although it was done", n, first.Code)
		}
		again := w.do(asOwner, q)
		if got := w.stacks(name); got != 1 {
			t.Errorf("call %d: %d stacks, want one", n, got)
		}
		switch {
		case first.Code == http.StatusInternalServerError && again.Code == http.StatusCreated && !replayed(again):
			seen["failed, then done"]++
		case first.Code == http.StatusCreated && again.Code == http.StatusConflict && decode[doneBody](t, again).Details.ID == decode[doneBodyID](t, first).ID:
			seen["done, but the answer not kept"]++
		case first.Code == http.StatusCreated && replayed(again) && again.Body.String() == first.Body.String():
			seen["done and kept"]++
		default:
			t.Errorf("call %d: %d %s, then %d %s", n, first.Code, first.Body, again.Code, again.Body)
		}
	}
	if seen["failed, then done"] < 5 || seen["done, but the answer not kept"] != 1 || seen["done and kept"] < 1 {
		t.Errorf("seen %v, want each: failures before, one after the commit, and none", seen)
	}
}

type doneBodyID struct {
	ID string `json:"id"`
}

// unsure is a store that loses its connection right after a commit.
type unsure struct{ ports.Store }

func (u unsure) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	if err := u.Store.Write(ctx, fn); err != nil {
		return err
	}
	return fault.New(fault.Unavailable, "commit_unknown", "the connection broke")
}

func TestDoneThoughNobodyWasTold(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	h, _ := w.replica(unsure{inner}, inner, time.Now)
	q := under("k", newStackOf("unsure"))
	if rec := w.on(h, asOwner, q); rec.Code != http.StatusServiceUnavailable {
		t.Fatalf("got %d %s, want 503", rec.Code, rec.Body)
	}
	late, tel := w.replica(inner, inner, func() time.Time { return time.Now().Add(time.Minute) })
	begin := time.Now()
	rec := w.on(late, asOwner, q)
	done := decode[doneBody](t, rec)
	s, err := inner.Stacks().ByName(t.Context(), w.owner.ID, "unsure")
	must(t, err)
	if rec.Code != http.StatusConflict || done.Code != "idempotency_done" || done.Details.Type != "stack" || done.Details.ID != string(s.ID) {
		t.Errorf("again: %d %s, want 409 idempotency_done that names stack %s", rec.Code, rec.Body, s.ID)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("waited %s for an answer that nobody will give", took)
	}
	text := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(text, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if !strings.Contains(text.Body.String(), `brokkr_idempotency_keys_total{outcome="spent"} 1`) {
		t.Error("the metric does not tell of it")
	}
}

// databases are the stores on which several replicas work at once.
func databases(t *testing.T) map[string]func(t *testing.T) interface {
	ports.Store
	ports.Wakeups
} {
	t.Helper()
	type shared = interface {
		ports.Store
		ports.Wakeups
	}
	return map[string]func(t *testing.T) shared{
		"memory": func(*testing.T) shared { return memory.New(time.Now) },
		"postgres": func(t *testing.T) shared {
			t.Helper()
			dsn := testenv.Postgres(t)
			log := slog.New(slog.DiscardHandler)
			must(t, postgres.Migrate(t.Context(), dsn, log))
			s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s
		},
	}
}

func TestRacingRepetitionsHaveOneEffect(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			w := newWorldOf(t, c, api.Config{}, store)
			replicas := []http.Handler{w.handler, w.handlerOf(store)}
			path := "/stacks/" + string(w.stack.ID) + "/deployment-objects"
			before, err := store.Objects().OfStack(t.Context(), w.stack.ID)
			must(t, err)
			const racers = 12
			answers := make([]*httptest.ResponseRecorder, racers)
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					answers[i] = w.on(replicas[i%2], asOwner, under("race", request{method: "POST", path: path, body: manifest, contentType: "application/yaml"}))
				})
			}
			wg.Wait()
			after, err := store.Objects().OfStack(t.Context(), w.stack.ID)
			must(t, err)
			if len(after)-len(before) != 1 {
				t.Errorf("%d objects were made, want one", len(after)-len(before))
			}
			firsts := 0
			for i, rec := range answers {
				if rec.Code == http.StatusCreated && decode[doneBodyID](t, rec).ID == string(after[0].ID) {
					if !replayed(rec) {
						firsts++
					}
					continue
				}
				// On a machine that is busy the first may take longer than the others wait.
				if rec.Code != http.StatusConflict || code(t, rec) != "idempotency_in_progress" && code(t, rec) != "idempotency_done" {
					t.Errorf("racer %d: %d %s", i, rec.Code, rec.Body)
				}
			}
			if firsts != 1 {
				t.Errorf("%d have done it, want one", firsts)
			}
		})
	}
}

func TestWhatIsInProgressIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	store := databases(t)["postgres"](t)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	q := under("slow", newStackOf("slow"))
	key, err := idempotency.NewKey("generator/"+string(w.owner.ID)+"/", "create_stack", "/api/v1/stacks", "slow")
	must(t, err)
	must(t, store.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Idempotency().Claim(ctx, key, time.Now()); err != nil {
			return err
		}
		rec := w.checked(asOwner, q)
		if rec.Code != http.StatusConflict || code(t, rec) != "idempotency_in_progress" || rec.Header().Get("Retry-After") != "1" {
			t.Errorf("meanwhile: %d %v %s, want 409 idempotency_in_progress and when to ask again", rec.Code, rec.Header(), rec.Body)
		}
		return nil
	}))
	if rec := w.ok(asOwner, q); replayed(rec) || w.stacks("slow") != 1 {
		t.Errorf("afterwards: %s, want it done", rec.Body)
	}
}

func TestKeyWithoutEffectIsNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for range 2 {
		if rec := w.ok(asOwner, under(uuid.NewString(), request{method: "POST", path: "/auth/pak"})); replayed(rec) {
			t.Error("a question was answered with an answer that is kept")
		}
	}
}
