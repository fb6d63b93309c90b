package janitor_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

// prepared notes for which periods room was made.
type prepared struct {
	ports.AuditKeeper
	periods []audit.Period
}

func (p *prepared) Prepare(ctx context.Context, period audit.Period) error {
	p.periods = append(p.periods, period)
	return p.AuditKeeper.Prepare(ctx, period)
}

func TestAuditLogIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	now := time.Date(2026, 11, 15, 0, 0, 0, 0, time.UTC)
	for _, month := range []time.Month{8, 9, 10, 11} {
		e := audit.Did(audit.PAKRotated, "", nil, nil).Complete(audit.ID(uuid.NewString()),
			time.Date(2026, month, 10, 0, 0, 0, 0, time.UTC), audit.Actor{Type: audit.System}, audit.Source{})
		if err := store.AuditLog().Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.AuditKeeper().Seal(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	keeper := &prepared{AuditKeeper: store.AuditKeeper()}
	j := janitor.New(store.Leases(), "a", func() time.Time { return now }, slog.New(slog.DiscardHandler), janitor.Audit(store.AuditLog(), keeper, 30*24*time.Hour))
	if err := j.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]audit.Period{"2026-11", "2026-12", "2027-01", "2027-02"}, keeper.periods); diff != "" {
		t.Errorf("room was made (-want +got):\n%s", diff)
	}
	chains, err := store.AuditLog().Chains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dropped := map[audit.Period]bool{}
	for _, c := range chains {
		dropped[c.Period] = c.DroppedAt != nil
	}
	// September ended 45 days ago, October 15.
	if diff := cmp.Diff(map[audit.Period]bool{"2026-08": true, "2026-09": true, "2026-10": false, "2026-11": false}, dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if err := audit.CheckChains(chains); err != nil {
		t.Errorf("what is left hangs on nothing: %v", err)
	}
}
