package scheduler_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Agents hear at once that a stack has opted in for the logs of its pods, and that it has out again; nothing else moves.
func TestTheAnnotationOfAStackForLogsReachesItsAgents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		o := f.publish(s, "one")
		f.treat(s, stack.Treatment{Prune: "orphan"})
		synctest.Wait()
		before := f.assignments(s)[a]
		if before.Treatment.StreamLogs || before.State != delivery.Assigned {
			t.Fatalf("without the annotation: %+v", before)
		}
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().AddAnnotation(ctx, stack.Annotation{ID: stack.AnnotationID(uuid.NewString()), Stack: s, Key: stack.AnnotationStreamLogs, Value: "true"}); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
		})
		synctest.Wait()
		told := f.assignments(s)[a]
		if !told.Treatment.StreamLogs || told.Treatment.Prune != "orphan" || told.Object != o || told.Revision != before.Revision+1 {
			t.Errorf("with it: %+v, want it beside the treatment, in the revision after %d", told, before.Revision)
		}
		record, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		stop()
		defer f.start(f.store)()
		settle()
		if again, _, err := f.store.Decisions().Latest(t.Context(), s); err != nil || again.Generation != record.Generation {
			t.Errorf("generation %d, %v: a restart has decided anew what is decided (%d)", again.Generation, err, record.Generation)
		}
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().RemoveAnnotation(ctx, s, stack.AnnotationStreamLogs); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
		})
		synctest.Wait()
		if x := f.assignments(s)[a]; x.Treatment.StreamLogs {
			t.Errorf("without it again: %+v", x)
		}
	})
}
