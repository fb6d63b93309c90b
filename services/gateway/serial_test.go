package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// diary is a store that notes in which order transactions lock an agent's reports and read what is assigned to it.
type diary struct {
	ports.Store
	mu   sync.Mutex
	acts []string
}

func (d *diary) note(act string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acts = append(d.acts, act)
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	acts := d.acts
	d.acts = nil
	return acts
}

func (d *diary) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	return d.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, diaryOf{tx, d}) })
}

type diaryOf struct {
	ports.Repositories
	d *diary
}

func (x diaryOf) Reports() ports.Reports { return diaryReports{x.Repositories.Reports(), x.d} }

func (x diaryOf) Assignments() ports.Assignments {
	return diaryAssignments{x.Repositories.Assignments(), x.d}
}

type diaryReports struct {
	ports.Reports
	d *diary
}

func (x diaryReports) Serial(ctx context.Context, a agent.ID) error {
	x.d.note("lock")
	return x.Reports.Serial(ctx, a)
}

func (x diaryReports) Record(ctx context.Context, a agent.ID, at time.Time, list []delivery.Report) ([]delivery.Status, error) {
	x.d.note("record")
	return x.Reports.Record(ctx, a, at, list)
}

type diaryAssignments struct {
	ports.Assignments
	d *diary
}

func (x diaryAssignments) OfAgent(ctx context.Context, a agent.ID) (delivery.Revision, []delivery.Wanted, error) {
	x.d.note("read")
	return x.Assignments.OfAgent(ctx, a)
}

// An event and a health at the same time undo nothing of each other: each keeps what it does not speak of, so it reads that only
// when no other report of the agent can change it any more.
func TestHealthAndEventsReadWhatTheyKeepUnderTheLock(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "v: 1")
		w.assign(o, a)
		d := &diary{Store: w.store}
		r := w.gateway(options{store: d})
		for name, tell := range map[string]func() int{
			"event": func() int { return r.event(a, o.ID, "SUCCESS").Code },
			"health": func() int {
				body := map[string]any{"deployment_objects": []map[string]any{{"id": o.ID, "status": "healthy", "checked_at": time.Now()}}}
				return r.do(w.Context(), a.key, http.MethodPatch, "/api/v1/agents/"+string(a.id)+"/health-status", body).Code
			},
		} {
			d.take()
			if code := tell(); code >= http.StatusBadRequest {
				t.Fatalf("%s: got %d", name, code)
			}
			if got, want := d.take(), []string{"lock", "read", "record"}; !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}
