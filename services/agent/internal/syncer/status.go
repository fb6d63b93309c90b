package syncer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
)

// statusTurn says when the cluster's status is told again after it could not be. The conversation goes on meanwhile.
type statusTurn struct {
	trouble trouble
	wait    backoff
	at      time.Time // zero: nothing failed
}

func (t *statusTurn) isDue() bool { return !time.Now().Before(t.at) }

// due delivers when it is time; nothing if nothing failed.
func (t *statusTurn) due() <-chan time.Time {
	if t.at.IsZero() {
		return nil
	}
	return time.After(time.Until(t.at))
}

func (t *statusTurn) failed(ctx context.Context, err error) {
	t.trouble.note(ctx, err)
	t.at = time.Now().Add(t.wait.after(err))
}

func (t *statusTurn) over(ctx context.Context) {
	t.trouble.over(ctx)
	t.wait.reset()
	t.at = time.Time{}
}

// tellStatus tells what the cluster is, in a request of its own: what the broker does not accept holds up nothing else. A broker that
// fails over it is told later, and parks the agent meanwhile.
func (s *Syncer) tellStatus(ctx context.Context, status json.RawMessage, number int64) error {
	err := s.exchange(ctx, report.Batch{}, status, 0)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return err
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.Refused):
		s.Log.ErrorContext(ctx, "the broker refuses the cluster's status, which is dropped", "error", err.Error(), "code", fault.CodeOf(err))
	case fault.Is(err, fault.Internal) || fault.Is(err, fault.Unavailable):
		s.Count(fault.KindOf(err).String())
		s.status.failed(ctx, err)
		return nil
	default: // it is not about the status: the key, the rate, the agent
		return err
	}
	s.Status.Told(number)
	s.status.over(ctx)
	return nil
}
