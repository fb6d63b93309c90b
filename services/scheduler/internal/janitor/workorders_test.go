package janitor_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestTheWorkOrderLogIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	sum, err := store.Blobs().Put(t.Context(), []byte("kind: Job"))
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{3 * time.Hour, time.Hour} {
		o, err := workorder.New(workorder.ID(uuid.NewString()), workorder.Spec{Type: "x", Targeting: workorder.Targeting{Labels: []string{"l"}}}, sum, 9, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.WorkOrders().Insert(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		_, e, err := o.Complete(workorder.Completer{Anybody: true}, workorder.Result{Success: true}, time.Now().Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.WorkOrders().Finish(t.Context(), o.Version, *e); err != nil {
			t.Fatal(err)
		}
	}
	j := janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.WorkOrderLog(store.WorkOrderLog(), 2*time.Hour))
	if err := j.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := store.WorkOrderLog().Page(t.Context(), workorder.LogList().All(10))
	if err != nil || len(left.Items) != 1 {
		t.Errorf("left: got %d, %v; want the younger one", len(left.Items), err)
	}
}
